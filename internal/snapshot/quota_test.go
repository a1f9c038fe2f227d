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

// limited makes EC2 refuse the first n calls.
func limited(b *bed, n int, code string, wait time.Duration) {
	b.EBS.CreateFunc = func(_ context.Context, set snapshot.CreateSet) ([]messages.Snapshot, error) {
		time.Sleep(200 * time.Millisecond)
		if b.Count("EBS.Create") <= n {
			return nil, &snapshot.QuotaError{Code: code, Wait: wait, Err: errBoom}
		}
		return b.EBS.Start(set, len(set.Volumes)), nil
	}
}

// A limit is waited out in the same attempt, growing longer, with everything
// let go and the verdict that nothing was made durable.
func TestQuotaIsWaitedOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed()
		limited(b, 3, "RequestLimitExceeded", 2*time.Second)
		b.DB.CoordinatesFunc = func(context.Context) (messages.MySQL, error) {
			m := b.DB.Position
			if b.Count("EBS.Create") == 1 {
				m.BinlogPosition++ // a warning of the first try is none of the last
			}
			return m, nil
		}
		var let, asked []time.Time
		b.Before = func(call string) {
			switch call {
			case "Session.Lock":
				asked = append(asked, time.Now())
			case "Guard.Close":
				let = append(let, time.Now())
			case "Sleep":
				if b.Held() {
					t.Error("it waits while something is held")
				}
				if a := b.Record.Attempts; len(a) != 1 || a[0].Settled == nil || a[0].Settled.Reason != messages.ReasonQuota || a[0].Settled.EventID == "" {
					t.Errorf("it waits, and the journal has %+v", a)
				}
				if n := len(b.Calls()); b.Count("Guard.Close") != b.Count("Freezer.Arm") || b.Count("Session.Close") != b.Count("Database.Connect") {
					t.Errorf("something is open while it waits: %v", b.Calls()[n-8:])
				}
			}
		}
		out := b.run(t, t.Context())
		r := out.Result
		if d := cmp.Diff(success(messages.ConsistencyApplication), of(out)); d != "" {
			t.Errorf("%s\n%s", d, r.Message)
		}
		for i, want := range []time.Duration{2 * time.Second, 4 * time.Second, 8 * time.Second} {
			if got := asked[i+1].Sub(let[i]); got < want || got > want*5/4+time.Second {
				t.Errorf("wait %d was %s, want %s", i+1, got, want)
			}
		}
		if len(b.Record.Attempts) != 1 || b.Record.Attempts[0].Settled.Status != messages.Succeeded || r.AttemptID != b.Record.Attempts[0].ID {
			t.Errorf("the journal has %+v", b.Record.Attempts)
		}
		if tm := r.Timings; tm.WritesBlocked != 200 || tm.WritesBlockedTotal != 800 || tm.LockTries != 4 || tm.SnapshotCall != 200 {
			t.Errorf("timings: %+v", tm)
		}
		if len(r.Warnings) > 0 || r.MySQL == nil || !r.MySQL.CoordinatesExact {
			t.Errorf("warnings %q, coordinates %+v", r.Warnings, r.MySQL)
		}
		var names []string
		for _, s := range r.Stages {
			names = append(names, s.Name)
		}
		round := "settle lease credentials warm-up flush ready lock coordinates freeze snapshot thaw coordinates-after verify unlock"
		want := strings.Fields("look-up journal resolve preflight intent " + round + " quota lock snapshot quota lock snapshot quota intent reopen " + round + " tag")
		if d := cmp.Diff(want, names); d != "" {
			t.Errorf("stages: %s", d)
		}
		if !slices.IsSortedFunc(r.Stages, func(a, b messages.Stage) int { return a.StartedAt.Compare(b.StartedAt) }) {
			t.Error("the stages are not in order")
		}
	})
}

// What bounds the waiting: ten minutes, the request's age, a stop, a limit that
// no waiting helps against, and a window that did not end as it should.
func TestQuotaIsNotWaitedOutForEver(t *testing.T) {
	for name, tc := range map[string]struct {
		wait    time.Duration
		set     func(b *bed, cancel context.CancelFunc)
		want    verdict
		says    string
		creates [2]int // at least, at most
		took    [2]time.Duration
	}{
		"ten minutes": {wait: 30 * time.Second, want: failedAgain(messages.ReasonQuota), says: "tries over", creates: [2]int{5, 8}, took: [2]time.Duration{6 * time.Minute, 10*time.Minute + 5*time.Second}},
		"throttled":   {wait: 2 * time.Second, want: failedAgain(messages.ReasonQuota), says: "tries over", creates: [2]int{7, 13}, took: [2]time.Duration{6 * time.Minute, 10*time.Minute + 5*time.Second}},
		"age": {wait: 30 * time.Second, set: func(b *bed, _ context.CancelFunc) { b.plan.MaxAge = 45 * time.Second },
			want: failedAgain(messages.ReasonQuota), says: "boom", creates: [2]int{2, 2}, took: [2]time.Duration{30 * time.Second, 45 * time.Second}},
		"second attempt": {wait: 30 * time.Second, set: func(b *bed, _ context.CancelFunc) { b.job.Prior = []snapshot.Attempt{{ID: "a-0"}} },
			want: failed(messages.ReasonQuota), says: "tries over", creates: [2]int{5, 8}, took: [2]time.Duration{6 * time.Minute, 10*time.Minute + 5*time.Second}},
		"stopped": {wait: 30 * time.Second, set: func(_ *bed, cancel context.CancelFunc) { time.AfterFunc(10*time.Second, cancel) },
			want: failedAgain(messages.ReasonInterrupted), says: "EC2 refused with PendingSnapshotLimitExceeded, and before it was asked again the worker was asked to stop", creates: [2]int{1, 1}, took: [2]time.Duration{10 * time.Second, 10 * time.Second}},
		"nothing to wait for": {want: failedAgain(messages.ReasonQuota), creates: [2]int{1, 1}},
		"journal": {wait: time.Second, set: func(b *bed, _ context.CancelFunc) {
			b.Record.SettledFunc = func(context.Context, *messages.Result) error { return errBoom }
		}, want: failedAgain(messages.ReasonQuota), creates: [2]int{1, 1}},
		"thaw": {wait: time.Second, set: func(b *bed, _ context.CancelFunc) {
			b.Freezer.ThawFunc = func(context.Context) (snapshot.Thawed, error) { return snapshot.Thawed{}, errBoom }
		}, want: failedAgain(messages.ReasonQuota), creates: [2]int{1, 1}},
		"lock lost": {wait: time.Second, set: func(b *bed, _ context.CancelFunc) {
			b.DB.VerifyFunc = func(context.Context) error { return lockLost() }
		}, want: failedAgain(messages.ReasonQuota), creates: [2]int{1, 1}},
		"post_thaw": {wait: time.Second, set: func(b *bed, _ context.CancelFunc) {
			b.AddHooks()
			b.plan.HookTimeout = time.Second
			b.PostThaw.RunFunc = func(context.Context) (string, error) { return "", errBoom }
		}, want: failedAgain(messages.ReasonQuota), creates: [2]int{1, 1}},
		"closing": {wait: time.Second, set: func(b *bed, _ context.CancelFunc) {
			b.Freezer.CloseFunc = func() error { return errBoom }
		}, want: failedAgain(messages.ReasonQuota), creates: [2]int{1, 1}},
		"the journal when it goes on": {wait: time.Second, set: func(b *bed, _ context.CancelFunc) {
			b.Record.IntendFunc = func(context.Context, string, []string) error {
				if b.Count("EBS.Create") > 0 {
					return errBoom
				}
				return nil
			}
		}, want: failed(messages.ReasonInternal), says: "state_dir", creates: [2]int{1, 1}, took: [2]time.Duration{time.Second, 2 * time.Second}},
		"the database when it goes on": {wait: time.Second, set: func(b *bed, _ context.CancelFunc) {
			b.DB.ConnectFunc = func(context.Context) error {
				if b.Count("EBS.Create") > 0 {
					return outOfReach("the database")
				}
				return nil
			}
		}, want: failedAgain(messages.ReasonPreflightFailed), says: "the database", creates: [2]int{1, 1}, took: [2]time.Duration{time.Second, 2 * time.Second}},
		"the lock when it goes on": {wait: time.Second, set: func(b *bed, _ context.CancelFunc) {
			b.DB.LockFunc = func(context.Context, time.Duration) error {
				if b.Count("EBS.Create") > 0 {
					return &snapshot.LockNotGrantedError{}
				}
				return nil
			}
		}, want: failed(messages.ReasonLockTimeout), says: "3 tries", creates: [2]int{1, 1}, took: [2]time.Duration{time.Second, 20 * time.Second}},
	} {
		inBubble(t, name, func(t *testing.T) {
			b := newBed()
			limited(b, 99, "PendingSnapshotLimitExceeded", tc.wait)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if tc.set != nil {
				tc.set(b, cancel)
			}
			start := time.Now()
			out := b.run(t, ctx)
			if d := cmp.Diff(tc.want, of(out)); d != "" {
				t.Errorf("%s\n%s", d, out.Result.Message)
			}
			if !strings.Contains(out.Result.Message, tc.says) {
				t.Errorf("it says %s", out.Result.Message)
			}
			if n := b.Count("EBS.Create"); n < tc.creates[0] || n > tc.creates[1] {
				t.Errorf("EC2 was asked %d times", n)
			}
			if took := time.Since(start); took < tc.took[0] || took > tc.took[1]+time.Second {
				t.Errorf("it took %s", took)
			}
			if text, err := messages.MarshalResult(out.Result); err != nil || len(text) > 12<<10 {
				t.Errorf("the result has %d bytes: %v", len(text), err)
			}
			if out.Result.Timings.WritesBlockedTotal < 200*float64(tc.creates[0]) {
				t.Errorf("timings: %+v", out.Result.Timings)
			}
		})
	}
}

// Killed at any moment of the waiting: what the journal has by then lets the
// next run go on where EC2 proved that nothing was made, and only there.
func TestKilledWhileWaitingForQuota(t *testing.T) {
	for name, tc := range map[string]struct {
		nth  int // of the calls
		call string
		runs bool // the next delivery makes a set
	}{
		"after the first call was sent": {call: "EBS.Create", nth: 1, runs: false},
		"while it waits":                {call: "Sleep", nth: 1, runs: true},
		"before it goes on":             {call: "Record.Intend", nth: 3, runs: true},
		"when it goes on":               {call: "Freezer.Arm", nth: 2, runs: true},
		"inside, before the call":       {call: "Record.Sending", nth: 2, runs: true},
		"after the second was sent":     {call: "EBS.Create", nth: 2, runs: false},
	} {
		inBubble(t, name, func(t *testing.T) {
			b := newBed()
			limited(b, 1, "RequestLimitExceeded", 2*time.Second)
			var known []snapshot.Attempt
			n := 0
			b.Before = func(call string) {
				if call == tc.call {
					if n++; n == tc.nth {
						known = slices.Clone(b.Record.Attempts)
					}
				}
			}
			b.run(t, t.Context())
			if len(known) != 1 {
				t.Fatalf("the journal knew %+v", known)
			}
			next := newBed()
			next.job.Prior, next.Record.Attempts = known, slices.Clone(known)
			out := next.run(t, t.Context())
			want := failed(messages.ReasonSnapshotAmbiguous)
			if tc.runs {
				want = success(messages.ConsistencyApplication)
			}
			if d := cmp.Diff(want, of(out)); d != "" {
				t.Errorf("%s\n%s", d, out.Result.Message)
			}
			if made := next.Count("EBS.Create") == 1; made != tc.runs || tc.runs && len(next.Record.Attempts) != 2 {
				t.Errorf("a set was asked for: %v; attempts: %+v", made, next.Record.Attempts)
			}
		})
	}
}

// What is found again before a further try is warned of once.
func TestQuotaWarnsOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed()
		limited(b, 3, "RequestLimitExceeded", 2*time.Second)
		b.DB.LocateFunc = func(context.Context) (snapshot.Location, error) {
			return snapshot.Location{Doubt: "it is far away", Trusted: true}, nil
		}
		r := b.run(t, t.Context()).Result
		if r.Status != messages.Succeeded || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "it is far away") {
			t.Errorf("%s: %s; %q", r.Status, r.Message, r.Warnings)
		}
	})
}
