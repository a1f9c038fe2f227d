package worker

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"stillpoint/messages"
)

// conclude makes a decision durable and publishes it once. Shutdown does not
// stop it.
func (h *Handler) conclude(ctx context.Context, log zerolog.Logger, dec decision) Outcome {
	r := dec.result
	if r.EventID == "" {
		r.Seal(dec.messageID, orNow(h.Now)())
	}
	out := Outcome{Result: r, Again: dec.again, Duplicate: dec.duplicate, Err: dec.err}
	if dec.again {
		dec.endTurn()
		say(log.Warn(), r).Err(dec.err).Str("outcome", r.Message).Msg("request is to be tried again")
		return out
	}

	done := h.Outbox.claim(r.EventID)
	out.Err = h.record(dec)
	published := h.memory.isPublished(r.EventID) // when the journal did not take it
	switch {
	case dec.duplicate:
	case out.Err == nil:
		h.memory.saved(r)
	default:
		h.memory.notSaved(dec)
	}
	if out.Err == nil {
		dec.endTurn()
	}
	h.Monitor.journal(out.Err)
	if published {
		out.Published = true
		if out.Err == nil {
			h.published(log, r)
		}
	} else {
		out.Published = h.publish(ctx, log, r)
	}
	if out.Err != nil && out.Published && !dec.duplicate {
		h.memory.wasPublished(r.EventID)
	}
	dec.endTurn() // where nothing is durable, not before it is known what others must know
	done()
	if h.Publisher != nil && !out.Published || len(dec.owed) > 0 {
		h.Outbox.Wake()
	}

	if dec.duplicate {
		if out.Published { // what SNS has need not wait in the outbox
			out.Err = nil
		}
		h.Monitor.duplicate()
		say(log.Info(), r).Err(out.Err).Msg("request was finished before: the same result again")
		return out
	}
	if !dec.repeated {
		h.Monitor.finished(r)
	}
	if out.Err != nil {
		say(log.Error(), r).Err(out.Err).Bool("published", out.Published).Msg("cannot record the result: trying again")
		return out
	}
	say(log.WithLevel(level(r.Status)), r).Str("outcome", r.Message).Bool("published", out.Published).Msg("request finished")
	return out
}

// record makes a decision durable. One that was made without the journal does
// not replace what that turns out to know.
func (h *Handler) record(dec decision) error {
	if dec.undecided && dec.result.UsesID() {
		known, err := h.Journal.Load(dec.result.RequestID)
		if err != nil {
			return err
		}
		dec.duplicate = known.Result != nil || len(known.Attempts) > 0
	}
	if dec.duplicate {
		return h.Journal.Requeue(dec.result)
	}
	return h.Journal.Finish(dec.result, dec.owed)
}

// publish tries once. What it cannot publish waits in the outbox.
func (h *Handler) publish(ctx context.Context, log zerolog.Logger, r *messages.Result) bool {
	if h.Publisher != nil {
		timeout := h.PublishTimeout
		if timeout == 0 {
			timeout = 5 * time.Second
		}
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
		defer cancel()
		if err := h.Publisher.Publish(ctx, r); err != nil {
			log.Warn().Err(err).Str("event_id", r.EventID).Msg("cannot publish the result now: it waits in the outbox")
			return false
		}
	}
	h.published(log, r)
	return h.Publisher != nil
}

func (h *Handler) published(log zerolog.Logger, r *messages.Result) {
	err := h.Journal.Published(r.EventID)
	if h.Outbox.took(r.EventID, err != nil); err != nil {
		log.Warn().Err(err).Str("event_id", r.EventID).Msg("cannot take the published result out of the outbox: trying again")
	}
}

func level(s messages.Status) zerolog.Level {
	switch s.Severity() {
	case "info":
		return zerolog.InfoLevel
	case "warning":
		return zerolog.WarnLevel
	default:
		return zerolog.ErrorLevel
	}
}

// say adds the fields that every line about a request has.
func say(e *zerolog.Event, r *messages.Result) *zerolog.Event {
	return e.Str("request_id", r.RequestID).Str("attempt_id", r.AttemptID).Str("plan", r.Plan).
		Str("status", string(r.Status)).Str("reason", string(r.Reason)).Float64("duration_ms", r.Timings.Total)
}
