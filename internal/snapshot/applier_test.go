package snapshot_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// replicaBed has a plan with replica: stop_applier.
func replicaBed() *bed {
	b := newBed()
	b.plan.StopApplier = true
	b.plan.LockTries, b.plan.LockSleep = 3, time.Second
	return b
}

// The applier is stopped before anything is held, for each try, and started when nothing is any more.
func TestApplierBesideTheLock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := replicaBed()
		tries := 0
		b.DB.LockFunc = func(context.Context, time.Duration) error {
			if tries++; tries < 3 {
				return &snapshot.LockNotGrantedError{}
			}
			return nil
		}
		r := b.run(t, t.Context()).Result
		if r.Status != messages.Succeeded || len(r.Warnings) > 0 {
			t.Fatalf("%s: %s, %q", r.Status, r.Message, r.Warnings)
		}
		var order []string
		for _, c := range b.Calls() {
			if slices.Contains([]string{"Session.StopApplier", "Session.Lock", "Session.Unlock", "Session.StartApplier", "Session.Close", "Sleep"}, c) {
				order = append(order, strings.TrimPrefix(c, "Session."))
			}
		}
		want := "StopApplier Lock StartApplier Sleep StopApplier Lock StartApplier Sleep StopApplier Lock Unlock StartApplier Close"
		if got := strings.Join(order, " "); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	})
}

func TestApplierIsStartedWhatever(t *testing.T) {
	for name, c := range map[string]struct {
		break_ func(b *bed)
		want   verdict
		warned string
	}{
		"the lock fails":   {func(b *bed) { b.DB.LockFunc = fails }, failed(messages.ReasonPreflightFailed), ""},
		"ready fails":      {func(b *bed) { b.DB.ReadyFunc = fails }, failed(messages.ReasonPreflightFailed), ""},
		"the unlock fails": {func(b *bed) { b.DB.UnlockFunc = func(context.Context) error { return errors.New("no") } }, inconsistent(messages.ReasonLockLost, messages.ConsistencyFilesystem), ""},
		"the freeze fails": {func(b *bed) {
			b.Freezer.FreezeFunc = func(context.Context, time.Time) error { return errors.New("no") }
		}, failed(messages.ReasonFreezeFailed), ""},
		"the stop fails": {func(b *bed) {
			b.DB.StopFunc = func(context.Context) (int, error) { return 0, errors.New("no") }
		}, failed(messages.ReasonPreflightFailed), ""},
		"it never comes to rest": {func(b *bed) {
			b.DB.StopFunc = func(context.Context) (int, error) {
				return 0, &snapshot.LockNotGrantedError{Waited: true, Blockers: "2 temporary tables"}
			}
		}, failed(messages.ReasonLockTimeout), ""},
		"nothing runs": {func(b *bed) { b.DB.StopFunc = func(context.Context) (int, error) { return 0, nil } }, success(messages.ConsistencyApplication), "no applier was running"},
	} {
		inBubble(t, name, func(t *testing.T) {
			b := replicaBed()
			c.break_(b)
			out := b.run(t, t.Context()) // which says whether anything stayed stopped
			if got := of(out); got != c.want {
				t.Errorf("%+v, want %+v: %s", got, c.want, out.Result.Message)
			}
			if b.Count("Session.StopApplier") != b.Count("Session.StartApplier") {
				t.Errorf("%d stops, %d starts", b.Count("Session.StopApplier"), b.Count("Session.StartApplier"))
			}
			if c.warned != "" && !warned(out.Result, c.warned) || c.warned == "" && len(out.Result.Warnings) > 0 && c.want.Status == messages.Succeeded {
				t.Errorf("warnings: %q", out.Result.Warnings)
			}
			if out.Result.Reason == messages.ReasonLockTimeout && !strings.Contains(out.Result.Message, "2 temporary tables") {
				t.Errorf("message: %s", out.Result.Message)
			}
		})
	}
}

func fails(context.Context, time.Duration) error { return errors.New("no") }

// A run that is told to stop starts the applier all the same.
func TestApplierIsStartedThoughCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := replicaBed()
		ctx, cancel := context.WithCancel(t.Context())
		b.DB.StopFunc = func(context.Context) (int, error) { cancel(); return 1, nil }
		if got := of(b.run(t, ctx)); got != failedAgain(messages.ReasonInterrupted) {
			t.Errorf("%+v", got)
		}
	})
}

// One that does not start is told of; nothing of the set is lost by it.
func TestApplierThatDoesNotStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := replicaBed()
		once := false
		b.DB.StartFunc = func(context.Context) error {
			once = true
			return errors.New("no")
		}
		p := b.Pipeline(b.plan)
		r := p.Run(t.Context(), b.job).Result
		if r.Status != messages.Succeeded || !once || !warned(r, "is not known to run again") {
			t.Errorf("%s, %q", r.Message, r.Warnings)
		}
		if faults := strings.Join(b.Faults(), "; "); faults != "the replica's applier is still stopped" {
			t.Error(faults)
		}
	})
}

// What one try left stopped and the next one started is no warning: it would be false by then.
func TestApplierThatStartsLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := replicaBed()
		b.DB.StopFunc = func(context.Context) (int, error) {
			if b.Count("Session.StopApplier") < 3 {
				return 0, &snapshot.LockNotGrantedError{Waited: true, Blockers: "something long"}
			}
			return 1, nil
		}
		b.DB.StartFunc = func(context.Context) error {
			if b.Count("Session.StartApplier") < 3 {
				return errors.New("it still waits for the stop")
			}
			return nil
		}
		r := b.run(t, t.Context()).Result
		if r.Status != messages.Succeeded || len(r.Warnings) > 0 {
			t.Errorf("%s: %s; %q", r.Status, r.Message, r.Warnings)
		}
	})
}

func TestWithoutStopApplierNothingIsStopped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed()
		b.run(t, t.Context())
		if b.Count("Session.StopApplier")+b.Count("Session.StartApplier") > 0 {
			t.Error("the applier was touched")
		}
	})
}
