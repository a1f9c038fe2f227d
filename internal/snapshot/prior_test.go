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

// settled is the verdict of an earlier attempt, as the journal keeps it.
func settled(attempt string, s messages.Status, r messages.Reason, c messages.Consistency, snaps ...string) *messages.Result {
	res := messages.Identity{InstanceID: "i-0123456789abcdef0", Region: "eu-west-1", Agent: messages.Agent{Name: "stillpoint", Version: "earlier"}}.
		Result(messages.Delivery{Request: messages.Request{RequestID: "req-1", Plan: "nightly"}, Source: messages.SourceSQS, RequestedAt: time.Now()}, time.Now())
	res.AttemptID, res.Status, res.Reason, res.Consistency, res.Message = attempt, s, r, c, "what was said then"
	res.Stages = []messages.Stage{{Name: "thaw", StartedAt: time.Now()}}
	for i, id := range snaps {
		res.Snapshots = append(res.Snapshots, messages.Snapshot{SnapshotID: id, VolumeID: volumes[i]})
	}
	res.Seal("m-1", time.Now())
	return res
}

var volumes = []string{"vol-0aaaaaaaaaaaaaaaa", "vol-0bbbbbbbbbbbbbbbb"}

func inEC2(attempt string, snaps ...string) []snapshot.Existing {
	var out []snapshot.Existing
	for i, id := range snaps {
		out = append(out, snapshot.Existing{
			Snapshot: messages.Snapshot{SnapshotID: id, VolumeID: volumes[i], State: "completed"},
			Tags:     map[string]string{snapshot.TagRequestID: "req-1", snapshot.TagAttemptID: attempt, snapshot.TagStatus: snapshot.Unverified, snapshot.TagDevice: "/dev/sdf"},
		})
	}
	return out
}

// tagged is the same with verdict tags.
func tagged(status, consistency, size string) []snapshot.Existing {
	made := inEC2("a-1", "snap-1", "snap-2")
	for _, e := range made {
		e.Tags[snapshot.TagStatus], e.Tags[snapshot.TagConsistency], e.Tags[snapshot.TagSetSize] = status, consistency, size
	}
	return made
}

// What earlier deliveries left behind decides before anything else, and never
// is a second set made where one may exist.
func TestPriorAttempts(t *testing.T) {
	good := settled("a-1", messages.Succeeded, "", messages.ConsistencyApplication, "snap-1", "snap-2")
	lost := settled("a-1", messages.Failed, messages.ReasonSnapshotAmbiguous, messages.ConsistencyNone)
	limit := settled("a-1", messages.Failed, messages.ReasonQuota, messages.ConsistencyNone)
	frozen := settled("a-1", messages.Failed, messages.ReasonFreezeFailed, messages.ConsistencyNone)
	tooOld := func(b *bed) {
		b.plan.MaxAge = time.Minute
		b.job.Delivery.RequestedAt = b.job.Delivery.RequestedAt.Add(-time.Hour)
	}
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
		id    string // of the attempt; "": a new one
		says  string
		warns string
		runs  bool // a new attempt locks
	}{
		{name: "settled and found", prior: []snapshot.Attempt{{ID: "a-1", Sent: true, Settled: good}}, made: inEC2("a-1", "snap-1", "snap-2"),
			want: success(messages.ConsistencyApplication), id: "a-1", says: "what was said then"},
		{name: "settled, EC2 lags", prior: []snapshot.Attempt{{ID: "a-1", Sent: true, Settled: good}},
			want: success(messages.ConsistencyApplication), id: "a-1", says: "what was said then"},
		{name: "settled, EC2 away", prior: []snapshot.Attempt{{ID: "a-1", Sent: true, Settled: good}}, set: away,
			want: success(messages.ConsistencyApplication), id: "a-1", says: "what was said then"},
		{name: "settled without a set is final too", prior: []snapshot.Attempt{{ID: "a-1", Settled: frozen}},
			want: failed(messages.ReasonFreezeFailed), id: "a-1", says: "what was said then"},
		{name: "not settled, found", prior: []snapshot.Attempt{{ID: "a-1", Sent: true, VolumeIDs: volumes}}, made: inEC2("a-1", "snap-1", "snap-2"),
			want: inconsistent(messages.ReasonInterrupted, crash), id: "a-1", says: "nothing proves"},
		{name: "a journal that was lost, tagged succeeded", made: tagged("succeeded", "application", "2"),
			want: success(messages.ConsistencyApplication), id: "a-1", says: "as their tags say"},
		{name: "a journal that was lost, a part", made: tagged("succeeded", "application", "3"),
			want: inconsistent(messages.ReasonInterrupted, crash), id: "a-1", says: "nothing proves"},
		{name: "a journal that was lost, odd tags", made: tagged("succeeded", "perfect", "2"),
			want: inconsistent(messages.ReasonInterrupted, crash), id: "a-1", says: "nothing proves"},
		{name: "the journal knows better than the tags", prior: []snapshot.Attempt{{ID: "a-1", Sent: true, VolumeIDs: volumes}}, made: tagged("succeeded", "application", "2"),
			want: inconsistent(messages.ReasonInterrupted, crash), id: "a-1", says: "nothing proves"},
		{name: "not settled, none there", prior: []snapshot.Attempt{{ID: "a-1", Sent: true, VolumeIDs: volumes}},
			want: failed(messages.ReasonSnapshotAmbiguous), id: "a-1", says: "the worker ended before it knew EC2's answer"},
		{name: "not settled, EC2 away", prior: []snapshot.Attempt{{ID: "a-1", Sent: true, VolumeIDs: volumes}}, set: away,
			want: failed(messages.ReasonSnapshotAmbiguous), id: "a-1", says: "cannot reach EC2"},
		{name: "not settled, shows up late", prior: []snapshot.Attempt{{ID: "a-1", Sent: true, VolumeIDs: volumes}}, set: func(b *bed) {
			b.EBS.FindFunc = func(context.Context, string) ([]snapshot.Existing, error) {
				if b.Count("EBS.Find") < 5 {
					return nil, nil
				}
				return inEC2("a-1", "snap-1", "snap-2"), nil
			}
		}, want: inconsistent(messages.ReasonInterrupted, crash), id: "a-1", says: "nothing proves that everything was held"},
		{name: "not sent", prior: []snapshot.Attempt{{ID: "a-1", VolumeIDs: volumes}}, want: success(messages.ConsistencyApplication), runs: true},
		{name: "limit", prior: []snapshot.Attempt{{ID: "a-1", Sent: true, VolumeIDs: volumes, Settled: limit}}, want: success(messages.ConsistencyApplication), runs: true},
		{name: "limit twice", prior: []snapshot.Attempt{{ID: "a-0", Sent: true, Settled: limit}, {ID: "a-1", Sent: true, Settled: limit}},
			want: failed(messages.ReasonQuota), id: "a-1", says: "what was said then"},
		{name: "limit, then open", prior: []snapshot.Attempt{{ID: "a-0", Sent: true, Settled: limit}, {ID: "a-1", Sent: true, VolumeIDs: volumes}},
			want: failed(messages.ReasonSnapshotAmbiguous), id: "a-1"},
		{name: "limit, then too late", prior: []snapshot.Attempt{{ID: "a-1", Sent: true, VolumeIDs: volumes, Settled: limit}}, set: tooOld,
			want: failed(messages.ReasonQuota), id: "a-1", says: "what was said then"},
		{name: "not sent, then too late", prior: []snapshot.Attempt{{ID: "a-1", VolumeIDs: volumes}}, set: tooOld,
			want: failed(messages.ReasonInterrupted), id: "a-1", says: "max_age"},
		{name: "limit twice, EC2 away", prior: []snapshot.Attempt{{ID: "a-0", Sent: true, Settled: limit}, {ID: "a-1", Sent: true, Settled: limit}}, set: away,
			want: failed(messages.ReasonQuota), id: "a-1", says: "what was said then"},
		{name: "exhausted", prior: []snapshot.Attempt{{ID: "a-0"}, {ID: "a-1", VolumeIDs: volumes}},
			want: failed(messages.ReasonInterrupted), id: "a-1", says: "2 attempts ended before EC2 was asked"},
		{name: "ambiguous opened again, found", prior: []snapshot.Attempt{{ID: "a-1", Sent: true, VolumeIDs: volumes, Settled: lost}}, made: inEC2("a-1", "snap-1", "snap-2"),
			want: inconsistent(messages.ReasonSnapshotAmbiguous, crash), id: "a-1"},
		{name: "ambiguous opened again, part found", prior: []snapshot.Attempt{{ID: "a-1", Sent: true, VolumeIDs: volumes, Settled: lost}}, made: inEC2("a-1", "snap-1"),
			want: inconsistent(messages.ReasonSnapshotAmbiguous, crash), id: "a-1"},
		{name: "ambiguous opened again, none there", prior: []snapshot.Attempt{{ID: "a-1", Sent: true, VolumeIDs: volumes, Settled: lost}},
			want: failed(messages.ReasonSnapshotAmbiguous), id: "a-1"},
		{name: "unknown to the journal", made: inEC2("a-9", "snap-1", "snap-2"),
			want: inconsistent(messages.ReasonInterrupted, crash), id: "a-9"},
		{name: "two attempts' sets", prior: []snapshot.Attempt{{ID: "a-1", Sent: true, Settled: good}}, made: append(inEC2("a-9", "snap-8", "snap-9"), inEC2("a-1", "snap-1", "snap-2")...),
			want: success(messages.ConsistencyApplication), id: "a-1", warns: "2 snapshots of another attempt"},
	} {
		inBubble(t, tc.name, func(t *testing.T) {
			b := newBed()
			b.job.Prior, b.EBS.Made = tc.prior, tc.made
			if tc.set != nil {
				tc.set(b)
			}
			kept := ""
			for _, p := range tc.prior {
				if p.Settled != nil {
					kept += p.Settled.EventID + "/" + strings.Join(p.Settled.Warnings, ";")
				}
			}
			out := b.run(t, t.Context())
			r := out.Result
			if d := cmp.Diff(tc.want, of(out)); d != "" {
				t.Errorf("verdict: %s\n%s", d, r.Message)
			}
			if tc.id != "" && r.AttemptID != tc.id {
				t.Errorf("the attempt is %q, want %q", r.AttemptID, tc.id)
			}
			if !strings.Contains(r.Message, tc.says) || tc.warns != "" && !warned(r, tc.warns) {
				t.Errorf("it says %q and warns %q", r.Message, r.Warnings)
			}
			if got := b.Count("Session.Lock") > 0; got != tc.runs || b.Count("EBS.Create") > 0 != tc.runs {
				t.Errorf("a new attempt: %v", got)
			}
			if !tc.runs && b.Count("Record.Intend") > 0 {
				t.Error("what is no attempt was counted as one")
			}
			for _, s := range r.Snapshots {
				for _, m := range b.EBS.Made {
					if m.SnapshotID == s.SnapshotID && (m.Tags[snapshot.TagStatus] != string(r.Status) || m.Tags[snapshot.TagConsistency] != string(r.Consistency)) {
						t.Errorf("%s is tagged %v", s.SnapshotID, m.Tags)
					}
				}
			}
			now := ""
			for _, p := range tc.prior {
				if p.Settled != nil {
					now += p.Settled.EventID + "/" + strings.Join(p.Settled.Warnings, ";")
				}
			}
			if now != kept {
				t.Error("the journal's own result was changed")
			}
			if tc.id == "a-1" && strings.Contains(tc.says, "then") {
				if r.Agent.Version != "earlier" || r.EventID != tc.prior[len(tc.prior)-1].Settled.EventID {
					t.Errorf("it is another event: %s", r.EventID)
				}
				if r.Stages[0].Name != "thaw" || !slices.ContainsFunc(r.Stages[1:], func(s messages.Stage) bool { return s.Name == "look-up" }) {
					t.Errorf("the stages are out of order: %v", r.Stages)
				}
			}
		})
	}
}

// Found after an ambiguous answer: another event than the failure of then.
func TestReopenedEventID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed()
		b.EBS.CreateFunc = func(context.Context, snapshot.CreateSet) ([]messages.Snapshot, error) { return nil, ambiguous() }
		first := b.run(t, t.Context())
		same := b.again(t, t.Context())
		if first.Result.EventID != same.Result.EventID || same.Result.Reason != messages.ReasonSnapshotAmbiguous {
			t.Error("nothing new, but another event")
		}
		b.EBS.Start(b.EBS.Sets[0], 2)
		found := b.again(t, t.Context())
		if found.Result.EventID == first.Result.EventID || found.Result.Status != messages.Inconsistent {
			t.Errorf("the same event, or %s", found.Result.Status)
		}
		if n := b.Count("EBS.Create"); n != 1 {
			t.Errorf("%d create calls under one id", n)
		}
	})
}

// A limit of EC2's is tried again once, as a new attempt, and then is the answer.
func TestQuotaThenAgain(t *testing.T) {
	for _, lucky := range []bool{true, false} {
		inBubble(t, map[bool]string{true: "then free", false: "twice"}[lucky], func(t *testing.T) {
			b := newBed()
			b.EBS.CreateFunc = func(context.Context, snapshot.CreateSet) ([]messages.Snapshot, error) { return nil, quota() }
			first := b.run(t, t.Context())
			if d := cmp.Diff(failedAgain(messages.ReasonQuota), of(first)); d != "" {
				t.Fatal(d)
			}
			want := failed(messages.ReasonQuota)
			if lucky {
				b.EBS.CreateFunc, want = nil, success(messages.ConsistencyApplication)
			}
			second := b.again(t, t.Context())
			if d := cmp.Diff(want, of(second)); d != "" {
				t.Errorf("%s\n%s", d, second.Result.Message)
			}
			if second.Result.AttemptID == first.Result.AttemptID || len(b.Record.Attempts) != 2 {
				t.Errorf("attempts: %v", b.Record.Attempts)
			}
		})
	}
}

// An outage of EC2's counts as an attempt, a stop does not; and with the age
// gone nothing is tried again.
func TestAttemptsAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed()
		b.EBS.FindFunc = func(context.Context, string) ([]snapshot.Existing, error) { return nil, outOfReach("EC2") }
		for i, want := range []bool{true, false} {
			out := b.again(t, t.Context())
			if out.Again != want || len(b.Record.Attempts) != i+1 || out.Result.AttemptID != b.Record.Attempts[i].ID {
				t.Errorf("outage %d: again %v, %d attempts", i+1, out.Again, len(b.Record.Attempts))
			}
		}
		out := b.again(t, t.Context())
		if out.Again || len(b.Record.Attempts) != 2 {
			t.Errorf("a third attempt")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b := newBed()
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		out := b.run(t, ctx)
		if !out.Again || len(b.Record.Attempts) != 0 || out.Result.Reason != messages.ReasonInterrupted {
			t.Errorf("a stop counted as an attempt: %v", b.Record.Attempts)
		}
	})
	for name, set := range map[string]func(b *bed){
		"age":           func(b *bed) { b.plan.MaxAge = time.Second },
		"second to try": func(b *bed) { b.job.Prior = []snapshot.Attempt{{ID: "a-0"}} },
	} {
		inBubble(t, name, func(t *testing.T) {
			b := newBed()
			b.DB.ConnectFunc = func(context.Context) error { time.Sleep(2 * time.Second); return outOfReach("the database") }
			set(b)
			if out := b.run(t, t.Context()); out.Again || out.Result.Reason != messages.ReasonPreflightFailed {
				t.Errorf("again: %v, %s", out.Again, out.Result.Reason)
			}
		})
	}
}

// A set that shows itself just before the lock is not made again.
func TestSetShowsUpBeforeTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed()
		b.EBS.FindFunc = func(context.Context, string) ([]snapshot.Existing, error) {
			if b.Count("EBS.Find") == 1 {
				return nil, nil
			}
			return inEC2("a-0", "snap-1", "snap-2"), nil
		}
		out := b.run(t, t.Context())
		if d := cmp.Diff(inconsistent(messages.ReasonInterrupted, messages.ConsistencyCrash), of(out)); d != "" || b.Count("Session.Lock") > 0 {
			t.Errorf("%s, %d locks", d, b.Count("Session.Lock"))
		}
	})
}
