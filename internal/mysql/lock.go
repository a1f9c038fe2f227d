package mysql

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"stillpoint/internal/snapshot"
)

// maxStatementMargin is by how much MariaDB's own bound comes after ours.
const maxStatementMargin = 100 * time.Millisecond

// Ready picks the lock of the next try, looks for statements that would block it
// and are older than LongQueryAfter, and sets the server's own bounds. See
// snapshot.DatabaseSession; Lock says why.
func (s *Session) Ready(ctx context.Context, hold time.Duration) error {
	s.ready = false
	if err := s.lockable(hold); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cannot lock %s: %w", s.target, err)
	}
	if err := s.revive(ctx); err != nil {
		return err
	}
	if err := s.stillThere(); err != nil {
		return err
	}
	if err := s.decide(ctx); err != nil {
		return err
	}
	if err := s.clear(ctx); err != nil {
		return err
	}
	if err := s.prepare(ctx, hold); err != nil {
		return s.statementError(s.a, "prepare the lock in", err)
	}
	s.ready = true
	return nil
}

// Lock makes one try for the lock that Ready picked. See snapshot.DatabaseSession.
//
// Where Ready found statements that would block it and are older than
// LongQueryAfter, nothing is requested: a request that waits makes all
// writers of the server wait behind it, and on MySQL one that gives up behind a
// reader leaves the reader's tables flush-pending, so that plain SELECTs on them
// hang until the old one ends, whatever we do then [facts, "MySQL poisoning"].
// For statements younger than that this is accepted: they end soon.
//
// hold counts from the request. The server lets go by its wait_timeout, whole
// seconds of A's silence, not before hold and less than a second after it,
// because each statement on A sets the timeout to what is left.
//
// A nil return means that A holds the lock. Should ctx end while the request
// waits, it is withdrawn at once and the context's error returned.
func (s *Session) Lock(ctx context.Context, hold time.Duration) error {
	if err := s.lockable(hold); err != nil {
		return err
	}
	if !s.ready {
		if err := s.Ready(ctx, hold); err != nil {
			return err
		}
	}
	s.ready = false
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cannot lock %s: %w", s.target, err)
	}
	s.until, s.hold = time.Now().Add(hold), hold
	err := s.take(ctx)
	if err == nil {
		if err = s.armSwitch(ctx); err == nil {
			s.held = true
			return nil
		}
		err = errors.Join(err, s.evict(ctx, nil))
	}
	s.until = time.Time{}
	return s.lockError(ctx, "lock", err)
}

// lockable says whether a lock may be asked for at all.
func (s *Session) lockable(hold time.Duration) error {
	switch {
	case s.closed:
		return fmt.Errorf("cannot lock %s: the session is closed", s.target)
	case s.held:
		return fmt.Errorf("cannot lock %s: it is locked already", s.target)
	case hold <= 0:
		return fmt.Errorf("cannot lock %s: it is to be held for %v", s.target, hold)
	}
	return nil
}

// prepare sets the server's own bounds: of the wait for the lock, and of our
// silence once it is held.
func (s *Session) prepare(ctx context.Context, hold time.Duration) error {
	return s.a.exec(ctx, fmt.Sprintf("SET SESSION lock_wait_timeout = %d, wait_timeout = %d",
		seconds(s.cfg.LockTimeout), seconds(hold)))
}

// lockError gives what a request came to its type; what is what could not be
// done to the server.
func (s *Session) lockError(ctx context.Context, what string, err error) error {
	var loose *notWithdrawnError
	var reach *snapshot.OutOfReachError
	var no *snapshot.LockNotGrantedError
	switch {
	case errors.As(err, &no):
		return no
	case errors.As(err, &loose):
		return &snapshot.LockUnknownError{Until: s.endsWithin(), Err: err}
	case errors.Is(err, errWithdrawn), isNotGranted(err):
		return &snapshot.LockNotGrantedError{Blockers: s.inTheWay(ctx)}
	case errors.As(err, &reach):
		return err
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return fmt.Errorf("cannot %s %s: %w", what, s.target, err)
	}
	return s.statementError(s.a, what, err)
}

// endsWithin is how long the server may take to end by itself what could not
// be withdrawn: lock_wait_timeout for a request that waits, then wait_timeout
// for a lock that was granted to a session of which nothing is heard.
func (s *Session) endsWithin() time.Duration {
	return time.Duration(seconds(s.cfg.LockTimeout)+seconds(s.hold)) * time.Second
}

// armSwitch sets the dead man's switch to what is left of the hold. It is also
// the proof that the session which was granted the lock still answers. A stray
// KILL QUERY may hit it, once.
func (s *Session) armSwitch(ctx context.Context) error {
	set := func() error {
		return s.a.exec(ctx, fmt.Sprintf("SET SESSION wait_timeout = %d", seconds(time.Until(s.until))))
	}
	err := set()
	if code(err) == erQueryInterrupted {
		err = set()
	}
	return err
}

// seconds rounds up to whole seconds, at least one: what the servers take.
func seconds(d time.Duration) int64 {
	return max(1, int64(math.Ceil(d.Seconds())))
}
