package worker

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// The loops of a worker. Others may have names of their own.
const (
	LoopRequests = "requests"
	LoopOutbox   = "outbox"
)

// Mark is a loop's last sign of life.
type Mark struct {
	// Doing is what the loop does, in words for a person.
	Doing string
	// Until is when its next sign is due. A loop that lets it pass hangs.
	Until time.Time
}

// slack is added to every bound: a machine that is short of everything is slow,
// and not hung.
const slack = time.Minute

// Expect is a loop's sign of life: what it is about to do, and for how long it
// may be silent about it at the most, however slow the machine is.
func (m *Monitor) Expect(loop, doing string, within time.Duration) {
	m.update(func(s *Status) { s.Loops[loop] = Mark{Doing: doing, Until: time.Now().Add(within)} })
}

// Ended says that a loop has ended as it should: nothing is expected of it any more.
func (m *Monitor) Ended(loop string) {
	m.update(func(s *Status) { delete(s.Loops, loop) })
}

// NotPolling says why no message is taken yet and what to do about it; "": they are.
func (m *Monitor) NotPolling(why string) {
	m.update(func(s *Status) { s.NotPolling = why })
}

// Answered says that SQS answered another call than a poll.
func (m *Monitor) Answered(at time.Time) {
	m.update(func(s *Status) { s.LastPoll = at })
}

// Succeeded tells of a success that was before this start; zero: none.
func (m *Monitor) Succeeded(at time.Time) {
	m.update(func(s *Status) {
		if at.After(s.LastSuccess) {
			s.LastSuccess = at
		}
	})
}

func (m *Monitor) inHand(yes bool) {
	m.update(func(s *Status) { s.InHand = yes })
}

// Changed has something in it when the Status has changed since it was last
// received from.
func (m *Monitor) Changed() <-chan struct{} { return m.changed }

// Stalled names the loops that have not given a sign of life in time, in sentences.
func (s Status) Stalled(now time.Time) []string {
	var why []string
	for _, loop := range slices.Sorted(maps.Keys(s.Loops)) {
		if mark := s.Loops[loop]; now.After(mark.Until) {
			why = append(why, fmt.Sprintf("the %s loop hangs (%s; a sign of life was due %s ago): restart the worker, and report what its log says",
				loop, mark.Doing, now.Sub(mark.Until).Round(time.Second)))
		}
	}
	return why
}
