package worker

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// A queue that is for another instance is not polled, and asked about again; an
// answer that does not come counts as a failed poll.
func TestAForeignQueueIsNotPolled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		var asked atomic.Int32
		answers := []error{errors.New("no route"), &ForeignQueueError{"it is i-0bbb's"}, &ForeignQueueError{"it is i-0bbb's"}, nil}
		b.loop.Admit = func(context.Context) error { return answers[asked.Add(1)-1] }
		b.queue.send("m", plain)
		stop := b.start(t.Context())
		defer stop()
		time.Sleep(30 * time.Second)
		if s := b.monitor.Status(); s.NotPolling != "it is i-0bbb's" || len(b.receiveErrors) != 1 || len(s.Stalled(time.Now())) > 0 {
			t.Errorf("%+v, %v", s, b.receiveErrors)
		}
		time.Sleep(time.Minute)
		if asked.Load() != 3 || b.count("receive")+b.count("empty poll") != 0 {
			t.Fatalf("asked %d times, %q", asked.Load(), b.list())
		}
		time.Sleep(5 * time.Minute)
		if s := b.monitor.Status(); s.NotPolling != "" || asked.Load() != 4 || b.count("delete m") != 1 {
			t.Errorf("%+v, asked %d times, %q", s, asked.Load(), b.list())
		}
	})
}

// The stop does not wait for the next look at the tag.
func TestAWorkerOfAForeignQueueStopsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.loop.Admit = func(context.Context) error { return &ForeignQueueError{"it is i-0bbb's"} }
		stop := b.start(t.Context())
		time.Sleep(time.Second)
		begun := time.Now()
		stop()
		if d := time.Since(begun); d != 0 || b.queue.polls != 0 {
			t.Errorf("%s, %d polls", d, b.queue.polls)
		}
	})
}
