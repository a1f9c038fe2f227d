package dialect

import (
	"stillpoint/internal/snapshot"
)

// Method is one way to bring the server to rest: what is sent, in order, and
// what gives it up again.
type Method struct {
	Kind snapshot.LockKind
	// Steps are the statements that take it. Any of them may have to wait, and
	// what those before it took is held meanwhile.
	Steps []string
	// Release gives up whatever the steps took, wherever they ended, and can be
	// sent when nothing is held.
	Release []string
}

// Surveyed says that the tables are looked at again when the lock is held, see lock.Holder.Lock.
func (m Method) Surveyed() bool {
	return m.Kind == snapshot.LockInstance || m.Kind == snapshot.LockTables
}

// statementLock is sent on both flavors, see FTWRL.
const statementLock = "FLUSH LOCAL TABLES WITH READ LOCK"

// The methods. FTWRL is sent as LOCAL, which costs nothing and keeps it out of
// the binlog whatever the version; without a list of tables it takes the global
// read lock, on every table and engine, and stops commits.
//
// What each waits for is measured: TestLockModes. What each is worth
// stands in snapshot's table of claims.
var (
	FTWRL = Method{Kind: snapshot.LockFTWRL,
		Steps:   []string{statementLock},
		Release: []string{"UNLOCK TABLES"}}
	Stage = Method{Kind: snapshot.LockBackupStage,
		Steps:   []string{"BACKUP STAGE START", "BACKUP STAGE FLUSH", "BACKUP STAGE BLOCK_DDL", "BACKUP STAGE BLOCK_COMMIT"},
		Release: []string{"BACKUP STAGE END"}}
	Instance = Method{Kind: snapshot.LockInstance,
		Steps:   []string{"LOCK INSTANCE FOR BACKUP"},
		Release: []string{"UNLOCK INSTANCE"}}
	None = Method{Kind: snapshot.LockNone}

	// Percona's own; read, not run, for want of such a server.
	Tables = Method{Kind: snapshot.LockTables,
		Steps:   []string{"LOCK TABLES FOR BACKUP"},
		Release: []string{"UNLOCK TABLES"}}
	TablesBinlog = Method{Kind: snapshot.LockTables,
		Steps:   []string{"LOCK TABLES FOR BACKUP", "LOCK BINLOG FOR BACKUP"},
		Release: []string{"UNLOCK BINLOG", "UNLOCK TABLES"}}
)
