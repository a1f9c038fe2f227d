package faults

import (
	"errors"
	"fmt"
	"time"

	"stillpoint/localstack"
)

// cell is one request with which one thing goes wrong.
type cell struct {
	// row is what is met, fault how.
	row, fault string
	// want are the outcomes that are right (see outcome); more than one only
	// where timing decides. why says by which rule, where it is not plain.
	want []string
	why  string
	// short says that the short form runs it.
	short bool

	// fresh begins with a worker of its own; hold is the boundary ("begin
	// snapshot") at which it waits, once, while at is done.
	// A worker that is unready is not waited for to poll.
	fresh   bool
	unready bool
	hold    string
	at      func(*bench) error
	// before is done first, with nothing going on.
	before func(*bench) error
	// faults are in force from before the request until the end of its first delivery.
	faults []localstack.Fault
	// send puts the request on the queue; nil: an ordinary one.
	send func(b *bench, id string) (messageID string, err error)
	// between is done after the first delivery, before the faults end and the message may come back.
	between func(*bench) error
	// again has SQS deliver the message once more when all is done.
	again bool
	// after is done at the very end, before an ordinary request has to succeed.
	after func(*bench) error
	// stalls says that writers may be kept waiting by what is not ours.
	stalls bool
}

// id is the request id of the cell; a bench may try it twice.
func (c *cell) id(n int) string { return fmt.Sprintf("cell-%d", n) }

// most is how often a message is waited for to come back.
const most = 4

// pastVisibility is longer than any time for which a worker hides a message or gives it back.
const pastVisibility = 20 * time.Minute

// run tries the cell and returns what was seen. Its error says what nobody may see, whatever the cell.
func (b *bench) run(c *cell) (seen string, err error) {
	b.cells, b.began, b.stall = b.cells+1, time.Now(), 0
	o := &observed{cell: c, id: c.id(b.cells)}
	defer func() {
		// Whatever happened, the next cell begins with nothing in force.
		err = errors.Join(err, b.s.AWS.SetFaults())
		if c.fresh || c.hold != "" {
			err = errors.Join(err, b.restartWorker("", true))
		}
		err = errors.Join(err, b.forget())
	}()
	if err := b.purge(); err != nil {
		return "", err
	}
	if c.before != nil {
		if err := c.before(b); err != nil {
			return "", fmt.Errorf("cannot prepare the cell: %w", err)
		}
	}
	b.s.Load.ResetStalls()
	for i := range c.faults {
		c.faults[i].Principal = workerPrincipal
	}
	if err := b.s.AWS.SetFaults(c.faults...); err != nil {
		return "", err
	}
	if c.fresh || c.hold != "" {
		if err := b.restartWorker(c.hold, !c.unready); err != nil {
			return "", err
		}
	}
	if err := b.deliver(o); err != nil {
		return "", err
	}
	return b.settled(o)
}

// deliver sends the request and sees it through all of its deliveries.
func (b *bench) deliver(o *observed) (err error) {
	c := o.cell
	send := c.send
	if send == nil {
		send = func(b *bench, id string) (string, error) { return b.s.Send(b.ctx, ordinary(id)) }
	}
	b.sent = time.Now()
	if o.messageID, err = send(b, o.id); err != nil {
		return err
	}
	if c.hold != "" {
		if err := b.w.reach(b.ctx, c.hold); err != nil {
			return err
		}
		err := c.at(b)
		if err := errors.Join(err, b.w.free.Close()); err != nil {
			return err
		}
	}
	for o.deliveries = 1; ; o.deliveries++ {
		// SQS's own bounds add up to 15 s for a deletion that hangs, EC2's to 15 s for each of its calls.
		if err := b.handled(b.sent, 75*time.Second); err != nil {
			return err
		}
		if o.deliveries == 1 {
			if c.between != nil {
				if err := c.between(b); err != nil {
					return err
				}
			}
			if err := b.s.AWS.SetFaults(); err != nil {
				return err
			}
		}
		switch {
		case !b.gone() && o.deliveries < most:
			b.sent = time.Now()
			b.s.AWS.MoveClock(pastVisibility)
		case c.again && !o.again:
			// What the first delivery came to is to be seen first.
			if err := b.await(30*time.Second, "the first result", func() bool { return len(b.mail.distinct(o.id)) > 0 }); err != nil {
				return err
			}
			o.again, b.sent = true, time.Now()
			if err := b.s.AWS.DeliverAgain("stillpoint-db1", o.messageID); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// settled waits until nothing more is to come, and says what became of the request and its surroundings.
func (b *bench) settled(o *observed) (string, error) {
	if err := b.await(45*time.Second, "a result", func() bool { return len(b.mail.distinct(o.id)) > 0 }); err != nil {
		return "", err
	}
	tagged := func() bool {
		sets, err := b.snapshots(o.id)
		for _, set := range sets {
			for _, s := range set {
				err = errors.Join(err, verified(s))
			}
		}
		return err == nil
	}
	// The outbox writes what is owed within seconds; a set that stays as it is shows in the outcome.
	_ = b.await(o.cell.tagsWithin(), "the verdict in the tags", tagged)
	stall := b.s.Load.Stats().Longest
	b.stall = stall.Duration
	if !o.cell.stalls {
		b.longest = max(b.longest, b.stall)
	}
	seen, err := b.outcome(o)
	if err != nil {
		return seen, err
	}
	err = b.decent(o, stall)
	if o.cell.after != nil {
		err = errors.Join(err, o.cell.after(b))
	}
	return seen, errors.Join(err, b.ordinaryWorks(o.id))
}

// tagsWithin is how long the verdict tags may take to be written: the outbox's delays grow to some seconds in a cell.
func (c *cell) tagsWithin() time.Duration { return 20 * time.Second }

// ordinary is a request as anybody would send it. Its time is given since the local AWS's clock runs ahead.
func ordinary(id string) string {
	return fmt.Sprintf(`{"requestId":%q,"scheduledTime":%q}`, id, time.Now().UTC().Format(time.RFC3339))
}

// ordinaryWorks sends one more request, with nothing in its way.
func (b *bench) ordinaryWorks(after string) error {
	id := after + "-next"
	if _, err := b.s.Send(b.ctx, ordinary(id)); err != nil {
		return err
	}
	if err := b.await(60*time.Second, "the result of the next request", func() bool { return len(b.mail.distinct(id)) > 0 }); err != nil {
		return err
	}
	if r := b.mail.distinct(id)[0]; r.Status != "succeeded" {
		return fmt.Errorf("the next request came to %s/%s: %s", r.Status, r.Reason, r.Message)
	}
	return b.await(30*time.Second, "an empty queue after the next request", b.gone)
}
