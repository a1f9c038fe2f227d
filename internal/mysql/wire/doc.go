// Package wire is one pinned connection to a server: how it is found and signed
// in to, as the clients' option files and flags have it, what runs on it, and
// what its errors mean.
//
// It is the driver's bare connection, not a pool: nothing can reconnect behind our
// back. What answers on it is the session that was opened, or nothing does.
package wire
