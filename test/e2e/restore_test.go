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
	t.Parallel()
	for _, c := range []struct {
		name  string
		scene scene.Config
	}{
		{"xfs", scene.Config{Writers: 8}},
		{"ext4, binlog on xfs", scene.Config{Writers: 8, Filesystem: "ext4", Extra: "xfs", BinlogOnExtra: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			each(t, func(t *testing.T, flavor rig.Flavor) {
				c.scene.Flavor = flavor
				ctx, s := set(t, c.scene)
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

// The same comparison without lock and freeze, and with the volumes one after
// the other, finds fault with each of the claims: the proof that it can.
func TestWithoutQuiesceTheComparisonFails(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, flavor rig.Flavor) {
		ctx, s := set(t, scene.Config{Flavor: flavor, Writers: 8, Extra: "xfs", BinlogOnExtra: true})
		loaded(t, ctx, s)
		r, err := s.TakeCarelessly(ctx)
		if err != nil {
			t.Fatal(err)
		}
		p := prove(t, ctx, s, r)
		if len(p.InnoDB) == 0 || len(p.Exact) == 0 || len(p.Journals) == 0 {
			t.Fatalf("a snapshot without quiesce passed the comparison, which proves nothing: %s", p)
		}
		t.Logf("as it must: %s", p)
	})
}

// What is wrong with one claim only is found, and said of that claim alone.
func TestTheComparisonTellsTheClaimsApart(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, flavor rig.Flavor) {
		ctx, s := set(t, scene.Config{Flavor: flavor, Writers: 4})
		loaded(t, ctx, s)
		r, err := s.Take(ctx)
		if err != nil {
			t.Fatal(err)
		}
		wants(t, r, messages.Succeeded, "", messages.ConsistencyApplication)
		if err := s.Load.Stop(); err != nil {
			t.Fatal(err)
		}
		restored, err := s.Restore(ctx, r)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range []struct {
			name                    string
			seed                    string
			innoDB, exact, journals bool
		}{
			{name: "nothing"},
			{name: "a transaction too few in the coordinates", exact: true},
			{name: "a row of a journal", seed: "DELETE FROM rig.journal_myisam ORDER BY writer, seq LIMIT 1", journals: true},
			{name: "money", seed: "UPDATE rig.account SET balance = balance + 1 LIMIT 1", innoDB: true, journals: true},
		} {
			if c.seed != "" {
				seed(t, ctx, restored.Server, c.seed)
			}
			said := *r
			if c.exact {
				m := *r.MySQL
				m.BinlogPosition = 4
				said.MySQL = &m
			}
			p, err := s.Prove(ctx, restored, &said)
			if err != nil {
				t.Fatal(err)
			}
			if len(p.InnoDB) > 0 != c.innoDB || len(p.Exact) > 0 != c.exact || len(p.Journals) > 0 != c.journals {
				t.Errorf("%s: %s", c.name, p)
			}
			t.Logf("%s: %s", c.name, p)
		}
	})
}

// seed runs a statement that the server's binlog and GTID do not hear of.
func seed(t *testing.T, ctx context.Context, server *rig.Server, statement string) {
	t.Helper()
	c, err := server.DB().Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	for _, q := range []string{"SET SESSION sql_log_bin = 0", statement, "SET SESSION sql_log_bin = 1"} {
		if _, err := c.ExecContext(ctx, q); err != nil {
			t.Fatal(err)
		}
	}
}
