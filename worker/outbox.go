package worker

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
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
	taken   map[string]bool // what SNS has, and the journal would not let go of

	// Run's own.
	problem string               // what check said last
	gone    map[string]time.Time // since when EC2 says that a snapshot does not exist
}

// Run works until ctx ends. What waits then waits for the next start.
func (o *Outbox) Run(ctx context.Context) {
	o.setDefaults()
	defer o.Monitor.Ended(LoopOutbox)
	wake := o.waker()
	results, tags := newErrand(o), newErrand(o)
	passes := []struct {
		*errand
		pass func(context.Context, *errand)
	}{{results, o.publishAll}, {tags, o.tagAll}}
	for ctx.Err() == nil {
		wait := o.Idle
		for _, p := range passes {
			if !o.Now().Before(p.next) {
				o.Monitor.Expect(LoopOutbox, "looking at what waits", slack)
				p.pass(ctx, p.errand)
			}
			wait = min(wait, p.next.Sub(o.Now()))
		}
		o.Monitor.Expect(LoopOutbox, "waiting", max(wait, 0)+slack)
		timer := time.NewTimer(max(wait, 0))
		select {
		case <-ctx.Done():
		case <-timer.C:
		case <-wake:
			results.wake()
			tags.wake()
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

// took notes that SNS has an event, and whether it is left in the journal: a disk
// that takes no change must not have it published for as long as that lasts.
func (o *Outbox) took(eventID string, left bool) {
	if o == nil {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if !left {
		delete(o.taken, eventID)
		return
	}
	if o.taken == nil {
		o.taken = map[string]bool{}
	}
	o.taken[eventID] = true
}

func (o *Outbox) isTaken(eventID string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.taken[eventID]
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
	o.gone = map[string]time.Time{}
}

func (o *Outbox) publishAll(ctx context.Context, e *errand) {
	o.check()
	waiting, err := o.Journal.Outbox()
	if err != nil {
		o.Log.Error().Err(err).Msg("cannot read all of the outbox")
	}
	var oldest time.Time
	var due []task
	for _, r := range waiting {
		if o.isClaimed(r.EventID) {
			continue
		}
		if oldest.IsZero() || r.FinishedAt.Before(oldest) {
			oldest = r.FinishedAt
		}
		due = append(due, task{r.EventID, func(ctx context.Context) error { return o.publish(ctx, r) }})
	}
	// Before the tries too, which may take a while: since when something waits
	// is known from the start.
	o.Monitor.outbox(len(due), oldest)
	if o.Publisher == nil {
		e.rest(o.Now())
		return
	}
	left := e.work(ctx, due)
	oldest = time.Time{}
	for _, r := range waiting {
		if left[r.EventID] && (oldest.IsZero() || r.FinishedAt.Before(oldest)) {
			oldest = r.FinishedAt
		}
	}
	o.Monitor.outbox(len(left), oldest)
}

// check looks whether the journal can be written to, so that a full disk is
// heard of before a request needs it, and when there is room again.
func (o *Outbox) check() {
	err := o.Journal.Check()
	o.Monitor.journal(err)
	text := ""
	if err != nil {
		text = err.Error()
	}
	if err != nil && text != o.problem {
		o.Log.Error().Err(err).Msg("the journal cannot be written to: no request can be carried out until it can")
	}
	o.problem = text
}

func (o *Outbox) publish(ctx context.Context, r *messages.Result) error {
	o.Monitor.Expect(LoopOutbox, "publishing", o.PublishTimeout+slack)
	log := o.Log.With().Str("event_id", r.EventID).Str("request_id", r.RequestID).Logger()
	if !o.isTaken(r.EventID) {
		if err := bounded(ctx, o.PublishTimeout, func(ctx context.Context) error { return o.Publisher.Publish(ctx, r) }); err != nil {
			log.Warn().Err(err).Msg("cannot publish a result that waits")
			return err
		}
	}
	err := o.Journal.Published(r.EventID)
	if o.took(r.EventID, err != nil); err != nil {
		log.Warn().Err(err).Msg("cannot take the published result out of the outbox: trying again")
		return err
	}
	log.Info().Msg("published a result that had waited")
	return nil
}

func (o *Outbox) tagAll(ctx context.Context, e *errand) {
	owed, err := o.Journal.Owed()
	if err != nil {
		o.Log.Error().Err(err).Msg("cannot read all of the tags that are owed")
	}
	if o.Tagger == nil {
		o.Monitor.tagDebts(len(owed))
		e.rest(o.Now())
		return
	}
	var due []task
	for _, p := range owed {
		due = append(due, task{p.SnapshotID, func(ctx context.Context) error { return o.tag(ctx, p) }})
	}
	o.Monitor.tagDebts(len(e.work(ctx, due)))
}

// goneCode is EC2's for a snapshot that does not exist (EC2 API reference,
// error codes); it also says so of one that was made a moment ago.
const goneCode = "InvalidSnapshot.NotFound"

// goneAfter is for how long EC2 must say so before it is believed: its answers
// lag behind by minutes at the most (EC2 API reference, eventual consistency).
const goneAfter = time.Hour

func (o *Outbox) tag(ctx context.Context, p snapshot.PendingTags) error {
	o.Monitor.Expect(LoopOutbox, "writing tags", o.TagTimeout+slack)
	log := o.Log.With().Str("snapshot_id", p.SnapshotID).Logger()
	err := bounded(ctx, o.TagTimeout, func(ctx context.Context) error { return o.Tagger.Tag(ctx, p.SnapshotID, p.Tags) })
	if err == nil || errorCode(err) != goneCode {
		delete(o.gone, p.SnapshotID)
	} else if since, known := o.gone[p.SnapshotID]; !known {
		o.gone[p.SnapshotID] = o.Now()
	} else if o.Now().Sub(since) >= goneAfter {
		log.Warn().Err(err).Msg("the snapshot is gone: the tags that were owed to it are given up")
		delete(o.gone, p.SnapshotID)
		return o.Journal.TagsWritten(p.SnapshotID)
	}
	if err == nil {
		err = o.Journal.TagsWritten(p.SnapshotID)
	}
	if err != nil {
		log.Warn().Err(err).Msg("cannot write the tags that are owed yet")
		return err
	}
	log.Info().Msg("wrote the tags that were owed")
	return nil
}

func bounded(ctx context.Context, d time.Duration, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	return f(ctx)
}
