package messages

import (
	"time"

	"github.com/google/uuid"
)

// Identity is who speaks in a Result.
type Identity struct {
	InstanceID string
	Region     string
	Agent      Agent
}

// Result starts a result for a request: everything that is known before anything is done.
func (id Identity) Result(d Delivery, startedAt time.Time) *Result {
	return &Result{
		SchemaVersion: SchemaVersion,
		Type:          ResultType,
		RequestID:     d.Request.RequestID,
		Plan:          d.Request.Plan,
		InstanceID:    id.InstanceID,
		Region:        id.Region,
		Source:        d.Source,
		RequestedAt:   d.RequestedAt.UTC(),
		StartedAt:     startedAt.UTC(),
		Consistency:   ConsistencyNone,
		Snapshots:     []Snapshot{},
		Stages:        []Stage{},
		Warnings:      []string{},
		DryRun:        d.Request.DryRun,
		Agent:         id.Agent,
	}
}

// eventSpace is the UUID namespace of event ids. It never changes: the same
// event has the same id from every version of the program.
var eventSpace = uuid.MustParse("5f1d35c6-1c0a-5b1e-9e0e-0d4c1f6a7b20")

// Seal sets FinishedAt (where zero), the total (where zero: by the clock on the wall) and the event id: a UUIDv5 of type,
// region, instance, request id, attempt id (where there was no attempt: the
// SQS message id) and status.
func (r *Result) Seal(messageID string, now time.Time) {
	if r.FinishedAt.IsZero() {
		r.FinishedAt = now.UTC()
	}
	if r.Timings.Total == 0 && !r.StartedAt.IsZero() {
		// Both are without a monotonic reading: a clock that was set back meanwhile makes no negative duration.
		r.Timings.Total = max(0, float64(r.FinishedAt.Sub(r.StartedAt))/float64(time.Millisecond))
	}
	attempt := r.AttemptID
	if attempt == "" {
		attempt = messageID
	}
	var name []byte
	for _, part := range []string{r.Type, r.Region, r.InstanceID, r.RequestID, attempt, string(r.Status)} {
		name = append(name, part...)
		name = append(name, 0)
	}
	r.EventID = uuid.NewSHA1(eventSpace, name).String()
}

// UsesID says whether the result uses up its request id: a dry run, a rejection
// and a skip do not.
func (r *Result) UsesID() bool {
	return !r.DryRun && r.RequestID != "" && r.Status != Rejected && r.Status != Skipped
}
