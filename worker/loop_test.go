package worker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
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

func TestWhatIsRejectedGoesToTheDeadLetterQueue(t *testing.T) {
	for name, tc := range map[string]struct {
		body   string
		reason messages.Reason
	}{
		"no JSON":             {"hello", messages.ReasonInvalidRequest},
		"an unknown key":      {`{"plam":"nightly"}`, messages.ReasonInvalidRequest},
		"another instance's":  {`{"instanceId":"i-0bbbbbbbbbbbbbbbb"}`, messages.ReasonMisrouted},
		"what is not allowed": {`{"plan":"secret"}`, messages.ReasonNotPermitted},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.runner.permit = func(q messages.Request) error {
					if q.Plan == "secret" {
						return &RejectedError{messages.ReasonNotPermitted, "not that one"}
					}
					return nil
				}
				stop := b.start(t.Context())
				b.queue.send("m", tc.body)
				time.Sleep(time.Minute)
				stop()
				b.expect(t, "receive m#1", "dead letter m "+string(tc.reason), "finish rejected", "publish rejected "+string(tc.reason), "published", "delete m#1")
				if r := b.topic.results()[0]; r.Source != messages.SourceSQS || len(r.Warnings) != 0 || r.InstanceID != "i-0aaa" {
					t.Errorf("result %+v", r)
				}
			})
		})
	}
}

// While a copy is sent to a queue that does not answer, a `stillpoint snapshot`
// is not refused as busy.
func TestARejectionDoesNotKeepTheTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.runner.permit = func(messages.Request) error { return &RejectedError{messages.ReasonNotPermitted, "no"} }
		b.runner.turn = func(context.Context) (func(), error) { return func() { b.add("the turn ends") }, nil }
		stop := b.start(t.Context())
		b.queue.send("m", plain)
		time.Sleep(time.Second)
		stop()
		if list := b.list(); slices.Index(list, "the turn ends") != slices.Index(list, "dead letter m not_permitted")-1 {
			t.Errorf("%q", list)
		}
	})
}

func TestWithoutADeadLetterQueueTheResultSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.queue.deadErr = fmt.Errorf("looked: %w", ErrNoDeadLetterQueue)
		stop := b.start(t.Context())
		b.queue.send("m", "hello")
		time.Sleep(time.Minute)
		stop()
		b.expect(t, "receive m#1", "dead letter fails", "finish rejected", "publish rejected invalid_request", "published", "delete m#1")
		if w := b.topic.results()[0].Warnings; len(w) != 1 || !strings.Contains(w[0], "no dead-letter queue") {
			t.Errorf("warnings %q", w)
		}
	})
}

func TestACopyThatIsOwedKeepsTheMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.queue.deadErr = errors.New("AccessDenied")
		stop := b.start(t.Context())
		b.queue.send("m", "hello")
		time.Sleep(10 * time.Second)
		b.expect(t, "receive m#1", "dead letter fails", "finish rejected", "publish rejected invalid_request", "published", "extend m#1 30s")
		b.queue.failDeadLetters(nil)
		time.Sleep(time.Minute)
		stop()
		if b.count("delete m#2") != 1 || b.count("dead letter m") != 1 {
			t.Fatalf("%q", b.list())
		}
		if n := len(b.topic.results()); n != 1 || b.count("finish") != 1 {
			t.Errorf("the result was published %d times and written down %d times", n, b.count("finish"))
		}
		if len(b.finished) != 1 {
			t.Errorf("counted %d times", len(b.finished))
		}
	})
}

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

type codedError string

func (e codedError) Error() string     { return "SQS says " + string(e) }
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
