package worker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

func TestARequestThatIsToComeBackWaitsLongerEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.runner.run = func(_ context.Context, job snapshot.Job) snapshot.Outcome {
			return snapshot.Outcome{Result: made(job, messages.Failed, messages.ReasonPreflightFailed), Again: true}
		}
		stop := b.start(t.Context())
		b.queue.send("m", plain)
		time.Sleep(90 * time.Minute)
		stop()
		var waits []string
		for _, e := range b.list() {
			if f := strings.Fields(e); f[0] == "extend" {
				waits = append(waits, f[2])
			}
		}
		want := []string{"30s", "1m0s", "2m0s", "4m0s", "8m0s", "12m0s", "12m0s"}
		if !slices.Equal(waits[:7], want) {
			t.Fatalf("waits %v", waits)
		}
		if b.count("publish")+b.count("finish")+b.count("delete") != 0 {
			t.Errorf("%q", b.list())
		}
	})
}

func TestTheLastReceiptEndsInAResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.runner.run = func(_ context.Context, job snapshot.Job) snapshot.Outcome {
			return snapshot.Outcome{Result: made(job, messages.Failed, messages.ReasonPreflightFailed), Again: true}
		}
		b.queue.send("m", plain)
		b.queue.messages[0].MaxReceives = 3
		stop := b.start(t.Context())
		time.Sleep(10 * time.Minute)
		stop()
		if b.count("run") != 3 || b.count("publish failed preflight_failed") != 1 || b.count("delete m#3") != 1 {
			t.Fatalf("%q", b.list())
		}
	})
}

// A stop that cuts the look-ups after an ambiguous answer short leaves it open
// what EC2 made, at the last receipt too: it is the next start that can tell.
func TestTheLastReceiptDoesNotEndALookUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		ctx, cancel := context.WithCancel(t.Context())
		b.runner.run = func(_ context.Context, job snapshot.Job) snapshot.Outcome {
			cancel()
			return snapshot.Outcome{Result: made(job, messages.Failed, messages.ReasonSnapshotAmbiguous), Again: true}
		}
		b.queue.send("m", plain)
		b.queue.messages[0].MaxReceives = 1
		stop := b.start(ctx)
		time.Sleep(time.Minute)
		stop()
		b.expect(t, "receive m#1", "run r", "extend m#1 5s")
	})
}

// That the journal could not be read when the message came for the last time
// does not replace what it knows: somebody hears of it, and that is all. A request
// that it knows nothing of is finished with it.
func TestTheLastReceiptReplacesNothing(t *testing.T) {
	for name, known := range map[string]bool{"finished before": true, "new": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				var first *messages.Result
				if known {
					first = b.finish("r", "nightly", messages.Succeeded, "")
				}
				b.journal.loadErr = errors.New("input/output error")
				b.queue.send("m", plain)
				b.queue.messages[0].MaxReceives = 1
				stop := b.start(t.Context())
				time.Sleep(10 * time.Second)
				stop()
				b.expect(t, "receive m#1", "publish failed internal", "published", "extend m#1 30s")

				b.journal.loadErr = nil
				stop = b.resume(t, nil)
				time.Sleep(time.Minute)
				stop()
				if _, kept := b.handler.memory.of("r"); kept {
					t.Error("it is kept for ever")
				}
				switch got := b.journal.entries["r"].Result; {
				case known && got != first:
					t.Errorf("a request that succeeded is now %s: %s", got.Status, got.Message)
				case !known && got.Reason != messages.ReasonInternal:
					t.Errorf("%+v", got)
				}
				if n := len(b.topic.results()); n != 1 {
					t.Errorf("%d results", n)
				}
			})
		})
	}
}

func TestGrowingWaitsAreJitteredAndBounded(t *testing.T) {
	for n := range 40 {
		for _, random := range []float64{0, 0.5, 0.999} {
			d := growing(30*time.Second, 15*time.Minute, n, random)
			if d < 30*time.Second || d > 15*time.Minute {
				t.Fatalf("growing(%d, %v) = %s", n, random, d)
			}
			f := fullJitter(time.Second, time.Minute, n, random)
			if f < time.Second || f > time.Minute {
				t.Fatalf("fullJitter(%d, %v) = %s", n, random, f)
			}
		}
	}
}

func TestAFullDiskReleasesTheMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.journal.finishErr = errors.New("no space left on device")
		stop := b.start(t.Context())
		b.queue.send("m", plain)
		time.Sleep(10 * time.Second)
		stop()
		b.expect(t, "receive m#1", "run r", "finish fails", "publish succeeded ", "published", "extend m#1 30s")
	})
}
