package worker

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// Handler takes one decoded request to its result, with or without a queue. It
// is used by one goroutine at a time, and beside it by a Resumption. Runner may
// be exchanged between requests.
type Handler struct {
	Identity messages.Identity
	Runner   Runner
	Journal  Journal
	// Publisher is nil where there is no topic: then nothing waits in the outbox either.
	Publisher Publisher
	// Outbox is told which result is being published here and which one
	// could not be; nil where no Outbox runs.
	Outbox  *Outbox
	Monitor *Monitor
	Log     zerolog.Logger
	// NoQueue says that nothing would bring a request back: every result is the last word.
	NoQueue bool
	// PublishTimeout bounds the one try before the message is settled; zero: 5 s.
	PublishTimeout time.Duration
	// Now is the clock; nil: time.Now.
	Now func() time.Time

	memory memory
}

// Outcome is what became of a request.
type Outcome struct {
	// Result is never nil. With Again it is what would have been published
	// if this had been the last attempt.
	Result *messages.Result
	// Again says that the request is not finished: nothing was published, and
	// the message is to become visible again.
	Again bool
	// Duplicate says that the request was finished before, and that Result
	// is the result of then.
	Duplicate bool
	// Published says that SNS has it; where not, it waits in the outbox.
	Published bool
	// Err says that the journal could not be read or written: the message
	// must not be deleted, even where Result was published.
	Err error
}

// decision is a request on its way from decide to conclude.
type decision struct {
	result    *messages.Result
	owed      []snapshot.PendingTags
	messageID string
	again     bool   // see Outcome.Again
	duplicate bool   // result is that of a finished request, and only to be published again
	undecided bool   // decided without the journal, which may know better
	repeated  bool   // result is one that the journal did not take before, and was observed then
	err       error  // the journal could not be read or written
	end       func() // ends the turn, once the decision is durable; nil where none was taken
}

// endTurn lets others have their turn. It may be called more than once.
func (d *decision) endTurn() {
	if d.end != nil {
		d.end()
		d.end = nil
	}
}

// Handle takes a request to its result: decided, run, durable, published.
// messageID is SQS's, or something as unique where there is no queue; lease is
// nil then. Cancelling ctx ends the run where nothing is held yet; a result
// that was reached is made durable and published all the same.
func (h *Handler) Handle(ctx context.Context, d messages.Delivery, messageID string, lease snapshot.Lease) Outcome {
	log := h.Log.With().Str("message_id", messageID).Logger()
	return h.conclude(ctx, log, h.decide(ctx, log, d, messageID, lease))
}

// decide goes through the contract's order of decisions: instance, journal,
// plan and what it permits, and then the run with its own.
func (h *Handler) decide(ctx context.Context, log zerolog.Logger, d messages.Delivery, messageID string, lease snapshot.Lease) decision {
	begun := orNow(h.Now)()
	req := &d.Request
	if req.InstanceID != "" && req.InstanceID != h.Identity.InstanceID {
		return h.reject(d, messageID, begun, messages.ReasonMisrouted, fmt.Sprintf(
			"the request is meant for %s and reached %s: send it to the queue of %s", req.InstanceID, h.Identity.InstanceID, req.InstanceID))
	}

	end, err := h.Runner.Turn(ctx)
	switch {
	case err != nil && ctx.Err() != nil:
		r := h.result(d, messageID, begun, messages.Failed, messages.ReasonInterrupted, "the worker was asked to stop before the request's turn came: nothing was done")
		return decision{result: r, messageID: messageID, again: !h.NoQueue}
	case err != nil:
		return h.undecided(d, messageID, begun, fmt.Errorf("cannot take the turn: %w; look at runtime_dir", err))
	}
	dec := h.decideInTurn(ctx, log, d, messageID, lease, begun)
	dec.end = end
	return dec
}

// decideInTurn goes on with the journal, while nobody else can write to it.
func (h *Handler) decideInTurn(ctx context.Context, log zerolog.Logger, d messages.Delivery, messageID string, lease snapshot.Lease, begun time.Time) decision {
	req := &d.Request
	entry := &Entry{RequestID: req.RequestID}
	if kept, ok := h.memory.of(req.RequestID); ok && !req.DryRun {
		if req.Plan != "" && req.Plan != kept.result.Plan {
			return h.conflict(d, messageID, begun, kept.result.Plan)
		}
		return decision{result: kept.result, owed: kept.owed, messageID: messageID, repeated: true, undecided: kept.undecided}
	}
	if !req.DryRun { // a dry run neither uses nor consults ids
		found, err := h.Journal.Load(req.RequestID)
		h.Monitor.journal(err)
		if err != nil {
			return h.undecided(d, messageID, begun, fmt.Errorf("cannot read the journal: %w; look at the disk that holds state_dir", err))
		}
		entry = found
	}
	if req.Plan == "" {
		req.Plan = entry.Plan // the default plan may be another one by now
	}
	if req.Plan == "" {
		req.Plan = h.Runner.DefaultPlan()
	}
	if entry.Plan != "" && entry.Plan != req.Plan {
		return h.conflict(d, messageID, begun, entry.Plan)
	}
	if entry.Result != nil && !reopens(entry) {
		return decision{result: entry.Result, messageID: messageID, duplicate: true}
	}

	if refusal := h.permit(*req); refusal != nil {
		if entry.Result != nil { // done once; what the file permits now does not matter
			return decision{result: entry.Result, messageID: messageID, duplicate: true}
		}
		return h.reject(d, messageID, begun, refusal.Reason, refusal.Sentence)
	}
	return h.run(ctx, log, d, messageID, lease, entry, begun)
}

// run hands the request to the pipeline and judges whether it is to come back.
func (h *Handler) run(ctx context.Context, log zerolog.Logger, d messages.Delivery, messageID string, lease snapshot.Lease, entry *Entry, begun time.Time) decision {
	req := d.Request
	job := snapshot.Job{Delivery: d, MessageID: messageID, Lease: lease, Prior: entry.Attempts}
	var rec *intent
	if !req.DryRun {
		rec = &intent{Record: h.Journal.Record(d, messageID)}
		job.Record = rec
	}
	last, err := h.Journal.LastSuccess(req.Plan)
	if err != nil { // min_interval is a courtesy, not a promise
		log.Warn().Err(err).Str("plan", req.Plan).Msg("cannot read when the plan last succeeded: taking it for never")
	}
	job.LastSuccess = last

	out := h.Runner.Run(ctx, job)
	if out.Result == nil {
		out.Result = h.result(d, messageID, begun, messages.Failed, messages.ReasonInternal, "the run ended without a result: report this as a bug")
	}
	dec := decision{result: out.Result, owed: out.PendingTags, messageID: messageID}

	if entry.Result != nil { // snapshot_ambiguous, opened again
		switch {
		case out.Result.Status == messages.Inconsistent || out.Result.Status == messages.Succeeded:
		case out.Again && !h.NoQueue && ctx.Err() != nil: // there was no time to look
			dec.again = true
		default:
			return decision{result: entry.Result, messageID: messageID, duplicate: true}
		}
		return dec
	}
	unwritten := rec.stopped(out.Result)
	if (out.Again || unwritten != nil) && !h.NoQueue {
		dec.again, dec.err = h.mayComeBack(ctx, req, out.Result)
		if unwritten != nil { // a full disk may have room later
			h.Monitor.journal(unwritten)
			dec.err = errors.Join(unwritten, dec.err)
		}
	}
	return dec
}

// intent remembers that the journal did not take an attempt's intent.
type intent struct {
	snapshot.Record
	err error
}

// Intend implements snapshot.Record.
func (i *intent) Intend(ctx context.Context, attemptID string, volumeIDs []string) error {
	i.err = i.Record.Intend(ctx, attemptID, volumeIDs)
	return i.err
}

// stopped is why the journal kept a run from holding or making anything; nil
// where it did not.
func (i *intent) stopped(r *messages.Result) error {
	if i == nil || r.Reason != messages.ReasonInternal || len(r.Snapshots) > 0 {
		return nil
	}
	return i.err
}

// mayComeBack holds the pipeline's wish against the number of attempts. To look
// for what an ambiguous call made is no new attempt.
func (h *Handler) mayComeBack(ctx context.Context, req messages.Request, r *messages.Result) (bool, error) {
	if req.DryRun || r.Reason == messages.ReasonSnapshotAmbiguous && ctx.Err() != nil {
		return true, nil //nolint:nilerr // that ctx has ended is why it is to come back
	}
	entry, err := h.Journal.Load(req.RequestID)
	h.Monitor.journal(err)
	if err != nil {
		return true, fmt.Errorf("cannot read the journal: %w", err)
	}
	return len(entry.Attempts) < snapshot.MaxAttempts, nil
}

// reopens says whether a redelivery runs the request again: only where EC2's
// answer was ambiguous and nothing was found. Where the journal has lost which
// attempt that was (a damaged file), a run would not look for its set: it
// would make a new one.
func reopens(e *Entry) bool {
	r := e.Result
	return r.Status == messages.Failed && r.Reason == messages.ReasonSnapshotAmbiguous &&
		slices.ContainsFunc(e.Attempts, func(a snapshot.Attempt) bool { return a.Sent && a.ID == r.AttemptID })
}

// permit asks the Runner; any error of another type is ours, not the sender's.
func (h *Handler) permit(r messages.Request) *RejectedError {
	if r.Plan == "" {
		return &RejectedError{Reason: messages.ReasonUnknownPlan, Sentence: "the request names no plan and the worker's file has no default_plan: add \"plan\" to the request"}
	}
	err := h.Runner.Permit(r)
	if err == nil {
		return nil
	}
	var refusal *RejectedError
	if errors.As(err, &refusal) {
		return refusal
	}
	return &RejectedError{Reason: messages.ReasonInternal, Sentence: fmt.Sprintf("cannot tell whether plan %s permits the request: %v", r.Plan, err)}
}

// invalid is the decision on a body that is no request.
func (h *Handler) invalid(d messages.Delivery, m *Message, err error) decision {
	reason, sentence := messages.ReasonInvalidRequest, err.Error()
	var invalid *messages.InvalidError
	if errors.As(err, &invalid) {
		sentence = invalid.Sentence
		if invalid.Reason != "" {
			reason = invalid.Reason
		}
	}
	if d.Source == "" {
		d.Source = messages.SourceSQS
	}
	if d.RequestedAt.IsZero() {
		d.RequestedAt = m.SentAt
	}
	return h.reject(d, m.ID, orNow(h.Now)(), reason, sentence)
}

func (h *Handler) reject(d messages.Delivery, messageID string, begun time.Time, reason messages.Reason, sentence string) decision {
	return decision{result: h.result(d, messageID, begun, messages.Rejected, reason, sentence), messageID: messageID}
}

func (h *Handler) conflict(d messages.Delivery, messageID string, begun time.Time, plan string) decision {
	return h.reject(d, messageID, begun, messages.ReasonConflict, fmt.Sprintf(
		"the request id was used before, for plan %s: send the request for plan %s under an id of its own", plan, cmp.Or(d.Request.Plan, "(none)")))
}

func (h *Handler) undecided(d messages.Delivery, messageID string, begun time.Time, err error) decision {
	r := h.result(d, messageID, begun, messages.Failed, messages.ReasonInternal, fmt.Sprintf("nothing was done: %v", err))
	return decision{result: r, messageID: messageID, again: true, undecided: true, err: err}
}

func (h *Handler) result(d messages.Delivery, messageID string, begun time.Time, status messages.Status, reason messages.Reason, sentence string) *messages.Result {
	r := h.Identity.Result(d, begun)
	r.Status, r.Reason, r.Message = status, reason, sentence
	r.Seal(messageID, orNow(h.Now)())
	return r
}
