package sqs

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"stillpoint/localstack/internal/clock"
	"stillpoint/localstack/internal/wire"
)

// queue is a standard queue. Messages leave it in the order in which they came, which AWS does not promise.
type queue struct {
	settings
	store
	name     string
	created  time.Time
	modified time.Time
	purged   time.Time // the last time; zero: never
	tags     map[string]string
	polls    []*poll // that wait for a message, the first first
	timer    *clock.Timer
}

func (s *Service) newQueue(name string) *queue {
	now := s.Clock.Now()
	q := &queue{name: name, created: now, modified: now, settings: defaults, tags: map[string]string{}}
	q.empty()
	return q
}

// pass lets the queue's time come.
func (s *Service) pass(q *queue) time.Time {
	now := s.Clock.Now()
	q.elapse(now, q.retention)
	return now
}

// pump gives visible messages to the polls that wait, moves away what was received too often, and sets the timer for the next
// message that becomes visible. To be called, with the lock held, after every change to a queue.
func (s *Service) pump(q *queue) {
	now := s.pass(q)
	var moved []*queue
	for len(q.polls) > 0 {
		p := q.polls[0]
		got := s.take(q, p.max, p.visibility, now, &moved)
		if len(got) == 0 {
			break
		}
		q.polls = slices.Delete(q.polls, 0, 1)
		p.got <- got
	}
	for _, dead := range moved {
		if dead != q {
			s.pump(dead)
		}
	}
	q.stopTimer()
	next := q.hidden.first()
	if len(q.polls) == 0 || next == nil || s.closed {
		return
	}
	q.timer = s.Clock.AfterFunc(next.visibleAt.Sub(now), func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.queues[q.name] == q {
			s.pump(q)
		}
	})
}

func (q *queue) stopTimer() {
	if q.timer != nil {
		q.timer.Stop()
		q.timer = nil
	}
}

// take receives up to limit visible messages, and adds the queues that it moved others to.
func (s *Service) take(q *queue, limit int, visibility time.Duration, now time.Time, moved *[]*queue) []delivery {
	limit = min(limit, s.maxInFlight-q.inFlight())
	var got []delivery
	var taken []*message
	for len(got) < limit {
		m := q.visible.first()
		if m == nil {
			break
		}
		if dead := s.deadLetterQueue(q, m); dead != nil {
			s.bury(q, dead, m, now)
			if !slices.Contains(*moved, dead) {
				*moved = append(*moved, dead)
			}
			continue
		}
		q.lift(m)
		m.receives++
		m.receivedHere++
		m.lastReceive, m.visibleAt = now, now.Add(visibility)
		if m.firstReceive.IsZero() {
			m.firstReceive = now
		}
		m.receipt = s.newReceipt(q, m)
		got = append(got, delivery{message: *m, handle: m.receipt})
		taken = append(taken, m)
	}
	for _, m := range taken {
		q.settle(m, now)
	}
	return got
}

// put lays a message into a queue, as the last that came.
func (s *Service) put(q *queue, m *message, now time.Time) {
	s.serial++
	m.serial, m.pile = s.serial, nil
	m.receipt, m.receivedHere = "", 0
	q.add(m, now)
}

// find returns the queue that a URL names. The host does not matter, so that a URL of AWS can be used; account and name do.
func (s *Service) find(queueURL string) (*queue, *wire.Error) {
	if queueURL == "" {
		return nil, missingParameter("QueueUrl")
	}
	u, err := url.Parse(queueURL)
	if err != nil || u.Host == "" {
		return nil, wire.Errorf("InvalidAddress", "The address %s is not valid for this endpoint.", queueURL)
	}
	account, name, _ := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	return s.named(account, name)
}

// named returns the queue of that account and name.
func (s *Service) named(account, name string) (*queue, *wire.Error) {
	if q, ok := s.queues[name]; ok && account == s.Account {
		return q, nil
	}
	return nil, wire.Errorf(noSuchQueue, "The specified queue does not exist.")
}

// byARN returns the queue that an ARN names, or nil.
func (s *Service) byARN(arn string) *queue {
	name, ok := strings.CutPrefix(arn, s.arnOf(""))
	if !ok {
		return nil
	}
	return s.queues[name]
}

func (s *Service) arnOf(name string) string {
	return "arn:aws:sqs:" + s.Region + ":" + s.Account + ":" + name
}

func (s *Service) arn(q *queue) string { return s.arnOf(q.name) }

func (s *Service) url(q *queue) string { return s.URL + "/" + s.Account + "/" + q.name }
