package mysql

import (
	"context"
	"fmt"
)

// proveStage has MariaDB say in which stage of a backup A is: that it cannot
// enter the last one again is what it answers in it, and nothing else does
// (TestLockModes).
func (s *Session) proveStage(ctx context.Context) error {
	last := methodStage.steps[len(methodStage.steps)-1]
	err := s.a.exec(ctx, s.bounded(last, maxStatementMargin))
	if code(err) == erBackupWrongStage {
		return nil
	}
	if err == nil {
		return fmt.Errorf("session %d of %s was in an earlier stage of its backup", s.a.id, s.target)
	}
	return fmt.Errorf("session %d of %s has no backup under way any more: %w", s.a.id, s.target, err)
}
