package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"stillpoint/messages"
)

// maxAge is the plan's, which the request can only shorten; zero: no limit.
func (a *attempt) maxAge() time.Duration {
	limit := a.Plan.MaxAge
	if asked := a.job.Delivery.Request.MaxAge.D(); asked > 0 && (limit == 0 || asked < limit) {
		limit = asked
	}
	return limit
}

// stale returns the age that makes the request too old, or 0.
func (a *attempt) stale() time.Duration {
	return a.staleAt(a.now())
}

// staleAt is the age that makes it too old at that time, or 0.
func (a *attempt) staleAt(t time.Time) time.Duration {
	limit := a.maxAge()
	age := t.Sub(a.job.Delivery.RequestedAt)
	if limit == 0 || age <= limit {
		return 0
	}
	return age
}

// timely skips a request that is too old, or too soon after the last success.
func (a *attempt) timely() bool {
	if n := len(a.job.Prior); n > 0 && a.stale() > 0 {
		// Something was done already, so that "skipped" would not be true.
		if last := a.job.Prior[n-1]; last.Settled != nil {
			a.takeOver(last.Settled)
			return false
		}
		a.result.AttemptID = a.job.Prior[n-1].ID
		return a.fail(messages.ReasonInterrupted, "an attempt ended before EC2 was asked for snapshots, and max_age (%s) has passed since: none were made; send a new request if it is still wanted", a.maxAge())
	}
	if age := a.stale(); age > 0 {
		return a.skip(messages.ReasonStale, "the request is %s old and max_age is %s: nothing was done; send a new one if it is still wanted",
			age.Round(time.Second), a.maxAge())
	}
	// A success ahead of the clock was noted while that was wrong: it says nothing, and must not keep backups off until it has come.
	if since := a.now().Sub(a.job.LastSuccess); !a.job.LastSuccess.IsZero() && since >= 0 && since < a.Plan.MinInterval {
		return a.skip(messages.ReasonTooSoon, "plan %s succeeded %s ago and its min_interval is %s: nothing was done",
			a.Plan.Name, since.Round(time.Second), a.Plan.MinInterval)
	}
	return true
}

// prepare does everything that can be done while nothing is held. What it
// opens is pushed on open.
func (a *attempt) prepare(ctx context.Context, open *undo) bool {
	if err := a.begin(ctx); err != nil {
		return a.fail(messages.ReasonInternal, "nothing was locked or frozen: %v; look at the disk that holds state_dir", err)
	}
	a.description = a.job.Delivery.Request.Description
	if a.description == "" && a.Plan.Describe != nil {
		a.description = a.Plan.Describe(a.result.RequestID)
	}
	if err := a.outside("resolve", func() error { return a.resolve(ctx) }); err != nil {
		return a.preflightFailed(ctx, err)
	}
	if err := a.outside("preflight", func() error { return a.preflight(ctx, open) }); err != nil {
		return a.preflightFailed(ctx, err)
	}
	return a.intend(ctx)
}

// intend makes durable for which volumes the lock is about to be taken.
func (a *attempt) intend(ctx context.Context) bool {
	if a.job.Delivery.Request.DryRun || a.job.Record == nil {
		return true
	}
	ids := make([]string, len(a.volumes))
	for i, v := range a.volumes {
		ids[i] = v.ID
	}
	if err := a.outside("intent", func() error { return a.job.Record.Intend(ctx, a.result.AttemptID, ids) }); err != nil {
		return a.fail(messages.ReasonInternal, "nothing was locked or frozen: cannot write the journal: %v; look at the disk that holds state_dir", err)
	}
	return true
}

// resolve finds the set.
func (a *attempt) resolve(ctx context.Context) error {
	var err error
	if a.attached, err = a.EBS.Attached(ctx); err != nil {
		return err
	}
	mounts := append(append([]string{}, a.Plan.Freeze...), a.Plan.NoFreeze...)
	a.volumes, err = a.Volumes.Resolve(ctx, mounts, a.Plan.Volumes, a.attached)
	if err == nil && len(a.volumes) == 0 {
		err = &RefusedError{Sentence: "the plan leads to no volume: name mount points under freeze or volume ids under volumes"}
	}
	if err != nil || !a.Plan.EverythingFrozen() {
		return err
	}
	// "Every file system frozen" would not be true of one that nobody named.
	others, err := a.Volumes.Others(ctx, a.Plan.Freeze)
	if err == nil && len(others) > 0 {
		err = &RefusedError{Sentence: fmt.Sprintf("the volumes hold file systems that the plan does not name: %s: add them to freeze, or to no_freeze if they may be caught in motion", strings.Join(others, ", "))}
	}
	return err
}

// preflight refuses what would deadlock, block, be refused or be useless.
func (a *attempt) preflight(ctx context.Context, open *undo) error {
	if n := len(a.userTags); n > userTags {
		return &RefusedError{Sentence: fmt.Sprintf("plan and request have %d tags together, and at most %d fit beside Stillpoint's own: leave some out", n, userTags)}
	}
	if err := a.checkHooks(); err != nil {
		return err
	}
	if err := a.open(ctx, open); err != nil {
		return err
	}
	if err := a.EBS.CheckCreate(ctx, a.createSet()); err != nil {
		return err
	}
	if a.Plan.CopyTags {
		ids := make([]string, len(a.volumes))
		for i, v := range a.volumes {
			ids[i] = v.ID
		}
		own, err := a.EBS.VolumeTags(ctx, ids)
		if err != nil && a.job.Delivery.Request.DryRun {
			a.warn("the volumes' own tags could not be copied: %v", err)
		}
		a.ownTags = own // where that failed it is tried again after the thaw
	}
	return nil
}

// open arms the guardian, opens the sessions of one window, and makes sure of the server.
func (a *attempt) open(ctx context.Context, open *undo) error {
	a.owesSheet(open)
	if len(a.Plan.Freeze) > 0 {
		g, err := a.Freezer.Arm(ctx, a.Plan.Freeze)
		if err != nil {
			return err
		}
		a.guard = g
		open.push(func() error { return a.guard.Close() }) // the one of then, see guardReady
	}
	if a.Database == nil {
		a.lookForUnlocked(ctx)
	} else {
		s, err := a.Database.Connect(ctx)
		if err != nil {
			return err
		}
		a.session = s
		open.push(s.Close)
		a.claim = s.Claim()
		if a.result.MySQL != nil { // of the session before, see tryPastQuota
			a.killed = a.result.MySQL.Killed
		}
		a.noteServer()
		if err := a.locate(ctx); err != nil {
			return err
		}
	}
	return a.openSheet(ctx)
}

// createSet is the set as EC2 is to be asked for it, without the coordinates
// that are not known yet.
func (a *attempt) createSet() CreateSet {
	return CreateSet{
		Volumes: a.volumes, Attached: a.attached, Description: a.description, Tags: a.createTags(),
		AllFrozen: a.Plan.EverythingFrozen(),
	}
}

// settleWithin bounds the syncfs before a try: a volume that takes longer to
// write out what is dirty is stalled, or too slow to be frozen now.
const settleWithin = 5 * time.Minute

// windowLength is how long a winning try may keep the writers waiting, and with it
// how long message, credentials and session must last.
func (a *attempt) windowLength() time.Duration { return a.Plan.LockTimeout + a.Plan.MaxHold }

// errSetExists ends the tries because EC2 shows a set of this request; the result is made.
var errSetExists = errors.New("a set of this request exists")

// beforeTry is what each try for the lock needs, so that nothing of it is left to do inside.
func (a *attempt) beforeTry(ctx context.Context, try int) error {
	// First, since it takes as long as there is to be written: message,
	// credentials and connection are to be fresh when the lock is requested.
	if a.guard != nil {
		err := a.stage("settle", func() error {
			ctx, cancel := context.WithTimeout(ctx, settleWithin)
			defer cancel()
			return a.guard.Settle(ctx)
		})
		if err != nil {
			return cannotFlush(ctx, err)
		}
	}
	if err := a.stopApplier(ctx, try); err != nil {
		return err
	}
	if a.job.Lease != nil {
		if err := a.stage("lease", func() error { return a.job.Lease.Cover(ctx, a.windowLength()) }); err != nil {
			if !errors.As(err, new(*LeaseLostError)) {
				err = &OutOfReachError{What: "SQS", Err: err}
			}
			return err
		}
	}
	if err := a.stage("credentials", func() error { return a.EBS.Warm(ctx, a.windowLength()) }); err != nil {
		return err
	}
	// The look-up warms the connection that the create call will use. Should a
	// set of this request have shown itself by now, it is not made again.
	err := a.stage("warm-up", func() error {
		found, err := a.EBS.Find(ctx, a.result.RequestID)
		if err == nil && len(found) > 0 {
			a.adopt(found)
			a.writeTags(context.WithoutCancel(ctx))
			return errSetExists
		}
		return err
	})
	switch {
	case err != nil:
		return err
	case a.session == nil:
		return a.guardReady(ctx)
	}
	// Last, since the lock must follow it closely to find the tables still closed.
	err = a.stage("flush", func() error {
		did, err := a.session.Settle(ctx)
		if err == nil && try == 1 {
			a.progress("flush", did)
		}
		return err
	})
	if err != nil {
		return cannotFlush(ctx, err)
	}
	err = a.stage("ready", func() error { return a.session.Ready(ctx, a.Plan.MaxHold) })
	a.noteServer()
	if err != nil {
		return err
	}
	return a.guardReady(ctx)
}

// noteServer puts into the result what the session knows of its server, what
// was killed for it included: that stays true however the run ends.
func (a *attempt) noteServer() {
	server := a.withKilled(a.session.Server())
	server.LocationTrusted = a.trusted
	a.result.MySQL = &server
}

// withKilled adds what earlier sessions of the run have killed.
func (a *attempt) withKilled(m messages.MySQL) messages.MySQL {
	m.Killed = append(slices.Clone(a.killed), m.Killed...)
	return m
}

func cannotFlush(ctx context.Context, err error) error {
	if errors.As(err, new(*OutOfReachError)) || ctx.Err() != nil {
		return err
	}
	return fmt.Errorf("cannot flush before the lock: %w", err)
}

// guardReady sees to it that the guardian lives. One that was killed, or is
// stopped, since it was armed is exchanged, once: nothing is held yet.
func (a *attempt) guardReady(ctx context.Context) error {
	if a.guard == nil {
		return nil
	}
	err := a.guard.Ready(ctx)
	if err == nil || ctx.Err() != nil {
		return err
	}
	a.warn("%v: another one was started before anything was held", err)
	return a.stage("rearm", func() error {
		if err := a.guard.Close(); err != nil {
			return err
		}
		g, err := a.Freezer.Arm(ctx, a.Plan.Freeze)
		if err != nil {
			return err
		}
		a.guard = g
		return g.Ready(ctx)
	})
}
