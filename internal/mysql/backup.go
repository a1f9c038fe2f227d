package mysql

import (
	"context"
	"fmt"
	"time"
)

// proveStage has MariaDB say in which stage of a backup A is: that it cannot
// enter the last one again is what it answers in it, and nothing else does
// (TestVerifySeesThatTheLockIsGone).
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

// definers looks on MySQL for what LOCK INSTANCE FOR BACKUP would wait for: DDL
// and account management, which hold the backup lock with the intention to
// change what it protects. A session that waits itself is not among them.
func (s *Session) definers(ctx context.Context, age time.Duration) ([]blocker, error) {
	if !s.server.mdl {
		return nil, nil // only DDL could be held up by the try, and only for lock_timeout
	}
	return s.sessionsThat(ctx, age, `SELECT OWNER_THREAD_ID FROM performance_schema.metadata_locks
		WHERE OBJECT_TYPE = 'BACKUP LOCK' AND LOCK_TYPE = 'INTENTION_EXCLUSIVE' AND LOCK_STATUS = 'GRANTED'`)
}
