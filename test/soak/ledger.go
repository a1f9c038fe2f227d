package soak

import (
	"slices"
	"sync"
	"time"

	"stillpoint/messages"
)

// expectation is what a message must come to.
type expectation string

const (
	// toRun: the request id ends in one final result, whatever its status.
	toRun expectation = "run"
	// toReject: this very message is rejected, and a copy is on the dead-letter queue.
	toReject expectation = "reject"
	// toCheck: a dry run, which uses up no id and may be answered more than once.
	toCheck expectation = "dry run"
)

// sent is one message.
type sent struct {
	kind      string
	expects   expectation
	messageID string
	requestID string // as messages.Decode has it
	eventID   string // of the rejection, with toReject
	body      string
	at        time.Time
}

// ledger is what was sent and what was heard. It is safe for use by several goroutines.
type ledger struct {
	mu      sync.Mutex
	sent    []sent
	byID    map[string][]int              // messages by request id
	results map[string][]*messages.Result // distinct events by request id, in the order of their arrival
	events  map[string]*messages.Result
	heard   int // results, the same event again included
	wrong   []string
}

func (l *ledger) init() {
	if l.byID == nil {
		l.byID, l.results, l.events = map[string][]int{}, map[string][]*messages.Result{}, map[string]*messages.Result{}
	}
}

func (l *ledger) send(m sent) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.init()
	l.sent = append(l.sent, m)
	l.byID[m.requestID] = append(l.byID[m.requestID], len(l.sent)-1)
}

// hear notes a result; complaint is what is wrong with it by itself.
func (l *ledger) hear(r *messages.Result, complaint string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.init()
	l.heard++
	if complaint != "" {
		l.wrong = append(l.wrong, complaint)
	}
	if before := l.events[r.EventID]; before != nil {
		if before.Status != r.Status || before.RequestID != r.RequestID {
			l.wrong = append(l.wrong, "event "+r.EventID+" of "+r.RequestID+" came with two contents")
		}
		return
	}
	l.events[r.EventID] = r
	l.results[r.RequestID] = append(l.results[r.RequestID], r)
}

func (l *ledger) count() (sent, events, heard int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.sent), len(l.events), l.heard
}

// final is the result by which a request used up its id; nil while there is none.
func (l *ledger) final(requestID string) *messages.Result {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range l.results[requestID] {
		if usesID(r) {
			return r
		}
	}
	return nil
}

// messageIDs are those that carried a request.
func (l *ledger) messageIDs(requestID string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var ids []string
	for _, i := range l.byID[requestID] {
		ids = append(ids, l.sent[i].messageID)
	}
	return ids
}

// missing are the messages without the result that they must come to.
func (l *ledger) missing() []sent {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(l.sent), func(m sent) bool {
		if m.expects == toReject {
			return l.events[m.eventID] != nil
		}
		return slices.ContainsFunc(l.results[m.requestID], func(r *messages.Result) bool { return r.Status != messages.Rejected })
	})
}

// usesID says whether a result is the one of its request id (contract: dry
// runs, what was rejected and what was skipped do not use up an id).
func usesID(r *messages.Result) bool {
	return !r.DryRun && r.Status != messages.Rejected && r.Status != messages.Skipped
}
