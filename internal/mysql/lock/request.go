package lock

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stillpoint/internal/mysql/session"
	"stillpoint/internal/mysql/wire"
)

const (
	// killEvery is how long an answer to KILL QUERY is waited for before it is
	// sent again: a KILL that comes before the server has begun with the request
	// finds an idle session and has no effect.
	killEvery = 50 * time.Millisecond
	// withdrawTimeout bounds a withdrawal by KILL QUERY; after it the session is killed.
	withdrawTimeout = 2 * time.Second
	// evictTimeout bounds killing the session, a new watcher included.
	evictTimeout = 3 * time.Second
	// killTimeout leaves of evictTimeout what a new watcher needs.
	killTimeout = time.Second
	// pollEvery is how often the watcher looks whether A has come to rest.
	pollEvery = 5 * time.Millisecond
)

// errWithdrawn says that a request was withdrawn because its time had passed.
var errWithdrawn = errors.New("the request was withdrawn")

// request runs a statement that may have to queue (the lock, the flush) on A.
// It returns nil where the server carried it out within bound, errWithdrawn or
// the context's error where it was withdrawn, and else what the server said. In
// every case but nil and *notWithdrawnError nothing of it is queued or held any
// more. A may have to be opened again after an error, see session.Pair.Revive.
//
// Three bounds stand behind each other: ours (KILL QUERY at bound), which needs
// the watcher; on MariaDB max_statement_time, set by the caller; and
// lock_wait_timeout, whole seconds, and anew for each of the two or three locks
// that FTWRL takes. So a watcher that dies in this moment costs seconds at worst.
func (h *Holder) request(ctx context.Context, statement string, bound time.Duration) error {
	done := make(chan error, 1)
	timer := time.NewTimer(bound)
	defer timer.Stop()
	go func() { done <- h.A.ExecUnbounded(statement) }()
	var cause error
	select {
	case err := <-done:
		return h.answered(ctx, err)
	case <-timer.C:
		cause = errWithdrawn
	case <-ctx.Done():
		cause = ctx.Err()
	}
	if h.beforeKill != nil {
		h.beforeKill()
	}
	return h.withdraw(ctx, done, cause)
}

// answered looks after what an answer other than success may leave behind: after
// one that came with the connection's end the session may live on in the
// server, queued, and after any other see settled.
func (h *Holder) answered(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawTimeout)
	defer cancel()
	if h.settled(ctx) {
		return err
	}
	return errors.Join(err, h.evict(ctx, nil))
}

// withdraw ends the request by KILL QUERY from B and proves that it is gone. It
// goes on where ctx has ended.
func (h *Holder) withdraw(ctx context.Context, done <-chan error, cause error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), withdrawTimeout)
	defer cancel()
	for ctx.Err() == nil {
		if err := h.B.Exec(ctx, fmt.Sprintf("KILL QUERY %d", h.A.ID)); err != nil && !h.B.Alive() {
			break
		}
		select {
		case <-done: //nolint:errcheck // whatever it says, see settled
			if h.settled(ctx) {
				return cause
			}
			// What the session is left in is not known; without it nothing is.
			return h.gone(ctx, nil, cause)
		case <-time.After(killEvery):
		}
	}
	return h.gone(ctx, done, cause)
}

// gone makes an end of A and gives the cause, where that worked.
func (h *Holder) gone(ctx context.Context, done <-chan error, cause error) error {
	if err := h.evict(ctx, done); err != nil {
		return err
	}
	return cause
}

// settled brings A back to rest after a request that failed or was withdrawn:
// it lets go of whatever A holds and has B confirm that nothing of A is queued.
// False means that this cannot be told of A, which must be evicted.
//
// What the request was answered with says nothing about what A holds. It may
// have been granted just before the kill came; and on MariaDB 10.11 a FTWRL
// whose answer is error 1317 was seen to hold the lock nevertheless, in 7 of 13
// kills that came within the first 100 microseconds (TestFTWRL, "kills meet grants"). So
// what releases the lock is sent whatever the answer was; it also gives up the
// steps that were granted before. The kill may also come late and hit that
// statement: then it is sent again.
func (h *Holder) settled(ctx context.Context) bool {
	return h.release(ctx) == nil && h.idle(ctx)
}

// idle says that B sees A at rest: nothing of it is queued.
func (h *Holder) idle(ctx context.Context) bool {
	for ctx.Err() == nil {
		command, there, err := h.Command(ctx)
		if err != nil {
			return false
		}
		if there && command == "Sleep" {
			return true
		}
		if !there {
			return false
		}
		session.Pause(ctx, pollEvery)
	}
	return false
}

// notWithdrawnError says that it could not be proved that a session is gone.
type notWithdrawnError struct {
	id  uint64
	err error
}

func (e *notWithdrawnError) Error() string {
	return fmt.Sprintf("cannot prove that session %d is gone from the server; its lock_wait_timeout and wait_timeout end it: %v", e.id, e.err)
}

func (e *notWithdrawnError) Unwrap() error { return e.err }

// evict ends session A for good: KILL from B, the socket closed, and B asked
// until the server no longer has it. done, where not nil, is the answer that is
// still owed and comes once the socket is closed. Where B is gone too a new one is
// opened: nobody but us may be holding up the server's writers, and nothing is frozen
// on the strength of A any more.
func (h *Holder) evict(ctx context.Context, done <-chan error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), evictTimeout)
	defer cancel()
	var killErr error
	if h.B.Alive() {
		killErr = h.kill(ctx)
	}
	h.A.Cut()
	if done != nil {
		<-done //nolint:errcheck // that it has ended is all that matters
	}
	h.A.Drop()
	if !h.B.Alive() {
		if err := h.OpenWatcher(ctx); err != nil {
			return &notWithdrawnError{id: h.A.ID, err: errors.Join(killErr, err)}
		}
		killErr = h.kill(ctx)
	}
	for {
		_, there, err := h.Command(ctx)
		if err == nil && !there {
			return nil
		}
		if err != nil && !h.B.Alive() {
			return &notWithdrawnError{id: h.A.ID, err: errors.Join(killErr, err)}
		}
		if ctx.Err() != nil {
			return &notWithdrawnError{id: h.A.ID, err: errors.Join(killErr, errors.New("the server still has it"))}
		}
		session.Pause(ctx, pollEvery)
	}
}

// kill ends A's connection from B; that there is none is no error. One's own
// sessions can be killed without a privilege [facts, "Bounding the wait"].
func (h *Holder) kill(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, killTimeout)
	defer cancel()
	err := h.B.Exec(ctx, fmt.Sprintf("KILL %d", h.A.ID))
	if wire.Code(err) == wire.ErNoSuchThread {
		return nil
	}
	return err
}

// bounded adds, on MariaDB, the server's own bound for the whole statement, to
// the millisecond (error 1969 [facts, "Bounding the wait"]), a margin behind
// ours. MySQL has none for anything but SELECT.
func (h *Holder) bounded(statement string, bound time.Duration) string {
	if !h.Server.IsMariaDB() {
		return statement
	}
	return fmt.Sprintf("SET STATEMENT max_statement_time = %.3f FOR %s", (bound + maxStatementMargin).Seconds(), statement)
}
