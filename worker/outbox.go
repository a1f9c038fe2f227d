package worker

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Outbox publishes what could not be published at once, and writes the tags
// that are still owed, with growing delays, for as long as it takes.
type Outbox struct {
	Journal Journal
	// Publisher is nil where there is no topic: the outbox then keeps what it has.
	Publisher Publisher
	// Tagger is nil where nobody can write tags.
	Tagger  Tagger
	Monitor *Monitor
	Log     zerolog.Logger
	// PublishTimeout and TagTimeout bound one call; zero: 5 s and 10 s.
	PublishTimeout, TagTimeout time.Duration
	// RetryMin and RetryMax bound the waits; zero: 1 s and 5 min.
	RetryMin, RetryMax time.Duration
	// Idle is how often an Outbox with nothing to do looks for what others
	// (`stillpoint snapshot`) have left in the journal; zero: 15 s.
	Idle time.Duration
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Random returns a number in [0, 1); nil: math/rand.
	Random func() float64

	mu      sync.Mutex
	wake    chan struct{}
	claimed map[string]bool
}

// giveUpAfter is how many calls in a row fail before a pass ends early: one
// entry that AWS will never take does not keep the others from being tried.
const giveUpAfter = 3

// errand is one of the two things that the outbox does, with its own delays.
type errand struct {
	pass   func(ctx context.Context) (allDone bool)
	failed int
	next   time.Time
}

// Run works until ctx ends. What waits then waits for the next start.
func (o *Outbox) Run(ctx context.Context) {
	o.setDefaults()
	defer o.Monitor.Ended(LoopOutbox)
	wake := o.waker()
	errands := []*errand{{pass: o.publishAll}, {pass: o.tagAll}}
	for ctx.Err() == nil {
		wait := o.Idle
		for _, e := range errands {
			if now := o.Now(); !now.Before(e.next) {
				o.Monitor.Expect(LoopOutbox, "looking at what waits", slack)
				delay := o.Idle
				if e.pass(ctx) {
					e.failed = 0
				} else {
					e.failed++
					delay = fullJitter(o.RetryMin, o.RetryMax, e.failed, o.Random())
				}
				e.next = o.Now().Add(delay)
			}
			wait = min(wait, e.next.Sub(o.Now()))
		}
		o.Monitor.Expect(LoopOutbox, "waiting", max(wait, 0)+slack)
		timer := time.NewTimer(max(wait, 0))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-wake:
			// Something failed a moment ago: it is tried after the shortest delay. One
			// that is waiting out a longer series of failures goes on waiting.
			for _, e := range errands {
				if e.failed == 0 {
					e.next = o.Now().Add(fullJitter(o.RetryMin, o.RetryMax, 1, o.Random()))
				}
			}
		}
		timer.Stop()
	}
}

// Wake says that something new waits. It may be called on a nil Outbox.
func (o *Outbox) Wake() {
	if o == nil {
		return
	}
	select {
	case o.waker() <- struct{}{}:
	default:
	}
}

// claim keeps Run from publishing an event that its caller is publishing.
func (o *Outbox) claim(eventID string) (done func()) {
	if o == nil {
		return func() {}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.claimed == nil {
		o.claimed = map[string]bool{}
	}
	o.claimed[eventID] = true
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		delete(o.claimed, eventID)
	}
}

func (o *Outbox) isClaimed(eventID string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.claimed[eventID]
}

func (o *Outbox) waker() chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.wake == nil {
		o.wake = make(chan struct{}, 1)
	}
	return o.wake
}

func (o *Outbox) setDefaults() {
	def := func(d *time.Duration, v time.Duration) {
		if *d == 0 {
			*d = v
		}
	}
	def(&o.PublishTimeout, 5*time.Second)
	def(&o.TagTimeout, 10*time.Second)
	def(&o.RetryMin, time.Second)
	def(&o.RetryMax, 5*time.Minute)
	def(&o.Idle, 15*time.Second)
	o.Now, o.Random = orNow(o.Now), orRandom(o.Random)
}

func (o *Outbox) publishAll(ctx context.Context) bool {
	waiting, err := o.Journal.Outbox()
	if err != nil {
		o.Log.Error().Err(err).Msg("cannot read all of the outbox")
	}
	left, failed := 0, 0
	var oldest time.Time
	for _, r := range waiting {
		if o.isClaimed(r.EventID) {
			continue
		}
		if o.Publisher != nil && failed < giveUpAfter && ctx.Err() == nil {
			o.Monitor.Expect(LoopOutbox, "publishing", o.PublishTimeout+slack)
			err := bounded(ctx, o.PublishTimeout, func(ctx context.Context) error { return o.Publisher.Publish(ctx, r) })
			if err == nil {
				failed = 0
				if err := o.Journal.Published(r.EventID); err != nil {
					o.Log.Warn().Err(err).Str("event_id", r.EventID).Msg("cannot take the published result out of the outbox: it will be published again")
				} else {
					o.Log.Info().Str("event_id", r.EventID).Str("request_id", r.RequestID).Msg("published a result that had waited")
					continue
				}
			} else {
				failed++
				o.Log.Warn().Err(err).Str("event_id", r.EventID).Str("request_id", r.RequestID).Msg("cannot publish a result that waits")
			}
		}
		left++
		if oldest.IsZero() {
			oldest = r.FinishedAt
		}
	}
	o.Monitor.outbox(left, oldest)
	return left == 0 && err == nil
}

func (o *Outbox) tagAll(ctx context.Context) bool {
	owed, err := o.Journal.Owed()
	if err != nil {
		o.Log.Error().Err(err).Msg("cannot read all of the tags that are owed")
	}
	left, failed := 0, 0
	for _, p := range owed {
		if o.Tagger == nil || failed >= giveUpAfter || ctx.Err() != nil {
			left++
			continue
		}
		o.Monitor.Expect(LoopOutbox, "writing tags", o.TagTimeout+slack)
		err := bounded(ctx, o.TagTimeout, func(ctx context.Context) error { return o.Tagger.Tag(ctx, p.SnapshotID, p.Tags) })
		if err == nil {
			err = o.Journal.TagsWritten(p.SnapshotID)
		}
		if err != nil {
			left++
			failed++
			o.Log.Warn().Err(err).Str("snapshot_id", p.SnapshotID).Msg("cannot write the tags that are owed yet")
			continue
		}
		failed = 0
		o.Log.Info().Str("snapshot_id", p.SnapshotID).Msg("wrote the tags that were owed")
	}
	o.Monitor.tagDebts(left)
	return left == 0 && err == nil
}

func bounded(ctx context.Context, d time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return f(ctx)
}
