package worker

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// trail is what happened, in order, over all fakes of one test.
type trail struct {
	mu     sync.Mutex
	events []string
}

func (t *trail) add(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.events = append(t.events, fmt.Sprintf(format, args...))
}

func (t *trail) list() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.events)
}

func (t *trail) count(prefix string) int {
	n := 0
	for _, e := range t.list() {
		if strings.HasPrefix(e, prefix) {
			n++
		}
	}
	return n
}

// fakeRunner runs what the test says; by default every request succeeds.
type fakeRunner struct {
	*trail
	run    func(ctx context.Context, job snapshot.Job) snapshot.Outcome
	permit func(messages.Request) error
	def    string
	jobs   []snapshot.Job
	turn   func(ctx context.Context) (func(), error)
	turns  atomic.Int32 // taken or waited for, and not ended
	lock   chan struct{}
}

func (r *fakeRunner) DefaultPlan() string { return r.def }

func (r *fakeRunner) Permit(q messages.Request) error {
	if r.permit != nil {
		return r.permit(q)
	}
	return nil
}

func (r *fakeRunner) Turn(ctx context.Context) (func(), error) {
	r.turns.Add(1)
	if r.turn != nil {
		return r.turn(ctx)
	}
	if r.lock == nil {
		return func() { r.turns.Add(-1) }, nil
	}
	select {
	case r.lock <- struct{}{}: // one at a time
	case <-ctx.Done():
		r.turns.Add(-1)
		return nil, ctx.Err()
	}
	return func() {
		<-r.lock
		r.turns.Add(-1)
	}, nil
}

func (r *fakeRunner) Run(ctx context.Context, job snapshot.Job) snapshot.Outcome {
	r.add("run %s", job.Delivery.Request.RequestID)
	r.jobs = append(r.jobs, job)
	if r.run != nil {
		return r.run(ctx, job)
	}
	return snapshot.Outcome{Result: made(job, messages.Succeeded, "")}
}

var self = messages.Identity{InstanceID: "i-0aaa", Region: "eu-west-1", Agent: messages.Agent{Name: "stillpoint", Version: "test"}}

func made(job snapshot.Job, s messages.Status, reason messages.Reason) *messages.Result {
	r := self.Result(job.Delivery, time.Now())
	r.Status, r.Reason, r.Message = s, reason, "as the test says"
	r.Seal(job.MessageID, time.Now())
	return r
}

// bench is one worker of fakes.
type bench struct {
	*trail
	queue   *fakeQueue
	topic   *fakeTopic
	journal *fakeJournal
	runner  *fakeRunner
	loop    *Loop
	handler *Handler
	monitor *Monitor
	log     *strings.Builder

	duplicates, leasesLost int
	receiveErrors          []string
	finished               []messages.Status
}

func newBench(t *testing.T) *bench {
	t.Helper()
	tr := &trail{}
	b := &bench{
		trail: tr, queue: &fakeQueue{trail: tr}, topic: &fakeTopic{trail: tr},
		journal: newFakeJournal(tr), runner: &fakeRunner{trail: tr, def: "nightly", lock: make(chan struct{}, 1)}, log: &strings.Builder{},
	}
	log := zerolog.New(zerolog.SyncWriter(b.log))
	b.monitor = NewMonitor(Observer{
		Duplicate:    func() { b.duplicates++ },
		LeaseLost:    func() { b.leasesLost++ },
		ReceiveError: func(code string) { b.receiveErrors = append(b.receiveErrors, code) },
		Finished:     func(r *messages.Result) { b.finished = append(b.finished, r.Status) },
	})
	b.handler = &Handler{Identity: self, Runner: b.runner, Journal: b.journal, Publisher: b.topic, Monitor: b.monitor, Log: log}
	b.loop = &Loop{Queue: b.queue, Handler: b.handler, Monitor: b.monitor, Log: log, Random: func() float64 { return 0 }}
	return b
}

// start runs the loop until the returned function is called, which waits for it.
func (b *bench) start(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.loop.Run(ctx)
	}()
	return func() {
		cancel()
		<-done
	}
}

func (b *bench) expect(t *testing.T, want ...string) {
	t.Helper()
	got := slices.DeleteFunc(b.list(), func(e string) bool { return e == "empty poll" || e == "load" })
	if !slices.Equal(got, want) {
		t.Fatalf("happened:\n  %s\nexpected:\n  %s\nlog:\n%s", strings.Join(got, "\n  "), strings.Join(want, "\n  "), b.log)
	}
}
