package worker

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

func request(id, plan string) messages.Delivery {
	return messages.Delivery{
		Request: messages.Request{RequestID: id, Plan: plan, Action: messages.ActionSnapshot},
		Source:  messages.SourceSQS, RequestedAt: time.Now(),
	}
}

func (b *bench) handle(d messages.Delivery) Outcome {
	return b.handler.Handle(context.Background(), d, "m-1", nil)
}

// finished puts a finished request into the journal.
func (b *bench) finish(id, plan string, s messages.Status, reason messages.Reason) *messages.Result {
	r := made(snapshot.Job{Delivery: request(id, plan), MessageID: "m-0"}, s, reason)
	r.AttemptID = "a-0"
	r.Seal("m-0", time.Now())
	b.journal.entries[id] = &Entry{RequestID: id, Plan: plan, Attempts: []snapshot.Attempt{{ID: "a-0", Sent: true}}, Result: r}
	return r
}

func TestRejectionsAreDecidedInTheContractsOrder(t *testing.T) {
	refuse := func(reason messages.Reason) func(messages.Request) error {
		return func(messages.Request) error { return &RejectedError{reason, "no: " + string(reason)} }
	}
	for _, tc := range []struct {
		name    string
		request messages.Request
		arrange func(b *bench)
		want    messages.Reason
	}{
		{"another instance's, before the journal is looked at", messages.Request{InstanceID: "i-0bbb"},
			func(b *bench) { b.journal.loadErr = errors.New("never asked") }, messages.ReasonMisrouted},
		{"an id of another plan, before the plan is looked at", messages.Request{Plan: "weekly"},
			func(b *bench) {
				b.finish("r", "nightly", messages.Succeeded, "")
				b.runner.permit = refuse(messages.ReasonUnknownPlan)
			}, messages.ReasonConflict},
		{"an id of another plan that is under way", messages.Request{Plan: "weekly"},
			func(b *bench) {
				b.journal.entries["r"] = &Entry{Plan: "nightly", Attempts: []snapshot.Attempt{{ID: "a"}}}
			}, messages.ReasonConflict},
		{"a plan that is not there", messages.Request{Plan: "weekly"},
			func(b *bench) { b.runner.permit = refuse(messages.ReasonUnknownPlan) }, messages.ReasonUnknownPlan},
		{"tags that the plan does not let in", messages.Request{},
			func(b *bench) { b.runner.permit = refuse(messages.ReasonNotPermitted) }, messages.ReasonNotPermitted},
		{"no plan and no default", messages.Request{}, func(b *bench) { b.runner.def = "" }, messages.ReasonUnknownPlan},
		{"an error of ours in asking", messages.Request{},
			func(b *bench) { b.runner.permit = func(messages.Request) error { return errors.New("odd") } }, messages.ReasonInternal},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t)
			tc.arrange(b)
			d := request("r", "")
			tc.request.RequestID = "r"
			d.Request = tc.request
			out := b.handle(d)
			if out.Result.Status != messages.Rejected || out.Result.Reason != tc.want || out.Err != nil || out.Again || !out.Published {
				t.Fatalf("outcome %+v, result %+v", out, out.Result)
			}
			if out.Result.Message == "" || out.Result.EventID == "" {
				t.Errorf("the result says too little: %+v", out.Result)
			}
			b.expect(t, "finish rejected", "publish rejected "+string(tc.want), "published")
		})
	}
}

func TestASuccessIsDurableBeforeItIsPublished(t *testing.T) {
	b := newBench(t)
	b.journal.success["nightly"] = time.Unix(1e9, 0)
	out := b.handle(request("r", ""))
	b.expect(t, "run r", "finish succeeded", "publish succeeded ", "published")
	if !out.Published || out.Result.Plan != "nightly" {
		t.Errorf("outcome %+v", out)
	}
	job := b.runner.jobs[0]
	if job.Delivery.Request.Plan != "nightly" || job.Record == nil || job.MessageID != "m-1" || !job.LastSuccess.Equal(time.Unix(1e9, 0)) {
		t.Errorf("the job lacks something: %+v", job)
	}
	if len(b.finished) != 1 || b.duplicates != 0 {
		t.Errorf("observed %v, %d duplicates", b.finished, b.duplicates)
	}
}

func TestAFinishedRequestIsNotRunAgain(t *testing.T) {
	for _, s := range []messages.Status{messages.Succeeded, messages.Failed, messages.Inconsistent} {
		b := newBench(t)
		first := b.finish("r", "weekly", s, messages.ReasonLockTimeout)
		b.runner.permit = func(messages.Request) error { return &RejectedError{messages.ReasonUnknownPlan, "the plan is gone"} }
		out := b.handle(request("r", "")) // no plan: it takes the plan of then
		if !out.Duplicate || out.Result.EventID != first.EventID {
			t.Fatalf("outcome %+v", out)
		}
		b.expect(t, "requeue", "publish "+string(s)+" lock_timeout", "published")
		if b.duplicates != 1 || len(b.finished) != 0 {
			t.Errorf("observed %d duplicates, %v finished", b.duplicates, b.finished)
		}
	}
}

func TestADryRunNeitherUsesNorConsultsIDs(t *testing.T) {
	b := newBench(t)
	b.finish("r", "weekly", messages.Succeeded, "")
	d := request("r", "nightly")
	d.Request.DryRun = true
	out := b.handle(d)
	if out.Duplicate || out.Result.Status != messages.Succeeded {
		t.Fatalf("outcome %+v", out)
	}
	if b.runner.jobs[0].Record != nil {
		t.Error("a dry run got a record")
	}
	if b.count("load") != 0 {
		t.Error("a dry run consulted the journal")
	}
}

func TestAgain(t *testing.T) {
	again := func(intend bool) func(ctx context.Context, job snapshot.Job) snapshot.Outcome {
		return func(ctx context.Context, job snapshot.Job) snapshot.Outcome {
			if intend {
				_ = job.Record.Intend(ctx, "a-"+time.Now().String(), nil)
			}
			return snapshot.Outcome{Result: made(job, messages.Failed, messages.ReasonQuota), Again: true}
		}
	}
	t.Run("publishes nothing", func(t *testing.T) {
		b := newBench(t)
		b.runner.run = again(true)
		out := b.handle(request("r", ""))
		if !out.Again {
			t.Fatalf("outcome %+v", out)
		}
		b.expect(t, "run r")
	})
	t.Run("ends with the last attempt", func(t *testing.T) {
		b := newBench(t)
		b.runner.run = again(true)
		b.handle(request("r", ""))
		out := b.handle(request("r", ""))
		if out.Again || out.Result.Reason != messages.ReasonQuota {
			t.Fatalf("outcome %+v", out)
		}
		b.expect(t, "run r", "run r", "finish failed", "publish failed quota", "published")
		if n := len(b.runner.jobs[1].Prior); n != 1 {
			t.Errorf("the second run was told of %d attempts", n)
		}
	})
	t.Run("ends at once without a queue", func(t *testing.T) {
		b := newBench(t)
		b.handler.NoQueue = true
		b.runner.run = again(true)
		if out := b.handle(request("r", "")); out.Again || !out.Published {
			t.Fatalf("outcome %+v", out)
		}
		b.expect(t, "run r", "finish failed", "publish failed quota", "published")
	})
	t.Run("does not count runs without an intent", func(t *testing.T) {
		b := newBench(t)
		b.runner.run = again(false)
		for range 5 {
			if out := b.handle(request("r", "")); !out.Again {
				t.Fatalf("outcome %+v", out)
			}
		}
	})
}

func TestAnAmbiguousAnswerIsTheOnlyOneThatIsOpenedAgain(t *testing.T) {
	for _, tc := range []struct {
		name      string
		status    messages.Status
		reason    messages.Reason
		again     bool
		cancelled bool
		want      string // status published; "" nothing
	}{
		{"found by now", messages.Inconsistent, messages.ReasonSnapshotAmbiguous, false, false, "inconsistent"},
		{"still not found", messages.Failed, messages.ReasonSnapshotAmbiguous, false, false, "same"},
		{"too old by now", messages.Skipped, messages.ReasonStale, false, false, "same"},
		{"EC2 out of reach", messages.Failed, messages.ReasonPreflightFailed, true, false, "same"},
		{"no time to look", messages.Failed, messages.ReasonSnapshotAmbiguous, true, true, ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			b := newBench(t)
			first := b.finish("r", "nightly", messages.Failed, messages.ReasonSnapshotAmbiguous)
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			b.runner.run = func(_ context.Context, job snapshot.Job) snapshot.Outcome {
				if tc.cancelled {
					cancel()
				}
				if len(job.Prior) != 1 || !job.Prior[0].Sent {
					t.Errorf("the run was told of %+v", job.Prior)
				}
				r := made(job, tc.status, tc.reason)
				r.AttemptID = "a-0"
				r.Seal(job.MessageID, time.Now())
				return snapshot.Outcome{Result: r, Again: tc.again}
			}
			out := b.handler.Handle(ctx, request("r", ""), "m-1", nil)
			switch tc.want {
			case "":
				if !out.Again || b.count("publish") != 0 {
					t.Fatalf("outcome %+v", out)
				}
			case "same":
				if !out.Duplicate || out.Result != first {
					t.Fatalf("outcome %+v, result %+v", out, out.Result)
				}
			default:
				if out.Duplicate || out.Result.Status != messages.Inconsistent || out.Result.EventID == first.EventID {
					t.Fatalf("outcome %+v, result %+v", out, out.Result)
				}
				if got := b.journal.entries["r"].Result; got != out.Result {
					t.Errorf("the journal still says %+v", got)
				}
				if again := b.handle(request("r", "")); !again.Duplicate {
					t.Error("what was found was looked for again")
				}
			}
		})
	}
}

// The file of the request was damaged between the verdict and the result.
func TestWithoutItsAttemptAnAmbiguousAnswerIsNotOpenedAgain(t *testing.T) {
	for name, attempts := range map[string][]snapshot.Attempt{"none": nil, "another": {{ID: "b", Sent: true}}, "not sent": {{ID: "a-0"}}} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			first := b.finish("r", "nightly", messages.Failed, messages.ReasonSnapshotAmbiguous)
			b.journal.entries["r"].Attempts = attempts
			if out := b.handle(request("r", "")); !out.Duplicate || out.Result != first || len(b.runner.jobs) != 0 {
				t.Fatalf("%d runs, outcome %+v", len(b.runner.jobs), out)
			}
		})
	}
}

func TestAJournalThatCannotBeReadDecidesNothing(t *testing.T) {
	b := newBench(t)
	b.journal.loadErr = errors.New("input/output error")
	out := b.handle(request("r", ""))
	if !out.Again || out.Err == nil {
		t.Fatalf("outcome %+v", out)
	}
	b.expect(t)
	if s := b.monitor.Status(); !strings.Contains(s.JournalError, "input/output") {
		t.Errorf("status %+v", s)
	}
}

func TestAFullDiskStillPublishesAndKeepsTheMessage(t *testing.T) {
	b := newBench(t)
	b.journal.finishErr = errors.New("no space left on device")
	out := b.handle(request("r", ""))
	if out.Err == nil || !out.Published {
		t.Fatalf("outcome %+v", out)
	}
	if s := b.monitor.Status(); s.JournalError == "" {
		t.Error("the monitor does not know")
	}
	if strings.Contains(b.log.String(), `"message":"request finished"`) {
		t.Error("logged as finished, though it is not durable")
	}
	b.journal.finishErr = nil
	b.handle(request("r2", ""))
	if s := b.monitor.Status(); s.JournalError != "" {
		t.Errorf("the error stays: %+v", s)
	}
}

func TestWhatCannotBePublishedWaitsInTheOutbox(t *testing.T) {
	b := newBench(t)
	b.topic.fail(errors.New("unreachable"))
	out := b.handle(request("r", ""))
	if out.Err != nil || out.Published || len(b.journal.waiting) != 1 {
		t.Fatalf("outcome %+v, %d waiting", out, len(b.journal.waiting))
	}
}

func TestWithoutATopicNothingWaits(t *testing.T) {
	b := newBench(t)
	b.handler.Publisher = nil
	out := b.handle(request("r", ""))
	if out.Published || out.Err != nil || len(b.journal.waiting) != 0 {
		t.Fatalf("outcome %+v, %d waiting", out, len(b.journal.waiting))
	}
}

func TestAResultIsPublishedEvenWhereShutdownHasBegun(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(context.Background())
	b.runner.run = func(_ context.Context, job snapshot.Job) snapshot.Outcome {
		cancel() // inside the window
		return snapshot.Outcome{Result: made(job, messages.Succeeded, "")}
	}
	if out := b.handler.Handle(ctx, request("r", ""), "m-1", nil); !out.Published {
		t.Fatalf("outcome %+v", out)
	}
}

func TestARunWithoutAResultIsOurFault(t *testing.T) {
	b := newBench(t)
	b.runner.run = func(context.Context, snapshot.Job) snapshot.Outcome { return snapshot.Outcome{} }
	if out := b.handle(request("r", "")); out.Result == nil || out.Result.Reason != messages.ReasonInternal {
		t.Fatalf("outcome %+v", out)
	}
}

// What the journal says counts once the turn has come: somebody else may have
// finished the request meanwhile.
func TestTheTurnComesBeforeTheJournal(t *testing.T) {
	b := newBench(t)
	ended := 0
	b.runner.turn = func(context.Context) (func(), error) {
		b.finish("r", "nightly", messages.Succeeded, "")
		return func() {
			ended++
			if b.count("requeue") != 1 {
				t.Error("the turn ended before the decision was durable")
			}
		}, nil
	}
	out := b.handle(request("r", ""))
	if !out.Duplicate || len(b.runner.jobs) != 0 || ended != 1 {
		t.Errorf("outcome %+v, %d runs, %d ends", out, len(b.runner.jobs), ended)
	}
}

func TestATurnThatDoesNotCome(t *testing.T) {
	b := newBench(t)
	b.runner.turn = func(context.Context) (func(), error) { return nil, errors.New("no descriptors left") }
	if out := b.handle(request("r", "")); !out.Again || out.Err == nil || len(b.runner.jobs) != 0 ||
		!strings.Contains(out.Result.Message, "runtime_dir") || strings.Contains(out.Result.Message, "state_dir") {
		t.Errorf("outcome %+v, %s", out, out.Result.Message)
	}
	ctx, cancel := context.WithCancel(t.Context())
	b.runner.turn = func(ctx context.Context) (func(), error) { cancel(); return nil, ctx.Err() }
	out := b.handler.Handle(ctx, request("r", ""), "m-1", nil)
	if !out.Again || out.Err != nil || out.Result.Reason != messages.ReasonInterrupted {
		t.Errorf("outcome %+v, %+v", out, out.Result)
	}
}

// Every turn that was taken is ended, however the request ends.
func TestEveryTurnEnds(t *testing.T) {
	b := newBench(t)
	b.handle(request("a", ""))
	b.handle(request("a", ""))
	b.handle(request("a", "weekly"))
	b.runner.run = func(_ context.Context, job snapshot.Job) snapshot.Outcome {
		return snapshot.Outcome{Result: made(job, messages.Failed, messages.ReasonQuota), Again: true}
	}
	b.handle(request("b", ""))
	b.runner.permit = func(messages.Request) error { return errors.New("odd") }
	b.handle(request("c", ""))
	if b.runner.turns.Load() != 0 {
		t.Errorf("%d turns were not ended", b.runner.turns.Load())
	}
}
