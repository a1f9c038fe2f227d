package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"stillpoint/internal/snapshot"
)

// lease is the hold on one message. Its end is kept on the local monotonic
// clock, counted from before the last call that SQS said OK to: SQS says OK to
// an extension that came too late as well, so its OK alone proves nothing.
type lease struct {
	queue  Queue
	handle string
	timing Timing
	now    func() time.Time
	log    zerolog.Logger
	// onLost is called once, with the lost lease.
	onLost func(error)
	ctx    context.Context // for calls; shutdown does not cancel it

	received time.Time // before the poll that brought the message: never too late

	calling sync.Mutex // one extension at a time
	mu      sync.Mutex // guards what follows
	until   time.Time
	cover   time.Time // up to when a window is to be covered
	lost    error

	stopping chan struct{}
	stopped  chan struct{}
}

var _ snapshot.Lease = (*lease)(nil)

// startLease takes over a message that a poll begun at received brought with
// timing.Visibility, and begins to extend it. stop must be called.
func startLease(ctx context.Context, q Queue, handle string, timing Timing, received time.Time, now func() time.Time, log zerolog.Logger, onLost func(error)) *lease {
	l := &lease{
		queue: q, handle: handle, timing: timing, now: now, log: log, onLost: onLost,
		ctx:      context.WithoutCancel(ctx),
		received: received,
		until:    received.Add(timing.Visibility - timing.LeaseMargin),
		stopping: make(chan struct{}),
		stopped:  make(chan struct{}),
	}
	go l.beat()
	return l
}

// stop ends the heartbeat and returns when its last call has ended. The call
// is not cancelled: SQS might carry it out after what settles the message.
func (l *lease) stop() {
	close(l.stopping)
	<-l.stopped
}

// Lost is the *snapshot.LeaseLostError; nil while the message is ours.
func (l *lease) Lost() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lost
}

// left is how long the message is still ours.
func (l *lease) left() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until.Sub(l.now())
}

// Cover implements snapshot.Lease. It always asks SQS, so that a message which
// is known to be lost is noticed before anything is locked for it.
func (l *lease) Cover(ctx context.Context, window time.Duration) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return l.extend(max(window, 0))
}

func (l *lease) beat() {
	defer close(l.stopped)
	wait := l.timing.Heartbeat
	for {
		timer := time.NewTimer(min(wait, l.left())) // the end is noticed when it comes
		select {
		case <-l.stopping:
			timer.Stop()
			return
		case <-timer.C:
		}
		err := l.extend(0)
		switch {
		case err == nil:
			wait = l.timing.Heartbeat
		case l.Lost() != nil:
			return
		default:
			l.log.Warn().Err(err).Msg("cannot extend the message's visibility yet")
			wait = l.timing.HeartbeatRetry
		}
	}
}

// extend hides the message for the usual time, or for longer where a window
// is to be covered; what was covered before is never cut short.
func (l *lease) extend(window time.Duration) error {
	l.calling.Lock()
	defer l.calling.Unlock()

	start := l.now()
	d, err := l.plan(start, window)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(l.ctx, l.timing.CallTimeout)
	defer cancel()
	err = l.queue.Extend(ctx, l.handle, d)

	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case err == nil:
		l.until = start.Add(d - l.timing.LeaseMargin)
		return nil
	case errors.As(err, new(*snapshot.LeaseLostError)):
		return l.lose(err)
	case !l.now().Before(l.until):
		return l.lose(&snapshot.LeaseLostError{Err: fmt.Errorf("it could not be extended in time: %w", err)})
	default:
		return fmt.Errorf("cannot extend the message's visibility: %w", err)
	}
}

// plan says for how long to hide the message from start on.
func (l *lease) plan(start time.Time, window time.Duration) (time.Duration, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.lost != nil {
		return 0, l.lost
	}
	if !start.Before(l.until) {
		return 0, l.lose(&snapshot.LeaseLostError{Err: errors.New("its time ran out before it was extended")})
	}
	// SQS counts in whole seconds; rounding up keeps the promise.
	need := max(l.cover.Sub(start), window+l.timing.LeaseMargin)
	d := max(l.timing.Visibility, need).Truncate(time.Second)
	if d < need {
		d += time.Second
	}
	left := (l.timing.MaxHidden - start.Sub(l.received)).Truncate(time.Second)
	if left < need {
		return 0, l.lose(&snapshot.LeaseLostError{Err: fmt.Errorf("SQS hides a message for no more than %s", l.timing.MaxHidden)})
	}
	if window > 0 {
		if end := start.Add(window + l.timing.LeaseMargin); end.After(l.cover) {
			l.cover = end
		}
	}
	return min(d, left), nil
}

// lose is called with mu held.
func (l *lease) lose(err error) error {
	if l.lost == nil {
		l.lost = err
		l.onLost(err)
	}
	return l.lost
}
