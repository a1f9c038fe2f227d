package snapshot

import (
	"context"
	"errors"
	"slices"
	"strconv"

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
		if i := slices.IndexFunc(a.job.Prior, a.partOf(found)); i >= 0 {
			a.resume(ctx, a.job.Prior[i])
			return false
		}
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
	if a.unattended {
		return true // there is no attempt to come for which EC2's answer would matter
	}
	if len(a.job.Prior) >= MaxAttempts {
		a.unsent()
		return false
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

// partOf says of an attempt that it is open and that EC2 shows a part of its
// set: the rest may still show itself, and must bear the verdict too.
func (a *attempt) partOf(found []Existing) func(Attempt) bool {
	return func(p Attempt) bool {
		mine := ofAttempt(found, p.ID)
		seen := map[string]bool{}
		for _, s := range mine {
			seen[s.VolumeID] = true
		}
		return p.open() && len(mine) > 0 && slices.ContainsFunc(p.VolumeIDs, func(id string) bool { return !seen[id] })
	}
}

// takeOver makes an earlier verdict this run's; the stages of both stand in
// the order in which they ran.
func (a *attempt) takeOver(s *messages.Result) {
	stages, warnings := a.result.Stages, a.result.Warnings
	*a.result = *s
	a.result.Stages = slices.Concat(s.Stages, stages)
	a.result.Warnings = slices.Concat(s.Warnings, warnings)
}

// taggedSucceeded says whether the tags of an attempt's set are those of one
// that was whole and proved: nobody writes them before that is so.
func taggedSucceeded(found []Existing, attemptID string) (c messages.Consistency, ok bool) {
	n, size := 0, ""
	for _, f := range found {
		if f.Tags[TagAttemptID] != attemptID {
			continue
		}
		if n++; n == 1 {
			c, size = messages.Consistency(f.Tags[TagConsistency]), f.Tags[TagSetSize]
		}
		if f.Tags[TagStatus] != string(messages.Succeeded) || f.Tags[TagConsistency] != string(c) || f.State == failedState {
			return "", false
		}
	}
	known := []messages.Consistency{messages.ConsistencyApplication, messages.ConsistencyDatabase, messages.ConsistencyFilesystem, messages.ConsistencyCrash}
	return c, size == strconv.Itoa(n) && slices.Contains(known, c)
}

// adopt reports a set that EC2 holds already, with the verdict that the
// journal can prove, or where it was lost the tags: a set whose verdict neither
// knows is not called consistent.
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
	if c, ok := taggedSucceeded(found, id); ok && len(a.job.Prior) == 0 {
		a.succeed(c, "%s of this request were started and proved before, as their tags say; the journal does not know them any more, and nothing was done now",
			count(len(a.result.Snapshots), "snapshot"))
		return
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
