package mysql

import (
	"context"
	"fmt"
)

// proveReadLock has MariaDB itself say that A holds the global read lock, which
// it lists nowhere: a session that does is refused a backup, with error 1223 and
// before anything else is looked at (measured on 10.11: TestHoldIsProved). A
// session that does not is let begin with one, which is ended at once.
func (s *Session) proveReadLock(ctx context.Context) error {
	if _, has := s.server.backupMethod(); !has {
		return nil // the session that answers is all the proof there is
	}
	err := s.a.exec(ctx, "BACKUP STAGE START")
	if code(err) == erQueryInterrupted {
		err = s.a.exec(ctx, "BACKUP STAGE START")
	}
	switch {
	case code(err) == erConflictingReadLock:
		return nil
	case err == nil:
		if err := s.a.exec(ctx, "BACKUP STAGE END"); err != nil {
			s.a.drop() // which ends it as well
		}
		return fmt.Errorf("%s would let session %d begin a backup, so that it holds no global read lock", s.target, s.a.id)
	}
	return fmt.Errorf("session %d of %s does not prove its lock: %w", s.a.id, s.target, err)
}
