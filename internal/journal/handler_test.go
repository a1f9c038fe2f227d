package journal_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"stillpoint/internal/journal"
	"stillpoint/internal/snapshot"
	"stillpoint/messages"
	"stillpoint/worker"
)

// runner is a pipeline in a few lines: it intends, sends, settles.
type runner struct {
	runs  int
	quota bool
	// inside is called in the window; nil: nothing is.
	inside func()
}

func (*runner) DefaultPlan() string           { return "nightly" }
func (*runner) Permit(messages.Request) error { return nil }

func (r *runner) Turn(context.Context) (func(), error) { return func() {}, nil }

func (r *runner) Run(ctx context.Context, job snapshot.Job) snapshot.Outcome {
	r.runs++
	res := id.Result(job.Delivery, time.Now())
	res.AttemptID = fmt.Sprint("a-", len(job.Prior)+1)
	if err := job.Record.Intend(ctx, res.AttemptID, []string{"vol-1"}); err != nil {
		res.Status, res.Reason, res.Message = messages.Failed, messages.ReasonInternal, err.Error()
		return snapshot.Outcome{Result: res}
	}
	if r.inside != nil {
		r.inside()
	}
	res.Status = messages.Succeeded
	if r.quota {
		res.Status, res.Reason = messages.Failed, messages.ReasonQuota
	} else {
		job.Record.Sending()
	}
	res.Seal(job.MessageID, time.Now())
	_ = job.Record.Settled(ctx, res)
	return snapshot.Outcome{Result: res, Again: r.quota}
}

type topic struct {
	down   bool
	events []string
}

func (p *topic) Publish(_ context.Context, r *messages.Result) error {
	if p.down {
		return errors.New("no route to host")
	}
	p.events = append(p.events, r.EventID)
	return nil
}

var id = messages.Identity{InstanceID: "i-0aaaaaaaaaaaaaaaa", Region: "eu-west-1"}

// start is a start of the worker on the same directory.
func start(t *testing.T, dir string, r worker.Runner, p worker.Publisher) *worker.Handler {
	t.Helper()
	j, err := journal.Open(dir, journal.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = j.Close() })
	return &worker.Handler{Identity: id, Runner: r, Journal: j, Publisher: p, Log: zerolog.Nop()}
}

func handle(h *worker.Handler, requestID string) worker.Outcome {
	d := messages.Delivery{Request: messages.Request{RequestID: requestID}, Source: messages.SourceSQS, RequestedAt: time.Now()}
	return h.Handle(context.Background(), d, "m-1", nil)
}

func TestTheHandlerOnTheRealJournal(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	r, p := &runner{}, &topic{down: true}
	first := handle(start(t, dir, r, p), "one")
	if first.Published || first.Err != nil || first.Result.Status != messages.Succeeded {
		t.Fatalf("%+v", first)
	}
	h := start(t, dir, r, p) // killed before the message was deleted
	p.down = false
	again := handle(h, "one")
	if !again.Duplicate || again.Result.EventID != first.Result.EventID || r.runs != 1 {
		t.Fatalf("%+v after %d runs", again, r.runs)
	}
	if waiting, err := h.Journal.Outbox(); err != nil || len(waiting) != 0 {
		t.Errorf("outbox %v, %v", waiting, err)
	}
	if len(p.events) != 1 || p.events[0] != first.Result.EventID {
		t.Errorf("published %v", p.events)
	}
	if last, err := h.Journal.LastSuccess("nightly"); err != nil || last.IsZero() {
		t.Errorf("last success %s, %v", last, err)
	}

	r.quota = true
	if out := handle(h, "two"); !out.Again {
		t.Fatalf("%+v", out)
	}
	if out := handle(start(t, dir, r, p), "two"); out.Again || out.Result.Reason != messages.ReasonQuota {
		t.Fatalf("the second attempt is the last: %+v", out)
	}
}

// The disk under state_dir is full at each moment of a request: before it, in
// the window, and in the window so that not even the room that was kept is left.
func TestAFullDiskContradictsNothing(t *testing.T) {
	for _, when := range []string{"before", "inside", "inside, and the room is taken"} {
		t.Run(when, func(t *testing.T) {
			disk := journal.SmallDisk(t, "ext4")
			dir := filepath.Join(disk, "state")
			r, p := &runner{}, &topic{}
			h := start(t, dir, r, p)
			if err := h.Journal.Check(); err != nil {
				t.Fatal(err)
			}
			var free func()
			r.inside = func() {
				if when != "before" {
					free = journal.Fill(t, disk)
				}
				if when == "inside, and the room is taken" {
					if err := os.Remove(filepath.Join(dir, "reserve")); err != nil {
						t.Fatal(err)
					}
					again := journal.Fill(t, disk)
					first := free
					free = func() { first(); again() }
				}
			}
			if when == "before" {
				free = journal.Fill(t, disk)
			}
			first := handle(h, "one")
			switch when {
			case "before":
				if !first.Again || first.Err == nil || len(p.events) != 0 {
					t.Fatalf("%+v: %s", first, first.Result.Message)
				}
			case "inside":
				if first.Err != nil || first.Result.Status != messages.Succeeded {
					t.Fatalf("%+v", first)
				}
			default:
				if first.Err == nil || first.Result.Status != messages.Succeeded {
					t.Fatalf("%+v", first)
				}
				if again := handle(h, "one"); again.Err == nil || again.Result.EventID != first.Result.EventID {
					t.Fatalf("while it is full: %+v", again)
				}
			}
			free()
			last := handle(h, "one")
			if last.Err != nil || last.Again || last.Result.Status != messages.Succeeded {
				t.Fatalf("%+v", last)
			}
			want := 1
			if when == "inside" { // it was finished at once: the redelivery is a duplicate
				want = 2
			}
			runs := 1
			if when == "before" {
				runs = 2
			}
			if len(p.events) != want || r.runs != runs {
				t.Errorf("published %v after %d runs", p.events, r.runs)
			}
			for _, id := range p.events {
				if id != p.events[0] {
					t.Errorf("published %v", p.events)
				}
			}
			e, err := start(t, dir, r, p).Journal.Load("one")
			if err != nil || e.Result == nil || e.Result.Status != messages.Succeeded {
				t.Errorf("%+v, %v", e, err)
			}
		})
	}
}
