package mysql

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stillpoint/internal/snapshot"
)

// checkUp opens one as the server's administrator.
func (s *testServer) checkUp(t *testing.T, change func(*Config)) *CheckUp {
	t.Helper()
	cfg := s.config()
	if change != nil {
		change(&cfg)
	}
	s.minimal(t, cfg)
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
		if err != nil || !set.Binlog || set.MaxConnections == 0 || set.Connections < 2 || filepath.Clean(set.Datadir) == "." {
			t.Errorf("%+v, %v", set, err)
		}
		if list, err := c.Sources(t.Context()); err != nil || len(list) != 0 {
			t.Errorf("no replica: %+v, %v", list, err)
		}
		if known := c.Known(); known != string(evidenceRun) {
			t.Errorf("known by %q", known)
		}
		srv.mustExec(t, "CREATE DATABASE IF NOT EXISTS d", "CREATE TABLE IF NOT EXISTS d.slow (i INT) ENGINE=InnoDB", "INSERT INTO d.slow VALUES (1)")
		stop := srv.busy(t, "UPDATE d.slow SET i = i + SLEEP(60)")
		w, err := c.InTheWay(t.Context())
		for end := time.Now().Add(10 * time.Second); err == nil && len(w.Long) == 0 && time.Now().Before(end); {
			w, err = c.InTheWay(t.Context()) // until it has got as far as its tables
		}
		if err != nil || len(w.Long) != 1 || len(w.Ended) != 1 {
			t.Errorf("a long statement: %+v, %v", w, err)
		}
		rows, err := srv.root(t).query(t.Context(), "SELECT ID AS id FROM information_schema.PROCESSLIST WHERE INFO LIKE 'UPDATE d.slow%'")
		if err != nil || len(rows) != 1 {
			t.Errorf("it was ended: %v, %v", rows, err)
		}
		stop()
	})
}

// A note is read without a lock on it: the process that has it does not notice.
func TestLookApplier(t *testing.T) {
	dir := t.TempDir()
	if a, err := LookApplier(dir); err != nil || a.Found {
		t.Errorf("%+v, %v", a, err)
	}
	boot, _, err := now()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, NoteName)
	text := `{"channels":["c"],"phase":"stopped ","pid":7,"bootId":"` + boot + `"}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if a, err := LookApplier(dir); err != nil || !a.Found || a.Living || a.EarlierBoot || a.PID != 7 || len(a.Channels) != 1 {
		t.Errorf("of the dead: %+v, %v", a, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if a, err := LookApplier(dir); err != nil || !a.Living {
		t.Errorf("of the living: %+v, %v", a, err)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, boot, "another")), 0o600); err != nil {
		t.Fatal(err)
	}
	if a, err := LookApplier(dir); err != nil || !a.EarlierBoot {
		t.Errorf("of another boot: %+v, %v", a, err)
	}
}
