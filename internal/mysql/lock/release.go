package lock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stillpoint/internal/mysql/wire"
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
func (h *Holder) Verify(ctx context.Context) error {
	if !h.Held {
		return &snapshot.LockLostError{Err: errors.New("none is held")}
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cannot verify the lock of %s: %w", h.Target, err)
	}
	if err := h.verify(ctx); err != nil {
		return &snapshot.LockLostError{Err: err}
	}
	return nil
}

func (h *Holder) verify(ctx context.Context) error {
	if err := h.sameSession(ctx); err != nil {
		return err
	}
	err := h.prove(ctx)
	if wire.Code(err) == wire.ErQueryInterrupted {
		// Someone's KILL QUERY; it does not release the lock [facts].
		err = h.prove(ctx)
	}
	if err != nil {
		return err
	}
	return h.ArmSwitch(ctx)
}

// sameSession has A say that it is still the one that was opened.
func (h *Holder) sameSession(ctx context.Context) error {
	rows, err := h.A.Query(ctx, "SELECT CONNECTION_ID() AS id")
	if wire.Code(err) == wire.ErQueryInterrupted {
		rows, err = h.A.Query(ctx, "SELECT CONNECTION_ID() AS id")
	}
	if err != nil {
		return fmt.Errorf("session %d of %s does not answer: %w", h.A.ID, h.Target, err)
	}
	id, err := wire.OneUint(rows, "id")
	if err != nil {
		return err
	}
	if id != h.A.ID {
		return fmt.Errorf("the session of %s is %d, and was %d", h.Target, id, h.A.ID)
	}
	return nil
}

// release sends what gives up the method's lock, again where a KILL QUERY of
// someone's hits it.
func (h *Holder) release(ctx context.Context) error {
	for _, statement := range h.method.Release {
		var err error
		for range 5 {
			if !h.A.Alive() {
				return errors.New("the session has ended")
			}
			if err = h.A.Exec(ctx, statement); wire.Code(err) != wire.ErQueryInterrupted {
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
func (h *Holder) Unlock(ctx context.Context) error {
	if !h.Held {
		return nil
	}
	h.Held, h.until = false, time.Time{}
	unlock, cancel := context.WithTimeout(ctx, unlockTimeout)
	defer cancel()
	if !h.A.Alive() {
		// It ended while it held, and may live on in the server.
		return &snapshot.LockLostError{Err: errors.Join(errors.New("its session had ended"), h.evict(ctx, nil))}
	}
	err := h.release(unlock)
	if err == nil {
		return nil
	}
	cut := unlock.Err() != nil || h.A.Alive() // we ended it, or are about to
	err = errors.Join(err, h.evict(ctx, nil))
	if !cut {
		return &snapshot.LockLostError{Err: err}
	}
	return fmt.Errorf("cannot unlock %s, and closed the session instead: %w", h.Target, err)
}

// released says that a statement of method.release has done its work: it
// succeeded, or MariaDB says that there was nothing to end.
func released(err error) bool {
	return err == nil || wire.Code(err) == wire.ErBackupNotRunning
}
