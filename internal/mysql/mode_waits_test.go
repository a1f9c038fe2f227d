package mysql

import (
	"context"
	"strings"
	"testing"
	"time"

	"stillpoint/internal/mysql/dialect"
	"stillpoint/internal/mysql/wire"
	"stillpoint/internal/snapshot"
)

// A try for a backup lock that runs into its time leaves nothing: not in the
// queue, and not of the steps that it was granted.
func isWithdrawn(t *testing.T, srv *testServer) {
	type stage struct {
		name string
		stop func(t *testing.T, srv *testServer) (stop func())
	}
	behind := func(statements ...string) func(*testing.T, *testServer) func() {
		return func(t *testing.T, srv *testServer) func() { return srv.Busy(t, statements...) }
	}
	stages := map[string][]stage{
		dialect.MariaDB: {
			{"START, another backup", behind("BACKUP STAGE START", "SELECT SLEEP(30)")},
			{"START, a table locked for writing", behind("LOCK TABLES t.m WRITE", "SELECT SLEEP(30)")},
			{"START, DDL", behind("CREATE TABLE t.d AS SELECT SLEEP(30) FROM t.a")},
			{"BLOCK_DDL, a write to MyISAM", behind("UPDATE t.m SET i = i + SLEEP(30)")},
			{"BLOCK_COMMIT, a commit", semiSync},
		},
		dialect.MySQL: {
			{"DDL", behind("CREATE TABLE t.d AS SELECT SLEEP(30) FROM t.a")},
		},
	}
	root := srv.Root(t)
	srv.MustRun(t, root, "CREATE TABLE t.m (i INT) ENGINE=MyISAM", "INSERT INTO t.m VALUES (1),(2)", "CREATE TABLE t.n (i INT) ENGINE=MyISAM")
	for _, stage := range stages[srv.Flavor] {
		t.Run(stage.name, func(t *testing.T) {
			s := srv.connect(t, func(c *Config) { c.Lock, c.LongQueryAfter = LockBackup, time.Hour })
			s.look.Patience = 0
			stop := stage.stop(t, srv)
			write := "INSERT INTO t.w (v) VALUES (1)"
			if strings.HasPrefix(stage.name, "BLOCK_DDL") {
				write = "INSERT INTO t.n VALUES (1)"
			}
			var longest time.Duration
			for try := range 3 {
				stall := srv.stalls(t, write)
				if refused, ok := errorAs[*snapshot.LockNotGrantedError](s.Lock(t.Context(), 10*time.Second)); !ok || refused.Waited {
					t.Fatalf("Lock: %v", refused)
				}
				srv.IsIdle(t, 2)
				srv.holdsNothing(t, s)
				// The shortest of three: a busy machine stalls a writer too, but not each time.
				if d := stall(); try == 0 || d < longest {
					longest = d
				}
			}
			t.Logf("a writer's longest stall: %v", longest.Round(100*time.Microsecond))
			if longest > s.lock.Timeout+time.Second {
				t.Errorf("a writer was stalled for %v in each try", longest)
			}
			stop()
			srv.MustRun(t, root, "DROP TABLE IF EXISTS t.d")
			mustLock(t, s, 10*time.Second)
			if err := s.Unlock(t.Context()); err != nil {
				t.Error(err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// holdsNothing fails the test where the session holds any of its method's lock.
func (s *testServer) holdsNothing(tb testing.TB, session *Session) {
	tb.Helper()
	s.MustRun(tb, session.pair.A, "DO 0")
	if s.Flavor == dialect.MariaDB {
		if err := session.pair.A.Exec(tb.Context(), "BACKUP STAGE END"); wire.Code(err) != wire.ErBackupNotRunning {
			tb.Errorf("a backup is under way: %v", err)
		}
		return
	}
	rows, err := s.Root(tb).Query(tb.Context(), "SELECT COUNT(*) AS n FROM performance_schema.metadata_locks WHERE OBJECT_TYPE IN ('BACKUP LOCK', 'GLOBAL') AND LOCK_TYPE = 'SHARED'")
	if err != nil {
		tb.Fatal(err)
	}
	if rows[0]["n"] != "0" {
		tb.Errorf("%s locks are held or waited for", rows[0]["n"])
	}
}

// stalls repeats a statement until the returned function is called, which says
// how long the longest took.
func (s *testServer) stalls(tb testing.TB, statement string) func() time.Duration {
	tb.Helper()
	c := s.Root(tb)
	s.MustRun(tb, c, "SET SESSION sql_log_bin = 0") // its commits wait for no replica
	ctx, cancel := context.WithCancel(tb.Context())
	done := make(chan struct{})
	var longest time.Duration
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			start := time.Now()
			if c.Exec(context.Background(), statement) != nil {
				break
			}
			longest = max(longest, time.Since(start))
		}
	}()
	stop := func() time.Duration {
		cancel()
		<-done
		return longest
	}
	tb.Cleanup(func() { stop() }) // before the connection is dropped, which it uses
	return stop
}

// semiSync makes a session's commit wait for a replica that does not come.
func semiSync(t *testing.T, srv *testServer) func() {
	root := srv.Root(t)
	srv.MustRun(t, root, "SET GLOBAL rpl_semi_sync_master_wait_no_slave = 1, rpl_semi_sync_master_timeout = 30000, rpl_semi_sync_master_wait_point = after_sync, rpl_semi_sync_master_enabled = 1")
	stop := srv.BusyIn(t, "Waiting for semi-sync ACK", "INSERT INTO t.w (v) VALUES (9)")
	return func() {
		srv.MustRun(t, root, "SET GLOBAL rpl_semi_sync_master_enabled = 0")
		stop()
	}
}

// What the backup locks wait for, and what not, though it runs or is held for long.
func waitsForWhat(t *testing.T, srv *testServer) {
	maria := srv.Flavor == dialect.MariaDB
	root := srv.Root(t)
	srv.MustRun(t, root, "CREATE TABLE t.m (i INT) ENGINE=MyISAM", "INSERT INTO t.m VALUES (1),(2)")
	s := srv.connect(t, func(c *Config) {
		c.Lock, c.LongQueryAfter, c.LockTimeout = LockBackup, time.Hour, 150*time.Millisecond
	})
	s.look.Patience = 0
	other := map[string]string{dialect.MariaDB: "BACKUP STAGE START", dialect.MySQL: "LOCK INSTANCE FOR BACKUP"}[srv.Flavor]
	for _, c := range []struct {
		name  string
		run   []string
		waits bool
	}{
		{"a long SELECT", []string{"SELECT SLEEP(30) FROM t.a"}, false},
		{"a long SELECT of MyISAM", []string{"SELECT SLEEP(30) FROM t.m"}, false},
		{"a long UPDATE", []string{longUpdate}, false},
		{"a long UPDATE of MyISAM", []string{"UPDATE t.m SET i = i + SLEEP(30)"}, maria},
		{"LOCK TABLES READ", []string{"LOCK TABLES t.m READ", "SELECT SLEEP(30)"}, false},
		{"LOCK TABLES WRITE", []string{"LOCK TABLES t.a WRITE", "SELECT SLEEP(30)"}, maria},
		{"a transaction that is open", []string{"BEGIN", "UPDATE t.a SET v = 0", "SELECT SLEEP(30)"}, false},
		{"DDL", []string{"CREATE TABLE t.d AS SELECT SLEEP(30) FROM t.a"}, true},
		{"another's FTWRL", []string{"FLUSH TABLES WITH READ LOCK", "SELECT SLEEP(30)"}, false},
		{"another backup", []string{other, "SELECT SLEEP(30)"}, maria},
	} {
		stop := srv.Busy(t, c.run...)
		err := s.Lock(t.Context(), 10*time.Second)
		if !c.waits && err != nil { // a busy machine
			mustLock(t, s, 10*time.Second)
			err = nil
		}
		t.Logf("%s: waits %v", c.name, err != nil)
		if _, no := errorAs[*snapshot.LockNotGrantedError](err); no != c.waits {
			t.Errorf("%s: %v", c.name, err)
		}
		if err := s.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
		stop()
		srv.MustRun(t, root, "DROP TABLE IF EXISTS t.d")
	}
}

// The steps of a lock share one lock_timeout: what the first has waited is gone for the others.
func stepsShareTheTime(t *testing.T, srv *testServer) {
	srv.MustRun(t, srv.Root(t), "CREATE TABLE t.m (i INT) ENGINE=MyISAM", "INSERT INTO t.m VALUES (1)")
	const timeout = 2 * time.Second
	s := srv.connect(t, func(c *Config) { c.Lock, c.LongQueryAfter, c.LockTimeout = LockBackup, time.Hour, timeout })
	s.look.Patience = 0
	stop := srv.Busy(t, "UPDATE t.m SET i = i + SLEEP(30)") // BLOCK_DDL waits for it
	other := srv.Busy(t, "BACKUP STAGE START", "SELECT SLEEP(30)")
	timer := time.AfterFunc(timeout*3/4, other)
	defer timer.Stop()
	start := time.Now()
	if _, no := errorAs[*snapshot.LockNotGrantedError](s.Lock(t.Context(), 10*time.Second)); !no {
		t.Fatal("it was granted")
	}
	took := time.Since(start)
	t.Logf("a try of %v took %v", timeout, took.Round(time.Millisecond))
	if took < timeout || took > timeout*3/2 {
		t.Errorf("a try of %v took %v", timeout, took)
	}
	srv.holdsNothing(t, s)
	stop()
}

// What would block FTWRL, and does not block the lighter locks, is not waited for either.
func waitsForNobody(t *testing.T, srv *testServer) {
	stop := srv.Busy(t, longUpdate)
	for _, c := range []struct {
		mode  Lock
		waits bool
	}{{LockAuto, false}, {LockNone, false}, {LockFTWRL, true}} {
		s := srv.connect(t, func(cfg *Config) {
			cfg.Lock, cfg.EverythingFrozen, cfg.LongQueryAfter = c.mode, true, time.Millisecond
		})
		err := s.Lock(t.Context(), 10*time.Second)
		if refused, no := errorAs[*snapshot.LockNotGrantedError](err); no && !refused.Waited && !c.waits { // a busy machine
			mustLock(t, s, 10*time.Second)
		} else if no != c.waits || no && !refused.Waited {
			t.Errorf("%s: %v", c.mode, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	stop()
}
