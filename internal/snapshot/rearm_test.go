package snapshot_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"

	"stillpoint/messages"
)

// A guardian that has died since it was armed is exchanged, once, while nothing is held.
func TestGuardianIsExchangedBeforeTheLock(t *testing.T) {
	for _, tc := range []struct {
		name  string
		dead  int // how many do not answer
		armed bool
		want  verdict
		warns int
	}{
		{"one dead", 1, true, success(messages.ConsistencyApplication), 1},
		{"both dead", 2, true, failed(messages.ReasonPreflightFailed), 1},
		{"no other can be armed", 1, false, failed(messages.ReasonPreflightFailed), 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBed()
				asked, armed := 0, 0
				b.Freezer.ReadyFunc = func(context.Context) error {
					if asked++; asked <= tc.dead {
						return errors.New("the guardian has died")
					}
					return nil
				}
				b.Freezer.ArmFunc = func(context.Context, []string) error {
					if armed++; armed > 1 && !tc.armed {
						return errBoom
					}
					return nil
				}
				out := b.run(t, t.Context())
				if d := cmp.Diff(tc.want, of(out)); d != "" || len(out.Result.Warnings) != tc.warns {
					t.Errorf("%s%s\n%q", d, out.Result.Message, out.Result.Warnings)
				}
				if locked := b.Count("Session.Lock"); (locked == 1) != (tc.want.Status == messages.Succeeded) || armed != 2 {
					t.Errorf("locked %d times, armed %d times", locked, armed)
				}
			})
		})
	}
}
