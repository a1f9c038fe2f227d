package sqs

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"stillpoint/localstack/internal/clock"
	"stillpoint/localstack/internal/wire"
)

// queue is a standard queue. Messages leave it in the order in which they came, which AWS does not promise.
type queue struct {
	name       string
	created    time.Time
	modified   time.Time
	visibility time.Duration
	delay      time.Duration
	wait       time.Duration
	retention  time.Duration
	maxSize    int
	redrive    redrivePolicy
	attributes map[string]string // those that are kept and returned, but have no effect: Policy, KmsMasterKeyId, ...
	tags       map[string]string
	messages   []*message
	polls      []*poll // that wait for a message, the first first
	timer      *clock.Timer
}

// message is one in a queue. It is visible from the time visibleAt on.
type message struct {
	id         string
	body       string
	attributes map[string]Attribute
	system     map[string]string // AWSTraceHeader and such, as sent
	sentAt     time.Time
	visibleAt  time.Time
	deadSource string // the ARN of the queue that it was moved from

	receives     int // since it was sent, redelivery to a dead-letter queue included
	firstReceive time.Time
	lastReceive  time.Time
	receipt      string // the handle of the last receive
	receivedHere int    // what maxReceiveCount is compared with
}

// poll is a ReceiveMessage that waits. Its client may be gone: it takes its message all the same, as on AWS, where that message
// then stays hidden for its visibility timeout (aws-sdk-go-v2#2068).
type poll struct {
	max        int
	visibility time.Duration
	got        chan []delivery // has room for one
}

// delivery is a message as it was when it was received.
type delivery struct {
	message
	handle string
}

// pump gives visible messages to the polls that wait, moves away what was received too often, and sets the timer for the next
// message that becomes visible. To be called, with the lock held, after every change to a queue.
func (s *Service) pump(q *queue) {
	now := s.Clock.Now()
	q.expire(now)
	var moved []*queue
	for len(q.polls) > 0 {
		p := q.polls[0]
		got := s.take(q, p.max, p.visibility, now, &moved)
		if len(got) == 0 {
			break
		}
		q.polls = q.polls[1:]
		p.got <- got
	}
	for _, dead := range moved {
		if dead != q {
			s.pump(dead)
		}
	}
	q.stopTimer()
	if len(q.polls) == 0 || s.closed {
		return
	}
	var next time.Time
	for _, m := range q.messages {
		if m.visibleAt.After(now) && (next.IsZero() || m.visibleAt.Before(next)) {
			next = m.visibleAt
		}
	}
	if !next.IsZero() {
		q.timer = s.Clock.AfterFunc(next.Sub(now), func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.queues[q.name] == q {
				s.pump(q)
			}
		})
	}
}

func (q *queue) stopTimer() {
	if q.timer != nil {
		q.timer.Stop()
		q.timer = nil
	}
}

// expire drops messages that are older than the retention period.
func (q *queue) expire(now time.Time) {
	q.messages = slices.DeleteFunc(q.messages, func(m *message) bool { return now.Sub(m.sentAt) > q.retention })
}

// take receives up to limit visible messages, and adds the queues that it moved others to.
func (s *Service) take(q *queue, limit int, visibility time.Duration, now time.Time, moved *[]*queue) []delivery {
	var got []delivery
	for _, m := range slices.Clone(q.messages) {
		if len(got) == limit {
			break
		}
		if m.visibleAt.After(now) {
			continue
		}
		if q.redrive.MaxReceiveCount > 0 && m.receivedHere >= int(q.redrive.MaxReceiveCount) {
			if dead := s.byARN(q.redrive.DeadLetterTargetARN); dead != nil {
				s.bury(q, dead, m, now)
				*moved = append(*moved, dead)
				continue
			}
		}
		m.receives++
		m.receivedHere++
		m.lastReceive, m.visibleAt = now, now.Add(visibility)
		if m.firstReceive.IsZero() {
			m.firstReceive = now
		}
		m.receipt = s.newReceipt(q, m)
		got = append(got, delivery{message: *m, handle: m.receipt})
	}
	return got
}

// bury moves a message to the dead-letter queue. It keeps its id, its counts and the time at which it was first sent.
func (s *Service) bury(from, to *queue, m *message, now time.Time) {
	from.remove(m)
	m.receipt, m.receivedHere, m.visibleAt, m.deadSource = "", 0, now, s.arn(from)
	to.messages = append(to.messages, m)
	s.Log.Debug().Str("queue", from.name).Str("dead_letter_queue", to.name).Str("message_id", m.id).Int("receives", m.receives).Msg("message moved to its dead-letter queue")
}

func (q *queue) remove(m *message) {
	q.messages = slices.DeleteFunc(q.messages, func(x *message) bool { return x == m })
}

// add puts a message into a queue.
func (s *Service) add(q *queue, body string, attributes map[string]Attribute, system map[string]string, delay time.Duration) *message {
	now := s.Clock.Now()
	m := &message{
		id: uuid.NewString(), body: body, attributes: attributes, system: system,
		sentAt: now, visibleAt: now.Add(delay),
	}
	q.messages = append(q.messages, m)
	s.pump(q)
	return m
}

// newReceipt makes a handle. It is opaque to clients; to us it names the queue and the message, so that one that is merely out
// of date can be told from one that never was.
func (s *Service) newReceipt(q *queue, m *message) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s %s %s %d %s", s.secret, q.name, m.id, m.receives, uuid.NewString()))
}

// receipt finds the message of a handle. The message is nil if it is gone; current tells whether the handle is from its last
// receive.
func (s *Service) receipt(q *queue, handle string) (m *message, current bool, apiErr *wire.Error) {
	raw, err := base64.StdEncoding.DecodeString(handle)
	parts := strings.Fields(string(raw))
	if err != nil || len(parts) != 5 || parts[0] != s.secret || parts[1] != q.name {
		return nil, false, wire.Errorf("ReceiptHandleIsInvalid", "The input receipt handle %q is not a valid receipt handle.", handle)
	}
	for _, m := range q.messages {
		if m.id == parts[2] {
			return m, m.receipt == handle, nil
		}
	}
	return nil, false, nil
}
