package worker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

type fakeTagger struct {
	*trail
	mu  sync.Mutex
	err error
}

func (f *fakeTagger) Tag(_ context.Context, id string, _ map[string]string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.err != nil {
		f.add("tag %s fails", id)
		return f.err
	}
	f.add("tag %s", id)
	return nil
}

func (f *fakeTagger) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (b *bench) outbox(tagger Tagger) (o *Outbox, start func(context.Context) (stop func())) {
	o = &Outbox{Journal: b.journal, Publisher: b.topic, Tagger: tagger, Monitor: b.monitor, Log: zerolog.Nop(), Random: func() float64 { return 0.999 }}
	b.handler.Outbox = o
	return o, func(ctx context.Context) func() {
		ctx, cancel := context.WithCancel(ctx)
		done := make(chan struct{})
		go func() {
			defer close(done)
			o.Run(ctx)
		}()
		return func() {
			cancel()
			<-done
		}
	}
}

func (b *bench) wait(id string, s messages.Status) {
	r := made(snapshot.Job{Delivery: request(id, "nightly"), MessageID: id}, s, "")
	b.journal.waiting = append(b.journal.waiting, r)
}

func TestTheOutboxPublishesOldestFirstAtStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.wait("one", messages.Failed)
		b.wait("two", messages.Succeeded)
		_, start := b.outbox(nil)
		stop := start(t.Context())
		time.Sleep(time.Millisecond)
		b.expect(t, "publish failed ", "published", "publish succeeded ", "published")
		stop()
	})
}

func TestTheOutboxBacksOffAndGetsThereInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.topic.fail(errors.New("AuthorizationError"))
		b.wait("one", messages.Failed)
		_, start := b.outbox(nil)
		stop := start(t.Context())
		defer stop()
		time.Sleep(time.Hour)
		if n := b.count("publish fails"); n < 15 || n > 25 {
			t.Errorf("%d tries in an hour", n)
		}
		if s := b.monitor.Status(); s.Outbox != 1 || s.OutboxOldest.IsZero() {
			t.Errorf("status %+v", s)
		}
		b.topic.fail(nil)
		time.Sleep(5 * time.Minute)
		if s := b.monitor.Status(); s.Outbox != 0 || !s.OutboxOldest.IsZero() || len(b.topic.results()) != 1 {
			t.Errorf("status %+v", s)
		}
	})
}

func TestTheHandlerWakesTheOutbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		_, start := b.outbox(nil)
		stop := start(t.Context())
		defer stop()
		time.Sleep(time.Second)
		b.topic.fail(errors.New("a moment"))
		b.handle(request("r", ""))
		b.topic.fail(nil)
		time.Sleep(3 * time.Second)
		if left, _ := b.journal.Outbox(); len(b.topic.results()) != 1 || len(left) != 0 {
			t.Fatalf("%q", b.list())
		}
	})
}

func TestNobodyPublishesWhatTheHandlerIsPublishing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		slow := &slowTopic{fakeTopic: b.topic}
		b.handler.Publisher = slow
		o, start := b.outbox(nil)
		stop := start(t.Context())
		defer stop()
		go func() {
			time.Sleep(time.Second)
			o.Wake() // while the handler waits for SNS
		}()
		b.handle(request("r", ""))
		time.Sleep(10 * time.Minute)
		if n := len(b.topic.results()); n != 1 {
			t.Fatalf("published %d times", n)
		}
	})
}

type slowTopic struct{ *fakeTopic }

func (s *slowTopic) Publish(ctx context.Context, r *messages.Result) error {
	time.Sleep(4 * time.Second)
	return s.fakeTopic.Publish(ctx, r)
}

func TestOnePoisonedEntryDoesNotStopTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.wait("poison", messages.Failed)
		b.wait("two", messages.Succeeded)
		o, start := b.outbox(nil)
		o.Publisher = poisoned{b.topic}
		stop := start(t.Context())
		defer stop()
		time.Sleep(time.Second)
		if r := b.topic.results(); len(r) != 1 || r[0].RequestID != "two" {
			t.Fatalf("%q", b.list())
		}
		if s := b.monitor.Status(); s.Outbox != 1 {
			t.Errorf("status %+v", s)
		}
	})
}

type poisoned struct{ *fakeTopic }

func (p poisoned) Publish(ctx context.Context, r *messages.Result) error {
	if r.RequestID == "poison" {
		return errors.New("InvalidParameter")
	}
	return p.fakeTopic.Publish(ctx, r)
}

// Entries that SNS never takes are tried ever more rarely, and what comes after
// them is not kept waiting, however many they are.
func TestPoisonedEntriesAreTriedRarelyAndBlockNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		for range 10 {
			b.wait("poison", messages.Failed)
			b.journal.waiting[len(b.journal.waiting)-1].EventID += "-" + fmt.Sprint(len(b.journal.waiting))
		}
		topic := &countingTopic{fakeTopic: b.topic}
		o, start := b.outbox(nil)
		o.Publisher = topic
		stop := start(t.Context())
		defer stop()
		time.Sleep(24 * time.Hour)
		if n := topic.calls.Load(); n > 10*24*14 || n < 24*12 { // each: every 5 minutes
			t.Errorf("%d calls in a day", n)
		}
		b.journal.mu.Lock()
		b.wait("good", messages.Succeeded)
		b.journal.mu.Unlock()
		o.Wake()
		time.Sleep(5 * time.Minute)
		if r := b.topic.results(); len(r) != 1 || r[0].RequestID != "good" {
			t.Fatalf("%d published", len(r))
		}
	})
}

type countingTopic struct {
	*fakeTopic
	calls atomic.Int32
}

func (p *countingTopic) Publish(ctx context.Context, r *messages.Result) error {
	p.calls.Add(1)
	return poisoned{p.fakeTopic}.Publish(ctx, r)
}

// The age of what waits is known before the first try has ended, and from what
// is on disk: it goes on over restarts.
func TestTheAgeIsKnownAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.wait("younger", messages.Failed)
		b.wait("older", messages.Failed)
		old := time.Now().Add(-72 * time.Hour)
		b.journal.waiting[1].FinishedAt = old
		o, start := b.outbox(nil)
		o.Publisher = hanging{}
		stop := start(t.Context())
		defer stop()
		synctest.Wait()
		if s := b.monitor.Status(); s.Outbox != 2 || !s.OutboxOldest.Equal(old) {
			t.Errorf("%+v", s)
		}
	})
}

// A disk that is full is heard of before a request comes, and when it has room again.
func TestTheOutboxChecksTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		_, start := b.outbox(nil)
		stop := start(t.Context())
		defer stop()
		for _, err := range []error{errors.New("no space left on device"), nil} {
			b.journal.mu.Lock()
			b.journal.checkErr = err
			b.journal.mu.Unlock()
			time.Sleep(16 * time.Second)
			if got := b.monitor.Status().JournalError; (got != "") != (err != nil) {
				t.Errorf("%v is told as %q", err, got)
			}
		}
	})
}

// A disk that became read-only keeps the entries of what SNS has: nobody is to
// be woken by the same failure every five minutes.
func TestWhatSNSHasIsNotPublishedAgainAndAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		_, start := b.outbox(nil)
		b.journal.removeErr = errors.New("read-only file system")
		b.wait("had waited", messages.Failed)
		stop := start(t.Context())
		defer stop()
		time.Sleep(time.Second)
		b.handle(request("r", ""))
		time.Sleep(time.Hour)
		if n := len(b.topic.results()); n != 2 {
			t.Errorf("two results were published %d times", n)
		}
		b.journal.mu.Lock()
		b.journal.removeErr = nil
		b.journal.mu.Unlock()
		time.Sleep(6 * time.Minute)
		if left, _ := b.journal.Outbox(); len(left) != 0 || len(b.topic.results()) != 2 {
			t.Errorf("%d entries are left, and %d were published", len(left), len(b.topic.results()))
		}
	})
}

type goneError struct{ code string }

func (e goneError) Error() string     { return "no such snapshot" }
func (e goneError) ErrorCode() string { return e.code }

// EC2's word that a snapshot does not exist is believed after an hour; until
// then it may be one that was made a moment ago.
func TestTagsOfASnapshotThatIsGoneAreGivenUp(t *testing.T) {
	for code, after := range map[string]time.Duration{"InvalidSnapshot.NotFound": time.Hour, "UnauthorizedOperation": 0} {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			tagger := &fakeTagger{trail: b.trail, err: fmt.Errorf("refused: %w", goneError{code})}
			b.journal.owed = []snapshot.PendingTags{{SnapshotID: "snap-1"}}
			_, start := b.outbox(tagger)
			stop := start(t.Context())
			defer stop()
			time.Sleep(59 * time.Minute)
			if left, _ := b.journal.Owed(); len(left) != 1 {
				t.Fatal("given up too early")
			}
			time.Sleep(11 * time.Minute)
			if left, _ := b.journal.Owed(); (len(left) == 0) != (after > 0) {
				t.Errorf("%s: %d left", code, len(left))
			}
			if after > 0 {
				if s := b.monitor.Status(); s.TagDebts != 0 {
					t.Errorf("%+v", s)
				}
			}
		})
	}
}

func TestOwedTagsAreWrittenInTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		tagger := &fakeTagger{trail: b.trail}
		tagger.fail(errors.New("RequestLimitExceeded"))
		_, start := b.outbox(tagger)
		stop := start(t.Context())
		defer stop()
		time.Sleep(time.Second)
		b.runner.run = func(_ context.Context, job snapshot.Job) snapshot.Outcome {
			return snapshot.Outcome{Result: made(job, messages.Succeeded, ""), PendingTags: []snapshot.PendingTags{{SnapshotID: "snap-1"}, {SnapshotID: "snap-2"}}}
		}
		b.handle(request("r", ""))
		time.Sleep(2 * time.Second)
		if b.count("tag snap-1 fails") == 0 {
			t.Fatalf("not tried soon: %q", b.list())
		}
		if s := b.monitor.Status(); s.TagDebts != 2 {
			t.Errorf("status %+v", s)
		}
		tagger.fail(nil)
		time.Sleep(time.Minute)
		if left, _ := b.journal.Owed(); len(left) != 0 || b.monitor.Status().TagDebts != 0 {
			t.Fatal("still owed")
		}
	})
}

func TestTheOutboxEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.wait("one", messages.Failed)
		o, start := b.outbox(nil)
		o.Publisher = hanging{}
		stop := start(t.Context())
		time.Sleep(time.Second)
		begun := time.Now()
		stop()
		if time.Since(begun) != 0 {
			t.Errorf("it took %s", time.Since(begun))
		}
		if len(b.journal.waiting) != 1 {
			t.Error("an entry was lost")
		}
	})
}

type hanging struct{}

func (hanging) Publish(ctx context.Context, _ *messages.Result) error {
	<-ctx.Done()
	return ctx.Err()
}
