package worker

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// Resumer settles requests of dead workers. cmd wires it to pipelines of its
// own: it is used beside a Runner that may be inside its window.
type Resumer interface {
	// Turn is the Runner's.
	Turn(ctx context.Context) (end func(), err error)
	// Reconcile comes to a verdict without making an attempt; with
	// Outcome.Again it could not, and is to be asked again later.
	Reconcile(ctx context.Context, job snapshot.Job) snapshot.Outcome
	// MaxAge is for how long after it was due a request of a plan may be taken
	// up; zero: for ever. A plan that is not in the file any more has some.
	MaxAge(plan string) time.Duration
}

// Resumption brings requests to their end that were begun and whose messages do
// not do it: the worker was killed, the queue was purged, the message has
// expired, or there never was one (`stillpoint snapshot`). It works at once
// when it starts, beside the Loop, and looks again from time to time.
//
// An attempt that may have asked EC2 for snapshots, or has its verdict, is
// settled at once: no redelivery would make another attempt of it, and one that
// comes later finds the result. An attempt that ended before that is left to
// the redelivery that continues it, and is settled when none can come any more.
type Resumption struct {
	// Handler makes durable and publishes; it is the Loop's, and shares what it
	// could not write down.
	Handler *Handler
	Resumer Resumer
	Log     zerolog.Logger
	// Every is how often it looks again; zero: 1 min.
	Every time.Duration
}

const (
	// mayComeBack is how long after an attempt its message may come back: no
	// release hides it for longer (Timing.ReleaseMax).
	mayComeBackFor = 15 * time.Minute
	// queueKeeps is how long SQS keeps a message at the most (Amazon SQS, MessageRetentionPeriod).
	queueKeeps = 14 * 24 * time.Hour
)

// Run works until ctx ends.
func (s *Resumption) Run(ctx context.Context) {
	every := s.Every
	if every == 0 {
		every = time.Minute
	}
	said := ""
	for {
		err := s.pass(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			said = ""
		case err.Error() != said:
			said = err.Error()
			s.Log.Error().Err(err).Msg("cannot look for requests that were begun and not finished: trying again")
		}
		if !sleep(ctx, every) {
			return
		}
	}
}

func (s *Resumption) pass(ctx context.Context) error {
	for _, u := range s.Handler.memory.all() {
		if err := s.save(ctx, u); err != nil {
			return err
		}
	}
	// What looks unfinished may be under way. The turn says that it is not; it
	// is taken only where there is something to say it of, so that an idle worker
	// never keeps a `stillpoint snapshot` waiting.
	found, err := s.Handler.Journal.Unfinished()
	if len(found) == 0 {
		return err
	}
	end, turnErr := s.Resumer.Turn(ctx)
	if turnErr != nil {
		return turnErr
	}
	var now []*Entry
	for _, e := range found { // and not all again: the turn is for moments
		known, loadErr := s.Handler.Journal.Load(e.RequestID)
		switch {
		case loadErr != nil:
			err = errors.Join(err, loadErr)
		case known.Result == nil && len(known.Attempts) > 0:
			now = append(now, known)
		}
	}
	end()
	for _, e := range now {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if s.due(e) {
			err = errors.Join(err, s.settle(ctx, e))
		}
	}
	return err
}

// due says whether no redelivery would do more for a request than Reconcile.
func (s *Resumption) due(e *Entry) bool {
	for _, a := range e.Attempts {
		if a.Settled != nil && a.Settled.Reason != messages.ReasonQuota || a.Settled == nil && a.Sent {
			return true
		}
	}
	if e.Delivery.Source == messages.SourceCLI {
		return true
	}
	now := orNow(s.Handler.Now)()
	last := e.Attempts[len(e.Attempts)-1].StartedAt
	if now.Sub(last) <= mayComeBackFor {
		return false
	}
	age := s.Resumer.MaxAge(e.Plan)
	if asked := e.Delivery.Request.MaxAge.D(); asked > 0 && (age == 0 || asked < age) {
		age = asked
	}
	if age == 0 {
		age = queueKeeps
	}
	return now.Sub(requestedAt(e)) > age
}

// requestedAt is when the age of a request counts from. What an earlier
// version wrote does not say it.
func requestedAt(e *Entry) time.Time {
	if at := e.Delivery.RequestedAt; !at.IsZero() {
		return at
	}
	return e.Attempts[0].StartedAt
}

// settle comes to a verdict without the turn, which may take minutes, and then
// takes it and makes the verdict durable if nobody else has come to one.
func (s *Resumption) settle(ctx context.Context, e *Entry) error {
	s.Log.Info().Str("request_id", e.RequestID).Str("plan", e.Plan).Int("attempts", len(e.Attempts)).Msg("a request was begun and not finished: settling it")
	d := e.Delivery
	d.RequestedAt = requestedAt(e)
	d.Request.RequestID, d.Request.Plan = e.RequestID, e.Plan
	if d.Source == "" {
		d.Source = messages.SourceSQS
	}
	out := s.Resumer.Reconcile(ctx, snapshot.Job{Delivery: d, MessageID: e.MessageID, Prior: e.Attempts})
	if out.Again || out.Result == nil {
		s.Log.Warn().Str("request_id", e.RequestID).Msg("the request cannot be settled yet: trying again")
		return nil
	}
	end, err := s.Resumer.Turn(ctx)
	if err != nil {
		return err
	}
	now, err := s.Handler.Journal.Load(e.RequestID)
	if _, kept := s.Handler.memory.of(e.RequestID); err != nil || kept || !unchanged(now, e) {
		end()
		return err
	}
	return s.Handler.conclude(ctx, s.Log, decision{result: out.Result, owed: out.PendingTags, messageID: e.MessageID, end: end}).Err
}

// unchanged says that nobody has gone on with a request since.
func unchanged(now, then *Entry) bool {
	if now.Result != nil || len(now.Attempts) != len(then.Attempts) {
		return false
	}
	for i, a := range now.Attempts {
		b := then.Attempts[i]
		if a.ID != b.ID || a.Sent != b.Sent || (a.Settled == nil) != (b.Settled == nil) {
			return false
		}
	}
	return true
}

// save makes a result durable that the journal did not take before.
func (s *Resumption) save(ctx context.Context, u unsaved) error {
	end, err := s.Resumer.Turn(ctx)
	if err != nil {
		return err
	}
	if _, still := s.Handler.memory.of(u.result.RequestID); !still {
		end()
		return nil
	}
	return s.Handler.conclude(ctx, s.Log, decision{result: u.result, owed: u.owed, messageID: u.messageID, repeated: true, undecided: u.undecided, end: end}).Err
}
