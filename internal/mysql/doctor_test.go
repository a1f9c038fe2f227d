package mysql

import (
	"path/filepath"
	"testing"
	"time"

	"stillpoint/internal/snapshot"
)

// checkUp opens one as the server's administrator.
func (s *testServer) checkUp(t *testing.T, change func(*Config)) *CheckUp {
	t.Helper()
	cfg := s.config()
	if change != nil {
		change(&cfg)
	}
	s.Minimal(t, cfg.uses())
	d, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	c, err := d.CheckUp(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// A check-up says what a run would do, goes on where a run stops, and ends nothing.
func TestCheckUp(t *testing.T) {
	each(t, func(t *testing.T, srv *testServer) {
		c := srv.checkUp(t, func(c *Config) {
			c.LongQueries, c.LongQueryAfter, c.KillAfter = LongQueriesKill, time.Millisecond, time.Millisecond
		})
		if err := c.Privileges(t.Context()); err != nil {
			t.Fatal(err)
		}
		claim, err := c.Claim(t.Context())
		if err != nil || claim.Lock != snapshot.LockFTWRL {
			t.Fatalf("%+v, %v", claim, err)
		}
		if w, err := c.InTheWay(t.Context()); err != nil || len(w.Long) > 0 {
			t.Errorf("an idle server: %+v, %v", w, err)
		}
		set, err := c.Settings(t.Context())
		if err != nil || !c.Binlog() || set.MaxConnections == 0 || set.Connections < 2 || filepath.Clean(set.Datadir) == "." {
			t.Errorf("%+v, %v", set, err)
		}
		if list, err := c.Sources(t.Context()); err != nil || len(list) != 0 {
			t.Errorf("no replica: %+v, %v", list, err)
		}
		if known := c.Known(); known != "run" {
			t.Errorf("known by %q", known)
		}
		srv.MustExec(t, "CREATE DATABASE IF NOT EXISTS d", "CREATE TABLE IF NOT EXISTS d.slow (i INT) ENGINE=InnoDB", "INSERT INTO d.slow VALUES (1)")
		stop := srv.Busy(t, "UPDATE d.slow SET i = i + SLEEP(60)")
		w, err := c.InTheWay(t.Context())
		for end := time.Now().Add(10 * time.Second); err == nil && len(w.Long) == 0 && time.Now().Before(end); {
			w, err = c.InTheWay(t.Context()) // until it has got as far as its tables
		}
		if err != nil || len(w.Long) != 1 || len(w.Ended) != 1 {
			t.Errorf("a long statement: %+v, %v", w, err)
		}
		rows, err := srv.Root(t).Query(t.Context(), "SELECT ID AS id FROM information_schema.PROCESSLIST WHERE INFO LIKE 'UPDATE d.slow%'")
		if err != nil || len(rows) != 1 {
			t.Errorf("it was ended: %v, %v", rows, err)
		}
		stop()
	})
}
