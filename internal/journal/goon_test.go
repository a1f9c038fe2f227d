package journal

import (
	"path/filepath"
	"testing"
	"time"

	"stillpoint/messages"
)

// An attempt that goes on after a limit of EC2's: at each step a crash leaves
// behind what was proved by then, and no more.
func TestAnAttemptGoesOnAfterALimit(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	j := open(t, dir, Options{})
	rec := j.Record(delivery("r", "nightly"), "m-1")
	look := func(when string, sent, settled bool) {
		t.Helper()
		e, err := open(t, dir, Options{}).Load("r")
		ok(t, err)
		if a := e.Attempts; len(a) != 1 || a[0].Sent != sent || (a[0].Settled != nil) != settled {
			t.Errorf("%s: %+v", when, a)
		}
	}
	limit := result("r", "a-1", messages.Failed, time.Now())
	limit.Reason = messages.ReasonQuota
	ok(t, rec.Intend(ctx, "a-1", nil))
	ok(t, rec.Intend(ctx, "a-1", []string{"vol-1"}))
	for range 3 {
		look("intended", false, false)
		rec.Sending()
		look("sent", true, false)
		ok(t, rec.Settled(ctx, limit))
		look("refused with a limit", true, true)
		ok(t, rec.Intend(ctx, "a-1", []string{"vol-1"}))
	}
	rec.Sending()
	done := result("r", "a-1", messages.Failed, time.Now())
	done.Reason = messages.ReasonSnapshotFailed
	ok(t, rec.Settled(ctx, done))
	if err := rec.Intend(ctx, "a-1", []string{"vol-1"}); err == nil {
		t.Error("it goes on after its verdict")
	}
	look("settled for good", true, true)
}
