// Package parts finds where a server's files are: which process the other end of
// the connections is, and each thing that a restore needs, resolved where that
// process runs. It asks the server for its paths, and locate for the rest.
package parts
