package snapshot

import (
	"context"

	"stillpoint/messages"
)

// Rehearsal is the set that a run of the plan would ask EC2 for now, with the tags
// of a dry run. Only what is attached and what lies under the mount points is
// looked at. The error is that of a preflight.
func (p *Pipeline) Rehearsal(ctx context.Context, requestID string) (CreateSet, error) {
	a := &attempt{Pipeline: p, job: Job{Delivery: messages.Delivery{
		Request: messages.Request{RequestID: requestID, Plan: p.Plan.Name, DryRun: true}, Source: messages.SourceCLI, RequestedAt: p.now(),
	}}}
	a.start()
	if p.Plan.Describe != nil {
		a.description = p.Plan.Describe(requestID)
	}
	if err := a.resolve(ctx); err != nil {
		return CreateSet{}, err
	}
	return a.createSet(), nil
}

// RehearsedTags are those that a run which succeeds would write on its snapshot s
// after the thaw. own are the tags of the volume; nil without copy_tags.
func (p *Pipeline) RehearsedTags(s Existing, own map[string]string) map[string]string {
	a := &attempt{Pipeline: p, userTags: userTagSet(p.Plan.Tags, nil), result: &messages.Result{Status: messages.Succeeded, Consistency: messages.ConsistencyCrash}}
	tags, _ := a.verdictTags(s.Snapshot, own, s.Tags)
	return tags
}
