package worker

import (
	"slices"
	"sync"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// maxRemembered bounds each part of a memory; the oldest goes first.
const maxRemembered = 1000

// memory is what a Handler knows and could not, or need not, write down. It is
// lost with the process; the journal and the queue then do what they can.
type memory struct {
	mu sync.Mutex
	// unsaved are results that the journal did not take, a full disk being the
	// likely cause: to run such a request again would contradict what was done.
	unsaved []unsaved
	// published are the event ids of results that SNS has and the journal has not.
	published []string
	// rejected are results that are durable and were handed on, and whose
	// messages stay on the queue only for the copy that the dead-letter queue is owed.
	rejected []rejected
}

type unsaved struct {
	result    *messages.Result
	owed      []snapshot.PendingTags
	messageID string
	undecided bool // see decision
}

type rejected struct {
	messageID string
	result    *messages.Result
}

func limit[T any](s []T) []T {
	if len(s) > maxRemembered {
		return slices.Delete(s, 0, len(s)-maxRemembered)
	}
	return s
}

// notSaved remembers a result that the journal did not take.
func (m *memory) notSaved(dec decision) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r := dec.result
	if r.UsesID() && m.index(r.RequestID) < 0 {
		m.unsaved = limit(append(m.unsaved, unsaved{r, dec.owed, dec.messageID, dec.undecided}))
	}
}

// wasPublished remembers that SNS has a result that the journal did not take.
func (m *memory) wasPublished(eventID string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !slices.Contains(m.published, eventID) {
		m.published = limit(append(m.published, eventID))
	}
}

// saved forgets what the journal has taken.
func (m *memory) saved(r *messages.Result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.unsaved = slices.DeleteFunc(m.unsaved, func(u unsaved) bool { return u.result.EventID == r.EventID })
	m.published = slices.DeleteFunc(m.published, func(id string) bool { return id == r.EventID })
}

func (m *memory) index(requestID string) int {
	return slices.IndexFunc(m.unsaved, func(u unsaved) bool { return u.result.RequestID == requestID })
}

// of returns what a request came to and could not be written down.
func (m *memory) of(requestID string) (unsaved, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if i := m.index(requestID); i >= 0 {
		return m.unsaved[i], true
	}
	return unsaved{}, false
}

func (m *memory) all() []unsaved {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.unsaved)
}

func (m *memory) isPublished(eventID string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Contains(m.published, eventID)
}

// owesCopy remembers a rejected message whose result is done with.
func (m *memory) owesCopy(messageID string, r *messages.Result) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rejected = limit(append(m.rejected, rejected{messageID, r}))
}

// copyOf returns the result of a message that is on the queue for its copy only; nil: it is not.
func (m *memory) copyOf(messageID string) *messages.Result {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range m.rejected {
		if r.messageID == messageID {
			return r.result
		}
	}
	return nil
}

func (m *memory) copied(messageID string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.rejected = slices.DeleteFunc(m.rejected, func(r rejected) bool { return r.messageID == messageID })
}
