package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"stillpoint/messages"
)

// lookUp asks EC2 what exists for this request id. It returns true where a new
// attempt may go on; else the run is over and the result says how.
func (a *attempt) lookUp(ctx context.Context) bool {
	var found []Existing
	err := a.outside("look-up", func() (err error) {
		found, err = a.EBS.Find(ctx, a.result.RequestID)
		return err
	})
	if a.job.Delivery.Request.DryRun {
		if err != nil {
			return a.preflightFailed(ctx, err)
		}
		if len(found) > 0 {
			a.warn("a set with this request id exists already: without dryRun, it would be reported instead of a new one being made")
		}
		return true
	}
	if len(found) > 0 {
		a.adopt(found)
		a.writeTags(context.WithoutCancel(ctx))
		return false
	}
	// What the journal can tell needs no answer of EC2's, whose describe calls
	// may lag or fail.
	if i := slices.IndexFunc(a.job.Prior, Attempt.final); i >= 0 {
		a.takeOver(a.job.Prior[i].Settled)
		a.writeTags(context.WithoutCancel(ctx))
		return false
	}
	if i := slices.IndexFunc(a.job.Prior, Attempt.open); i >= 0 {
		a.resume(ctx, a.job.Prior[i])
		return false
	}
	if len(a.job.Prior) >= MaxAttempts {
		last := a.job.Prior[len(a.job.Prior)-1]
		if last.Settled != nil {
			a.takeOver(last.Settled)
			return false
		}
		a.result.AttemptID = last.ID
		return a.fail(messages.ReasonInterrupted, "%d attempts ended before EC2 was asked for snapshots: none were made; send a new request if it is still wanted", len(a.job.Prior))
	}
	if err != nil {
		if errors.As(err, new(*OutOfReachError)) && ctx.Err() == nil {
			if err := a.begin(ctx); err != nil { // an outage counts as an attempt
				a.warn("%v", err)
			}
		}
		return a.preflightFailed(ctx, err)
	}
	return true
}

// resume ends the request of a worker that died after it may have asked EC2.
func (a *attempt) resume(ctx context.Context, p Attempt) {
	a.result.AttemptID = p.ID
	for _, id := range p.VolumeIDs {
		a.volumes = append(a.volumes, Volume{ID: id})
	}
	a.reconcile(ctx, errors.New("the worker ended before it knew EC2's answer"))
	a.writeTags(context.WithoutCancel(ctx))
}

// takeOver makes an earlier verdict this run's; the stages of both stand in
// the order in which they ran.
func (a *attempt) takeOver(s *messages.Result) {
	stages, warnings := a.result.Stages, a.result.Warnings
	*a.result = *s
	a.result.Stages = slices.Concat(s.Stages, stages)
	a.result.Warnings = slices.Concat(s.Warnings, warnings)
}

// adopt reports a set that EC2 holds already, with the verdict that the
// journal can prove: what it does not know of is not called consistent.
func (a *attempt) adopt(found []Existing) {
	id := found[0].Tags[TagAttemptID]
	var settled *messages.Result
	for _, p := range a.job.Prior {
		if len(ofAttempt(found, p.ID)) == 0 {
			continue
		}
		id = p.ID
		if p.Settled != nil && len(p.Settled.Snapshots) > 0 {
			settled = p.Settled
			break
		}
	}
	if others := len(found) - len(ofAttempt(found, id)); others > 0 {
		a.warn("%s of another attempt bear this request id too: look at them and delete what is not wanted", count(others, "snapshot"))
	}
	if settled != nil {
		a.takeOver(settled)
		return
	}
	a.result.AttemptID = id
	for _, f := range found {
		if f.Tags[TagAttemptID] == id {
			s := f.Snapshot
			s.Device, s.Mount = f.Tags[TagDevice], f.Tags[TagMount]
			a.result.Snapshots = append(a.result.Snapshots, s)
		}
	}
	reason := messages.ReasonInterrupted
	for _, p := range a.job.Prior {
		if p.ID == id && p.Settled != nil && p.Settled.Reason == messages.ReasonSnapshotAmbiguous {
			reason = messages.ReasonSnapshotAmbiguous
		}
	}
	a.end(messages.Inconsistent, reason, messages.ConsistencyCrash,
		"EC2 holds %s of this request, and nothing proves that everything was held when they were started; do not trust them for more than a crash, and send a new request",
		count(len(a.result.Snapshots), "snapshot"))
}

// reconcile looks for what an ambiguous create call may have made, with
// everything let go. What is found now is never called consistent.
func (a *attempt) reconcile(ctx context.Context, cause error) {
	delays := a.LookupDelays
	if delays == nil {
		delays = lookupDelays
	}
	// What EC2 has confirmed is known, whatever its describe calls show.
	var mine, known []messages.Snapshot
	var ambiguous *AmbiguousError
	if errors.As(cause, &ambiguous) {
		known = ambiguous.Made
	}
	mine = known
	var lookErr error
	err := a.outside("reconcile", func() error {
		for i := 0; ; i++ {
			var found []Existing
			if found, lookErr = a.EBS.Find(ctx, a.result.RequestID); lookErr == nil {
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
	a.result.Snapshots = a.describe(mine)
	switch {
	case len(mine) > 0:
		a.end(messages.Inconsistent, messages.ReasonSnapshotAmbiguous, messages.ConsistencyCrash,
			"%v; EC2 holds %s of this request, and nothing proves that everything was held when they were started: do not trust them for more than a crash, and send a new request",
			cause, count(len(mine), "snapshot"))
	case err != nil && ctx.Err() != nil:
		a.again = true // not a new attempt: a look for what this one made
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
