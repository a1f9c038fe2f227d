package look

import (
	"time"

	"stillpoint/internal/mysql/session"
	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// Policy says what is looked for and what is done about it. The zero value
// takes every statement for long, and refuses to end any.
type Policy struct {
	// Long: what to do about statements that would block the lock; "" is Wait.
	Long LongQueries
	// After is the age from which such a statement counts as long.
	After time.Duration
	// Patience is for how long Clear waits for those that are not long yet; 0: not at all.
	Patience time.Duration
	// KillAfter and KillMaxRows are, with Kill, the age from which a statement
	// may be ended, and how many rows its transaction may have changed then.
	KillAfter   time.Duration
	KillMaxRows int
	// OnKill is told what was ended; nil: nobody is.
	OnKill func(messages.Statement)
	// OnStatement is told the text of what is in the way; nil: nobody is.
	OnStatement func(id uint64, user, text string)
	// NoLock says that the plan wants none, which a cluster does not mind.
	NoLock bool
}

// Watcher looks, on a pair's B, for what stands in the way of a lock on its A.
type Watcher struct {
	*session.Pair
	Policy

	// kind is the lock that is asked for next, and nobodyWaits says that the
	// request makes nobody wait, see Aim.
	kind        snapshot.LockKind
	nobodyWaits bool

	// told are the statements whose text was given to OnStatement, and ended
	// those that were ended, by what they are told apart by.
	told, ended map[string]bool
	// Killed are those that were ended, for the result.
	Killed  []messages.Statement
	trxRead time.Time // when INNODB_TRX was last read
}

// New looks for what would block FTWRL, until Aim says otherwise.
func New(p *session.Pair, policy Policy) *Watcher { return &Watcher{Pair: p, Policy: policy} }

// Aim says which lock will be asked for next. Nothing needs to be looked for
// beforehand where a try makes nobody wait: none, and BACKUP STAGE where no table
// is written without a transaction. That waits for DDL only, in its first stage,
// which nobody waits for but more DDL; and in its last for commits under way.
func (w *Watcher) Aim(kind snapshot.LockKind, transactional bool) {
	w.kind = kind
	w.nobodyWaits = kind == snapshot.LockNone || kind == snapshot.LockBackupStage && transactional
}
