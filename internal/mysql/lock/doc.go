// Package lock brings a server to rest on A, proves that it has stayed so, and
// lets it go: FLUSH TABLES WITH READ LOCK, the server's backup lock, the lighter of
// the two that is right, or none; and the preliminary flush.
//
// The request for the lock is never ended by cancelling its context: that only
// closes the client's socket, and on MySQL the orphan stays queued with every
// writer behind it [facts, "Bounding the wait"].
package lock
