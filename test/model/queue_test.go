package model

import (
	"context"
	"errors"
	"fmt"
	"time"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
	"stillpoint/worker"
)

var errFault = errors.New("the model lets this call fail")

// message is one on the queue. What is deleted stays: SQS may deliver it again.
type message struct {
	worker.Message
	request  string // the request id; "" where the body is no request
	rejected bool   // it will be, whenever it is looked at
	dry      bool
	visible  time.Time
	deleted  bool
	redriven bool // SQS itself moved it to the dead-letter queue
	handles  int
}

type deadLetter struct {
	message string
	reason  messages.Reason
	text    string
}

func (w *world) send(m *message) {
	w.mu.Lock()
	defer w.mu.Unlock()
	m.ID, m.SentAt, m.visible = fmt.Sprintf("m-%d", len(w.queue)+1), time.Now(), time.Now()
	if m.request == "" && !m.rejected {
		m.request = "sqs:" + m.ID
	}
	w.queue = append(w.queue, m)
	w.note("sent %s: %s", m.ID, m.Body)
	w.stir()
}

// stir wakes the poll. mu is held.
func (w *world) stir() {
	close(w.wake)
	w.wake = make(chan struct{})
}

// show makes a message visible, deleted or not.
func (w *world) show(m *message) {
	m.deleted, m.visible = false, time.Now()
	w.stir()
}

// sqs implements worker.Queue.
type sqs struct{ *process }

var _ worker.Queue = sqs{}

func (q sqs) Receive(ctx context.Context, visibility time.Duration) (*worker.Message, error) {
	q.step("Queue.Receive before")
	f := q.taken("Queue.Receive")
	if f != nil && f.how == "fails" {
		return nil, errFault
	}
	end := time.Now().Add(20 * time.Second)
	for {
		var got *worker.Message
		next, wake := end, (chan struct{})(nil)
		q.effect(func() {
			wake = q.wake
			for _, m := range q.queue {
				switch {
				case m.deleted || m.redriven:
				case m.visible.After(time.Now()):
					if m.visible.Before(next) {
						next = m.visible
					}
				case m.MaxReceives > 0 && m.ReceiveCount >= m.MaxReceives:
					m.redriven = true
					q.note("SQS gives up %s", m.ID)
					q.counts.add("redriven", 1)
				case got == nil:
					m.visible = time.Now().Add(visibility)
					m.ReceiveCount++
					m.handles++
					m.ReceiptHandle = fmt.Sprintf("%s#%d", m.ID, m.handles)
					c := m.Message
					got = &c
					q.note("received %s", m.ReceiptHandle)
				}
			}
		})
		if got != nil {
			q.step("Queue.Receive after")
			if f != nil { // the answer is lost, and the message hidden
				return nil, errFault
			}
			return got, nil
		}
		if !time.Now().Before(end) {
			return nil, nil
		}
		t := time.NewTimer(time.Until(next))
		select {
		case <-t.C:
		case <-wake:
		case <-q.gone:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		t.Stop()
	}
}

// call is one call to AWS with the usual ways to fail. fails says so before
// the effect, lost and hangs behind it, dropped hangs without one.
func (p *process) call(ctx context.Context, name string, effect func()) error {
	p.step(name + " before")
	f := p.taken(name)
	how := ""
	if f != nil {
		how = f.how
	}
	if how == "fails" {
		return errFault
	}
	if how != "dropped" {
		p.effect(effect)
		p.step(name + " after")
	}
	switch how {
	case "hangs", "dropped":
		select {
		case <-ctx.Done():
		case <-p.gone:
		}
		return ctx.Err()
	case "lost":
		return errFault
	}
	return ctx.Err()
}

// find is the message of a handle that is the newest one; with mu held.
func (w *world) find(handle string) *message {
	for _, m := range w.queue {
		if m.ReceiptHandle == handle {
			return m
		}
	}
	return nil
}

// Extend says OK to a handle that is too old, as SQS does, and changes nothing.
func (q sqs) Extend(ctx context.Context, handle string, d time.Duration) error {
	var gone bool
	err := q.call(ctx, "Queue.Extend", func() {
		m := q.find(handle)
		if m == nil {
			return
		}
		if m.deleted || m.redriven {
			gone = true
			return
		}
		m.visible = time.Now().Add(d)
		q.note("hid %s for %s", handle, d)
		q.stir()
	})
	if err == nil && gone {
		return &snapshot.LeaseLostError{Err: errors.New("it was deleted")}
	}
	return err
}

// Delete with a handle that is too old succeeds and deletes nothing.
func (q sqs) Delete(ctx context.Context, handle string) error {
	return q.call(ctx, "Queue.Delete", func() {
		m := q.find(handle)
		if m == nil || m.redriven {
			return
		}
		m.deleted = true
		q.note("deleted %s", handle)
		if !m.rejected && !m.dry && !q.durable[m.request] && !q.published(m.request) {
			q.breach("%s was deleted before a result of %s was durable or published", m.ID, m.request)
		}
	})
}

func (q sqs) DeadLetter(ctx context.Context, m worker.Message, reason messages.Reason, sentence string) error {
	return q.call(ctx, "Queue.DeadLetter", func() {
		q.note("dead letter %s: %s", m.ID, reason)
		q.dead = append(q.dead, deadLetter{m.ID, reason, sentence})
	})
}

// published says whether SNS has any result of a request; with mu held.
func (w *world) published(request string) bool {
	for _, r := range w.topic {
		if r.RequestID == request {
			return true
		}
	}
	return false
}

// sns implements worker.Publisher.
type sns struct {
	*process
	lane string
}

func (s sns) Publish(ctx context.Context, r *messages.Result) error {
	return s.call(ctx, s.lane+"Topic.Publish", func() {
		s.note("published %s of %s: %s %s, %d snapshots (%.100s)", r.EventID[:8], r.RequestID, r.Status, r.Reason, len(r.Snapshots), r.Message)
		s.heard(s.process, r)
	})
}
