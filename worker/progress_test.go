package worker

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// For hours, with and without errors and requests, a healthy worker's loops
// are never taken to hang.
func TestHealthyLoopsNeverStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.queue.receiveErr = func(n int) error {
			if n%3 == 0 {
				return errors.New("unreachable")
			}
			return nil
		}
		outbox := &Outbox{Journal: b.journal, Publisher: b.topic, Monitor: b.monitor}
		b.handler.Outbox = outbox
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { outbox.Run(ctx) })
		defer wg.Wait()
		defer cancel()
		stop := b.start(t.Context())
		for i := range 500 {
			if i%20 == 10 {
				b.topic.fail(nil)
			}
			if i%20 == 0 {
				b.topic.fail(errors.New("throttled"))
				b.queue.send("m", plain)
			}
			time.Sleep(13 * time.Second)
			if why := b.monitor.Status().Stalled(time.Now()); len(why) > 0 {
				t.Error(why)
				break
			}
		}
		stop()
		cancel()
		wg.Wait()
		time.Sleep(time.Hour)
		if why := b.monitor.Status().Stalled(time.Now()); len(why) > 0 {
			t.Errorf("after the end: %v", why)
		}
	})
}

// A run that says nothing more is taken to hang when its time is over, and not before.
func TestALoopThatHangsIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		free := make(chan struct{})
		b.runner.run = func(_ context.Context, job snapshot.Job) snapshot.Outcome {
			b.monitor.Expect(LoopRequests, "request r: lock", 10*time.Minute)
			<-free
			return snapshot.Outcome{Result: made(job, messages.Succeeded, "")}
		}
		stop := b.start(t.Context())
		b.queue.send("m", plain)
		time.Sleep(9 * time.Minute)
		if why := b.monitor.Status().Stalled(time.Now()); len(why) > 0 {
			t.Errorf("too early: %v", why)
		}
		time.Sleep(2 * time.Minute)
		why := b.monitor.Status().Stalled(time.Now())
		if len(why) != 1 || !strings.Contains(why[0], "request r: lock") {
			t.Errorf("it says %v", why)
		}
		close(free)
		stop()
	})
}
