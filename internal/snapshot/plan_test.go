package snapshot_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// The deadline is max_hold after the start of the try that wins, and what EC2
// gets leaves 2 s for a look-up and 1 s to let go.
func TestMaxHold(t *testing.T) {
	for _, tc := range []struct {
		name           string
		lock, freeze   time.Duration
		maxHold        time.Duration
		budget, lookup time.Duration
	}{
		{"plenty", 0, 0, 45 * time.Second, 10 * time.Second, 2 * time.Second},
		{"slow lock", 400 * time.Millisecond, 0, 14500 * time.Millisecond, 10 * time.Second, 2 * time.Second},
		{"slow freeze", 500 * time.Millisecond, 3 * time.Second, 14500 * time.Millisecond, 8 * time.Second, 2 * time.Second},
		{"slower freeze", 500 * time.Millisecond, 10 * time.Second, 14500 * time.Millisecond, time.Second, 2 * time.Second},
	} {
		inBubble(t, tc.name, func(t *testing.T) {
			b := newBed()
			b.plan.MaxHold = tc.maxHold
			var won, deadline time.Time
			b.DB.LockFunc = func(_ context.Context, hold time.Duration) error {
				if hold != tc.maxHold {
					t.Errorf("the server is to hold for %s", hold)
				}
				if b.Count("Session.Lock") < 3 {
					time.Sleep(500 * time.Millisecond)
					return &snapshot.LockNotGrantedError{}
				}
				won = time.Now()
				time.Sleep(tc.lock)
				return nil
			}
			b.Freezer.FreezeFunc = func(ctx context.Context, d time.Time) error {
				deadline = d
				if until, _ := ctx.Deadline(); !until.Equal(d) {
					t.Errorf("Freeze's context ends at %s, the deadline is %s", until, d)
				}
				time.Sleep(tc.freeze)
				return nil
			}
			b.EBS.CreateFunc = func(ctx context.Context, _ snapshot.CreateSet) ([]messages.Snapshot, error) {
				until, _ := ctx.Deadline()
				if got := time.Until(until); got != tc.budget {
					t.Errorf("EC2 has %s to answer, want %s", got, tc.budget)
				}
				<-ctx.Done()
				return nil, ambiguous()
			}
			var looked, letGo time.Duration
			b.EBS.FindFunc = func(ctx context.Context, _ string) ([]snapshot.Existing, error) {
				if !b.Held() {
					return nil, nil
				}
				began := time.Now()
				<-ctx.Done()
				looked = time.Since(began)
				return nil, outOfReach("EC2")
			}
			b.DB.UnlockFunc = func(context.Context) error { letGo = time.Since(won); return nil }
			out := b.run(t, t.Context())
			if want := won.Add(tc.maxHold); !deadline.Equal(want) {
				t.Errorf("the deadline is %s after the winning try", deadline.Sub(won))
			}
			if looked != tc.lookup {
				t.Errorf("the look-up had %s, want %s", looked, tc.lookup)
			}
			if letGo > tc.maxHold-time.Second {
				t.Errorf("let go after %s", letGo)
			}
			tm := out.Result.Timings
			if tm.LockTries != 3 || tm.LockWait != float64(tc.lock.Milliseconds()) || tm.WritesBlocked != float64(letGo.Milliseconds()) ||
				tm.WritesBlockedTotal != tm.WritesBlocked+1000 || tm.Frozen != float64((tc.freeze+tc.budget+tc.lookup).Milliseconds()) ||
				tm.SnapshotCall != float64(tc.budget.Milliseconds()) || tm.LockHeld != tm.WritesBlocked-tm.LockWait {
				t.Errorf("timings: %+v", tm)
			}
		})
	}
}

// Whatever hangs inside: the database is let go at max_hold plus a moment.
func TestHangsInside(t *testing.T) {
	hang := func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	for name, set := range map[string]func(b *bed){
		"thaw": func(b *bed) {
			b.Freezer.ThawFunc = func(ctx context.Context) (snapshot.Thawed, error) { return snapshot.Thawed{}, hang(ctx) }
		},
		"coordinates": func(b *bed) {
			b.DB.CoordinatesFunc = func(ctx context.Context) (messages.MySQL, error) { return messages.MySQL{}, hang(ctx) }
		},
		"freeze": func(b *bed) {
			b.Freezer.FreezeFunc = func(ctx context.Context, _ time.Time) error { return hang(ctx) }
		},
		"everything": func(b *bed) {
			b.Freezer.ThawFunc = func(ctx context.Context) (snapshot.Thawed, error) { return snapshot.Thawed{}, hang(ctx) }
			b.EBS.CreateFunc = func(ctx context.Context, _ snapshot.CreateSet) ([]messages.Snapshot, error) {
				return nil, errors.Join(hang(ctx), ambiguous())
			}
			b.EBS.FindFunc = func(ctx context.Context, _ string) ([]snapshot.Existing, error) {
				if b.Held() {
					return nil, hang(ctx)
				}
				return nil, nil
			}
			b.DB.CoordinatesFunc = func(ctx context.Context) (messages.MySQL, error) {
				if b.Count("Guard.Thaw") > 0 {
					return messages.MySQL{}, hang(ctx)
				}
				return b.DB.Position, nil
			}
			b.DB.VerifyFunc = hang
		},
	} {
		inBubble(t, name, func(t *testing.T) {
			b := newBed()
			var won, gone time.Time
			b.DB.LockFunc = func(context.Context, time.Duration) error { won = time.Now(); return nil }
			b.DB.UnlockFunc = func(context.Context) error { gone = time.Now(); return nil }
			set(b)
			out := b.run(t, t.Context())
			if out.Result.Status == messages.Succeeded {
				t.Error("it succeeded")
			}
			if held := gone.Sub(won); held > b.plan.MaxHold+500*time.Millisecond { // the unlock itself has the rest of the second
				t.Errorf("the lock was held for %s", held)
			}
		})
	}
}

func TestPlans(t *testing.T) {
	none := func(b *bed) {
		b.tweak = func(p *snapshot.Pipeline) { p.Database, p.Freezer = nil, nil }
		b.plan.Freeze = nil
	}
	noDB := func(b *bed) { b.tweak = func(p *snapshot.Pipeline) { p.Database = nil } }
	thaw := func(b *bed) {
		b.Freezer.ThawFunc = func(context.Context) (snapshot.Thawed, error) {
			return snapshot.Thawed{Cause: snapshot.ThawForeign}, nil
		}
	}
	for _, tc := range []struct {
		name    string
		set     []func(b *bed)
		want    verdict
		calls   string // not to be made
		blocked bool
	}{
		{"database and freeze", nil, success(messages.ConsistencyApplication), "", true},
		{"no database", []func(b *bed){noDB}, success(messages.ConsistencyFilesystem), "Session", true},
		{"no freeze", []func(b *bed){func(b *bed) { b.plan.Freeze, b.plan.NoFreeze = nil, []string{"/data"} }}, success(messages.ConsistencyDatabase), "Guard", true},
		{"some not frozen", []func(b *bed){func(b *bed) { b.plan.NoFreeze = []string{"/data"} }}, success(messages.ConsistencyDatabase), "", true},
		{"some not frozen, no database", []func(b *bed){noDB, func(b *bed) { b.plan.NoFreeze = []string{"/data"} }}, success(messages.ConsistencyCrash), "Session", true},
		{"volumes only", []func(b *bed){none, func(b *bed) { b.plan.Volumes = []string{"vol-0aaaaaaaaaaaaaaaa"} }}, success(messages.ConsistencyCrash), "Guard", false},
		{"volumes and database", []func(b *bed){func(b *bed) { b.plan.Freeze = nil; b.plan.Volumes = []string{"vol-0aaaaaaaaaaaaaaaa"} }}, success(messages.ConsistencyDatabase), "Guard", true},
		// What is frozen must stay so even where the claim does not rest on it.
		{"some not frozen, and the rest thawed", []func(b *bed){thaw, func(b *bed) { b.plan.NoFreeze = []string{"/data"} }}, inconsistent(messages.ReasonThawedEarly, messages.ConsistencyDatabase), "", true},
		{"the same without a database", []func(b *bed){noDB, thaw, func(b *bed) { b.plan.NoFreeze = []string{"/data"} }}, inconsistent(messages.ReasonThawedEarly, messages.ConsistencyCrash), "", true},
		{"no database, thawed", []func(b *bed){noDB, thaw}, inconsistent(messages.ReasonThawedEarly, messages.ConsistencyCrash), "Session", true},
	} {
		inBubble(t, tc.name, func(t *testing.T) {
			b := newBed()
			for _, set := range tc.set {
				set(b)
			}
			create := b.EBS.CreateFunc
			b.EBS.CreateFunc = func(_ context.Context, set snapshot.CreateSet) ([]messages.Snapshot, error) {
				if create != nil {
					t.Error("it is set")
				}
				time.Sleep(200 * time.Millisecond)
				return b.EBS.Start(set, len(set.Volumes)), nil
			}
			out := b.run(t, t.Context())
			if d := cmp.Diff(tc.want, of(out)); d != "" {
				t.Errorf("verdict: %s\n%s", d, out.Result.Message)
			}
			tm := out.Result.Timings
			if (tm.WritesBlocked == 200) != tc.blocked || (tm.WritesBlockedTotal == 200) != tc.blocked {
				t.Errorf("writes were blocked for %v ms, in all %v", tm.WritesBlocked, tm.WritesBlockedTotal)
			}
			if (tm.LockTries > 0) != (b.Count("Session.Lock") > 0) || (tm.Frozen > 0) != (b.Count("Guard.Freeze") > 0) || (out.Result.MySQL != nil) != (b.Count("Session.Lock") > 0) {
				t.Errorf("timings: %+v", tm)
			}
			for _, c := range b.Calls() {
				if tc.calls != "" && strings.HasPrefix(c, tc.calls) {
					t.Errorf("%s was called", c)
				}
			}
			if all := b.EBS.Sets[len(b.EBS.Sets)-1].AllFrozen; all != (len(b.plan.Freeze) > 0 && len(b.plan.NoFreeze) == 0) {
				t.Errorf("AllFrozen is %v", all)
			}
		})
	}
}

func TestDryRun(t *testing.T) {
	for name, tc := range map[string]struct {
		set  func(b *bed)
		want verdict
	}{
		"passes":       {func(*bed) {}, success(messages.ConsistencyNone)},
		"out of reach": {func(b *bed) { b.DB.ConnectFunc = func(context.Context) error { return outOfReach("the database") } }, failed(messages.ReasonPreflightFailed)},
		"refused": {func(b *bed) {
			b.EBS.CheckFunc = func(context.Context, snapshot.CreateSet) error { return refused() }
		}, failed(messages.ReasonPreflightFailed)},
		"EC2 away": {func(b *bed) {
			b.EBS.FindFunc = func(context.Context, string) ([]snapshot.Existing, error) { return nil, outOfReach("EC2") }
		}, failed(messages.ReasonPreflightFailed)},
	} {
		inBubble(t, name, func(t *testing.T) {
			b := newBed()
			b.job.Delivery.Request.DryRun = true
			b.plan.StartWithin = time.Hour // nobody waits for a dry run
			b.EBS.Made = []snapshot.Existing{{Snapshot: messages.Snapshot{SnapshotID: "snap-1", VolumeID: "vol-1"}, Tags: map[string]string{snapshot.TagRequestID: "req-1"}}}
			tc.set(b)
			out := b.run(t, t.Context())
			if d := cmp.Diff(tc.want, of(out)); d != "" {
				t.Errorf("verdict: %s", d)
			}
			for _, never := range []string{"Record.Intend", "Session.Lock", "Session.Settle", "Guard.Freeze", "Guard.Settle", "EBS.Create", "EBS.Tag", "Sleep", "Lease.Cover"} {
				if b.Count(never) > 0 {
					t.Errorf("a dry run called %s", never)
				}
			}
			if out.Result.AttemptID != "" {
				t.Error("it has an attempt")
			}
			if name == "passes" && !warned(out.Result, "exists already") {
				t.Errorf("warnings: %v", out.Result.Warnings)
			}
		})
	}
}

func TestTimely(t *testing.T) {
	skipped := func(r messages.Reason) verdict {
		return verdict{messages.Skipped, r, messages.ConsistencyNone, false}
	}
	ok := success(messages.ConsistencyApplication)
	for _, tc := range []struct {
		name                 string
		age, planAge, reqAge time.Duration
		since, interval      time.Duration
		exists               bool
		want                 verdict
	}{
		{name: "young", age: time.Hour, planAge: time.Hour, want: ok},
		{name: "old", age: time.Hour + time.Nanosecond, planAge: time.Hour, want: skipped(messages.ReasonStale)},
		{name: "the request shortens", age: 2 * time.Minute, planAge: time.Hour, reqAge: time.Minute, want: skipped(messages.ReasonStale)},
		{name: "the request cannot lengthen", age: 2 * time.Hour, planAge: time.Hour, reqAge: 3 * time.Hour, want: skipped(messages.ReasonStale)},
		{name: "the request alone", age: 2 * time.Minute, reqAge: time.Minute, want: skipped(messages.ReasonStale)},
		{name: "no limit", age: 1000 * time.Hour, want: ok},
		{name: "too soon", since: 59 * time.Minute, interval: time.Hour, want: skipped(messages.ReasonTooSoon)},
		{name: "late enough", since: time.Hour, interval: time.Hour, want: ok},
		{name: "the clock was ahead at the last success", since: -48 * time.Hour, interval: time.Hour, want: ok},
		{name: "never before", interval: time.Hour, want: ok},
		{name: "a finished one is never stale", age: 5 * time.Hour, planAge: time.Hour, exists: true, want: inconsistent(messages.ReasonInterrupted, messages.ConsistencyCrash)},
	} {
		inBubble(t, tc.name, func(t *testing.T) {
			b := newBed()
			b.plan.MaxAge, b.plan.MinInterval = tc.planAge, tc.interval
			b.job.Delivery.Request.MaxAge = messages.Duration(tc.reqAge)
			b.job.Delivery.RequestedAt = time.Now().Add(-tc.age)
			if tc.since != 0 {
				b.job.LastSuccess = time.Now().Add(-tc.since)
			}
			if tc.exists {
				b.EBS.Made = []snapshot.Existing{{Snapshot: messages.Snapshot{SnapshotID: "snap-1", VolumeID: "vol-1"}, Tags: map[string]string{snapshot.TagRequestID: "req-1"}}}
			}
			if d := cmp.Diff(tc.want, of(b.run(t, t.Context()))); d != "" {
				t.Error(d)
			}
			if tc.want.Status == messages.Skipped && (b.Count("Record.Intend") > 0 || b.Count("EBS.Attached") > 0) {
				t.Error("a skipped request used up an attempt")
			}
		})
	}
}

// The start is spread over the window, the same for the same request and instance.
func TestStartWithin(t *testing.T) {
	start := func(t *testing.T, id, instance string, source messages.Source, late time.Duration) time.Duration {
		var waited time.Duration
		synctest.Test(t, func(t *testing.T) {
			b := newBed()
			b.plan.StartWithin = 10 * time.Minute
			b.job.Delivery.Request.RequestID, b.job.Delivery.Source = id, source
			b.tweak = func(p *snapshot.Pipeline) { p.Identity.InstanceID = instance }
			due := time.Now()
			time.Sleep(late)
			b.job.Delivery.RequestedAt = due
			b.Before = func(call string) {
				if call == "Record.Intend" && waited == 0 {
					waited = time.Since(due)
				}
			}
			if out := b.run(t, t.Context()); out.Result.Status != messages.Succeeded {
				t.Error(out.Result.Message)
			}
		})
		return waited
	}
	one := start(t, "r-1", "i-0000000000000000a", messages.SourceSQS, 0)
	if again := start(t, "r-1", "i-0000000000000000a", messages.SourceSQS, 0); again != one || one <= 0 {
		t.Errorf("the same request started after %s and %s", one, again)
	}
	if late := start(t, "r-1", "i-0000000000000000a", messages.SourceSQS, one/2); late != one {
		t.Errorf("picked up late, it started at %s and not at %s", late, one)
	}
	if late := start(t, "r-1", "i-0000000000000000a", messages.SourceSQS, one+time.Second); late != one+time.Second {
		t.Errorf("picked up too late, it started at %s", late)
	}
	if cli := start(t, "r-1", "i-0000000000000000a", messages.SourceCLI, 0); cli != 0 {
		t.Errorf("at the terminal one waits %s", cli)
	}
	places := map[time.Duration]bool{}
	var halves [2]int
	for i := range 40 {
		d := start(t, "r-1", fmt.Sprintf("i-%017x", i), messages.SourceSQS, 0)
		if d < 0 || d >= 10*time.Minute {
			t.Errorf("it started after %s", d)
		}
		places[d] = true
		halves[int(d/(5*time.Minute))]++
	}
	if len(places) < 38 || halves[0] < 8 || halves[1] < 8 {
		t.Errorf("40 instances share %d places, %v in the halves", len(places), halves)
	}
}

// Sixty tries leave the stages in the result.
func TestStagesOfManyTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed()
		b.plan.LockTries = 60
		b.plan.MaxAge = time.Minute // it may outlive its age: the tries were the retry
		b.DB.LockFunc = func(ctx context.Context, _ time.Duration) error {
			return errors.Join(wait(ctx, time.Second), &snapshot.LockNotGrantedError{Blockers: strings.Repeat("x", 100)})
		}
		out := b.run(t, t.Context())
		if d := cmp.Diff(failed(messages.ReasonLockTimeout), of(out)); d != "" {
			t.Error(d)
		}
		text, err := messages.MarshalResult(out.Result)
		if err != nil {
			t.Fatal(err)
		}
		r, err := messages.UnmarshalResult(text)
		if err != nil || len(r.Stages) != len(out.Result.Stages) || len(r.Warnings) > 0 {
			t.Errorf("%d of %d stages are left in %d bytes: %v, %v", len(r.Stages), len(out.Result.Stages), len(text), err, r.Warnings)
		}
		// Five more a try, at some 100 bytes each, would not fit where clocks are real.
		if n := len(out.Result.Stages); n > 60+12 {
			t.Errorf("%d stages", n)
		}
		locks := 0
		for _, s := range out.Result.Stages {
			if s.Name == "lock" {
				locks++
			}
		}
		if locks != 60 || b.Count("Lease.Cover") != 60 || b.Count("Sleep") != 59 || out.Result.Timings.WritesBlockedTotal != 60000 || out.Result.Timings.WritesBlocked != 0 {
			t.Errorf("%d lock stages, %d leases, %d sleeps, %+v", locks, b.Count("Lease.Cover"), b.Count("Sleep"), out.Result.Timings)
		}
		if !slices.IsSortedFunc(out.Result.Stages, func(a, b messages.Stage) int { return a.StartedAt.Compare(b.StartedAt) }) {
			t.Error("the stages are not in order")
		}
	})
}

// Whether the lock was asked for at all makes the difference in what to do.
func TestWhatBecameOfTheTries(t *testing.T) {
	for _, c := range []struct {
		waited func(try int) bool
		says   []string
	}{
		{func(int) bool { return false }, []string{"was not granted in 3 tries of 500ms; in its way: id 7;", "raise lock_timeout or lock_tries"}},
		{func(int) bool { return true }, []string{"was not requested in any of 3 tries,", "in its way: id 7;", "nothing was frozen and no snapshots were made;", "raise lock_tries or lock_sleep"}},
		{func(try int) bool { return try > 1 }, []string{"was not granted in 3 tries (requested in 1 of them, for 500ms each);"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			b, try := newBed(), 0
			b.plan.LockTries = 3
			b.DB.LockFunc = func(context.Context, time.Duration) error {
				try++
				return &snapshot.LockNotGrantedError{Waited: c.waited(try), Blockers: "id 7"}
			}
			out := b.run(t, t.Context())
			for _, want := range c.says {
				if !strings.Contains(out.Result.Message, want) {
					t.Errorf("%q is not in %q", want, out.Result.Message)
				}
			}
		})
	}
}

// A try that requested nothing blocked nobody.
func TestWaitedTriesBlockNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed()
		b.DB.LockFunc = func(ctx context.Context, _ time.Duration) error {
			return errors.Join(wait(ctx, time.Second), &snapshot.LockNotGrantedError{Waited: true})
		}
		out := b.run(t, t.Context())
		if out.Result.Reason != messages.ReasonLockTimeout || out.Result.Timings.WritesBlockedTotal != 0 {
			t.Errorf("%s, %+v", out.Result.Reason, out.Result.Timings)
		}
	})
}

// The window that lease and credentials must outlast.
func TestWindowIsCovered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed()
		check := func(what string) func(context.Context, time.Duration) error {
			return func(_ context.Context, w time.Duration) error {
				if w != 45500*time.Millisecond {
					t.Errorf("%s is to last %s", what, w)
				}
				return nil
			}
		}
		b.Lease.CoverFunc, b.EBS.WarmFunc = check("the lease"), check("the credentials")
		// What takes long is over before they are taken.
		b.Freezer.SettleFunc = func(context.Context) error { time.Sleep(time.Minute); return nil }
		var covered time.Time
		b.Before = func(call string) {
			switch call {
			case "Lease.Cover":
				covered = time.Now()
			case "Session.Lock":
				if d := time.Since(covered); d != 0 {
					t.Errorf("the lock is requested %s after the lease was extended", d)
				}
			}
		}
		b.run(t, t.Context())
	})
}
