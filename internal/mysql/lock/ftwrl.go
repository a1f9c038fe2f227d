package lock

import (
	"context"
	"fmt"
)

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
