package worker

import (
	"context"
	"errors"
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

// fakeQueue hides and shows messages as SQS does, on the test's clock.
type fakeQueue struct {
	*trail
	mu       sync.Mutex
	messages []*queued

	receiveErr func(n int) error
	extendErr  func(n int, d time.Duration) error
	extendTime time.Duration
	deleteErr  func(n int) error
	deadErr    error
	polls      int
	extends    int
	deletes    int
}

type queued struct {
	Message
	visibleAt time.Time
	gone      bool
}

func (q *fakeQueue) send(id, body string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.messages = append(q.messages, &queued{Message: Message{ID: id, Body: []byte(body), SentAt: time.Now()}, visibleAt: time.Now()})
}

func (q *fakeQueue) Receive(ctx context.Context, visibility time.Duration) (*Message, error) {
	q.mu.Lock()
	q.polls++
	n := q.polls
	q.mu.Unlock()
	if q.receiveErr != nil {
		if err := q.receiveErr(n); err != nil {
			return nil, err
		}
	}
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); {
		if ctx.Err() != nil {
			q.add("poll cancelled")
			return nil, ctx.Err()
		}
		q.mu.Lock()
		for _, m := range q.messages {
			if !m.gone && !time.Now().Before(m.visibleAt) {
				m.visibleAt = time.Now().Add(visibility)
				m.ReceiveCount++
				m.ReceiptHandle = fmt.Sprintf("%s#%d", m.ID, m.ReceiveCount)
				out := m.Message
				q.mu.Unlock()
				q.add("receive %s", m.ReceiptHandle)
				return &out, nil
			}
		}
		q.mu.Unlock()
		time.Sleep(100 * time.Millisecond)
	}
	q.add("empty poll")
	return nil, nil
}

func (q *fakeQueue) find(handle string) *queued {
	for _, m := range q.messages {
		if m.ReceiptHandle == handle && !m.gone {
			return m
		}
	}
	return nil
}

func (q *fakeQueue) Extend(ctx context.Context, handle string, d time.Duration) error {
	q.mu.Lock()
	q.extends++
	n, fails := q.extends, q.extendErr
	q.mu.Unlock()
	if q.extendTime > 0 {
		q.add("extend begins %s", d)
		select {
		case <-time.After(q.extendTime):
		case <-ctx.Done():
			q.add("extend cut off")
			return ctx.Err()
		}
	}
	if fails != nil {
		if err := fails(n, d); err != nil {
			q.add("extend fails")
			return err
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	m := q.find(handle)
	if m == nil {
		return &snapshot.LeaseLostError{Err: errors.New("not in flight")}
	}
	m.visibleAt = time.Now().Add(d)
	q.add("extend %s %s", handle, d)
	return nil
}

func (q *fakeQueue) Delete(ctx context.Context, handle string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.deletes++
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if q.deleteErr != nil {
		if err := q.deleteErr(q.deletes); err != nil {
			q.add("delete fails")
			return err
		}
	}
	if m := q.find(handle); m != nil {
		m.gone = true
	}
	q.add("delete %s", handle)
	return nil
}

func (q *fakeQueue) DeadLetter(ctx context.Context, m Message, reason messages.Reason, sentence string) error {
	q.mu.Lock()
	err := q.deadErr
	q.mu.Unlock()
	if err != nil {
		q.add("dead letter fails")
		return err
	}
	q.add("dead letter %s %s", m.ID, reason)
	return nil
}

func (q *fakeQueue) failExtends(f func(n int, d time.Duration) error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.extendErr = f
}

func (q *fakeQueue) failDeadLetters(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.deadErr = err
}

// fakeTopic is a Publisher.
type fakeTopic struct {
	*trail
	mu  sync.Mutex
	err error
	got []*messages.Result
}

func (p *fakeTopic) Publish(ctx context.Context, r *messages.Result) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if p.err != nil {
		p.add("publish fails")
		return p.err
	}
	p.got = append(p.got, r)
	p.add("publish %s %s", r.Status, r.Reason)
	return nil
}

func (p *fakeTopic) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.err = err
}

func (p *fakeTopic) results() []*messages.Result {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.got)
}

// fakeJournal is a Journal in memory.
type fakeJournal struct {
	*trail
	mu        sync.Mutex
	entries   map[string]*Entry
	waiting   []*messages.Result
	owed      []snapshot.PendingTags
	success   map[string]time.Time
	loadErr   error
	finishErr error
	intendErr error
	checkErr  error
	removeErr error
}

func newFakeJournal(t *trail) *fakeJournal {
	return &fakeJournal{trail: t, entries: map[string]*Entry{}, success: map[string]time.Time{}}
}

func (j *fakeJournal) Load(id string) (*Entry, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.add("load")
	if j.loadErr != nil {
		return nil, j.loadErr
	}
	if e := j.entries[id]; e != nil {
		c := *e
		c.Attempts = slices.Clone(e.Attempts)
		return &c, nil
	}
	return &Entry{RequestID: id}, nil
}

func (j *fakeJournal) Record(d messages.Delivery, messageID string) snapshot.Record {
	return &fakeRecord{j, d, messageID}
}

func (j *fakeJournal) Unfinished() ([]*Entry, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var found []*Entry
	for _, e := range j.entries {
		if e.Result == nil && len(e.Attempts) > 0 {
			c := *e
			c.Attempts = slices.Clone(e.Attempts)
			found = append(found, &c)
		}
	}
	return found, nil
}

func (j *fakeJournal) Check() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.checkErr
}

type fakeRecord struct {
	j         *fakeJournal
	d         messages.Delivery
	messageID string
}

func (r *fakeRecord) Intend(_ context.Context, attempt string, volumes []string) error {
	r.j.mu.Lock()
	defer r.j.mu.Unlock()
	if r.j.intendErr != nil {
		return r.j.intendErr
	}
	id := r.d.Request.RequestID
	e := r.j.entries[id]
	if e == nil {
		e = &Entry{RequestID: id}
		r.j.entries[id] = e
	}
	e.Plan, e.Delivery, e.MessageID = r.d.Request.Plan, r.d, r.messageID
	e.Attempts = append(e.Attempts, snapshot.Attempt{ID: attempt, VolumeIDs: volumes, StartedAt: time.Now()})
	return nil
}
func (r *fakeRecord) Sending()                                        {}
func (r *fakeRecord) Settled(context.Context, *messages.Result) error { return nil }

func (j *fakeJournal) Finish(r *messages.Result, owed []snapshot.PendingTags) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.finishErr != nil {
		j.add("finish fails")
		return j.finishErr
	}
	j.add("finish %s", r.Status)
	if !r.DryRun && r.Status != messages.Rejected && r.Status != messages.Skipped {
		e := j.entries[r.RequestID]
		if e == nil {
			e = &Entry{RequestID: r.RequestID, Plan: r.Plan}
			j.entries[r.RequestID] = e
		}
		e.Result = r
	}
	j.owed = append(j.owed, owed...)
	j.waiting = append(j.waiting, r)
	return nil
}

func (j *fakeJournal) Requeue(r *messages.Result) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.waiting = append(j.waiting, r)
	j.add("requeue")
	return nil
}

func (j *fakeJournal) Outbox() ([]*messages.Result, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.waiting), nil
}

func (j *fakeJournal) Published(id string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.removeErr != nil {
		return j.removeErr
	}
	j.waiting = slices.DeleteFunc(j.waiting, func(r *messages.Result) bool { return r.EventID == id })
	j.add("published")
	return nil
}

func (j *fakeJournal) LastSuccess(plan string) (time.Time, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.success[plan], nil
}

func (j *fakeJournal) Owed() ([]snapshot.PendingTags, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.owed), nil
}

func (j *fakeJournal) TagsWritten(id string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.owed = slices.DeleteFunc(j.owed, func(p snapshot.PendingTags) bool { return p.SnapshotID == id })
	return nil
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
