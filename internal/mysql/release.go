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
// returned. Nothing but a statement of ours on A and the end of A gives up any of
// the locks, and a bare connection cannot reconnect: so an answer on it with its
// own connection id is the proof. The server is asked for the lock itself as well,
// by proveFTWRL and its like. Where the plan wants no lock, Verify says only
// that the session is the same.
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
	if err := s.sameSession(ctx); err != nil {
		return err
	}
	err := s.prove(ctx)
	if code(err) == erQueryInterrupted {
		// Someone's KILL QUERY; it does not release the lock [facts].
		err = s.prove(ctx)
	}
	if err != nil {
		return err
	}
	return s.armSwitch(ctx)
}

// sameSession has A say that it is still the one that was opened.
func (s *Session) sameSession(ctx context.Context) error {
	rows, err := s.a.query(ctx, "SELECT CONNECTION_ID() AS id")
	if code(err) == erQueryInterrupted {
		rows, err = s.a.query(ctx, "SELECT CONNECTION_ID() AS id")
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
	return nil
}

// prove has the server say that A holds what the method takes.
func (s *Session) prove(ctx context.Context) error {
	switch s.method.kind {
	case snapshot.LockFTWRL:
		return s.proveFTWRL(ctx)
	case snapshot.LockBackupStage:
		return s.proveStage(ctx)
	case snapshot.LockInstance:
		return s.proveListed(ctx, "BACKUP LOCK", "SHARED")
	default:
		return nil
	}
}

// release sends what gives up the method's lock, again where a KILL QUERY of
// someone's hits it.
func (s *Session) release(ctx context.Context) error {
	for _, statement := range s.method.release {
		var err error
		for range 5 {
			if !s.a.alive() {
				return errors.New("the session has ended")
			}
			if err = s.a.exec(ctx, statement); code(err) != erQueryInterrupted {
				break
			}
		}
		if !released(err) {
			return err
		}
	}
	return nil
}

// Unlock lets go. Where that fails the session is ended, from both
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
	err := s.release(unlock)
	if err == nil {
		return nil
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
