package e2e

import (
	"context"
	"testing"

	"stillpoint/messages"
	"stillpoint/test/rig"
	"stillpoint/test/scene"
)

// loaded waits until the load has written enough to be worth a comparison.
func loaded(t *testing.T, ctx context.Context, s *scene.Scene) {
	t.Helper()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the load: %+v, error %v\nthe server's log:\n%s", s.Load.Stats(), s.Load.Err(), s.Server.ErrorLog())
		}
	})
	if err := s.AwaitLoad(ctx); err != nil {
		t.Fatal(err)
	}
}

// each runs a test for every flavor of server.
func each(t *testing.T, test func(t *testing.T, flavor rig.Flavor)) {
	t.Helper()
	for _, flavor := range rig.Flavors {
		t.Run(string(flavor), func(t *testing.T) {
			if missing := flavor.Missing(); missing != "" {
				t.Skipf("this machine lacks %s", missing)
			}
			test(t, flavor)
		})
	}
}

// The restored set holds exactly what the recorded binlog position says.
func TestRestoredSetIsWhatTheBinlogSays(t *testing.T) {
	for _, fs := range []string{"xfs", "ext4"} {
		t.Run(fs, func(t *testing.T) {
			each(t, func(t *testing.T, flavor rig.Flavor) {
				ctx, s := set(t, scene.Config{Flavor: flavor, Filesystem: fs, Writers: 8})
				work(t, ctx, s)
				loaded(t, ctx, s)
				send(t, ctx, s, `{"plan":"nightly"}`)
				d := next(t, ctx, s)
				wants(t, d.Result, messages.Succeeded, "", messages.ConsistencyApplication)
				if !d.Result.MySQL.CoordinatesExact {
					t.Error("the coordinates are not called exact")
				}
				p := prove(t, ctx, s, d.Result)
				if !p.OK() {
					t.Fatal(p)
				}
				t.Logf("%s; writes blocked %.1f ms, of it EC2 %.1f ms", p, d.Result.Timings.WritesBlocked, d.Result.Timings.SnapshotCall)
			})
		})
	}
}

// prove restores the set of a result and compares it with the original.
func prove(t *testing.T, ctx context.Context, s *scene.Scene, r *messages.Result) scene.Proof {
	t.Helper()
	if err := s.Load.Stop(); err != nil {
		t.Fatalf("a writer failed: %v", err)
	}
	restored, err := s.Restore(ctx, r)
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Prove(ctx, restored, r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// The same comparison without lock and freeze finds fault with every claim of
// the kind that such a set cannot hold: the proof that it can.
func TestWithoutQuiesceTheComparisonFails(t *testing.T) {
	each(t, func(t *testing.T, flavor rig.Flavor) {
		ctx, s := set(t, scene.Config{Flavor: flavor, Writers: 8})
		loaded(t, ctx, s)
		r, err := s.TakeCarelessly(ctx)
		if err != nil {
			t.Fatal(err)
		}
		p := prove(t, ctx, s, r)
		if len(p.Journals) == 0 && len(p.Exact) == 0 {
			t.Fatal("a snapshot without quiesce passed the comparison: the comparison proves nothing")
		}
		t.Logf("as it must: %s", p)
	})
}
