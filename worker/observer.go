package worker

import (
	"maps"
	"sync"
	"time"

	"stillpoint/messages"
)

// Observer is told what happens, for metrics. Every function may be nil; none
// may block.
type Observer struct {
	// Finished is called once for each result that was reached, not for one
	// that is only published again.
	Finished func(r *messages.Result)
	// Duplicate: a finished request was delivered again and not run again.
	Duplicate func()
	// LeaseLost: a message stopped being ours while we worked on it.
	LeaseLost func()
	// ReceiveError is a poll that failed, with AWS's error code, "timeout" or "unreachable".
	ReceiveError func(code string)
	// Outbox is how many results wait to be published, and since when the
	// oldest of them was finished; zero where none waits.
	Outbox func(entries int, oldest time.Time)
	// TagDebts is how many snapshots wait for tags.
	TagDebts func(snapshots int)
}

// Status is how the worker is doing, for /healthz and /readyz. A zero time
// means that the thing has not happened.
type Status struct {
	// LastPoll is when SQS last answered a poll.
	LastPoll time.Time
	// PollError is the code of the last poll's error, PollDetail its text; ""
	// where it went well.
	PollError, PollDetail string
	// NotPolling is why no message is taken yet, and what to do; "" where they are.
	NotPolling string
	// Handling is the request in hand, since HandlingSince; "" between requests.
	Handling      string
	HandlingSince time.Time
	// InHand says that a message is being looked at or worked on: true from
	// before Loop.Between is called for it until it is settled.
	InHand bool
	// HandledAt is when the last request was settled.
	HandledAt time.Time
	// LastSuccess is when a request last succeeded, before this start too.
	LastSuccess time.Time
	// Outbox is how many results wait to be published; OutboxOldest is when
	// the oldest of them was finished.
	Outbox       int
	OutboxOldest time.Time
	// TagDebts is how many snapshots wait for tags.
	TagDebts int
	// JournalError is why the journal could not be used when it was last
	// needed; "" where it could.
	JournalError string
	// Loops is the last sign of life of each loop that has given one; see Stalled.
	Loops map[string]Mark
}

// Monitor keeps the Status and passes events on to an Observer. It is shared
// by Handler, Loop and Outbox, and safe for use by several goroutines. A nil
// Monitor does nothing.
type Monitor struct {
	observer Observer
	mu       sync.Mutex
	status   Status
	changed  chan struct{}
}

// NewMonitor makes one; the zero Observer is fine.
func NewMonitor(o Observer) *Monitor {
	return &Monitor{observer: o, status: Status{Loops: map[string]Mark{}}, changed: make(chan struct{}, 1)}
}

// Status returns a copy.
func (m *Monitor) Status() Status {
	if m == nil {
		return Status{}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.status
	s.Loops = maps.Clone(s.Loops)
	return s
}

func (m *Monitor) update(f func(*Status)) {
	if m == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	f(&m.status)
	select {
	case m.changed <- struct{}{}:
	default:
	}
}

func (m *Monitor) finished(r *messages.Result) {
	if r.Status == messages.Succeeded && !r.DryRun {
		m.Succeeded(r.FinishedAt)
	}
	if m != nil && m.observer.Finished != nil {
		m.observer.Finished(r)
	}
}

func (m *Monitor) duplicate() {
	if m != nil && m.observer.Duplicate != nil {
		m.observer.Duplicate()
	}
}

func (m *Monitor) leaseLost() {
	if m != nil && m.observer.LeaseLost != nil {
		m.observer.LeaseLost()
	}
}

func (m *Monitor) polled(at time.Time) {
	m.update(func(s *Status) { s.LastPoll, s.PollError, s.PollDetail = at, "", "" })
}

func (m *Monitor) pollFailed(code string, err error) {
	m.update(func(s *Status) { s.PollError, s.PollDetail = code, err.Error() })
	if m != nil && m.observer.ReceiveError != nil {
		m.observer.ReceiveError(code)
	}
}

func (m *Monitor) handling(requestID string, since time.Time) {
	m.update(func(s *Status) {
		if requestID == "" && s.Handling != "" {
			s.HandledAt = time.Now()
		}
		s.Handling, s.HandlingSince = requestID, since
	})
}

func (m *Monitor) outbox(entries int, oldest time.Time) {
	m.update(func(s *Status) { s.Outbox, s.OutboxOldest = entries, oldest })
	if m != nil && m.observer.Outbox != nil {
		m.observer.Outbox(entries, oldest)
	}
}

func (m *Monitor) tagDebts(n int) {
	m.update(func(s *Status) { s.TagDebts = n })
	if m != nil && m.observer.TagDebts != nil {
		m.observer.TagDebts(n)
	}
}

func (m *Monitor) journal(err error) {
	m.update(func(s *Status) {
		s.JournalError = ""
		if err != nil {
			s.JournalError = err.Error()
		}
	})
}
