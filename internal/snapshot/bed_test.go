package snapshot_test

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v6"
	"go.uber.org/goleak"

	"stillpoint/internal/snapshot"
	"stillpoint/internal/snapshot/snapshottest"
	"stillpoint/messages"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bed is a host, a plan and a job for one test.
type bed struct {
	*snapshottest.Rig
	plan  snapshot.Plan
	job   snapshot.Job
	tweak func(p *snapshot.Pipeline)
}

func newBed() *bed {
	r := snapshottest.New()
	return &bed{Rig: r,
		plan: snapshot.Plan{
			Name: "nightly", Freeze: []string{"/var/lib/mysql"},
			LockTries: 3, LockSleep: 5 * time.Second, LockTimeout: 500 * time.Millisecond,
			SnapshotTimeout: 10 * time.Second, MaxHold: 45 * time.Second, MaxAge: time.Hour,
		},
		job: snapshot.Job{
			Delivery: messages.Delivery{
				Request: messages.Request{RequestID: "req-1", Plan: "nightly"}, Source: messages.SourceSQS, RequestedAt: time.Now(),
			},
			MessageID: "m-1", Record: r.Record, Lease: r.Lease,
		},
	}
}

// run carries the job out, and holds what every run must obey: nothing stays
// held or open, the rules inside the window, and a result that is one.
func (b *bed) run(t *testing.T, ctx context.Context) snapshot.Outcome {
	t.Helper()
	p := b.Pipeline(b.plan)
	if b.tweak != nil {
		b.tweak(p)
	}
	out := p.Run(ctx, b.job)
	for _, f := range b.Faults() {
		t.Errorf("rule broken: %s\n%s", f, strings.Join(b.Calls(), "\n"))
	}
	wellFormed(t, out.Result)
	return out
}

// again delivers the request once more, with what the journal learned.
func (b *bed) again(t *testing.T, ctx context.Context) snapshot.Outcome {
	t.Helper()
	b.job.Prior = append([]snapshot.Attempt{}, b.Record.Attempts...)
	return b.run(t, ctx)
}

var resultSchema = sync.OnceValues(func() (*jsonschema.Schema, error) {
	text, err := messages.Schema("result")
	if err != nil {
		return nil, err
	}
	doc, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	c := jsonschema.NewCompiler()
	c.AssertFormat()
	if err := c.AddResource("result", doc); err != nil {
		return nil, err
	}
	return c.Compile("result")
})

func wellFormed(t *testing.T, r *messages.Result) {
	t.Helper()
	schema, err := resultSchema()
	if err != nil {
		t.Fatal(err)
	}
	text, err := messages.MarshalResult(r)
	if err != nil {
		t.Fatal(err)
	}
	v, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err == nil {
		err = schema.Validate(v)
	}
	if err != nil {
		t.Errorf("the result breaks its schema: %v\n%s", err, text)
	}
	for _, bad := range []string{"%!", "<nil>", "()"} {
		if strings.Contains(string(text), bad) {
			t.Errorf("the result has %q in it: %s", bad, text)
		}
	}
	exists := len(r.Snapshots) > 0
	switch {
	case (r.Status == messages.Succeeded) != (r.Reason == ""):
		t.Errorf("status %s with reason %q", r.Status, r.Reason)
	case r.Status == messages.Inconsistent && !exists:
		t.Error("inconsistent without snapshots")
	case r.Status == messages.Failed && exists:
		t.Error("failed with snapshots")
	case (r.Consistency == messages.ConsistencyNone) == exists:
		t.Errorf("consistency %s with %d snapshots", r.Consistency, len(r.Snapshots))
	case r.Status == messages.Succeeded && !exists && !r.DryRun:
		t.Error("succeeded without snapshots")
	case r.Message == "":
		t.Error("no message")
	}
}

// verdict is what the table tests compare.
type verdict struct {
	Status      messages.Status
	Reason      messages.Reason
	Consistency messages.Consistency
	Again       bool
}

func of(out snapshot.Outcome) verdict {
	return verdict{out.Result.Status, out.Result.Reason, out.Result.Consistency, out.Again}
}

func success(c messages.Consistency) verdict { return verdict{messages.Succeeded, "", c, false} }
func failed(r messages.Reason) verdict {
	return verdict{messages.Failed, r, messages.ConsistencyNone, false}
}
func failedAgain(r messages.Reason) verdict {
	return verdict{messages.Failed, r, messages.ConsistencyNone, true}
}
func inconsistent(r messages.Reason, c messages.Consistency) verdict {
	return verdict{messages.Inconsistent, r, c, false}
}

// inBubble runs a test on a clock of its own.
func inBubble(t *testing.T, name string, f func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, f) })
}

// wait lets time pass, or returns the context's error.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func warned(r *messages.Result, words string) bool {
	return strings.Contains(strings.Join(r.Warnings, "\n"), words)
}
