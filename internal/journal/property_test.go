package journal

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// Any interleaving of what a worker does with a journal, with kills, crashes
// half-way through Finish and starts in between, keeps two promises: what is
// finished stays finished, and a result waits until it was published.
func TestAnyOrderOfStepsKeepsThePromises(t *testing.T) {
	base := memoryDir(t)
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		m := &model{
			dir: filepath.Join(base, fmt.Sprint(n)), at: time.Now(),
			finished: map[string]string{}, sent: map[string]bool{},
		}
		m.open(t)
		defer func() { _ = m.j.Close() }()
		t.Repeat(map[string]func(*rapid.T){
			"":         m.check,
			"reopen":   m.open,
			"intend":   m.intend,
			"sending":  m.sending,
			"settle":   m.settle,
			"finish":   m.finish,
			"crash":    m.crashInFinish,
			"requeue":  m.requeue,
			"publish":  m.publish,
			"rejected": m.reject,
		})
	})
}

type model struct {
	dir string
	j   *Journal
	at  time.Time
	seq int

	record   snapshot.Record // of the run under way; nil where none is
	id       string
	attempt  string
	sent     map[string]bool   // by attempt
	finished map[string]string // request id to event id
	waiting  []string          // event ids
}

func (m *model) fail(t *rapid.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (m *model) pick(t *rapid.T) string {
	return rapid.SampledFrom([]string{"one", "two", "three"}).Draw(t, "id")
}

func (m *model) open(t *rapid.T) {
	if m.j != nil {
		m.fail(t, m.j.Close())
	}
	m.record = nil
	var err error
	m.j, err = Open(m.dir, Options{BootID: "boot"})
	m.fail(t, err)
}

func (m *model) intend(t *rapid.T) {
	m.id = m.pick(t)
	m.seq++
	m.attempt = fmt.Sprint("a-", m.seq)
	m.record = m.j.Record(delivery(m.id, "nightly"), "m-1")
	m.fail(t, m.record.Intend(ctx, m.attempt, []string{"vol"}))
	m.sent[m.attempt] = false
}

func (m *model) running(t *rapid.T) {
	if m.record == nil {
		t.Skip("no run is under way")
	}
}

func (m *model) sending(t *rapid.T) {
	m.running(t)
	m.record.Sending()
	m.sent[m.attempt] = true
}

func (m *model) settle(t *rapid.T) {
	m.running(t)
	m.fail(t, m.record.Settled(ctx, result(m.id, m.attempt, messages.Failed, m.at)))
	m.record = nil
}

func (m *model) next(t *rapid.T) *messages.Result {
	m.running(t)
	status := rapid.SampledFrom([]messages.Status{messages.Succeeded, messages.Failed, messages.Inconsistent}).Draw(t, "status")
	m.record = nil
	return result(m.id, m.attempt, status, m.at)
}

func (m *model) finish(t *rapid.T) {
	r := m.next(t)
	m.fail(t, m.j.Finish(r, nil))
	m.done(r)
}

func (m *model) done(r *messages.Result) {
	m.finished[r.RequestID] = r.EventID
	m.wait(r.EventID)
}

func (m *model) wait(eventID string) {
	if !slices.Contains(m.waiting, eventID) {
		m.waiting = append(m.waiting, eventID)
	}
}

// crashInFinish is a kill right behind the write of the outbox entry.
func (m *model) crashInFinish(t *rapid.T) {
	r := m.next(t)
	path := m.j.requestPath(r.RequestID)
	before, err := os.ReadFile(path)
	m.fail(t, err)
	m.fail(t, m.j.Finish(r, nil))
	m.fail(t, os.WriteFile(path, before, 0o600))
	m.open(t)
	m.done(r)
}

func (m *model) requeue(t *rapid.T) {
	e, err := m.j.Load(m.pick(t))
	m.fail(t, err)
	if e.Result == nil {
		t.Skip("not finished")
	}
	m.fail(t, m.j.Requeue(e.Result))
	m.wait(e.Result.EventID)
}

func (m *model) publish(t *rapid.T) {
	if len(m.waiting) == 0 {
		t.Skip("nothing waits")
	}
	i := rapid.IntRange(0, len(m.waiting)-1).Draw(t, "which")
	m.fail(t, m.j.Published(m.waiting[i]))
	m.waiting = slices.Delete(m.waiting, i, i+1)
}

func (m *model) reject(t *rapid.T) {
	m.seq++
	r := result(m.pick(t), fmt.Sprint("none-", m.seq), messages.Rejected, m.at)
	m.fail(t, m.j.Finish(r, nil))
	m.wait(r.EventID)
}

func (m *model) check(t *rapid.T) {
	for _, id := range []string{"one", "two", "three"} {
		e, err := m.j.Load(id)
		m.fail(t, err)
		got := ""
		if e.Result != nil {
			got = e.Result.EventID
		}
		if got != m.finished[id] {
			t.Fatalf("%s is finished with %q, not with %q", id, got, m.finished[id])
		}
		for _, a := range e.Attempts {
			// A crash in Finish takes the byte's file along: then "sent" is the safe answer.
			if m.sent[a.ID] && !a.Sent {
				t.Fatalf("%s: the call of %s was sent and nobody knows", id, a.ID)
			}
		}
	}
	results, err := m.j.Outbox()
	m.fail(t, err)
	var waiting []string
	for _, r := range results {
		waiting = append(waiting, r.EventID)
	}
	slices.Sort(waiting)
	want := slices.Sorted(slices.Values(m.waiting))
	if !slices.Equal(waiting, want) {
		t.Fatalf("waiting: %v, not %v", waiting, want)
	}
}
