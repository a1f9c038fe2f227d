package worker

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// fakeResumer is the fakeRunner with a Reconcile; by default it comes to "interrupted".
type fakeResumer struct {
	*fakeRunner
	reconcile func(ctx context.Context, job snapshot.Job) snapshot.Outcome
	maxAge    time.Duration
}

func (r *fakeResumer) MaxAge(string) time.Duration { return r.maxAge }

func (r *fakeResumer) Reconcile(ctx context.Context, job snapshot.Job) snapshot.Outcome {
	r.add("reconcile %s", job.Delivery.Request.RequestID)
	if r.reconcile != nil {
		return r.reconcile(ctx, job)
	}
	out := made(job, messages.Failed, messages.ReasonInterrupted)
	out.AttemptID = job.Prior[len(job.Prior)-1].ID
	out.Seal("", time.Now())
	return snapshot.Outcome{Result: out}
}

// left puts a request into the journal that was begun and not finished.
func (b *bench) left(id string, source messages.Source, a ...snapshot.Attempt) {
	d := request(id, "nightly")
	d.Source = source
	for i := range a {
		a[i].ID, a[i].StartedAt = "a-"+id, time.Now()
	}
	b.journal.entries[id] = &Entry{RequestID: id, Plan: "nightly", Attempts: a, Delivery: d, MessageID: "m-" + id}
}

func (b *bench) resume(t *testing.T, reconcile func(context.Context, snapshot.Job) snapshot.Outcome) (stop func()) {
	r := &fakeResumer{fakeRunner: b.runner, maxAge: time.Hour, reconcile: reconcile}
	s := &Resumption{Handler: b.handler, Resumer: r, Log: zerolog.Nop()}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

func TestWhatIsSettledWithoutAMessage(t *testing.T) {
	sent := snapshot.Attempt{VolumeIDs: []string{"vol-1"}, Sent: true}
	verdict := snapshot.Attempt{Settled: &messages.Result{Status: messages.Failed, Reason: messages.ReasonFreezeFailed}}
	quota := snapshot.Attempt{Sent: true, Settled: &messages.Result{Status: messages.Failed, Reason: messages.ReasonQuota}}
	for _, tc := range []struct {
		name   string
		source messages.Source
		last   snapshot.Attempt
		after  time.Duration // when it is settled
	}{
		{"the create call was sent", messages.SourceSQS, sent, 0},
		{"the verdict is known", messages.SourceSQS, verdict, 0},
		{"killed before the call, from the queue", messages.SourceSQS, snapshot.Attempt{}, time.Hour},
		{"a limit of EC2's", messages.SourceEventBridge, quota, time.Hour},
		{"killed before the call, at the terminal", messages.SourceCLI, snapshot.Attempt{}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.left("r", tc.source, tc.last)
				stop := b.resume(t, nil)
				defer stop()
				if tc.after > 0 {
					time.Sleep(tc.after - time.Second)
					if n := b.count("reconcile"); n != 0 {
						t.Fatal("settled while its message may come back")
					}
					time.Sleep(time.Second)
				}
				time.Sleep(2 * time.Minute)
				b.expect(t, "reconcile r", "finish failed", "publish failed interrupted", "published")
				if b.runner.turns.Load() != 0 {
					t.Error("a turn was not ended")
				}
				out := b.handle(request("r", "nightly")) // the message comes after all
				if !out.Duplicate || out.Result.EventID != b.topic.results()[0].EventID {
					t.Errorf("%+v", out)
				}
			})
		})
	}
}

// Without a limit of age a message can come back for as long as SQS keeps it;
// an attempt of a moment ago leaves it time, however old the request is.
func TestWhenNoRedeliveryCanComeAnyMore(t *testing.T) {
	for _, tc := range []struct {
		name             string
		plan, asked, old time.Duration
		after            time.Duration
	}{
		{"no limit", 0, 0, 0, 14 * 24 * time.Hour},
		{"the request's own", time.Hour, 20 * time.Minute, 0, 20 * time.Minute},
		{"an old request", time.Hour, 0, 50 * time.Minute, 15 * time.Minute},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.left("r", messages.SourceSQS, snapshot.Attempt{})
				e := b.journal.entries["r"]
				e.Delivery.RequestedAt = time.Now().Add(-tc.old)
				e.Delivery.Request.MaxAge = messages.Duration(tc.asked)
				r := &fakeResumer{fakeRunner: b.runner, maxAge: tc.plan}
				s := &Resumption{Handler: b.handler, Resumer: r}
				time.Sleep(tc.after)
				if s.due(e) {
					t.Error("settled too early")
				}
				time.Sleep(time.Second)
				if !s.due(e) {
					t.Error("never settled")
				}
			})
		})
	}
}

// What is under way is not unfinished: the turn says so.
func TestARunUnderWayIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.left("r", messages.SourceCLI, snapshot.Attempt{Sent: true})
		var busy atomic.Bool
		busy.Store(true)
		b.runner.turn = func(ctx context.Context) (func(), error) { // as cmd's does
			for busy.Load() {
				if !sleep(ctx, time.Second) {
					return nil, ctx.Err()
				}
			}
			return func() {}, nil
		}
		stop := b.resume(t, nil)
		time.Sleep(time.Hour)
		if b.count("reconcile") != 0 {
			t.Fatal("settled under the hands of the run that makes it")
		}
		b.journal.mu.Lock()
		b.journal.entries["r"].Result = &messages.Result{} // it has ended well
		b.journal.mu.Unlock()
		busy.Store(false)
		time.Sleep(time.Hour)
		stop()
		b.expect(t)
	})
}

// listedJournal says whether the requests are being listed, which may take seconds.
type listedJournal struct {
	*fakeJournal
	list func()
}

func (j listedJournal) Unfinished() ([]*Entry, error) {
	j.list()
	return j.fakeJournal.Unfinished()
}

// While one has the turn, a `stillpoint snapshot` is refused as busy.
func TestTheTurnIsForMoments(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.left("r", messages.SourceSQS, snapshot.Attempt{}) // left to its redelivery
		var turns, lists atomic.Int32
		var has atomic.Bool
		b.runner.turn = func(context.Context) (func(), error) {
			turns.Add(1)
			has.Store(true)
			return func() { has.Store(false) }, nil
		}
		b.handler.Journal = listedJournal{b.journal, func() {
			if lists.Add(1); has.Load() {
				t.Error("all requests are read within the turn")
			}
		}}
		stop := b.resume(t, nil)
		time.Sleep(90 * time.Second)
		stop()
		if turns.Load() != 2 || lists.Load() != 2 || has.Load() {
			t.Errorf("%d turns, %d lists", turns.Load(), lists.Load())
		}
	})
}

// A redelivery settles the request while the look-ups of the resumption go on.
func TestTheRedeliveryIsFaster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.left("r", messages.SourceSQS, snapshot.Attempt{Sent: true})
		stop := b.resume(t, func(_ context.Context, job snapshot.Job) snapshot.Outcome {
			time.Sleep(3 * time.Minute)
			return snapshot.Outcome{Result: made(job, messages.Failed, messages.ReasonSnapshotAmbiguous)}
		})
		defer stop()
		time.Sleep(time.Second)
		begun := time.Now()
		if out := b.handle(request("r", "nightly")); out.Result.Status != messages.Succeeded {
			t.Fatalf("%+v", out)
		}
		if time.Since(begun) != 0 {
			t.Errorf("it waited for %s", time.Since(begun))
		}
		time.Sleep(time.Hour)
		b.expect(t, "reconcile r", "run r", "finish succeeded", "publish succeeded ", "published")
	})
}

func TestWhatCannotBeSettledIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.left("one", messages.SourceSQS, snapshot.Attempt{Sent: true})
		tries := 0
		stop := b.resume(t, func(_ context.Context, job snapshot.Job) snapshot.Outcome {
			tries++
			return snapshot.Outcome{Result: made(job, messages.Inconsistent, messages.ReasonSnapshotAmbiguous), Again: tries < 3}
		})
		time.Sleep(10 * time.Minute)
		stop()
		b.expect(t, "reconcile one", "reconcile one", "reconcile one", "finish inconsistent", "publish inconsistent snapshot_ambiguous", "published")
	})
}

func TestTheResumptionEndsWithItsContext(t *testing.T) {
	defer goleak.VerifyNone(t)
	b := newBench(t)
	b.left("r", messages.SourceSQS, snapshot.Attempt{Sent: true})
	inside := make(chan struct{})
	s := &Resumption{Handler: b.handler, Log: zerolog.Nop(), Resumer: &fakeResumer{fakeRunner: b.runner, reconcile: func(ctx context.Context, job snapshot.Job) snapshot.Outcome {
		close(inside)
		<-ctx.Done()
		return snapshot.Outcome{Result: made(job, messages.Failed, messages.ReasonSnapshotAmbiguous), Again: true}
	}}}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-inside
		cancel()
	}()
	s.Run(ctx)
	b.expect(t, "reconcile r")
}

// The disk is full when the result is to be written down: a redelivery does not
// run the request again, and the result is published once.
func TestAResultThatCannotBeWrittenIsKeptInMemory(t *testing.T) {
	for _, by := range []string{"the redelivery", "the resumption"} {
		t.Run(by, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.runner.run = func(ctx context.Context, job snapshot.Job) snapshot.Outcome {
					_ = job.Record.Intend(ctx, "a-1", []string{"vol-1"})
					b.journal.entries["r"].Attempts[0].Sent = true
					out := made(job, messages.Succeeded, "")
					out.AttemptID = "a-1"
					out.EventID = ""
					return snapshot.Outcome{Result: out, PendingTags: []snapshot.PendingTags{{SnapshotID: "snap-1"}}}
				}
				full := errors.New("no space left on device")
				b.journal.finishErr = full
				if out := b.handle(request("r", "nightly")); out.Err == nil || !out.Published {
					t.Fatalf("%+v", out)
				}
				stop := b.resume(t, nil)
				defer stop()
				time.Sleep(10*time.Minute + 30*time.Second) // between two looks of the resumption
				if out := b.handle(request("r", "nightly")); out.Err == nil || out.Result.Status != messages.Succeeded {
					t.Fatalf("still full: %+v", out)
				}
				if out := b.handle(request("r", "weekly")); out.Result.Reason != messages.ReasonConflict {
					t.Errorf("%+v", out.Result)
				}
				b.journal.mu.Lock()
				b.journal.finishErr = nil
				b.journal.mu.Unlock()
				if by == "the redelivery" {
					if out := b.handle(request("r", "nightly")); out.Err != nil || out.Again || out.Result.Status != messages.Succeeded {
						t.Fatalf("%+v", out)
					}
				}
				time.Sleep(2 * time.Minute)
				stop()
				if e := b.journal.entries["r"]; e.Result == nil || e.Result.Status != messages.Succeeded || len(b.journal.owed) != 1 {
					t.Errorf("%+v, owed %v", e, b.journal.owed)
				}
				published := 0
				for _, r := range b.topic.results() {
					if r.Status != messages.Rejected {
						published++
					}
				}
				if b.count("run") != 1 || b.count("reconcile") != 0 || published != 1 || len(b.journal.waiting) != 0 {
					t.Errorf("%q", b.list())
				}
				if out := b.handle(request("r", "nightly")); !out.Duplicate {
					t.Errorf("afterwards: %+v", out)
				}
			})
		})
	}
}

// A disk that is full before anything is held: the request comes back, twice at
// the most, and the journal's error is in the status.
func TestARequestWhoseIntentCannotBeWrittenComesBack(t *testing.T) {
	b := newBench(t)
	b.runner.run = func(ctx context.Context, job snapshot.Job) snapshot.Outcome {
		if err := job.Record.Intend(ctx, "a", nil); err != nil {
			return snapshot.Outcome{Result: made(job, messages.Failed, messages.ReasonInternal)}
		}
		return snapshot.Outcome{Result: made(job, messages.Succeeded, "")}
	}
	b.journal.intendErr = errors.New("no space left on device")
	out := b.handle(request("r", "nightly"))
	if !out.Again || out.Err == nil || b.monitor.Status().JournalError == "" {
		t.Fatalf("%+v, %+v", out, b.monitor.Status())
	}
	b.handler.NoQueue = true // nothing would bring it back
	if out := b.handle(request("r", "nightly")); out.Again || out.Result.Reason != messages.ReasonInternal {
		t.Fatalf("%+v", out)
	}
	b.handler.NoQueue = false
	b.journal.intendErr = nil
	if out := b.handle(request("s", "nightly")); out.Again || out.Result.Status != messages.Succeeded {
		t.Fatalf("%+v", out)
	}
}
