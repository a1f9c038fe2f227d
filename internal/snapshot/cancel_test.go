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

// Cancelled at any call: before the lock the run ends with nothing held, from
// then on it is not heard.
func TestCancelledAtEveryStep(t *testing.T) {
	causes := map[string]error{"stopped": context.Canceled, "lease lost": &snapshot.LeaseLostError{Err: errBoom}}
	lock := slices.Index(healthy, "Session.Lock")
	for name, cause := range causes {
		for step, call := range healthy {
			inBubble(t, name+" at "+call, func(t *testing.T) {
				b := newBed()
				ctx, cancel := context.WithCancelCause(t.Context())
				defer cancel(nil)
				n := 0
				b.Before = func(string) {
					if n == step {
						cancel(cause)
					}
					n++
				}
				out := b.run(t, ctx)
				want := failedAgain(messages.ReasonInterrupted)
				if name == "lease lost" && call == "Lease.Cover" {
					want = failedAgain(messages.ReasonInterrupted)
				}
				if step > lock {
					want = success(messages.ConsistencyApplication)
				}
				if d := cmp.Diff(want, of(out)); d != "" {
					t.Errorf("verdict: %s\n%s", d, out.Result.Message)
				}
				if step <= lock {
					if b.Count("EBS.Create") != 0 {
						t.Error("EC2 was asked")
					}
					if says := strings.Contains(out.Result.Message, "lease was lost"); says != (name == "lease lost") {
						t.Errorf("it says %s", out.Result.Message)
					}
				} else if d := cmp.Diff(healthy, b.Calls()); d != "" {
					t.Errorf("it was heard inside: %s", d)
				}
			})
		}
	}
}

// A stop during the wait between two tries, and while the lock is waited for.
func TestCancelledBetweenTries(t *testing.T) {
	for _, at := range []string{"Sleep", "Session.Lock"} {
		inBubble(t, at, func(t *testing.T) {
			b := newBed()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			b.DB.LockFunc = func(ctx context.Context, _ time.Duration) error {
				if err := wait(ctx, 500*time.Millisecond); err != nil {
					return err
				}
				return &snapshot.LockNotGrantedError{}
			}
			b.Before = func(call string) {
				if call == at {
					time.AfterFunc(100*time.Millisecond, cancel)
				}
			}
			start := time.Now()
			out := b.run(t, ctx)
			if d := cmp.Diff(failedAgain(messages.ReasonInterrupted), of(out)); d != "" {
				t.Error(d)
			}
			if took := time.Since(start); took > 700*time.Millisecond {
				t.Errorf("it took %s to hear", took)
			}
		})
	}
}

// Stopped while it looks for what an ambiguous call made: that goes on later.
func TestReconcileCutShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBed()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var set snapshot.CreateSet
		b.EBS.CreateFunc = func(_ context.Context, s snapshot.CreateSet) ([]messages.Snapshot, error) {
			set = s
			return nil, ambiguous()
		}
		b.Before = func(call string) {
			if call == "Progress reconcile" {
				time.AfterFunc(10*time.Second, cancel)
			}
		}
		if d := cmp.Diff(failedAgain(messages.ReasonSnapshotAmbiguous), of(b.run(t, ctx))); d != "" {
			t.Fatal(d)
		}
		if b.Count("Record.Settled") != 0 {
			t.Error("it was settled although it is open")
		}
		b.EBS.CreateFunc, b.Before = nil, nil
		b.EBS.Start(set, 2) // it shows up now
		out := b.again(t, t.Context())
		if d := cmp.Diff(inconsistent(messages.ReasonInterrupted, messages.ConsistencyCrash), of(out)); d != "" {
			t.Error(d)
		}
		if b.Count("EBS.Create") != 1 {
			t.Error("a second set was asked for")
		}
	})
}
