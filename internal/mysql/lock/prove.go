package lock

import (
	"context"
	"fmt"

	"stillpoint/internal/mysql/dialect"
	"stillpoint/internal/mysql/wire"
	"stillpoint/internal/snapshot"
)

// prove has the server say that A holds what the method takes.
func (h *Holder) prove(ctx context.Context) error {
	switch h.method.Kind {
	case snapshot.LockFTWRL:
		return h.proveFTWRL(ctx)
	case snapshot.LockBackupStage:
		return h.proveStage(ctx)
	case snapshot.LockInstance:
		return h.proveListed(ctx, "BACKUP LOCK", "SHARED")
	default:
		return nil
	}
}

// proveFTWRL has the server say that A holds the global read lock. MySQL lists
// it among the granted metadata locks, where it keeps that list; MariaDB keeps
// none by default, see proveReadLock.
func (h *Holder) proveFTWRL(ctx context.Context) error {
	if h.Server.IsMariaDB() {
		return h.proveReadLock(ctx)
	}
	return h.proveListed(ctx, "GLOBAL", "SHARED")
}

// proveListed has MySQL say that A holds a lock by what it lists among the
// granted metadata locks. A list that has overflowed, or is not kept, proves
// nothing either way.
func (h *Holder) proveListed(ctx context.Context, object, lock string) error {
	if !h.Server.MDL {
		return nil
	}
	rows, err := h.A.Query(ctx, fmt.Sprintf(`SELECT (SELECT COUNT(*) FROM performance_schema.metadata_locks m
			JOIN performance_schema.threads t ON t.THREAD_ID = m.OWNER_THREAD_ID
			WHERE t.PROCESSLIST_ID = CONNECTION_ID() AND m.OBJECT_TYPE = '%s'
			AND m.LOCK_TYPE = '%s' AND m.LOCK_STATUS = 'GRANTED') AS locks,
			(SELECT VARIABLE_VALUE FROM performance_schema.global_status
			WHERE VARIABLE_NAME = 'Performance_schema_metadata_lock_lost') AS unseen`, object, lock))
	if err != nil {
		return err
	}
	if len(rows) == 1 && rows[0]["locks"] == "0" && rows[0]["unseen"] == "0" {
		return fmt.Errorf("%s does not list the lock of session %d", h.Target, h.A.ID)
	}
	return nil
}

// proveReadLock has MariaDB itself say that A holds the global read lock, which
// it lists nowhere: a session that does is refused a backup, with error 1223 and
// before anything else is looked at (measured on 10.11: TestHoldIsProved). A
// session that does not is let begin with one, which is ended at once.
func (h *Holder) proveReadLock(ctx context.Context) error {
	if _, has := h.Server.BackupMethod(); !has {
		return nil // the session that answers is all the proof there is
	}
	err := h.A.Exec(ctx, "BACKUP STAGE START")
	if wire.Code(err) == wire.ErQueryInterrupted {
		err = h.A.Exec(ctx, "BACKUP STAGE START")
	}
	switch {
	case wire.Code(err) == wire.ErConflictingReadLock:
		return nil
	case err == nil:
		if err := h.A.Exec(ctx, "BACKUP STAGE END"); err != nil {
			h.A.Drop() // which ends it as well
		}
		return fmt.Errorf("%s would let session %d begin a backup, so that it holds no global read lock", h.Target, h.A.ID)
	}
	return fmt.Errorf("session %d of %s does not prove its lock: %w", h.A.ID, h.Target, err)
}

// proveStage has MariaDB say in which stage of a backup A is: that it cannot
// enter the last one again is what it answers in it, and nothing else does
// (TestLockModes).
func (h *Holder) proveStage(ctx context.Context) error {
	last := dialect.Stage.Steps[len(dialect.Stage.Steps)-1]
	err := h.A.Exec(ctx, h.bounded(last, maxStatementMargin))
	if wire.Code(err) == wire.ErBackupWrongStage {
		return nil
	}
	if err == nil {
		return fmt.Errorf("session %d of %s was in an earlier stage of its backup", h.A.ID, h.Target)
	}
	return fmt.Errorf("session %d of %s has no backup under way any more: %w", h.A.ID, h.Target, err)
}
