package snapshot_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// settle calls Reconcile, and holds that it is no attempt.
func (b *bed) settle(t *testing.T, ctx context.Context) snapshot.Outcome {
	t.Helper()
	out := b.Pipeline(b.plan).Reconcile(ctx, b.job)
	for _, f := range b.Faults() {
		t.Errorf("rule broken: %s", f)
	}
	wellFormed(t, out.Result)
	for _, call := range b.Calls() {
		switch call {
		case "EBS.Find", "EBS.Tag", "EBS.VolumeTags", "Sleep", "Progress look-up", "Progress reconcile", "Progress tag":
		default:
			t.Errorf("it called %s", call)
		}
	}
	return out
}

// What an attempt comes to that nobody came back for: what EC2 and the journal
// can tell, and never a new one, whatever age and count would permit.
func TestReconcile(t *testing.T) {
	good := settled("a-1", messages.Succeeded, "", messages.ConsistencyApplication, "snap-1", "snap-2")
	limit := settled("a-1", messages.Failed, messages.ReasonQuota, messages.ConsistencyNone)
	lost := settled("a-1", messages.Failed, messages.ReasonSnapshotAmbiguous, messages.ConsistencyNone)
	open := snapshot.Attempt{ID: "a-1", Sent: true, VolumeIDs: volumes}
	away := func(b *bed) {
		b.EBS.FindFunc = func(context.Context, string) ([]snapshot.Existing, error) { return nil, outOfReach("EC2") }
	}
	crash := messages.ConsistencyCrash
	for _, tc := range []struct {
		name  string
		prior []snapshot.Attempt
		made  []snapshot.Existing
		set   func(b *bed)
		want  verdict
		says  string
		tags  int
	}{
		{name: "open, found", prior: []snapshot.Attempt{open}, made: inEC2("a-1", "snap-1", "snap-2"), want: inconsistent(messages.ReasonInterrupted, crash), says: "nothing proves", tags: 2},
		{name: "open, a part found", prior: []snapshot.Attempt{open}, made: inEC2("a-1", "snap-1"), want: inconsistent(messages.ReasonInterrupted, crash), says: "1 snapshot", tags: 1},
		{name: "open, none there", prior: []snapshot.Attempt{open}, want: failed(messages.ReasonSnapshotAmbiguous), says: "before it knew EC2's answer"},
		{name: "open, EC2 away", prior: []snapshot.Attempt{open}, set: away, want: failedAgain(messages.ReasonSnapshotAmbiguous), says: "cannot reach EC2"},
		{name: "ambiguous, none there", prior: []snapshot.Attempt{{ID: "a-1", Sent: true, VolumeIDs: volumes, Settled: lost}}, want: failed(messages.ReasonSnapshotAmbiguous)},
		{name: "settled", prior: []snapshot.Attempt{{ID: "a-1", Sent: true, Settled: good}}, set: away, want: success(messages.ConsistencyApplication), says: "what was said then", tags: 2},
		{name: "limit", prior: []snapshot.Attempt{{ID: "a-1", Sent: true, Settled: limit}}, want: failed(messages.ReasonQuota), says: "what was said then"},
		{name: "limit, EC2 away", prior: []snapshot.Attempt{{ID: "a-1", Sent: true, Settled: limit}}, set: away, want: failed(messages.ReasonQuota)},
		{name: "not sent", prior: []snapshot.Attempt{{ID: "a-1", VolumeIDs: volumes}}, want: failed(messages.ReasonInterrupted), says: "an attempt ended before EC2 was asked"},
		{name: "not sent, EC2 away", prior: []snapshot.Attempt{{ID: "a-1"}}, set: away, want: failed(messages.ReasonInterrupted), says: "none were made"},
		{name: "not sent twice", prior: []snapshot.Attempt{{ID: "a-0"}, {ID: "a-1"}}, want: failed(messages.ReasonInterrupted), says: "2 attempts ended"},
		{name: "nothing known", want: failed(messages.ReasonInterrupted), says: "nothing was begun"},
	} {
		inBubble(t, tc.name, func(t *testing.T) {
			b := newBed()
			b.job.Prior, b.EBS.Made = tc.prior, tc.made
			b.job.Record, b.job.Lease = nil, nil
			if tc.set != nil {
				tc.set(b)
			}
			out := b.settle(t, t.Context())
			if d := cmp.Diff(tc.want, of(out)); d != "" {
				t.Errorf("verdict: %s\n%s", d, out.Result.Message)
			}
			if !strings.Contains(out.Result.Message, tc.says) {
				t.Errorf("it says %q", out.Result.Message)
			}
			if len(tc.prior) > 0 && out.Result.AttemptID != "a-1" {
				t.Errorf("it is of attempt %q", out.Result.AttemptID)
			}
			if n := b.Count("EBS.Tag"); n != tc.tags {
				t.Errorf("%d snapshots were tagged, want %d", n, tc.tags)
			}
		})
	}
}

// Stopped while it looks: nothing is published, and it is looked at again later.
func TestReconcileStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed()
		b.job.Prior = []snapshot.Attempt{{ID: "a-1", Sent: true, VolumeIDs: volumes}}
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		if out := b.settle(t, ctx); !out.Again || out.Result.Reason != messages.ReasonSnapshotAmbiguous {
			t.Errorf("again %v, %s", out.Again, out.Result.Reason)
		}
	})
}

// The look-ups after an ambiguous answer: at once, then for at least three
// minutes at intervals that never shrink, everything let go and the message kept.
func TestLookupSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed()
		var let time.Time
		var looks []time.Duration
		b.EBS.CreateFunc = func(context.Context, snapshot.CreateSet) ([]messages.Snapshot, error) { return nil, ambiguous() }
		b.DB.UnlockFunc = func(context.Context) error { let = time.Now(); return nil }
		b.EBS.FindFunc = func(context.Context, string) ([]snapshot.Existing, error) {
			if !let.IsZero() {
				looks = append(looks, time.Since(let))
			}
			return nil, nil
		}
		out := b.run(t, t.Context())
		if d := cmp.Diff(failed(messages.ReasonSnapshotAmbiguous), of(out)); d != "" {
			t.Error(d)
		}
		if len(looks) < 6 || looks[0] != 0 || looks[len(looks)-1] < 3*time.Minute {
			t.Fatalf("it looked after %v", looks)
		}
		for i := 2; i < len(looks); i++ {
			if looks[i]-looks[i-1] < looks[i-1]-looks[i-2] {
				t.Errorf("the intervals shrink: %v", looks)
			}
		}
		if first, last := looks[1], looks[len(looks)-1]-looks[len(looks)-2]; last < 4*first {
			t.Errorf("the intervals hardly grow: %v", looks)
		}
		if b.Count("Record.Settled") != 1 {
			t.Error("the verdict is not durable")
		}
	})
}

// An open attempt is looked up over what is left of the schedule since its call.
func TestScheduleOfAnOlderAttempt(t *testing.T) {
	const whole = 210 * time.Second
	for name, tc := range map[string]struct {
		sent  time.Duration // ago; negative: in the future
		known bool
		want  time.Duration // how long it looks
		looks int           // after the first, with which every run begins
	}{
		"unknown":            {0, false, whole, 11},
		"just now":           {0, true, whole, 11},
		"within the timeout": {10 * time.Second, true, whole, 11},
		"a minute ago":       {70 * time.Second, true, whole - 60*time.Second, 6},
		"almost over":        {10*time.Second + whole - time.Second, true, time.Second, 2},
		"over":               {10*time.Second + whole, true, 2 * time.Second, 2},
		"yesterday":          {24 * time.Hour, true, 2 * time.Second, 2},
		"a clock that jumps": {-time.Hour, true, whole, 11},
	} {
		inBubble(t, name, func(t *testing.T) {
			b := newBed()
			a := snapshot.Attempt{ID: "a-1", Sent: true, VolumeIDs: volumes}
			if tc.known {
				a.SentAt = time.Now().Add(-tc.sent)
			}
			b.job.Prior = []snapshot.Attempt{a}
			start := time.Now()
			out := b.run(t, t.Context())
			if d := cmp.Diff(failed(messages.ReasonSnapshotAmbiguous), of(out)); d != "" {
				t.Error(d)
			}
			if took := time.Since(start); took != tc.want || b.Count("EBS.Find") != tc.looks+1 {
				t.Errorf("it looked %d times for %s, want %d for %s", b.Count("EBS.Find"), took, tc.looks+1, tc.want)
			}
		})
	}
}

// A part of the set that shows itself first does not settle an open attempt:
// the rest must bear the verdict too.
func TestOpenAttemptShowsItselfInParts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed()
		b.job.Prior = []snapshot.Attempt{{ID: "a-1", Sent: true, VolumeIDs: volumes}}
		b.EBS.Made = inEC2("a-1", "snap-1", "snap-2")
		b.EBS.FindFunc = func(context.Context, string) ([]snapshot.Existing, error) {
			return slices.Clone(b.EBS.Made[:min(b.Count("EBS.Find")/4+1, 2)]), nil
		}
		out := b.run(t, t.Context())
		if d := cmp.Diff(inconsistent(messages.ReasonInterrupted, messages.ConsistencyCrash), of(out)); d != "" || len(out.Result.Snapshots) != 2 {
			t.Errorf("%s, %d snapshots", d, len(out.Result.Snapshots))
		}
		for _, m := range b.EBS.Made {
			if m.Tags[snapshot.TagStatus] != "inconsistent" {
				t.Errorf("%s is tagged %v", m.SnapshotID, m.Tags)
			}
		}
	})
}

// Cut short while only a part is there: it stays open.
func TestPartFoundAndCutShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		b.EBS.CreateFunc = func(_ context.Context, set snapshot.CreateSet) ([]messages.Snapshot, error) {
			b.EBS.Start(set, 1)
			time.AfterFunc(10*time.Second, cancel)
			return nil, ambiguous()
		}
		out := b.run(t, ctx)
		if !out.Again || b.Count("Record.Settled") != 0 {
			t.Errorf("again %v, settled %d times", out.Again, b.Count("Record.Settled"))
		}
	})
}
