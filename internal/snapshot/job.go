package snapshot

import (
	"time"

	"stillpoint/messages"
)

// Job is one accepted request for one plan.
type Job struct {
	Delivery messages.Delivery
	// MessageID is SQS's; "" without a queue.
	MessageID string
	// Record makes the attempt durable. It is never used for a dry run.
	Record Record
	// Lease is the hold on the message; nil without a queue.
	Lease Lease
	// Prior is what the journal knows of earlier attempts for this request id.
	Prior []Attempt
	// LastSuccess is when this plan last succeeded here; zero: never.
	LastSuccess time.Time
}

// MaxAttempts is how often one request may get as far as its intent.
const MaxAttempts = 2

// Attempt is what the journal knows of one attempt.
type Attempt struct {
	ID        string    `json:"id"`
	StartedAt time.Time `json:"startedAt"`
	VolumeIDs []string  `json:"volumeIds"`
	// Sent says that the create call was about to be sent, or had been.
	Sent bool `json:"sent"`
	// SentAt is when it was about to be sent; zero: not known.
	SentAt time.Time `json:"sentAt,omitzero"`
	// Settled is what the attempt came to; nil where the worker died before it knew.
	Settled *messages.Result `json:"settled,omitzero"`
}

// nothingFound says that the attempt's verdict was that EC2's answer left it
// open whether there is a set, and that none was found.
func (a Attempt) nothingFound() bool {
	s := a.Settled
	return s != nil && s.Reason == messages.ReasonSnapshotAmbiguous && len(s.Snapshots) == 0
}

// final says that the attempt's verdict ends the request: every one does but
// a limit of EC2's, and an ambiguous answer of which nothing was found.
func (a Attempt) final() bool {
	return a.Settled != nil && a.Settled.Reason != messages.ReasonQuota && !a.nothingFound()
}

// open says that EC2 may have made a set for the attempt, and nobody knows.
func (a Attempt) open() bool {
	return a.Sent && (a.Settled == nil || a.nothingFound())
}

// Outcome is what a run came to.
type Outcome struct {
	Result *messages.Result
	// Again says that the request is to become visible again: Result is then
	// what would be published if this were the last attempt.
	Again bool
	// PendingTags are tags that could not be written; they are to be tried again later.
	PendingTags []PendingTags
}

// PendingTags are tags still owed to one snapshot.
type PendingTags struct {
	SnapshotID string            `json:"snapshotId"`
	Tags       map[string]string `json:"tags"`
}
