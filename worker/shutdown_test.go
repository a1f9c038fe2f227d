package worker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

func TestShutdownLetsThePollEndAndGivesBackWhatItBrought(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		ctx, cancel := context.WithCancel(t.Context())
		stop := b.start(ctx)
		time.Sleep(5 * time.Second)
		cancel()
		time.Sleep(5 * time.Second)
		b.queue.send("m", plain) // the poll is still under way
		begun := time.Now()
		stop()
		b.expect(t, "receive m#1", "extend m#1 0s")
		if time.Since(begun) > time.Second {
			t.Errorf("it took %s", time.Since(begun))
		}
	})
}

func TestShutdownWaitsForAnEmptyPoll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		stop := b.start(t.Context())
		time.Sleep(5 * time.Second)
		begun := time.Now()
		stop()
		if took := time.Since(begun); took > 15*time.Second || took < 14*time.Second {
			t.Errorf("it took %s", took)
		}
		if b.count("poll cancelled") != 0 || b.queue.polls != 1 {
			t.Errorf("%q", b.list())
		}
	})
}

func TestShutdownBeforeTheLockReleasesTheMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.runner.run = func(ctx context.Context, job snapshot.Job) snapshot.Outcome {
			<-ctx.Done()
			return snapshot.Outcome{Result: made(job, messages.Failed, messages.ReasonInterrupted), Again: true}
		}
		stop := b.start(t.Context())
		b.queue.send("m", plain)
		time.Sleep(10 * time.Second)
		begun := time.Now()
		stop()
		b.expect(t, "receive m#1", "run r", "extend m#1 5s")
		if time.Since(begun) > time.Second {
			t.Errorf("it took %s", time.Since(begun))
		}
	})
}

func TestShutdownInsideTheWindowWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.runner.run = func(_ context.Context, job snapshot.Job) snapshot.Outcome {
			time.Sleep(50 * time.Second)
			return snapshot.Outcome{Result: made(job, messages.Succeeded, "")}
		}
		stop := b.start(t.Context())
		b.queue.send("m", plain)
		time.Sleep(10 * time.Second)
		stop()
		b.expect(t, "receive m#1", "run r", "extend m#1 2m0s", "finish succeeded", "publish succeeded ", "published", "delete m#1")
	})
}

func TestShutdownDuringAnOutageIsQuick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.queue.receiveErr = func(int) error { return codedError("AccessDenied") }
		stop := b.start(t.Context())
		time.Sleep(10 * time.Minute)
		begun := time.Now()
		stop()
		if time.Since(begun) > time.Second {
			t.Errorf("it took %s", time.Since(begun))
		}
	})
}
