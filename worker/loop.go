package worker

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"stillpoint/messages"
)

// Loop takes messages from the queue, one at a time, and settles each. It ends
// with its context only: whatever SQS answers, it goes on asking.
type Loop struct {
	Queue   Queue
	Handler *Handler
	// AllowSources are the EventBridge sources, beside AWS's own, whose detail is a request.
	AllowSources []string
	// Between is called before each poll and before each message is looked at:
	// the place to exchange Handler.Runner and AllowSources. nil: nothing is called.
	Between func()
	// Admit is asked before the first poll, until it says nil: may this worker
	// take messages from this queue? A *ForeignQueueError is asked about again
	// after Timing.AdmitAgain, any other error counts as a failed poll. nil: it may.
	Admit   func(ctx context.Context) error
	Monitor *Monitor
	Log     zerolog.Logger
	Timing  Timing
	// Now is the clock, with its monotonic reading; nil: time.Now.
	Now func() time.Time
	// Random returns a number in [0, 1); nil: math/rand.
	Random func() float64
}

// Run works until ctx ends, and then returns when the message in hand is
// settled and the poll under way has ended (a poll is never cancelled: SQS
// hides what it handed to a dead connection for the whole visibility timeout).
func (l *Loop) Run(ctx context.Context) {
	l.Timing = l.Timing.withDefaults()
	l.Now, l.Random = orNow(l.Now), orRandom(l.Random)
	defer l.Monitor.Ended(LoopRequests)
	failed, code := 0, ""
	admitted := l.Admit == nil
	for ctx.Err() == nil {
		if l.Between != nil {
			l.Between()
		}
		var m *Message
		var err error
		if !admitted {
			l.Monitor.Expect(LoopRequests, "asking whose queue it is", 2*l.Timing.CallTimeout+slack)
			if err = l.admit(ctx); errors.As(err, new(*ForeignQueueError)) {
				l.Monitor.Expect(LoopRequests, "waiting to ask again whose queue it is", l.Timing.AdmitAgain+slack)
				sleep(ctx, l.Timing.AdmitAgain)
				continue
			}
			admitted = err == nil
		}
		l.Monitor.Expect(LoopRequests, "waiting for a request", l.Timing.ReceiveTimeout+l.Timing.CallTimeout+slack)
		begun := l.Now()
		if admitted {
			m, err = l.receive(ctx)
		}
		if ctx.Err() != nil && !admitted {
			return
		}
		if err != nil {
			wait := fullJitter(l.Timing.RetryMin, l.Timing.RetryMax, failed+1, l.Random())
			now := errorCode(err)
			l.Monitor.pollFailed(now, err)
			l.Monitor.Expect(LoopRequests, "waiting to ask the queue again", wait+slack)
			if now != code {
				l.Log.Error().Err(err).Str("code", now).Msg("cannot receive from the queue: trying again until it can be")
			}
			failed, code = failed+1, now
			sleep(ctx, wait)
			continue
		}
		if code != "" {
			l.Log.Info().Int("failed_polls", failed).Msg("the queue answers again")
		}
		failed, code = 0, ""
		l.Monitor.polled(l.Now())
		switch {
		case m == nil:
		case ctx.Err() != nil:
			l.Log.Info().Str("message_id", m.ID).Msg("stopping: a message that just arrived goes back untouched")
			l.release(ctx, l.Log, m, 0)
		default:
			l.Monitor.inHand(true)
			if l.Between != nil { // what was changed while the poll waited holds for its message
				l.Between()
			}
			l.process(ctx, m, begun)
			l.Monitor.inHand(false)
		}
	}
}

func (l *Loop) receive(ctx context.Context) (*Message, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.Timing.ReceiveTimeout)
	defer cancel()
	return l.Queue.Receive(ctx, l.Timing.Visibility)
}

// process takes one message from its receipt to its settlement.
func (l *Loop) process(ctx context.Context, m *Message, received time.Time) {
	log := l.Log.With().Str("message_id", m.ID).Int("receive_count", m.ReceiveCount).Logger()
	if r := l.Handler.memory.copyOf(m.ID); r != nil {
		l.copyOwed(ctx, log, m, *r)
		return
	}
	l.Monitor.Expect(LoopRequests, "looking at a message", slack) // what takes longer says so, see Runner
	run, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	hold := startLease(ctx, l.Queue, m.ReceiptHandle, l.Timing, received, l.Now, log, func(err error) {
		l.Monitor.leaseLost()
		log.Warn().Err(err).Msg("the message is not ours any more: what is not locked yet is given up")
		cancel(err)
	})

	dec := l.decide(run, log, m, hold)
	// It would not come back: this attempt was the last. Where it was the look-up
	// that was cut short, the Resumption looks again without a message.
	if dec.again && m.MaxReceives > 0 && m.ReceiveCount >= m.MaxReceives && dec.result.Reason != messages.ReasonSnapshotAmbiguous {
		dec.again = false
	}
	l.Monitor.Expect(LoopRequests, "settling a request", time.Duration(l.Timing.DeleteTries+4)*l.Timing.CallTimeout+slack)
	var owesCopy bool
	if dec.result.Status == messages.Rejected && !dec.again && !dec.duplicate {
		dec.endTurn() // it uses up no id, and the copy may take seconds
		owesCopy = !l.deadLetter(ctx, log, m, dec.result)
	}
	out := l.Handler.conclude(ctx, log, dec)
	l.Monitor.handling("", time.Time{})

	hold.stop() // joined: a late extension would undo what follows
	if owesCopy && out.Err == nil {
		l.Handler.memory.owesCopy(m.ID, out.Result)
	}
	if out.Again || out.Err != nil || owesCopy {
		if hold.Lost() == nil {
			l.release(ctx, log, m, l.comesBackAfter(ctx, m, out))
		}
		return
	}
	l.delete(ctx, log, m)
}

func (l *Loop) decide(ctx context.Context, log zerolog.Logger, m *Message, hold *lease) decision {
	now := l.Now()
	d, err := messages.Decode(m.Body, messages.Meta{MessageID: m.ID, SentAt: m.SentAt, Now: now, AllowSources: l.AllowSources})
	if err != nil {
		return l.Handler.invalid(d, m, err)
	}
	l.Monitor.handling(d.Request.RequestID, now)
	log.Info().Str("request_id", d.Request.RequestID).Str("plan", d.Request.Plan).Str("source", string(d.Source)).Msg("request received")
	return l.Handler.decide(ctx, log, d, m.ID, hold)
}

// errorCode is AWS's code for an error, or what kind of silence it was.
func errorCode(err error) string {
	var coded interface{ ErrorCode() string }
	switch {
	case errors.As(err, &coded):
		return coded.ErrorCode()
	case errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	default:
		return "unreachable"
	}
}
