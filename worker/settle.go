package worker

import (
	"context"
	"errors"
	"time"

	"github.com/rs/zerolog"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// ForeignQueueError says that a queue is for another instance.
type ForeignQueueError struct{ Sentence string }

func (e *ForeignQueueError) Error() string { return e.Sentence }

// admit asks whether this worker may take messages, and tells why not.
func (l *Loop) admit(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*l.Timing.CallTimeout)
	defer cancel()
	err := l.Admit(ctx)
	var foreign *ForeignQueueError
	switch {
	case errors.As(err, &foreign):
		l.Monitor.NotPolling(foreign.Sentence)
		l.Log.Error().Err(err).Msg("no message is taken from this queue")
	case err == nil:
		l.Monitor.NotPolling("")
	}
	return err
}

// deadLetter puts a copy of what was rejected on the dead-letter queue. It
// returns false where a copy is still owed.
func (l *Loop) deadLetter(ctx context.Context, log zerolog.Logger, m *Message, r *messages.Result) bool {
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.Timing.CallTimeout)
	defer cancel()
	err := l.Queue.DeadLetter(call, *m, r.Reason, r.Message)
	switch {
	case err == nil:
		return true
	case errors.Is(err, ErrNoDeadLetterQueue):
		r.Warnings = append(r.Warnings, "no copy of the message was kept: the queue has no dead-letter queue and the worker's file names none")
		return true
	default:
		log.Warn().Err(err).Msg("cannot put a copy on the dead-letter queue: the message stays until that is done")
		r.Warnings = append(r.Warnings, "the copy for the dead-letter queue could not be sent and is tried again")
		return false
	}
}

// copyOwed deals with a message that was rejected, its result being durable and
// handed on: nothing is left to do but its copy.
func (l *Loop) copyOwed(ctx context.Context, log zerolog.Logger, m *Message, r messages.Result) {
	l.Monitor.Expect(LoopRequests, "settling a request", time.Duration(l.Timing.DeleteTries+4)*l.Timing.CallTimeout+slack)
	if !l.deadLetter(ctx, log, m, &r) {
		l.release(ctx, log, m, growing(l.Timing.ReleaseMin, l.Timing.ReleaseMax, m.ReceiveCount-1, l.Random()))
		return
	}
	l.Handler.memory.copied(m.ID)
	l.delete(ctx, log, m)
}

// comesBackAfter is how long a message that is to be tried again stays hidden.
func (l *Loop) comesBackAfter(ctx context.Context, m *Message, out Outcome) time.Duration {
	if out.Again && out.Err == nil && ctx.Err() != nil {
		return l.Timing.ReleaseStopping
	}
	return growing(l.Timing.ReleaseMin, l.Timing.ReleaseMax, m.ReceiveCount-1, l.Random())
}

// release gives a message back. Where that fails, it comes back by itself when
// the last extension has passed.
func (l *Loop) release(ctx context.Context, log zerolog.Logger, m *Message, after time.Duration) {
	call, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.Timing.CallTimeout)
	defer cancel()
	if err := l.Queue.Extend(call, m.ReceiptHandle, after); err != nil {
		log.Warn().Err(err).Msg("cannot release the message: it comes back when its visibility timeout has passed")
		return
	}
	log.Info().Dur("visible_after_ms", after).Msg("message released")
}

// delete settles a message whose result is durable. Where that fails it is
// delivered again, and the journal makes that harmless.
func (l *Loop) delete(ctx context.Context, log zerolog.Logger, m *Message) {
	ctx = context.WithoutCancel(ctx)
	wait := l.Timing.DeleteRetry
	for try := 1; ; try++ {
		call, cancel := context.WithTimeout(ctx, l.Timing.CallTimeout)
		err := l.Queue.Delete(call, m.ReceiptHandle)
		cancel()
		if err == nil {
			return
		}
		if try >= l.Timing.DeleteTries || errors.As(err, new(*snapshot.LeaseLostError)) {
			log.Warn().Err(err).Int("tries", try).Msg("cannot delete the message: it is delivered again and its result published again")
			return
		}
		sleep(ctx, wait)
		wait *= 2
	}
}
