package snapshot

import (
	"stillpoint/messages"
)

// LockKind is by what a database is brought to rest.
type LockKind string

// The kinds of lock.
const (
	// LockFTWRL is FLUSH TABLES WITH READ LOCK, on MySQL and MariaDB: no writes,
	// no DDL, no commits, and every table flushed.
	LockFTWRL LockKind = "FLUSH TABLES WITH READ LOCK"
	// LockBackupStage is MariaDB's BACKUP STAGE BLOCK_COMMIT: no commits, no DDL,
	// no writes to tables that are not transactional, which are flushed.
	LockBackupStage LockKind = "BACKUP STAGE BLOCK_COMMIT"
	// LockInstance is MySQL's LOCK INSTANCE FOR BACKUP: no DDL. Writes and
	// commits go on.
	LockInstance LockKind = "LOCK INSTANCE FOR BACKUP"
	// LockTables is Percona's LOCK TABLES FOR BACKUP, with LOCK BINLOG FOR BACKUP
	// where the server has it: no DDL and no writes to tables that are not
	// transactional, which are not flushed.
	LockTables LockKind = "LOCK TABLES FOR BACKUP"
	// LockNone is none.
	LockNone LockKind = "none"
)

// Name is messages.MySQL.Lock.
func (k LockKind) Name() string {
	switch k {
	case LockFTWRL:
		return "ftwrl"
	case LockBackupStage, LockInstance, LockTables:
		return "backup"
	case LockNone:
		return "none"
	default:
		return ""
	}
}

// Claim is what the adapter says of a lock, and all that the verdict goes by.
type Claim struct {
	Lock LockKind
	// Reason says in words why this lock, where the plan left the choice; else "".
	Reason string
	// Transactional: it was shown that every table is, see MattersWhichTables.
	Transactional bool
	// Doubt says in words which table is not, or why that could not be shown; ""
	// where Transactional, or where it does not matter.
	Doubt string
	// LogsLate: the server's engine writes its log up to a second after the
	// commit, so that what was committed under no lock of ours may be missing
	// from the set although the binlog has it.
	LogsLate bool
}

// worth is one row of the table of claims.
type worth struct {
	lock LockKind
	// transactional is Claim.Transactional; the rows of a lock are alike where it
	// does not matter.
	transactional bool
	// frozen may be said where every file system of the set was frozen beside the
	// lock, open where not.
	frozen, open messages.Consistency
	// exact says that coordinates which were equal before the freeze and after the
	// thaw are those of the set, where the server's files were frozen.
	exact bool
	// stops says that writers wait from the lock on, and not from the freeze on.
	stops bool
}

// claims is what may be said of a set, by what was held while EC2 made it. It is
// shown by the restore tests of docs/consistency.md, but for Percona's lock.
var claims = []worth{
	{LockFTWRL, true, messages.ConsistencyApplication, messages.ConsistencyDatabase, true, true},
	{LockFTWRL, false, messages.ConsistencyApplication, messages.ConsistencyDatabase, true, true},
	{LockBackupStage, true, messages.ConsistencyApplication, messages.ConsistencyDatabase, true, true},
	{LockBackupStage, false, messages.ConsistencyApplication, messages.ConsistencyDatabase, true, true},
	{LockInstance, true, messages.ConsistencyApplication, messages.ConsistencyCrash, true, false},
	{LockInstance, false, messages.ConsistencyFilesystem, messages.ConsistencyCrash, false, false},
	{LockTables, true, messages.ConsistencyApplication, messages.ConsistencyCrash, true, false},
	{LockTables, false, messages.ConsistencyFilesystem, messages.ConsistencyCrash, false, false},
	{LockNone, true, messages.ConsistencyFilesystem, messages.ConsistencyCrash, false, false},
	{LockNone, false, messages.ConsistencyFilesystem, messages.ConsistencyCrash, false, false},
}

// worth finds the claim's row. A lock that is not in the table is worth nothing.
func (c Claim) worth() worth {
	for _, w := range claims {
		if w.lock != c.Lock || w.transactional != c.Transactional {
			continue
		}
		if c.LogsLate {
			// The set recovers to a moment before the lock, and its binlog does not.
			w.exact = false
			if w.frozen == messages.ConsistencyApplication {
				w.frozen = messages.ConsistencyFilesystem
			}
			w.open = messages.ConsistencyCrash
		}
		return w
	}
	return worth{frozen: messages.ConsistencyFilesystem, open: messages.ConsistencyCrash}
}

// MattersWhichTables says that a lock is worth more where every table is transactional.
func MattersWhichTables(k LockKind) bool {
	with, without := Claim{Lock: k, Transactional: true}.worth(), Claim{Lock: k}.worth()
	with.transactional = false
	return with != without
}

// of is what may be said where everything was frozen, or was not.
func (w worth) of(frozen bool) messages.Consistency {
	if frozen {
		return w.frozen
	}
	return w.open
}

// Reach is the best that can be said of a set that is made under the lock by a
// plan: everything is Plan.EverythingFrozen, files that each file system which the
// server writes to is frozen, shown or by the plan. exact says that the
// coordinates can be.
func (c Claim) Reach(everything, files bool) (consistency messages.Consistency, exact bool) {
	w := c.worth()
	return w.of(everything), w.exact && (everything || files)
}

// doubt warns of what makes the lock worth less than the plan's author may think.
func (a *attempt) doubt() {
	if !a.locks() {
		return
	}
	if a.claim.Doubt != "" {
		a.warn("%s keeps only transactional tables at rest: %s; lock: ftwrl keeps them all", a.claim.Lock, a.claim.Doubt)
	}
	if a.claim.worth().stops && !a.freezesFiles() {
		a.warn("not every file system that the server writes to is frozen: what it wrote last may not have reached the volumes, and the coordinates are not exact")
	}
	if a.claim.LogsLate {
		a.warn("InnoDB writes its log up to a second after a commit (innodb_flush_log_at_trx_commit is 0): what is restored may lack transactions that its binlog has; set it to 1 or 2")
	}
}
