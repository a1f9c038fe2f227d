package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

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
