package sqs

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// QueueState is a queue as a dump of the server shows it.
type QueueState struct {
	Name       string
	ARN        string
	URL        string
	Attributes map[string]string
	Tags       map[string]string
	Polls      int // calls of ReceiveMessage that wait
	Messages   []MessageState
}

// MessageState is a message in a dump, as it is at the time of the dump.
type MessageState struct {
	ID               string
	State            string // "visible", "in flight" or "delayed"
	Body             string
	Attributes       map[string]Attribute `json:",omitempty"`
	SystemAttributes map[string]string    `json:",omitempty"`
	SenderID         string
	Sent             time.Time
	VisibleAt        time.Time
	Receives         int       // over all queues
	ReceivesHere     int       // what maxReceiveCount is compared with
	LastReceive      time.Time `json:",omitzero"`
	Receipt          string    `json:",omitempty"` // the handle that is valid
	DeadLetterSource string    `json:",omitempty"`
}

// State is a dump: the queues by name, with their messages in the order of their arrival, and the message movement tasks, the newest
// first.
func (s *Service) State() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := struct {
		Queues    []QueueState
		MoveTasks []MoveTask
	}{Queues: []QueueState{}, MoveTasks: []MoveTask{}}
	for _, name := range slices.Sorted(maps.Keys(s.queues)) {
		q := s.queues[name]
		state := QueueState{
			Name: name, ARN: s.arn(q), URL: s.url(q), Attributes: s.attributes(q), Tags: maps.Clone(q.tags), Polls: len(q.polls),
			Messages: []MessageState{},
		}
		for _, m := range slices.SortedFunc(maps.Values(q.all), func(a, b *message) int { return cmp.Compare(a.serial, b.serial) }) {
			state.Messages = append(state.Messages, q.show(m))
		}
		out.Queues = append(out.Queues, state)
	}
	for _, t := range slices.Backward(s.tasks) {
		out.MoveTasks = append(out.MoveTasks, t.show())
	}
	return out
}

func (q *queue) show(m *message) MessageState {
	state := "visible"
	switch {
	case m.delayed:
		state = "delayed"
	case m.pile == &q.hidden:
		state = "in flight"
	}
	return MessageState{
		ID: m.id, State: state, Body: m.body, Attributes: m.attributes, SystemAttributes: maps.Clone(m.system), SenderID: m.sender,
		Sent: m.sentAt.UTC(), VisibleAt: m.visibleAt.UTC(), Receives: m.receives, ReceivesHere: m.receivedHere,
		LastReceive: m.lastReceive, Receipt: m.receipt, DeadLetterSource: m.deadSource,
	}
}
