package mysql

import (
	"fmt"
	"time"

	"stillpoint/internal/snapshot"
)

// method is one way to bring the server to rest: what is sent, in order, and
// what gives it up again.
type method struct {
	kind snapshot.LockKind
	// steps are the statements that take it. Any of them may have to wait, and
	// what those before it took is held meanwhile.
	steps []string
	// release gives up whatever the steps took, wherever they ended, and can be
	// sent when nothing is held (see released).
	release []string
}

// surveyed says that the tables are looked at again when the lock is held, see take.
func (m method) surveyed() bool {
	return m.kind == snapshot.LockInstance || m.kind == snapshot.LockTables
}

// The methods. FTWRL is sent as LOCAL, which costs nothing and keeps it out of
// the binlog whatever the version; without a list of tables it takes the global
// read lock, on every table and engine, and stops commits.
//
// What each waits for is measured: TestLockModes. What each is worth
// stands in snapshot's table of claims.
var (
	methodFTWRL = method{kind: snapshot.LockFTWRL,
		steps:   []string{statementLock},
		release: []string{"UNLOCK TABLES"}}
	methodStage = method{kind: snapshot.LockBackupStage,
		steps:   []string{"BACKUP STAGE START", "BACKUP STAGE FLUSH", "BACKUP STAGE BLOCK_DDL", "BACKUP STAGE BLOCK_COMMIT"},
		release: []string{"BACKUP STAGE END"}}
	methodInstance = method{kind: snapshot.LockInstance,
		steps:   []string{"LOCK INSTANCE FOR BACKUP"},
		release: []string{"UNLOCK INSTANCE"}}
	methodNone = method{kind: snapshot.LockNone}

	// Percona's own; read, not run, for want of such a server.
	methodTables = method{kind: snapshot.LockTables,
		steps:   []string{"LOCK TABLES FOR BACKUP"},
		release: []string{"UNLOCK TABLES"}}
	methodTablesBinlog = method{kind: snapshot.LockTables,
		steps:   []string{"LOCK TABLES FOR BACKUP", "LOCK BINLOG FOR BACKUP"},
		release: []string{"UNLOCK BINLOG", "UNLOCK TABLES"}}
)

// bounded adds, on MariaDB, the server's own bound for the whole statement, to
// the millisecond (error 1969 [facts, "Bounding the wait"]), a margin behind
// ours. MySQL has none for anything but SELECT.
func (s *Session) bounded(statement string, bound time.Duration) string {
	if !s.server.mariadb() {
		return statement
	}
	return fmt.Sprintf("SET STATEMENT max_statement_time = %.3f FOR %s", (bound + maxStatementMargin).Seconds(), statement)
}

// released says that a statement of method.release has done its work: it
// succeeded, or MariaDB says that there was nothing to end.
func released(err error) bool {
	return err == nil || code(err) == erBackupNotRunning
}
