package messages

import (
	"time"
)

// ActionSnapshot is the only action so far.
const ActionSnapshot = "snapshot"

// Limits of a request.
const (
	// MaxRequestBytes bounds the body of a message, envelopes included.
	MaxRequestBytes = 64 << 10
	// MaxEnvelopes is how deep a request may be wrapped.
	MaxEnvelopes = 3
	// MaxClockSkew is how far ahead scheduledTime may lie.
	MaxClockSkew = 5 * time.Minute
)

// Request asks for one set of snapshots. After Decode, RequestID is never
// empty, Action is ActionSnapshot and every field obeys the contract; Plan ""
// means the file's default plan.
type Request struct {
	// SchemaVersion is "1"; "" stands for it.
	SchemaVersion string `json:"schemaVersion,omitzero"`
	// RequestID names the request; on one instance the same id never makes a second set.
	RequestID string `json:"requestId,omitzero"`
	// Action is ActionSnapshot; "" stands for it.
	Action string `json:"action,omitzero"`
	Plan   string `json:"plan,omitzero"`
	// InstanceID is the instance that the request is meant for; "" any.
	InstanceID string `json:"instanceId,omitzero"`
	// ScheduledTime is when it was due; zero: the envelope's time.
	ScheduledTime time.Time `json:"scheduledTime,omitzero"`
	// MaxAge shortens the plan's max_age; zero leaves it.
	MaxAge Duration `json:"maxAge,omitzero"`
	// Description is literal and at most 255 characters; "" the plan's.
	Description string `json:"description,omitzero"`
	// Tags are for the snapshots; nil none. The plan's request_tags decides
	// later which keys are permitted.
	Tags map[string]string `json:"tags,omitzero"`
	// DryRun makes all checks and look-ups, and holds and creates nothing.
	DryRun bool `json:"dryRun,omitzero"`
}

// Meta is what the queue knows about a message beside its body.
type Meta struct {
	// MessageID is SQS's, the same over redeliveries.
	MessageID string
	// SentAt is SQS's SentTimestamp.
	SentAt time.Time
	// Now is the time that "ahead" is measured from; zero: time.Now().
	Now time.Time
	// AllowSources are the EventBridge sources, beside aws.events and
	// aws.scheduler, whose detail is a request.
	AllowSources []string
}

// Delivery is a Request with what its envelopes said.
type Delivery struct {
	Request Request
	Source  Source
	// RequestedAt is what the age counts from, in UTC: scheduledTime, else the
	// time of the innermost envelope that has one (an EventBridge event is
	// older than the SNS notification around it), else SentAt, else Now.
	RequestedAt time.Time
}
