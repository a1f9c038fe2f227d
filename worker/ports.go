package worker

import (
	"context"
	"errors"
	"time"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// Message is one delivery from the queue.
type Message struct {
	ID string
	// ReceiptHandle is good for this delivery only. It is never logged.
	ReceiptHandle string
	Body          []byte
	SentAt        time.Time
	// ReceiveCount is SQS's ApproximateReceiveCount; at least 1.
	ReceiveCount int
	// MaxReceives is the redrive policy's maxReceiveCount: received that often,
	// the message goes to the dead-letter queue instead of coming back. 0:
	// there is none, or it is not known.
	MaxReceives int
}

// Queue is the SQS queue that requests come from. The adapter is internal/queue.
type Queue interface {
	// Receive polls once, for at most the long poll's 20 s, for one message,
	// hidden for visibility from now on. It returns nil where there was none.
	// It is called with a context that shutdown does not cancel.
	Receive(ctx context.Context, visibility time.Duration) (*Message, error)
	// Extend hides the message for d from now on; 0 releases it. The error is a
	// *snapshot.LeaseLostError where SQS says that the message is not ours any more.
	Extend(ctx context.Context, receiptHandle string, d time.Duration) error
	// Delete settles the message. The error is a *snapshot.LeaseLostError where
	// the receipt handle is of no use any more.
	Delete(ctx context.Context, receiptHandle string) error
	// DeadLetter puts a copy on the dead-letter queue with the reason as an
	// attribute. The error is ErrNoDeadLetterQueue where there is none.
	DeadLetter(ctx context.Context, m Message, reason messages.Reason, sentence string) error
}

// ErrNoDeadLetterQueue says that neither the file nor the queue's redrive policy names one.
var ErrNoDeadLetterQueue = errors.New("there is no dead-letter queue")

// Publisher takes results to SNS. The adapter is internal/notify.
type Publisher interface {
	Publish(ctx context.Context, r *messages.Result) error
}

// Runner carries out a request for the plans of the file. cmd wires it to the pipeline of each plan.
type Runner interface {
	// DefaultPlan is the plan of a request that names none; "" where the file has none.
	DefaultPlan() string
	// Permit says whether the plan exists and permits what the request asks;
	// its error is a *RejectedError.
	Permit(r messages.Request) error
	// Turn waits until nobody else on this host runs a request, and keeps it so
	// until end is called: what the journal is read for must still hold when the
	// run begins. Its error is ctx's, or says why it cannot be told.
	Turn(ctx context.Context) (end func(), err error)
	// Run carries it out. Its Outcome always has a Result. What may take
	// longer than a minute, in Turn too, is announced by Monitor.Expect.
	Run(ctx context.Context, job snapshot.Job) snapshot.Outcome
}

// RejectedError says why a request is refused whatever the time.
type RejectedError struct {
	Reason   messages.Reason
	Sentence string
}

func (e *RejectedError) Error() string { return e.Sentence }

// Journal is what must survive a crash. The adapter is internal/journal.
type Journal interface {
	// Load returns what is known of a request id; an Entry without attempts
	// and Result where nothing is. Where what was known cannot be read any
	// more, the error says so once, and the next Load finds nothing.
	Load(requestID string) (*Entry, error)
	// Unfinished lists the requests that have attempts and no result yet,
	// oldest first. The list is good even with an error, as that of Outbox.
	Unfinished() ([]*Entry, error)
	// Record returns the pipeline's way to make an attempt of this request
	// durable, and with it what settles the request should its message not
	// come back. One is in use at a time.
	Record(d messages.Delivery, messageID string) snapshot.Record
	// Check says whether the journal could be written to now, and makes up
	// for what could not be written before.
	Check() error
	// Finish is durable when it returns: the request is done with this result
	// (used up its id, unless it is a dry run, rejected or skipped), and the
	// result waits in the outbox until Published is called with its event id.
	Finish(r *messages.Result, owed []snapshot.PendingTags) error
	// Requeue puts the result of a finished request into the outbox again,
	// where it is not waiting there already.
	Requeue(r *messages.Result) error
	// Outbox lists what waits to be published, oldest first. The list is good
	// even with an error, which then names the entries that are not in it.
	Outbox() ([]*messages.Result, error)
	// Published takes a result out of the outbox; one that is not there is no error.
	Published(eventID string) error
	// LastSuccess is when a plan last succeeded; zero: never.
	LastSuccess(plan string) (time.Time, error)
	// Owed lists the tags that are still to be written, as Outbox does.
	Owed() ([]snapshot.PendingTags, error)
	// TagsWritten takes the tags of one snapshot off that list.
	TagsWritten(snapshotID string) error
}

// Entry is what the journal knows of one request id.
type Entry struct {
	RequestID string
	// Plan is the plan that the id was first used with; "" where it was not used.
	Plan     string
	Attempts []snapshot.Attempt
	// Delivery is the request as its last attempt had it, and MessageID its
	// message; zero where no attempt was made, or by an earlier version.
	Delivery  messages.Delivery
	MessageID string
	// Result is the final result; nil while there is none.
	Result *messages.Result
}

// Tagger writes the tags that are still owed. The adapter is internal/ebs.
type Tagger interface {
	Tag(ctx context.Context, snapshotID string, tags map[string]string) error
}
