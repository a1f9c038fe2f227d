package mysql

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stillpoint/internal/snapshot"
)

// unlockTimeout bounds the unlock itself, beside its context.
const unlockTimeout = 5 * time.Second

// Verify proves that the lock has been held by the same session since Lock
// returned. Nothing but UNLOCK TABLES on A and the end of A gives up the global
// read lock, and a bare connection cannot reconnect: so an answer on it with its own
// connection id is the proof. The server is asked as well: MySQL, whether A's lock
// stands among the granted ones, where it keeps that list; MariaDB, see proveReadLock.
//
// It runs statements, which a frozen file system can hold up (MariaDB with its
// general log there [facts, "Freezing a live server"]): running into ctx or the
// statement's bound costs the session, and so the lock.
func (s *Session) Verify(ctx context.Context) error {
	if !s.held {
		return &snapshot.LockLostError{Err: errors.New("none is held")}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cannot verify the lock of %s: %w", s.target, err)
	}
	if err := s.verify(ctx); err != nil {
		return &snapshot.LockLostError{Err: err}
	}
	return nil
}

func (s *Session) verify(ctx context.Context) error {
	statement := "SELECT CONNECTION_ID() AS id"
	if s.server.mdl {
		statement = `SELECT CONNECTION_ID() AS id, (SELECT COUNT(*) FROM performance_schema.metadata_locks m
			JOIN performance_schema.threads t ON t.THREAD_ID = m.OWNER_THREAD_ID
			WHERE t.PROCESSLIST_ID = CONNECTION_ID() AND m.OBJECT_TYPE = 'GLOBAL'
			AND m.LOCK_TYPE = 'SHARED' AND m.LOCK_STATUS = 'GRANTED') AS locks,
			(SELECT VARIABLE_VALUE FROM performance_schema.global_status
			WHERE VARIABLE_NAME = 'Performance_schema_metadata_lock_lost') AS unseen`
	}
	rows, err := s.a.query(ctx, statement)
	if code(err) == erQueryInterrupted {
		// Someone's KILL QUERY; it does not release the lock [facts].
		rows, err = s.a.query(ctx, statement)
	}
	if err != nil {
		return fmt.Errorf("session %d of %s does not answer: %w", s.a.id, s.target, err)
	}
	id, err := oneUint(rows, "id")
	if err != nil {
		return err
	}
	if id != s.a.id {
		return fmt.Errorf("the session of %s is %d, and was %d", s.target, id, s.a.id)
	}
	// A list that has overflowed proves nothing either way.
	if s.server.mdl && rows[0]["locks"] == "0" && rows[0]["unseen"] == "0" {
		return fmt.Errorf("%s does not list the global read lock of session %d", s.target, id)
	}
	if err := s.proveReadLock(ctx); err != nil {
		return err
	}
	return s.armSwitch(ctx)
}

// Unlock lets go. Where UNLOCK TABLES fails the session is ended, from both
// sides, and the watcher asked whether it is gone; that takes up to evictTimeout
// beyond ctx, which does not cancel it. See snapshot.DatabaseSession for the errors.
func (s *Session) Unlock(ctx context.Context) error {
	if !s.held {
		return nil
	}
	s.held, s.until = false, time.Time{}
	unlock, cancel := context.WithTimeout(ctx, unlockTimeout)
	defer cancel()
	if !s.a.alive() {
		// It ended while it held, and may live on in the server.
		return &snapshot.LockLostError{Err: errors.Join(errors.New("its session had ended"), s.evict(ctx, nil))}
	}
	var err error
	for range 3 {
		err = s.a.exec(unlock, "UNLOCK TABLES")
		if err == nil {
			return nil
		}
		if code(err) != erQueryInterrupted {
			break
		}
	}
	cut := unlock.Err() != nil || s.a.alive() // we ended it, or are about to
	err = errors.Join(err, s.evict(ctx, nil))
	if !cut {
		return &snapshot.LockLostError{Err: err}
	}
	return fmt.Errorf("cannot unlock %s, and closed the session instead: %w", s.target, err)
}

// Close ends both sessions, and with them any lock: the server lets go within
// milliseconds [facts, "Losing the lock"]. It waits for no answer, and less than
// a second for the farewells to be written. It always returns nil: whether the
// server hears the farewell or finds the socket closed comes to the same.
// An applier that is still stopped is left to SettleApplier.
func (s *Session) Close() error {
	s.closed, s.held = true, false
	s.a.quit()
	s.b.quit()
	s.applier.note.letGo()
	s.forget()
	return nil
}
