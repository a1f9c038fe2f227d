package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"stillpoint/messages"
)

// Reconcile settles a request whose worker died, without a message and without
// ever making an attempt: nothing is connected to, locked, frozen or asked of
// EC2 but what exists, and how to tag it. job is as for Run: the plan's name,
// the request id and Prior must be there; Lease and LastSuccess are not used,
// nor is Record: the caller makes the Result durable, as it does after Run.
//
// It comes to what a redelivery would that finds all attempts used up:
//   - a set that EC2 shows: adopted with the verdict that the journal can
//     prove, and tagged with it;
//   - an attempt with a final verdict: that Result, unchanged (same event id);
//   - an open attempt (its create call was sent, or may have been): looked up as
//     in Run, over what is left of the schedule since Attempt.SentAt; found:
//     inconsistent with interrupted, and tagged; else failed with snapshot_ambiguous;
//   - else nothing was made: the Result of the last attempt where it has one (a
//     limit of EC2's), or failed with interrupted.
//
// Again says that it stays open, because ctx ended or EC2 did not answer one
// look-up of an open attempt: nothing is to be published or finished, and
// Reconcile is to be called again later. It is never set otherwise.
func (p *Pipeline) Reconcile(ctx context.Context, job Job) Outcome {
	a := &attempt{Pipeline: p, job: job, unattended: true}
	a.start()
	if a.lookUp(ctx) {
		a.unsent()
	}
	return a.outcome()
}

// unsent is the verdict on attempts that all ended before EC2 was asked.
func (a *attempt) unsent() {
	n := len(a.job.Prior)
	if n == 0 {
		a.fail(messages.ReasonInterrupted, "nothing was begun and no snapshots were made; send a new request if it is still wanted")
		return
	}
	last := a.job.Prior[n-1]
	if last.Settled != nil {
		a.takeOver(last.Settled)
		return
	}
	a.result.AttemptID = last.ID
	what := "an attempt ended"
	if n > 1 {
		what = fmt.Sprintf("%d attempts ended", n)
	}
	a.fail(messages.ReasonInterrupted, "%s before EC2 was asked for snapshots: none were made; send a new request if it is still wanted", what)
}

// resume ends the request of a worker that died after it may have asked EC2.
func (a *attempt) resume(ctx context.Context, p Attempt) {
	a.result.AttemptID = p.ID
	a.volumes = nil
	for _, id := range p.VolumeIDs {
		a.volumes = append(a.volumes, Volume{ID: id})
	}
	a.reconcile(ctx, errors.New("the worker ended before it knew EC2's answer"), a.delaysLeft(p.SentAt))
	if p.Settled == nil && a.result.Status == messages.Inconsistent {
		a.result.Reason = messages.ReasonInterrupted // as of a set that the first look-up shows, see adopt
	}
	a.writeTags(context.WithoutCancel(ctx))
}

// delays are the waits between look-ups.
func (a *attempt) delays() []time.Duration {
	if a.LookupDelays != nil {
		return a.LookupDelays
	}
	return lookupDelays
}

// delaysLeft is what is left of the waits where the create call was sent some
// time ago: those whose look-ups are still to come, or else the first, so that
// no verdict hangs on a single look-up. A zero time is not known, and one that
// has not come yet is that of a clock which jumped: all are left.
func (a *attempt) delaysLeft(sent time.Time) []time.Duration {
	all := a.delays()
	// EC2 may have worked on the call for as long as it had to answer.
	since := a.now().Sub(sent) - a.Plan.SnapshotTimeout
	if sent.IsZero() || since <= 0 || len(all) == 0 {
		return all
	}
	var due time.Duration
	for i, d := range all {
		if due += d; due <= since {
			continue
		}
		left := slices.Clone(all[i:])
		left[0] = due - since
		return left
	}
	return all[:1]
}

// reconcile looks for what an ambiguous create call may have made, with
// everything let go. What is found now is never called consistent.
func (a *attempt) reconcile(ctx context.Context, cause error, delays []time.Duration) {
	// What EC2 has confirmed is known, whatever its describe calls show.
	var mine, known []messages.Snapshot
	var ambiguous *AmbiguousError
	if errors.As(cause, &ambiguous) {
		known = ambiguous.Made
	}
	mine = known
	var lookErr error // of the last look-up
	answered := false
	err := a.outside("reconcile", func() error {
		for i := 0; ; i++ {
			var found []Existing
			if found, lookErr = a.EBS.Find(ctx, a.result.RequestID); lookErr == nil {
				answered = true
				mine = merge(ofAttempt(found, a.result.AttemptID), known)
				if missing, _ := a.compare(mine); len(mine) > 0 && (len(missing) == 0 || i >= len(delays)) {
					return nil
				}
			}
			if i >= len(delays) {
				return lookErr
			}
			if err := a.sleep(ctx, delays[i]); err != nil {
				return fmt.Errorf("the look-up was cut short: %w", err)
			}
		}
	})
	missing, _ := a.compare(mine)
	whole := len(mine) > 0 && len(missing) == 0
	a.result.Snapshots = a.describe(mine)
	// Where there was no time to look, or nobody to ask, it stays open: not for
	// a new attempt, but for another look at what this one made.
	a.again = !whole && (ctx.Err() != nil || a.unattended && !answered)
	switch {
	case len(mine) > 0:
		a.end(messages.Inconsistent, messages.ReasonSnapshotAmbiguous, messages.ConsistencyCrash,
			"%v; EC2 holds %s of this request, and nothing proves that everything was held when they were started: do not trust them for more than a crash, and send a new request",
			cause, count(len(mine), "snapshot"))
	case err != nil && ctx.Err() != nil:
		a.fail(messages.ReasonSnapshotAmbiguous, "%v; %v", cause, err)
	default:
		a.fail(messages.ReasonSnapshotAmbiguous, "%v; no snapshots of this request were found since (last look-up: %v); look in EC2 for the tag %s=%s, and send a new request",
			cause, orNone(lookErr), TagRequestID, a.result.RequestID)
	}
}

// merge adds to found what is known and not among it.
func merge(found, known []messages.Snapshot) []messages.Snapshot {
	for _, k := range known {
		if !slices.ContainsFunc(found, func(s messages.Snapshot) bool { return s.SnapshotID == k.SnapshotID }) {
			found = append(found, k)
		}
	}
	return found
}

func orNone(err error) string {
	if err == nil {
		return "none there"
	}
	return err.Error()
}
