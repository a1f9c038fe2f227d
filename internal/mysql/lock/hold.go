package lock

import (
	"context"
	"fmt"

	"stillpoint/internal/mysql/wire"
)

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
