package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"stillpoint/messages"
)

// holdAndSnapshot tries for the lock until it has it, and then goes through
// the window. It returns false where the run is over because the window was
// never entered.
func (a *attempt) holdAndSnapshot(ctx context.Context) bool {
	defer a.tellApplier()
	tries, requested := max(a.Plan.LockTries, 1), 0
	var last error
	for try := 1; try <= tries; try++ {
		if ctx.Err() != nil {
			return a.interrupted(ctx)
		}
		if a.session != nil {
			a.result.Timings.LockTries = a.quota.lockTries + try
			if try == 1 {
				a.progress("lock", "")
			}
		}
		ran := len(a.result.Stages)
		err := a.beforeTry(ctx, try)
		prepared := len(a.result.Stages)
		tried := err == nil
		if tried {
			err = a.window(ctx)
		}
		ended := len(a.result.Stages)
		a.startApplier(ctx)
		var no *LockNotGrantedError
		switch {
		case tried:
		case errors.As(err, &no): // nothing was requested, since it would have had to wait
		case errors.Is(err, errSetExists):
			return false
		case errors.As(err, new(*LeaseLostError)):
			a.again = a.mayTryAgain()
			return a.fail(messages.ReasonInterrupted, "nothing was locked: %v", err)
		default:
			return a.preflightFailed(ctx, err)
		}
		if !errors.As(err, &no) {
			if err == nil || a.win.entered {
				return true
			}
			if errors.As(err, new(*LockUnknownError)) {
				return a.fail(messages.ReasonLockLost, "%v; no snapshots were made; look at the server's process list, and end what is left of the user's sessions", err)
			}
			return a.preflightFailed(ctx, err)
		}
		last = err
		if !no.Waited {
			requested++
		}
		if try > 1 {
			// Sixty times the same would leave no room for the stages in a result.
			a.result.Stages = slices.Delete(a.result.Stages[:ended], ran, prepared)
		}
		if try < tries {
			a.progress("lock", no.Error())
			if err := a.sleep(ctx, a.Plan.LockSleep); err != nil {
				return a.interrupted(ctx)
			}
		}
	}
	return a.fail(messages.ReasonLockTimeout, "%s", a.notGranted(last, tries, requested))
}

// notGranted says what became of the tries for the lock: whether it was asked for
// at all makes the difference in what to do.
func (a *attempt) notGranted(last error, tries, requested int) string {
	var no *LockNotGrantedError
	blockers := "the server shows nothing in its way (a session that holds LOCK TABLES does not show: look at idle ones too)"
	if errors.As(last, &no) && no.Blockers != "" {
		blockers = "in its way: " + no.Blockers
	}
	what, raise := fmt.Sprintf("was not granted in %s of %s", count(tries, "try"), a.Plan.LockTimeout), "lock_timeout or lock_tries"
	switch {
	case requested == 0:
		what, raise = "was not requested in any of "+count(tries, "try")+", since it would have had to wait, and every writer behind it", "lock_tries or lock_sleep"
	case requested < tries:
		what = fmt.Sprintf("was not granted in %s (requested in %d of them, for %s each)", count(tries, "try"), requested, a.Plan.LockTimeout)
	}
	return fmt.Sprintf("the database lock %s; %s; nothing was frozen and no snapshots were made; end what blocks it, or raise %s", what, blockers, raise)
}

// window is what is known of the time between the lock and the unlock.
type window struct {
	entered bool // the lock, where there is one, was granted
	opened  time.Time
	// deadline is max_hold after the start of the winning try.
	deadline time.Time
	locked   time.Time
	freezing time.Time

	hookErr error // pre_freeze failed: nothing was frozen
	// postThaw is what is left of post_thaw's part.
	postThaw hookState
	hooks    []hookRun

	freezeErr error
	late      bool // the freeze failed because the deadline had passed
	made      []messages.Snapshot
	createErr error
	// lostAnswer is an ambiguous answer that a look-up cleared up while
	// everything was still held.
	lostAnswer error

	thawed    Thawed
	thawErr   error
	after     *messages.MySQL
	afterErr  error
	coordErr  error
	sheetErr  error // the coordinates file was not written
	lockErr   error // from the proof of the hold or the unlock
	unlocked  time.Time
	unlockErr error
}

// window is one try for the lock and, where it is granted, everything until
// the unlock. From the moment when Lock is called to the return of the last
// undo step nothing here logs, opens, resolves, fetches or sleeps.
func (a *attempt) window(ctx context.Context) error {
	w := &a.win
	*w = window{opened: a.now()}
	w.deadline = w.opened.Add(a.Plan.MaxHold)
	// Shutdown and a lost lease are not heard from here on: the window ends by
	// itself, and soon. Only the wait for the lock can still be given up.
	held, cancel := context.WithDeadline(context.WithoutCancel(ctx), w.deadline)
	defer cancel()
	free := context.WithoutCancel(ctx)

	var holds undo
	defer func() {
		_ = holds.unwind() // each step keeps its own error in w
		t := &a.result.Timings
		if !w.unlocked.IsZero() {
			t.WritesBlocked = ms(w.unlocked.Sub(w.opened))
			if a.session != nil && !a.claim.worth().stops {
				t.WritesBlocked = t.Frozen
			}
			t.WritesBlockedTotal += t.WritesBlocked
		}
	}()

	// At the bottom, for where max_hold leaves post_thaw no time before the unlock.
	holds.push(func() error { return a.postThawLate(free) })
	if a.session != nil {
		err := a.stage("lock", func() error { return a.session.Lock(ctx, a.Plan.MaxHold) })
		a.claim = a.session.Claim() // also of a try that failed, which may have gone on to another lock
		if err != nil {
			var no *LockNotGrantedError
			if (!errors.As(err, &no) || !no.Waited) && a.claim.worth().stops {
				a.result.Timings.WritesBlockedTotal += ms(a.now().Sub(w.opened))
			}
			return err
		}
		w.locked = a.now()
		a.result.Timings.LockWait = ms(w.locked.Sub(w.opened))
		holds.push(func() error { return a.unlock(free) })
	} else if a.guard != nil {
		holds.push(func() error { w.unlocked = a.now(); return nil })
	}
	w.entered = true

	if a.session != nil {
		w.coordErr = a.stage("coordinates", func() error {
			m, err := a.session.Coordinates(held)
			if err == nil {
				a.before = &m
			}
			return err
		})
		if w.coordErr != nil {
			return w.coordErr
		}
	}
	set := a.createSet() // with the coordinates among its tags
	a.writeSheet(held)
	if a.guard != nil {
		if err := a.preFreeze(held, &holds, free); err != nil {
			return err
		}
		holds.push(func() error { return a.thaw(free) })
		w.freezing = a.now()
		w.freezeErr = a.stage("freeze", func() error { return a.guard.Freeze(held, w.deadline) })
		if w.freezeErr != nil {
			w.late = errors.Is(w.freezeErr, context.DeadlineExceeded) || !a.now().Before(w.deadline)
			return w.freezeErr
		}
	}
	a.create(held, set)
	return w.createErr
}

// errNoTime says that the create call was not sent, since EC2's answer would have come too late.
var errNoTime = errors.New("no time was left for EC2's answer before max_hold")

// create sends the one call, and clears an ambiguous answer up while
// everything is still held, where that takes no more than lookupHeld.
func (a *attempt) create(held context.Context, set CreateSet) {
	w := &a.win
	budget := min(a.Plan.SnapshotTimeout, w.deadline.Sub(a.now())-lookupHeld-letGo-a.postThawTime())
	if budget <= 0 {
		w.createErr = errNoTime
		return
	}
	call, cancel := context.WithTimeout(held, budget)
	defer cancel()
	if a.job.Record != nil {
		a.job.Record.Sending()
	}
	start := a.now()
	w.createErr = a.stage("snapshot", func() (err error) {
		w.made, err = a.EBS.Create(call, set)
		return certain(w.made, err)
	})
	a.result.Timings.SnapshotCall = ms(a.now().Sub(start))
	if !errors.As(w.createErr, new(*AmbiguousError)) {
		return
	}
	look, cancel := context.WithTimeout(held, min(lookupHeld, w.deadline.Sub(a.now())-letGo-a.postThawTime()))
	defer cancel()
	_ = a.stage("look-up", func() error {
		found, err := a.EBS.Find(look, a.result.RequestID)
		if err != nil {
			return err
		}
		mine := ofAttempt(found, a.result.AttemptID)
		if missing, _ := a.compare(mine); len(missing) == 0 {
			w.made, w.createErr, w.lostAnswer = mine, nil, w.createErr
		}
		return nil
	})
}

// certain makes of an answer that proves neither a set nor its absence what it is.
func certain(made []messages.Snapshot, err error) error {
	switch {
	case err == nil && len(made) == 0:
		return &AmbiguousError{Err: errors.New("it names no snapshots")}
	case err == nil, errors.As(err, new(*QuotaError)), errors.As(err, new(*SnapshotRefusedError)), errors.As(err, new(*AmbiguousError)):
		return err
	default:
		return &AmbiguousError{Err: err}
	}
}

// thaw lets the file systems go, and keeps what was found. Where the kernel
// does not answer it goes on without, so that the database is let go in time.
func (a *attempt) thaw(free context.Context) error {
	w := &a.win
	ctx, cancel := context.WithTimeout(free, max(w.deadline.Sub(a.now()), letGo))
	defer cancel()
	w.thawErr = a.stage("thaw", func() error {
		var err error
		w.thawed, err = a.guard.Thaw(ctx)
		return err
	})
	a.result.Timings.Frozen = ms(a.now().Sub(w.freezing))
	return w.thawErr
}

// unlock reads the coordinates again, has the hold proved, and lets the
// database go. It must end in the lock being gone, so it goes on after errors.
func (a *attempt) unlock(free context.Context) error {
	w := &a.win
	ctx, cancel := context.WithTimeout(free, min(letGo, max(w.deadline.Sub(a.now()), lastWords)))
	defer cancel()
	if w.coordErr == nil {
		w.afterErr = a.stage("coordinates-after", func() error {
			m, err := a.session.Coordinates(ctx)
			if err == nil {
				w.after = &m
			}
			return err
		})
	}
	w.lockErr = a.stage("verify", func() error { return a.session.Verify(ctx) })
	unlock, cancel := context.WithTimeout(free, letGo)
	defer cancel()
	w.unlockErr = a.stage("unlock", func() error { return a.session.Unlock(unlock) })
	w.unlocked = a.now()
	a.result.Timings.LockHeld = ms(w.unlocked.Sub(w.locked))
	return errors.Join(w.lockErr, w.unlockErr)
}
