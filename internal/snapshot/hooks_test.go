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

const hookTimeout = 10 * time.Second

func hooked() *bed {
	b := newBed()
	b.AddHooks()
	b.plan.HookTimeout = hookTimeout
	return b
}

// window is what was called from the lock to the end of the guard.
func windowOf(b *bed) []string {
	calls := b.Calls()
	return calls[slices.Index(calls, "Session.Lock") : slices.Index(calls, "Session.Close")+2]
}

// Where the hooks have their place, and that their output is told of afterwards.
func TestHooksOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := hooked()
		var told []string
		b.tweak = func(p *snapshot.Pipeline) {
			progress := p.Progress
			p.Progress = func(stage, note string) {
				progress(stage, note)
				if note != "" && strings.HasPrefix(stage, "p") {
					told = append(told, stage+": "+note)
				}
			}
		}
		out := b.run(t, t.Context())
		if d := cmp.Diff(success(messages.ConsistencyApplication), of(out)); d != "" {
			t.Errorf("%s\n%s", d, out.Result.Message)
		}
		want := []string{
			"Session.Lock", "Session.Coordinates",
			"Guard.Owe true", "PreFreeze.Run", "Guard.Freeze", "Record.Sending", "EBS.Create", "Guard.Thaw", "PostThaw.Run", "Guard.Owe false",
			"Session.Coordinates", "Session.Verify", "Session.Unlock", "Session.Close", "Guard.Close",
		}
		if d := cmp.Diff(want, windowOf(b)); d != "" {
			t.Error(d)
		}
		if d := cmp.Diff([]string{"pre-freeze: PreFreeze was here", "post-thaw: PostThaw was here"}, told); d != "" {
			t.Error(d)
		}
		if b.Count("PreFreeze.Check") != 1 || slices.Index(b.Calls(), "PostThaw.Check") > slices.Index(b.Calls(), "Freezer.Arm") {
			t.Error("they were not looked at beforehand")
		}
		var names []string
		for _, s := range out.Result.Stages {
			names = append(names, s.Name)
		}
		if got := strings.Join(names, " "); !strings.Contains(got, "coordinates pre-freeze freeze snapshot thaw post-thaw coordinates-after verify unlock") {
			t.Errorf("stages: %s", got)
		}
	})
}

// Whatever goes wrong with or around them: the verdict, and that post_thaw
// runs once pre_freeze was begun.
func TestHookFailures(t *testing.T) {
	fail := func(context.Context) (string, error) { return "what it said", errBoom }
	hang := func(ctx context.Context) (string, error) { <-ctx.Done(); return "", ctx.Err() }
	app := messages.ConsistencyApplication
	for name, tc := range map[string]struct {
		set        func(b *bed)
		want       verdict
		says       string
		warns      string
		posts      int
		froze      bool
		unheldPost bool // the last post_thaw runs after the unlock
	}{
		"pre_freeze fails":  {set: func(b *bed) { b.PreFreeze.RunFunc = fail }, want: failed(messages.ReasonHookFailed), says: "pre_freeze failed, so that nothing was frozen: boom", posts: 1},
		"pre_freeze hangs":  {set: func(b *bed) { b.PreFreeze.RunFunc = hang }, want: failed(messages.ReasonHookFailed), says: "deadline", posts: 1},
		"pre_freeze alone":  {set: func(b *bed) { b.PostThaw = nil }, want: success(app), froze: true},
		"it alone, failing": {set: func(b *bed) { b.PostThaw = nil; b.PreFreeze.RunFunc = fail }, want: failed(messages.ReasonHookFailed)},
		"post_thaw alone":   {set: func(b *bed) { b.PreFreeze = nil }, want: success(app), posts: 1, froze: true},
		"post_thaw fails":   {set: func(b *bed) { b.PostThaw.RunFunc = fail }, want: success(app), warns: "post_thaw failed: boom; what pre_freeze did may not be undone", posts: 1, froze: true},
		"post_thaw hangs":   {set: func(b *bed) { b.PostThaw.RunFunc = hang }, want: success(app), warns: "post_thaw failed", posts: 1, froze: true},
		"freeze fails": {set: func(b *bed) { b.Freezer.FreezeFunc = func(context.Context, time.Time) error { return errBoom } },
			want: failed(messages.ReasonFreezeFailed), posts: 1, froze: true},
		"EC2 refuses": {set: func(b *bed) {
			b.EBS.CreateFunc = func(context.Context, snapshot.CreateSet) ([]messages.Snapshot, error) { return nil, refusedCreate() }
		}, want: failed(messages.ReasonSnapshotFailed), posts: 1, froze: true},
		"coordinates fail, before pre_freeze": {set: func(b *bed) {
			b.DB.CoordinatesFunc = func(context.Context) (messages.MySQL, error) { return messages.MySQL{}, errBoom }
		}, want: failed(messages.ReasonLockLost)},
		"a thaw that takes until max_hold": {set: func(b *bed) {
			b.Freezer.ThawFunc = func(ctx context.Context) (snapshot.Thawed, error) { <-ctx.Done(); return snapshot.Thawed{}, ctx.Err() }
		}, want: inconsistent(messages.ReasonThawedEarly, messages.ConsistencyDatabase), posts: 1, froze: true, unheldPost: true},
		"post_thaw cut short by max_hold": {set: func(b *bed) {
			b.Freezer.ThawFunc = func(context.Context) (snapshot.Thawed, error) {
				time.Sleep(40 * time.Second) // leaves it 4 s
				return snapshot.Thawed{Cause: snapshot.ThawCommand}, nil
			}
			b.PostThaw.RunFunc = func(ctx context.Context) (string, error) { return "", wait(ctx, 8*time.Second) }
		}, want: success(app), warns: "run again after the unlock", posts: 2, froze: true, unheldPost: true},
		"not to be trusted": {set: func(b *bed) { b.PostThaw.CheckFunc = refused }, want: failed(messages.ReasonPreflightFailed), says: "it is refused"},
		"nothing to freeze": {set: func(b *bed) { b.plan.Freeze, b.plan.NoFreeze = nil, []string{"/srv"} }, want: failed(messages.ReasonPreflightFailed), says: "need something under freeze"},
	} {
		inBubble(t, name, func(t *testing.T) {
			b := hooked()
			tc.set(b)
			var won time.Time
			b.Before = func(call string) {
				if call == "Session.Lock" {
					won = time.Now()
				}
			}
			b.DB.UnlockFunc = func(context.Context) error {
				if d := time.Since(won); d > b.plan.MaxHold+time.Second {
					t.Errorf("let go after %s", d)
				}
				return nil
			}
			out := b.run(t, t.Context())
			if d := cmp.Diff(tc.want, of(out)); d != "" {
				t.Errorf("%s\n%s", d, out.Result.Message)
			}
			if !strings.Contains(out.Result.Message, tc.says) || tc.warns != "" && !warned(out.Result, tc.warns) || tc.warns == "" && tc.want.Status == messages.Succeeded && len(out.Result.Warnings) > 0 {
				t.Errorf("it says %q and warns %q", out.Result.Message, out.Result.Warnings)
			}
			if n := b.Count("PostThaw.Run"); n != tc.posts || b.Count("Guard.Owe true") != min(n, 1) || b.Count("Guard.Owe false") != min(n, 1) {
				t.Errorf("post_thaw ran %d times, owed %d, no more owed %d", n, b.Count("Guard.Owe true"), b.Count("Guard.Owe false"))
			}
			if froze := b.Count("Guard.Freeze") > 0; froze != tc.froze {
				t.Errorf("frozen: %v", froze)
			}
			calls := b.Calls()
			slices.Reverse(calls)
			if late := slices.Index(calls, "PostThaw.Run") < slices.Index(calls, "Session.Unlock"); tc.posts > 0 && late != tc.unheldPost {
				t.Errorf("post_thaw ran after the unlock: %v", late)
			}
		})
	}
}

// What EC2 gets leaves post_thaw its time before max_hold.
func TestHooksWithinMaxHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := hooked()
		b.plan.MaxHold = 34500 * time.Millisecond // the least: 0.5 + 10 + 2 hooks of 10 + 4
		b.DB.LockFunc = func(ctx context.Context, _ time.Duration) error { return wait(ctx, 500*time.Millisecond) }
		slow := func(ctx context.Context) (string, error) { return "", wait(ctx, hookTimeout-time.Millisecond) }
		b.PreFreeze.RunFunc, b.PostThaw.RunFunc = slow, slow
		b.Freezer.FreezeFunc = func(ctx context.Context, _ time.Time) error { return wait(ctx, 3*time.Second) }
		b.EBS.CreateFunc = func(ctx context.Context, _ snapshot.CreateSet) ([]messages.Snapshot, error) {
			if until, _ := ctx.Deadline(); time.Until(until) != 8001*time.Millisecond { // 2 s less than it wants
				t.Errorf("EC2 has %s", time.Until(until))
			}
			<-ctx.Done()
			return nil, ambiguous()
		}
		b.EBS.FindFunc = func(ctx context.Context, _ string) ([]snapshot.Existing, error) {
			if b.Held() {
				<-ctx.Done()
			}
			return nil, nil
		}
		out := b.run(t, t.Context())
		if d := cmp.Diff(failed(messages.ReasonSnapshotAmbiguous), of(out)); d != "" || b.Count("PostThaw.Run") != 1 || len(out.Result.Warnings) > 0 {
			t.Errorf("%s, %d times, %q", d, b.Count("PostThaw.Run"), out.Result.Warnings)
		}
		if w := out.Result.Timings.WritesBlocked; w > float64(b.plan.MaxHold.Milliseconds()) {
			t.Errorf("writes were blocked for %v ms", w)
		}
	})
}

// A worker that is stopped when post_thaw is due starts it as soon as it can.
func TestPostThawThatWasNotStartedIsStillOwed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := hooked()
		b.PostThaw.RunFunc = func(ctx context.Context) (string, error) {
			if b.Count("PostThaw.Run") == 1 {
				return "", &snapshot.HookNotStartedError{Err: context.DeadlineExceeded}
			}
			return "", nil
		}
		out := b.run(t, t.Context())
		if d := cmp.Diff(success(messages.ConsistencyApplication), of(out)); d != "" || b.Count("PostThaw.Run") != 2 {
			t.Errorf("%s, %d times", d, b.Count("PostThaw.Run"))
		}
		calls := b.Calls()
		if slices.Index(calls, "Guard.Owe false") < slices.Index(calls, "Session.Unlock") {
			t.Errorf("it was not owed any more: %v", windowOf(b))
		}
	})
}
