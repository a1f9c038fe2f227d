package lock

import (
	"context"
	"fmt"

	"stillpoint/internal/mysql/dialect"
	"stillpoint/internal/mysql/wire"
)

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
