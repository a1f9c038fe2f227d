// Package position reads where a server is: the end of its own binlog, and, on a
// replica, how far it has executed what its sources wrote; and says where that
// position cannot be believed.
package position
