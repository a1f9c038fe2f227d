// Package mysql brings a MySQL or MariaDB server to rest through one pinned
// session, and lets it go again.
//
// A run has two connections: A, which will hold FLUSH TABLES WITH READ LOCK,
// and B, which watches A, looks for what would block it and withdraws it with
// KILL QUERY. They are the driver's bare connections, not a pool: nothing can
// reconnect behind our back, and a lock cannot be handed back to a pool still
// held. Both are opened before the lock; from the request for the lock until
// the unlock nothing here opens a connection, resolves a name, creates a file
// or logs. The one exception follows a request that could neither be answered
// nor be withdrawn: then a new watcher is connected to kill it, before
// anything could have been frozen.
//
// The request for the lock is never ended by cancelling its context: that only
// closes the client's socket, and on MySQL the orphan stays queued with every
// writer behind it (facts C, "Bounding the wait").
//
// What stands here is the face: Config, Connect, and a Session whose methods are
// the rooms' below it (session, look, lock, position, parts, applier). No room
// knows Config or this package.
//
// Where a comment here or in a room says [facts] it means an experiment with MySQL 9.7 and
// MariaDB 10.11 whose outcome is kept with the design of this project.
package mysql
