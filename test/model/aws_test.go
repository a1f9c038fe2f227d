package model

import (
	"context"
	"errors"
	"fmt"
	"maps"
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

// made is one snapshot that EC2 has.
type made struct {
	snapshot.Existing
	attempt string
	shown   time.Time // from then on describe calls show it
	held    bool      // everything was locked and frozen when it was made
}

// createCall is one call that reached EC2, or may have.
type createCall struct {
	request, attempt string
	nothing          bool // it was refused: nothing was or will be made
	took             bool // something was
	held             bool // from the effect to the answer
}

// start makes the set; with mu held. p is nil, or dead, where nobody holds anything any more.
func (w *world) start(call int, set snapshot.CreateSet, p *process, lag time.Duration) []messages.Snapshot {
	c := &w.calls[call]
	c.took = true
	c.held = p.held.all()
	var out []messages.Snapshot
	for _, v := range set.Volumes {
		s := messages.Snapshot{SnapshotID: fmt.Sprintf("snap-%03d", len(w.made)+1), VolumeID: v.ID, SizeGiB: 8, StartTime: time.Now().UTC(), State: "pending"}
		out = append(out, s)
		w.made = append(w.made, &made{
			Existing: snapshot.Existing{Snapshot: s, Tags: maps.Clone(set.Tags)},
			attempt:  c.attempt, shown: time.Now().Add(lag), held: c.held,
		})
	}
	w.note("EC2 made the set of %s, attempt %s, held: %v, shown after %s", c.request, c.attempt, c.held, lag)
	w.counts.add("sets made", 1)
	return out
}

// create is EC2's CreateSnapshots.
func (p *process) create(ctx context.Context, set snapshot.CreateSet) ([]messages.Snapshot, error) {
	f := &fault{how: "ok"}
	var at int
	p.effect(func() {
		if g := p.take("EBS.Create"); g != nil {
			f = g
		}
		p.called(set, f.how == "refused" || f.how == "quota")
		at = len(p.calls) - 1
	})
	lag := time.Duration(0)
	switch f.how {
	case "quota":
		return nil, &snapshot.QuotaError{Code: "ConcurrentSnapshotLimitExceeded", Err: errFault}
	case "refused":
		return nil, &snapshot.SnapshotRefusedError{Code: "UnauthorizedOperation", Err: errFault}
	case "nothing":
		return nil, &snapshot.AmbiguousError{Err: errFault}
	case "late", "late and killed": // the set appears after the call has failed
		time.AfterFunc(f.d, func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.start(at, set, p, 0)
			p.counts.add("sets made late", 1)
		})
		if f.how == "late and killed" {
			p.effect(func() { p.kill("EBS.Create in flight", sigkill) })
		}
		return nil, &snapshot.AmbiguousError{Err: errFault}
	case "unlocked", "thawed": // by somebody else, just before
		p.effect(func() { p.lose(f.how) })
	case "lags", "lost":
		lag = f.d
	}
	var out []messages.Snapshot
	p.effect(func() { out = p.start(at, set, p, lag) })
	p.step("EBS.Create after")
	switch f.how {
	case "unlocked after", "thawed after":
		p.effect(func() { p.lose(f.how) })
	case "hangs":
		select {
		case <-ctx.Done():
		case <-p.gone:
		}
		p.effect(func() {})
		return nil, &snapshot.AmbiguousError{Err: ctx.Err()}
	case "lost":
		return nil, &snapshot.AmbiguousError{Err: errFault}
	case "empty":
		return nil, nil
	}
	p.effect(func() { p.calls[at].held = p.calls[at].held && p.held.all() })
	return out, nil
}

// called checks each call against those before it; with mu held.
func (p *process) called(set snapshot.CreateSet, nothing bool) {
	c := createCall{request: set.Tags[snapshot.TagRequestID], attempt: set.Tags[snapshot.TagAttemptID], nothing: nothing}
	p.note("EC2 is asked for the set of %s, attempt %s", c.request, c.attempt)
	if !p.held.all() {
		p.breach("the create call of %s is sent while not everything is held: %+v", c.request, p.held)
	}
	if event := p.done(c.request); event != "" {
		p.breach("%s is finished with %s and EC2 is asked again", c.request, event)
	}
	for _, before := range p.calls {
		if before.request == c.request && !before.nothing {
			p.breach("EC2 is asked again for %s, although attempt %s may have made a set", c.request, before.attempt)
		}
	}
	p.calls = append(p.calls, c)
}

func (p *process) lose(how string) {
	p.held.broken = true
	if how == "unlocked" || how == "unlocked after" {
		p.held.locked = false
	} else {
		p.held.frozen = false
	}
	p.note("%s by somebody else", how)
}

func (p *process) existing(ctx context.Context, request string) ([]snapshot.Existing, error) {
	var found []snapshot.Existing
	err := p.ask(ctx, "EBS.Find", "EC2 (DescribeSnapshots)", func() {
		for _, s := range p.made {
			if s.Tags[snapshot.TagRequestID] == request && !s.shown.After(time.Now()) {
				found = append(found, snapshot.Existing{Snapshot: s.Snapshot, Tags: maps.Clone(s.Tags)})
			}
		}
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// ask is a call that changes nothing; it fails or hangs.
func (p *process) ask(ctx context.Context, name, what string, answer func()) error {
	f := p.taken(name)
	switch {
	case f == nil:
		p.effect(answer)
		if ctx.Err() != nil {
			return away(what, ctx.Err())
		}
		return nil
	case f.how == "hangs":
		t := time.NewTimer(30 * time.Second) // as the SDK's own bounds would have it
		defer t.Stop()
		select {
		case <-ctx.Done():
		case <-t.C:
		case <-p.gone:
		}
		p.effect(func() {})
	}
	return away(what, errFault)
}

// tag is EC2's CreateTags, for the pipeline and for the outbox.
func (p *process) tag(ctx context.Context, name, id string, tags map[string]string) error {
	err := p.call(ctx, name, func() {
		for _, s := range p.made {
			if s.SnapshotID == id {
				maps.Copy(s.Tags, tags)
				p.note("tagged %s %s", id, tags[snapshot.TagStatus])
			}
		}
	})
	if err != nil {
		return away("EC2 (CreateTags)", err)
	}
	return nil
}

// tagger implements worker.Tagger for the outbox.
type tagger struct{ *process }

func (t tagger) Tag(ctx context.Context, id string, tags map[string]string) error {
	return t.tag(ctx, "outbox: EBS.Tag", id, tags)
}
