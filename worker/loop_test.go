package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const plain = `{"requestId":"r"}`

func TestOneRequestFromReceiptToDeletion(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		stop := b.start(t.Context())
		b.queue.send("m", plain)
		time.Sleep(time.Minute)
		b.expect(t, "receive m#1", "run r", "finish succeeded", "publish succeeded ", "published", "delete m#1")
		stop()
		if s := b.monitor.Status(); s.LastPoll.IsZero() || s.Handling != "" {
			t.Errorf("status %+v", s)
		}
		for _, want := range []string{`"request_id":"r"`, `"message_id":"m"`, `"receive_count":1`, `"plan":"nightly"`, `"status":"succeeded"`, `"duration_ms"`} {
			if !strings.Contains(b.log.String(), want) {
				t.Errorf("the log lacks %s:\n%s", want, b.log)
			}
		}
		if strings.Contains(b.log.String(), "m#1") {
			t.Error("the log has a receipt handle")
		}
	})
}

func TestTheHeartbeatIsJoinedBeforeTheMessageIsSettled(t *testing.T) {
	for name, again := range map[string]bool{"deleted": false, "released": true} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.queue.extendTime = 3 * time.Second
				b.runner.run = func(_ context.Context, job snapshot.Job) snapshot.Outcome {
					time.Sleep(41 * time.Second) // a heartbeat is under way when the run ends
					return snapshot.Outcome{Result: made(job, messages.Failed, messages.ReasonQuota), Again: again}
				}
				ctx, cancel := context.WithCancel(t.Context())
				stop := b.start(ctx)
				b.queue.send("m", plain)
				time.Sleep(42 * time.Second)
				cancel()
				stop()
				events := b.list()
				beat := slices.Index(events, "extend m#1 2m0s")
				last := slices.Index(events, "delete m#1")
				if again {
					last = slices.Index(events, "extend m#1 5s")
				}
				if beat < 0 || last < beat {
					t.Fatalf("%q", events)
				}
				if b.count("extend cut off") != 0 {
					t.Error("the extension was cancelled: SQS may carry it out later")
				}
				if last != len(events)-1 {
					t.Errorf("something came after the message was settled: %q", events)
				}
			})
		})
	}
}

func TestALostLeaseEndsTheRunAndTheMessageIsLeftAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.queue.extendErr = func(int, time.Duration) error {
			return &snapshot.LeaseLostError{Err: errors.New("not in flight")}
		}
		var cause error
		b.runner.run = func(ctx context.Context, job snapshot.Job) snapshot.Outcome {
			<-ctx.Done()
			cause = context.Cause(ctx)
			return snapshot.Outcome{Result: made(job, messages.Failed, messages.ReasonInterrupted), Again: true}
		}
		stop := b.start(t.Context())
		b.queue.send("m", plain)
		time.Sleep(50 * time.Second)
		stop()
		b.expect(t, "receive m#1", "run r", "extend fails")
		if !isLost(cause) {
			t.Errorf("cause %v", cause)
		}
		if b.leasesLost != 1 {
			t.Errorf("%d leases lost", b.leasesLost)
		}
	})
}

func TestALeaseLostInsideTheWindowStillEndsInAResult(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.queue.extendErr = func(int, time.Duration) error {
			return &snapshot.LeaseLostError{Err: errors.New("not in flight")}
		}
		b.runner.run = func(_ context.Context, job snapshot.Job) snapshot.Outcome {
			time.Sleep(45 * time.Second)
			return snapshot.Outcome{Result: made(job, messages.Succeeded, "")}
		}
		stop := b.start(t.Context())
		b.queue.send("m", plain)
		time.Sleep(50 * time.Second)
		stop()
		b.expect(t, "receive m#1", "run r", "extend fails", "finish succeeded", "publish succeeded ", "published", "delete m#1")
	})
}

type codedError string

func (e codedError) Error() string { return "SQS says " + string(e) }

func (e codedError) ErrorCode() string { return string(e) }

func TestTheLoopOutlivesEveryErrorOfSQS(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.loop.Random = func() float64 { return 0.999 }
		var at []time.Time
		b.queue.receiveErr = func(n int) error {
			at = append(at, time.Now())
			switch {
			case n <= 8:
				return codedError("AWS.SimpleQueueService.NonExistentQueue")
			case n <= 10:
				return fmt.Errorf("no answer: %w", context.DeadlineExceeded)
			case n == 11:
				return errors.New("connection refused")
			}
			return nil
		}
		stop := b.start(t.Context())
		time.Sleep(15 * time.Minute)
		if s := b.monitor.Status(); s.PollError != "" || s.LastPoll.IsZero() {
			t.Errorf("status %+v", s)
		}
		stop()
		if n := strings.Count(b.log.String(), "cannot receive"); n != 3 {
			t.Errorf("logged %d times, for three different errors", n)
		}
		if len(b.receiveErrors) != 11 || b.receiveErrors[8] != "timeout" || b.receiveErrors[10] != "unreachable" {
			t.Errorf("observed %q", b.receiveErrors)
		}
		if wait := at[1].Sub(at[0]); wait < time.Second || wait > 2*time.Second {
			t.Errorf("the first wait is %s", wait)
		}
		if wait := at[10].Sub(at[9]); wait < 50*time.Second || wait > time.Minute {
			t.Errorf("the tenth wait is %s", wait)
		}
	})
}

func TestADeletionIsTriedAFewTimesAndThenLeftToTheJournal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.queue.deleteErr = func(n int) error {
			if n <= 3 {
				return errors.New("no route to host")
			}
			return nil
		}
		stop := b.start(t.Context())
		b.queue.send("m", plain)
		time.Sleep(5 * time.Minute)
		stop()
		b.expect(t, "receive m#1", "run r", "finish succeeded", "publish succeeded ", "published", "delete fails", "delete fails", "delete fails",
			"receive m#2", "requeue", "publish succeeded ", "published", "delete m#2")
		if r := b.topic.results(); r[0].EventID != r[1].EventID {
			t.Error("one event has two ids")
		}
		if b.duplicates != 1 || len(b.finished) != 1 {
			t.Errorf("%d duplicates, %v finished", b.duplicates, b.finished)
		}
	})
}

func TestBetweenRequestsTheRunnerMayBeExchanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		other := &fakeRunner{trail: b.trail, def: "weekly"}
		b.loop.Between = func() {
			if b.count("delete") == 1 {
				b.handler.Runner = other
			}
		}
		stop := b.start(t.Context())
		b.queue.send("m", `{"requestId":"one"}`)
		b.queue.send("n", `{"requestId":"two"}`)
		time.Sleep(time.Minute)
		stop()
		if r := b.topic.results(); len(r) != 2 || r[0].Plan != "nightly" || r[1].Plan != "weekly" {
			t.Fatalf("%q", b.list())
		}
	})
}
