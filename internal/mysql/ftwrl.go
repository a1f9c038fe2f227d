package mysql

import (
	"context"
	"errors"
	"fmt"
)

// statementLock is sent on both flavors, see methodFTWRL.
const statementLock = "FLUSH LOCAL TABLES WITH READ LOCK"

// proveFTWRL has the server say that A holds the global read lock. MySQL lists
// it among the granted metadata locks, where it keeps that list. MariaDB keeps
// none by default, but refuses to begin a backup in a session that holds the
// lock, with error 1223 and before anything else (TestVerifySeesThatTheLockIsGone).
func (s *Session) proveFTWRL(ctx context.Context) error {
	if !s.server.mariadb() {
		return s.proveListed(ctx, "GLOBAL", "SHARED")
	}
	if s.server.number < versionStage {
		return nil // the session that answers is all the proof there is
	}
	err := s.a.exec(ctx, s.bounded(methodStage.steps[0], maxStatementMargin))
	if code(err) == erConflictingReadLock {
		return nil
	}
	if err == nil {
		err = errors.Join(errors.New("it began a backup"), s.a.exec(ctx, methodStage.release[0]))
	}
	return fmt.Errorf("session %d of %s does not hold the global read lock any more: %w", s.a.id, s.target, err)
}

// proveListed has MySQL say that A holds a lock by what it lists among the
// granted metadata locks. A list that has overflowed, or is not kept, proves
// nothing either way.
func (s *Session) proveListed(ctx context.Context, object, lock string) error {
	if !s.server.mdl {
		return nil
	}
	rows, err := s.a.query(ctx, fmt.Sprintf(`SELECT (SELECT COUNT(*) FROM performance_schema.metadata_locks m
			JOIN performance_schema.threads t ON t.THREAD_ID = m.OWNER_THREAD_ID
			WHERE t.PROCESSLIST_ID = CONNECTION_ID() AND m.OBJECT_TYPE = '%s'
			AND m.LOCK_TYPE = '%s' AND m.LOCK_STATUS = 'GRANTED') AS locks,
			(SELECT VARIABLE_VALUE FROM performance_schema.global_status
			WHERE VARIABLE_NAME = 'Performance_schema_metadata_lock_lost') AS unseen`, object, lock))
	if err != nil {
		return err
	}
	if len(rows) == 1 && rows[0]["locks"] == "0" && rows[0]["unseen"] == "0" {
		return fmt.Errorf("%s does not list the lock of session %d", s.target, s.a.id)
	}
	return nil
}
