package lock

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"stillpoint/internal/mysql/dialect"
	"stillpoint/internal/mysql/look"
	"stillpoint/internal/mysql/session"
	"stillpoint/internal/mysql/wire"
	"stillpoint/internal/snapshot"
)

// maxStatementMargin is by how much MariaDB's own bound comes after ours.
const maxStatementMargin = 100 * time.Millisecond

// Options are what a plan says about its lock.
type Options struct {
	// Mode: "" means FTWRL.
	Mode Mode
	// EverythingFrozen says that the plan freezes every file system of the set,
	// without which Auto takes no lock lighter than FTWRL.
	EverythingFrozen bool
	// Timeout bounds one try, to the millisecond: all of it, where it has several steps.
	Timeout time.Duration
	// Flush says when the preliminary flush runs.
	Flush Flush
}

// Holder takes the lock on a pair's A, and lets it go.
type Holder struct {
	*session.Pair
	Options
	look *look.Watcher

	// until is when the server is to let go by itself; zero where nothing is held.
	until time.Time
	hold  time.Duration // of the last try
	// ready says that Ready was called since the last try.
	ready bool
	// method is that of the next try, or of the lock that is held; claim is what
	// it is worth.
	method dialect.Method
	claim  snapshot.Claim

	// beforeKill is a test's way into the moment in which a try has run into its
	// time and is about to be withdrawn; nil outside tests.
	beforeKill func()
}

// New makes no statement; Decide, which picks the lock, is to be called first.
func New(p *session.Pair, look *look.Watcher, o Options) *Holder {
	return &Holder{Pair: p, look: look, Options: o}
}

// Claim says what the lock is worth: after Lock of the one that is held, before
// that of the one that a try would take as things stand. See snapshot.Claim.
func (h *Holder) Claim() snapshot.Claim { return h.claim }

// IsReady says that Ready was called since the last try.
func (h *Holder) IsReady() bool { return h.ready }

// Ready picks the lock of the next try, looks for statements that would block it
// and are long, and sets the server's own bounds. there is called when both
// sessions answer, and may say that they do not lead where they should. See
// snapshot.DatabaseSession; Lock says why.
func (h *Holder) Ready(ctx context.Context, hold time.Duration, there func() error) error {
	h.ready = false
	if err := h.lockable(hold); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cannot lock %s: %w", h.Target, err)
	}
	if err := h.Revive(ctx); err != nil {
		return err
	}
	if err := there(); err != nil {
		return err
	}
	if err := h.Decide(ctx); err != nil {
		return err
	}
	if err := h.look.Clear(ctx); err != nil {
		return err
	}
	if err := h.prepare(ctx, hold); err != nil {
		return h.StatementError(h.A, "prepare the lock in", err)
	}
	h.ready = true
	return nil
}

// Lock makes one try for the lock that Ready picked. See snapshot.DatabaseSession.
//
// Where Ready found statements that would block it and are long, nothing is requested: a request that waits makes all
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
func (h *Holder) Lock(ctx context.Context, hold time.Duration) error {
	if err := h.lockable(hold); err != nil {
		return err
	}
	if !h.ready {
		return fmt.Errorf("cannot lock %s: nothing was made ready for it", h.Target)
	}
	h.ready = false
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cannot lock %s: %w", h.Target, err)
	}
	h.until, h.hold = time.Now().Add(hold), hold
	err := h.take(ctx)
	if err == nil {
		if err = h.ArmSwitch(ctx); err == nil {
			h.Held = true
			return nil
		}
		err = errors.Join(err, h.evict(ctx, nil))
	}
	h.until = time.Time{}
	return h.lockError(ctx, "lock", err)
}

// lockable says whether a lock may be asked for at all.
func (h *Holder) lockable(hold time.Duration) error {
	switch {
	case h.Closed:
		return fmt.Errorf("cannot lock %s: the session is closed", h.Target)
	case h.Held:
		return fmt.Errorf("cannot lock %s: it is locked already", h.Target)
	case hold <= 0:
		return fmt.Errorf("cannot lock %s: it is to be held for %v", h.Target, hold)
	}
	return nil
}

// prepare sets the server's own bounds: of the wait for the lock, and of our
// silence once it is held.
func (h *Holder) prepare(ctx context.Context, hold time.Duration) error {
	return h.A.Exec(ctx, fmt.Sprintf("SET SESSION lock_wait_timeout = %d, wait_timeout = %d",
		seconds(h.Timeout), seconds(hold)))
}

// lockError gives what a request came to its type; what is what could not be
// done to the server.
func (h *Holder) lockError(ctx context.Context, what string, err error) error {
	var loose *notWithdrawnError
	var reach *snapshot.OutOfReachError
	var no *snapshot.LockNotGrantedError
	switch {
	case errors.As(err, &no):
		return no
	case errors.As(err, &loose):
		return &snapshot.LockUnknownError{Until: h.endsWithin(), Err: err}
	case errors.Is(err, errWithdrawn), wire.IsNotGranted(err):
		return &snapshot.LockNotGrantedError{Blockers: h.look.InTheWay(ctx, h.Timeout)}
	case errors.As(err, &reach):
		return err
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return fmt.Errorf("cannot %s %s: %w", what, h.Target, err)
	}
	return h.StatementError(h.A, what, err)
}

// endsWithin is how long the server may take to end by itself what could not
// be withdrawn: lock_wait_timeout for a request that waits, then wait_timeout
// for a lock that was granted to a session of which nothing is heard.
func (h *Holder) endsWithin() time.Duration {
	return time.Duration(seconds(h.Timeout)+seconds(h.hold)) * time.Second
}

// ArmSwitch sets the dead man's switch to what is left of the hold. It is also
// the proof that the session which was granted the lock still answers. A stray
// KILL QUERY may hit it, once.
func (h *Holder) ArmSwitch(ctx context.Context) error {
	set := func() error {
		return h.A.Exec(ctx, fmt.Sprintf("SET SESSION wait_timeout = %d", seconds(time.Until(h.until))))
	}
	err := set()
	if wire.Code(err) == wire.ErQueryInterrupted {
		err = set()
	}
	return err
}

// seconds rounds up to whole seconds, at least one: what the servers take.
func seconds(d time.Duration) int64 {
	return max(1, int64(math.Ceil(d.Seconds())))
}
