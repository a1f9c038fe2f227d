package mysql

import (
	"context"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"stillpoint/internal/snapshot"
)

// durable is the server's default, which the tests' servers do not have.
const durable = "--innodb-flush-log-at-trx-commit=1"

// The modes' tests have one server of each flavor among them.
func TestLockModes(t *testing.T) {
	each(t, func(t *testing.T, srv *testServer) {
		for _, part := range []struct {
			name string
			test func(t *testing.T, srv *testServer)
			on   string // the only flavor that it is for; "": both
		}{
			{"holds", holdsInEveryMode, ""},
			{"sees that the lock is gone", seesThatTheLockIsGone, ""},
			{"lets go by itself", letsGoByItself, ""},
			{"is withdrawn", isWithdrawn, ""},
			{"kills meet grants", killsMeetGrants, ""},
			{"waits for what", waitsForWhat, ""},
			{"waits for nobody", waitsForNobody, ""},
			{"steps share the time", stepsShareTheTime, flavorMariaDB},
			{"auto", autoTakesTheLightest, ""},
			{"auto cannot be sure", autoCannotBeSure, ""},
			{"auto looks again", autoLooksAgain, flavorMySQL},
			{"backup with doubts", backupWithDoubts, ""},
			{"broken table", brokenTable, flavorMariaDB},
			{"no backup lock", noBackupLock, flavorMariaDB},
			{"the log is written late", logIsWrittenLate, ""}, // the last: it changes the server
		} {
			if part.on == "" || part.on == srv.flavor {
				t.Run(part.name, func(t *testing.T) {
					part.test(t, srv)
					srv.mustRun(t, srv.root(t), "DROP TABLE IF EXISTS t.m, t.n, t.d")
				})
			}
		}
	}, durable)
}

// inMode connects with a mode, on a plan that freezes everything.
func (s *testServer) inMode(tb testing.TB, mode Lock) *Session {
	tb.Helper()
	return s.connect(tb, func(c *Config) { c.Lock, c.EverythingFrozen = mode, true })
}

// may says whether a statement goes through at once; it is undone where it did.
func (s *testServer) may(tb testing.TB, c *conn, statement string) bool {
	tb.Helper()
	bound := "SET SESSION max_statement_time = 0.1"
	if s.flavor != flavorMariaDB {
		bound = "SET SESSION lock_wait_timeout = 1"
	}
	s.mustRun(tb, c, bound)
	err := c.exec(tb.Context(), statement)
	if err != nil && !isNotGranted(err) {
		tb.Fatalf("%s: %v", statement, err)
	}
	return err == nil
}

// What each mode's lock stops, that it is what the result says, that all is let
// go, and that nothing of it is in the binlog. Of FTWRL other tests say it.
func holdsInEveryMode(t *testing.T, srv *testServer) {
	root := srv.root(t)
	srv.mustRun(t, root, "CREATE TABLE t.m (i INT) ENGINE=MyISAM")
	maria := srv.flavor == flavorMariaDB
	for _, c := range []struct {
		mode                           Lock
		name                           string
		insert, commit, myisam, define bool // that others still can
	}{
		{LockBackup, "backup", true, !maria, !maria, false},
		{LockNone, "none", true, true, true, true},
	} {
		t.Run(string(c.mode), func(t *testing.T) {
			s := srv.inMode(t, c.mode)
			lock(t, s, 10*time.Second)
			before, err := s.Coordinates(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if before.Lock != c.name || s.Claim().Lock.Name() != c.name || before.LockReason != "" {
				t.Errorf("it says that it took %q (%q, %q)", before.Lock, s.Claim().Lock, before.LockReason)
			}
			other := srv.root(t)
			srv.mustRun(t, other, "BEGIN")
			if got := srv.may(t, other, "INSERT INTO t.w (v) VALUES (7)"); got != c.insert {
				t.Errorf("an insert goes through: %v", got)
			}
			if c.insert && !c.commit {
				if srv.may(t, other, "COMMIT") {
					t.Error("a commit goes through")
				}
			}
			srv.mustRun(t, srv.root(t), fmt.Sprintf("KILL %d", other.id))
			third := srv.root(t)
			if got := srv.may(t, third, "INSERT INTO t.m VALUES (1)"); got != c.myisam {
				t.Errorf("a write to MyISAM goes through: %v", got)
			}
			if c.commit {
				if !srv.may(t, third, "INSERT INTO t.w (v) VALUES (8)") {
					t.Error("a commit does not go through")
				}
			}
			if got := srv.may(t, third, "CREATE TABLE t.d (i INT)"); got != c.define {
				t.Errorf("DDL goes through: %v", got)
			} else if got {
				srv.mustRun(t, third, "DROP TABLE t.d")
			}
			if err := s.Verify(t.Context()); err != nil {
				t.Error(err)
			}
			after, err := s.Coordinates(t.Context())
			if same := reflect.DeepEqual(after, before); err != nil || same == c.commit {
				t.Errorf("coordinates %+v, then %+v, %v", before, after, err)
			}
			if err := s.Unlock(t.Context()); err != nil {
				t.Fatal(err)
			}
			if !srv.may(t, third, "CREATE TABLE t.d (i INT)") {
				t.Error("DDL does not go through after the unlock")
			}
			srv.mustRun(t, third, "DROP TABLE t.d", "INSERT INTO t.m VALUES (1)")
			if _, lost := errorAs[*snapshot.LockLostError](s.Verify(t.Context())); !lost {
				t.Error("Verify finds a lock after Unlock")
			}
			srv.nothingOfOurs(t, s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// nothingOfOurs locks and unlocks with nobody else about, and finds the binlog where it was.
func (s *testServer) nothingOfOurs(tb testing.TB, session *Session) {
	tb.Helper()
	before, err := session.Coordinates(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := session.Settle(tb.Context()); err != nil {
		tb.Error(err)
	}
	lock(tb, session, 10*time.Second)
	if err := session.Verify(tb.Context()); err != nil {
		tb.Error(err)
	}
	if err := session.Unlock(tb.Context()); err != nil {
		tb.Error(err)
	}
	after, err := session.Coordinates(tb.Context())
	if err != nil || !reflect.DeepEqual(before, after) {
		tb.Errorf("the binlog was at %+v and is at %+v, %v", before, after, err)
	}
}

// The proof of the hold fails where the session was killed, and where the lock is
// gone although the session is not.
func seesThatTheLockIsGone(t *testing.T, srv *testServer) {
	root := srv.root(t)
	for _, mode := range []Lock{LockFTWRL, LockBackup, LockNone} {
		t.Run(string(mode), func(t *testing.T) {
			s := srv.inMode(t, mode)
			lock(t, s, 10*time.Second)
			if mode != LockNone {
				if err := s.release(t.Context()); err != nil {
					t.Fatal(err)
				}
				if _, lost := errorAs[*snapshot.LockLostError](s.Verify(t.Context())); !lost {
					t.Error("Verify does not see that the lock is gone")
				}
				srv.mustWrite(t) // the proof leaves nothing behind
				if err := s.Unlock(t.Context()); err != nil {
					t.Error(err)
				}
				lock(t, s, 10*time.Second)
			}
			// A KILL QUERY for the holder spoils nothing.
			srv.mustRun(t, root, fmt.Sprintf("KILL QUERY %d", s.a.id))
			if err := s.Verify(t.Context()); err != nil {
				t.Error(err)
			}
			srv.mustRun(t, root, fmt.Sprintf("KILL %d", s.a.id))
			if _, lost := errorAs[*snapshot.LockLostError](s.Verify(t.Context())); !lost {
				t.Error("Verify does not see that the session was killed")
			}
			if _, lost := errorAs[*snapshot.LockLostError](s.Unlock(t.Context())); !lost {
				t.Error("Unlock does not say that the lock was lost")
			}
			lock(t, s, 10*time.Second)
			if err := s.Unlock(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// The server lets go by itself in every mode: not before hold, and less than a second after.
func letsGoByItself(t *testing.T, srv *testServer) {
	const hold = 1500 * time.Millisecond
	for _, mode := range []Lock{LockBackup} {
		s := srv.inMode(t, mode)
		c := srv.root(t)
		start := time.Now()
		lock(t, s, hold)
		if srv.flavor == flavorMariaDB {
			srv.mustRun(t, c, "SET SESSION max_statement_time = 10")
		} else {
			srv.mustRun(t, c, "SET SESSION lock_wait_timeout = 10")
		}
		srv.mustRun(t, c, "CREATE TABLE t.switch (i INT)")
		freed := time.Since(start)
		t.Logf("%s: hold %v, DDL flows after %v", mode, hold, freed.Round(time.Millisecond))
		srv.mustRun(t, c, "DROP TABLE t.switch")
		if freed < hold || freed > hold+2*time.Second { // of it a second on a busy machine
			t.Errorf("%s: the server let go after %v", mode, freed)
		}
		if _, lost := errorAs[*snapshot.LockLostError](s.Verify(t.Context())); !lost {
			t.Errorf("%s: Verify does not see that the lock is lost", mode)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A try for a backup lock that runs into its time leaves nothing: not in the
// queue, and not of the steps that it was granted.
func isWithdrawn(t *testing.T, srv *testServer) {
	type stage struct {
		name string
		stop func(t *testing.T, srv *testServer) (stop func())
	}
	behind := func(statements ...string) func(*testing.T, *testServer) func() {
		return func(t *testing.T, srv *testServer) func() { return srv.busy(t, statements...) }
	}
	stages := map[string][]stage{
		flavorMariaDB: {
			{"START, another backup", behind("BACKUP STAGE START", "SELECT SLEEP(30)")},
			{"START, a table locked for writing", behind("LOCK TABLES t.m WRITE", "SELECT SLEEP(30)")},
			{"START, DDL", behind("CREATE TABLE t.d AS SELECT SLEEP(30) FROM t.a")},
			{"BLOCK_DDL, a write to MyISAM", behind("UPDATE t.m SET i = i + SLEEP(30)")},
			{"BLOCK_COMMIT, a commit", semiSync},
		},
		flavorMySQL: {
			{"DDL", behind("CREATE TABLE t.d AS SELECT SLEEP(30) FROM t.a")},
		},
	}
	root := srv.root(t)
	srv.mustRun(t, root, "CREATE TABLE t.m (i INT) ENGINE=MyISAM", "INSERT INTO t.m VALUES (1),(2)", "CREATE TABLE t.n (i INT) ENGINE=MyISAM")
	for _, stage := range stages[srv.flavor] {
		t.Run(stage.name, func(t *testing.T) {
			s := srv.connect(t, func(c *Config) { c.Lock, c.LongQueryAfter = LockBackup, time.Hour })
			s.patience = 0
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
				srv.isIdle(t, 2)
				srv.holdsNothing(t, s)
				// The shortest of three: a busy machine stalls a writer too, but not each time.
				if d := stall(); try == 0 || d < longest {
					longest = d
				}
			}
			t.Logf("a writer's longest stall: %v", longest.Round(100*time.Microsecond))
			if longest > s.cfg.LockTimeout+time.Second {
				t.Errorf("a writer was stalled for %v in each try", longest)
			}
			stop()
			srv.mustRun(t, root, "DROP TABLE IF EXISTS t.d")
			lock(t, s, 10*time.Second)
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
	s.mustRun(tb, session.a, "DO 0")
	if s.flavor == flavorMariaDB {
		if err := session.a.exec(tb.Context(), "BACKUP STAGE END"); code(err) != erBackupNotRunning {
			tb.Errorf("a backup is under way: %v", err)
		}
		return
	}
	rows, err := s.root(tb).query(tb.Context(), "SELECT COUNT(*) AS n FROM performance_schema.metadata_locks WHERE OBJECT_TYPE IN ('BACKUP LOCK', 'GLOBAL') AND LOCK_TYPE = 'SHARED'")
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
	c := s.root(tb)
	s.mustRun(tb, c, "SET SESSION sql_log_bin = 0") // its commits wait for no replica
	ctx, cancel := context.WithCancel(tb.Context())
	done := make(chan struct{})
	var longest time.Duration
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			start := time.Now()
			if c.exec(context.Background(), statement) != nil {
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
	root := srv.root(t)
	srv.mustRun(t, root, "SET GLOBAL rpl_semi_sync_master_wait_no_slave = 1, rpl_semi_sync_master_timeout = 30000, rpl_semi_sync_master_wait_point = after_sync, rpl_semi_sync_master_enabled = 1")
	stop := srv.busy(t, "INSERT INTO t.w (v) VALUES (9)")
	// In the process list from its first step on; what blocks is the wait in its last.
	for {
		rows, err := root.query(t.Context(), "SELECT ID AS id FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for semi-sync ACK%'")
		if err != nil {
			t.Fatal(err)
		}
		if len(rows) > 0 {
			break
		}
		time.Sleep(time.Millisecond)
	}
	return func() {
		srv.mustRun(t, root, "SET GLOBAL rpl_semi_sync_master_enabled = 0")
		stop()
	}
}

// What the backup locks wait for, and what not, though it runs or is held for long.
func waitsForWhat(t *testing.T, srv *testServer) {
	maria := srv.flavor == flavorMariaDB
	root := srv.root(t)
	srv.mustRun(t, root, "CREATE TABLE t.m (i INT) ENGINE=MyISAM", "INSERT INTO t.m VALUES (1),(2)")
	s := srv.connect(t, func(c *Config) {
		c.Lock, c.LongQueryAfter, c.LockTimeout = LockBackup, time.Hour, 150*time.Millisecond
	})
	s.patience = 0
	other := map[string]string{flavorMariaDB: "BACKUP STAGE START", flavorMySQL: "LOCK INSTANCE FOR BACKUP"}[srv.flavor]
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
		stop := srv.busy(t, c.run...)
		err := s.Lock(t.Context(), 10*time.Second)
		if !c.waits && err != nil { // a busy machine
			lock(t, s, 10*time.Second)
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
		srv.mustRun(t, root, "DROP TABLE IF EXISTS t.d")
	}
}

// Kill and grant meet wherever they like, in every step: whatever Lock says must be true.
func killsMeetGrants(t *testing.T, srv *testServer) {
	s := srv.connect(t, func(c *Config) { c.Lock = LockBackup })
	c := srv.root(t)
	granted := 0
	for i := range 100 {
		s.cfg.LockTimeout = time.Duration(20+i*60) * time.Microsecond
		err := s.Lock(t.Context(), 10*time.Second)
		if err == nil {
			granted++
			if err := s.Verify(t.Context()); err != nil {
				t.Fatalf("%v: %v", s.cfg.LockTimeout, err)
			}
			if err := s.Unlock(t.Context()); err != nil {
				t.Fatalf("%v: %v", s.cfg.LockTimeout, err)
			}
		} else if _, ok := errorAs[*snapshot.LockNotGrantedError](err); !ok {
			t.Fatalf("%v: %v", s.cfg.LockTimeout, err)
		}
		srv.holdsNothing(t, s)
		if err := srv.writes(t, c, 2*time.Second); err != nil {
			t.Fatalf("%v: a write is blocked although nothing is held: %v", s.cfg.LockTimeout, err)
		}
	}
	t.Logf("%d of 100 granted", granted)
	srv.isIdle(t, 2)
}

// The steps of a lock share one lock_timeout: what the first has waited is gone for the others.
func stepsShareTheTime(t *testing.T, srv *testServer) {
	srv.mustRun(t, srv.root(t), "CREATE TABLE t.m (i INT) ENGINE=MyISAM", "INSERT INTO t.m VALUES (1)")
	const timeout = 2 * time.Second
	s := srv.connect(t, func(c *Config) { c.Lock, c.LongQueryAfter, c.LockTimeout = LockBackup, time.Hour, timeout })
	s.patience = 0
	stop := srv.busy(t, "UPDATE t.m SET i = i + SLEEP(30)") // BLOCK_DDL waits for it
	other := srv.busy(t, "BACKUP STAGE START", "SELECT SLEEP(30)")
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
	stop := srv.busy(t, longUpdate)
	for _, c := range []struct {
		mode  Lock
		waits bool
	}{{LockAuto, false}, {LockNone, false}, {LockFTWRL, true}} {
		s := srv.connect(t, func(cfg *Config) {
			cfg.Lock, cfg.EverythingFrozen, cfg.LongQueryAfter = c.mode, true, time.Millisecond
		})
		err := s.Lock(t.Context(), 10*time.Second)
		if refused, no := errorAs[*snapshot.LockNotGrantedError](err); no && !refused.Waited && !c.waits { // a busy machine
			lock(t, s, 10*time.Second)
		} else if no != c.waits || no && !refused.Waited {
			t.Errorf("%s: %v", c.mode, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
	stop()
}

// A server whose InnoDB writes its log late is known by its variable, at each try anew.
func logIsWrittenLate(t *testing.T, srv *testServer) {
	s := srv.inMode(t, LockFTWRL)
	for value, late := range map[string]bool{"1": false, "2": false, "0": true} {
		srv.mustRun(t, srv.root(t), "SET GLOBAL innodb_flush_log_at_trx_commit = "+value)
		lock(t, s, 10*time.Second)
		if s.Claim().LogsLate != late {
			t.Errorf("%s: %+v", value, s.Claim())
		}
		if err := s.Unlock(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// On a server that cannot list its tables within a try, auto takes the heavier
// lock instead of giving up in every try.
func TestAutoWithoutTimeToLook(t *testing.T) {
	srv := startMySQL(t)
	s := srv.connect(t, func(c *Config) { c.Lock, c.EverythingFrozen, c.LockTimeout = LockAuto, true, time.Millisecond })
	if err := s.Ready(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if c := s.Claim(); c.Lock != snapshot.LockFTWRL || !strings.Contains(c.Reason, "did not list its tables within") {
		t.Errorf("it goes for %s: %s", c.Lock, c.Reason)
	}
}
