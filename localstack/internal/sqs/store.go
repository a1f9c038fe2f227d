package sqs

import (
	"container/heap"
	"slices"
	"time"
)

// message is one in a queue. It is visible from the time visibleAt on.
type message struct {
	serial     uint64 // in the order of arrival, over all queues; a message that moves to another queue gets a new one
	id         string
	body       string
	attributes map[string]Attribute
	system     map[string]string // AWSTraceHeader and such, as sent
	sender     string
	sentAt     time.Time
	visibleAt  time.Time
	deadSource string // the ARN of the queue that it was moved from

	receives     int // since it was sent, over all queues
	firstReceive time.Time
	lastReceive  time.Time
	receipt      string // the handle of the last receive in this queue; empty: there was none
	receivedHere int    // what maxReceiveCount is compared with

	pile    *pile // that it lies in: one of visible and hidden
	place   int   // there
	agedAt  int   // its place among the ages
	delayed bool  // hidden, and never received
}

// store holds the messages of a queue: those that can be received by their arrival, those that cannot by when they can, all of
// them by their age. Each change takes time that grows with the logarithm of their number.
type store struct {
	all     map[uint64]*message
	visible pile
	hidden  pile
	ages    pile
	delayed int // how many of the hidden were never received

	gone []*message // the last few that were deleted, the oldest first; see Service.Duplicate
}

// pile is a heap of messages, each of which knows its place in it.
type pile struct {
	list   []*message
	before func(a, b *message) bool
	place  func(m *message) *int
}

func (p *pile) Len() int           { return len(p.list) }
func (p *pile) Less(i, j int) bool { return p.before(p.list[i], p.list[j]) }
func (p *pile) Swap(i, j int) {
	p.list[i], p.list[j] = p.list[j], p.list[i]
	*p.place(p.list[i]), *p.place(p.list[j]) = i, j
}

// Push is for the package heap.
func (p *pile) Push(x any) {
	m := x.(*message)
	*p.place(m) = len(p.list)
	p.list = append(p.list, m)
}

// Pop is for the package heap.
func (p *pile) Pop() any {
	last := len(p.list) - 1
	m := p.list[last]
	p.list[last] = nil
	p.list = p.list[:last]
	return m
}

// first is the message on top, or nil.
func (p *pile) first() *message {
	if len(p.list) == 0 {
		return nil
	}
	return p.list[0]
}

// empty makes a store without messages.
func (st *store) empty() {
	place := func(m *message) *int { return &m.place }
	*st = store{
		all:     map[uint64]*message{},
		visible: pile{place: place, before: func(a, b *message) bool { return a.serial < b.serial }},
		hidden: pile{place: place, before: func(a, b *message) bool {
			if a.visibleAt.Equal(b.visibleAt) {
				return a.serial < b.serial
			}
			return a.visibleAt.Before(b.visibleAt)
		}},
		ages: pile{place: func(m *message) *int { return &m.agedAt }, before: func(a, b *message) bool { return a.sentAt.Before(b.sentAt) }},
		gone: st.gone,
	}
}

// inFlight is how many messages were received and are hidden.
func (st *store) inFlight() int { return st.hidden.Len() - st.delayed }

// add puts in a message, whose serial is new.
func (st *store) add(m *message, now time.Time) {
	st.all[m.serial] = m
	heap.Push(&st.ages, m)
	st.settle(m, now)
}

// settle lays a message where it belongs by its time.
func (st *store) settle(m *message, now time.Time) {
	st.lift(m)
	m.pile = &st.visible
	if m.visibleAt.After(now) {
		m.pile = &st.hidden
		if m.delayed = m.receipt == ""; m.delayed {
			st.delayed++
		}
	}
	heap.Push(m.pile, m)
}

// lift takes a message from its pile, to change what orders it there.
func (st *store) lift(m *message) {
	if m.pile == nil {
		return
	}
	heap.Remove(m.pile, m.place)
	m.pile = nil
	if m.delayed {
		m.delayed = false
		st.delayed--
	}
}

// remove takes a message out. An empty store that was large gives its memory back.
func (st *store) remove(m *message) {
	st.lift(m)
	heap.Remove(&st.ages, m.agedAt)
	delete(st.all, m.serial)
	if len(st.all) == 0 && cap(st.ages.list) > 1000 {
		st.empty()
	}
}

// elapse lets the time come: messages whose retention has ended go, those whose hiding has ended become visible.
func (st *store) elapse(now time.Time, retention time.Duration) {
	for m := st.ages.first(); m != nil && now.Sub(m.sentAt) > retention; m = st.ages.first() {
		st.remove(m)
	}
	for m := st.hidden.first(); m != nil && !m.visibleAt.After(now); m = st.hidden.first() {
		st.settle(m, now)
	}
}

// keptDeleted is how many deleted messages a queue remembers.
const keptDeleted = 16

// remember keeps a message that was deleted.
func (st *store) remember(m *message) {
	if len(st.gone) == keptDeleted {
		st.gone = slices.Delete(st.gone, 0, 1)
	}
	st.gone = append(st.gone, m)
}
