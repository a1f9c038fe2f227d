package mysql

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"stillpoint/internal/mysql/dialect"
	"stillpoint/internal/mysql/wire"
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
			{"kills meet grants", func(t *testing.T, srv *testServer) { killsMeetGrants(t, srv, LockBackup, 60*time.Microsecond) }, ""},
			{"waits for what", waitsForWhat, ""},
			{"waits for nobody", waitsForNobody, ""},
			{"steps share the time", stepsShareTheTime, dialect.MariaDB},
			{"auto", autoTakesTheLightest, ""},
			{"auto cannot be sure", autoCannotBeSure, ""},
			{"auto looks again", autoLooksAgain, dialect.MySQL},
			{"backup with doubts", backupWithDoubts, ""},
			{"broken table", brokenTable, dialect.MariaDB},
			{"no backup lock", noBackupLock, dialect.MariaDB},
			{"the log is written late", logIsWrittenLate, ""}, // the last: it changes the server
		} {
			if part.on == "" || part.on == srv.Flavor {
				t.Run(part.name, func(t *testing.T) {
					part.test(t, srv)
					srv.MustRun(t, srv.Root(t), "DROP TABLE IF EXISTS t.m, t.n, t.d")
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
func (s *testServer) may(tb testing.TB, c *wire.Conn, statement string) bool {
	tb.Helper()
	bound := "SET SESSION max_statement_time = 0.1"
	if s.Flavor != dialect.MariaDB {
		bound = "SET SESSION lock_wait_timeout = 1"
	}
	s.MustRun(tb, c, bound)
	err := c.Exec(tb.Context(), statement)
	if err != nil && !wire.IsNotGranted(err) {
		tb.Fatalf("%s: %v", statement, err)
	}
	return err == nil
}

// What each mode's lock stops, that it is what the result says, that all is let
// go, and that nothing of it is in the binlog. Of FTWRL other tests say it.
func holdsInEveryMode(t *testing.T, srv *testServer) {
	root := srv.Root(t)
	srv.MustRun(t, root, "CREATE TABLE t.m (i INT) ENGINE=MyISAM")
	maria := srv.Flavor == dialect.MariaDB
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
			mustLock(t, s, 10*time.Second)
			before, err := s.Coordinates(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if before.Lock != c.name || s.Claim().Lock.Name() != c.name || before.LockReason != "" {
				t.Errorf("it says that it took %q (%q, %q)", before.Lock, s.Claim().Lock, before.LockReason)
			}
			other := srv.Root(t)
			srv.MustRun(t, other, "BEGIN")
			if got := srv.may(t, other, "INSERT INTO t.w (v) VALUES (7)"); got != c.insert {
				t.Errorf("an insert goes through: %v", got)
			}
			if c.insert && !c.commit {
				if srv.may(t, other, "COMMIT") {
					t.Error("a commit goes through")
				}
			}
			srv.MustRun(t, srv.Root(t), fmt.Sprintf("KILL %d", other.ID))
			third := srv.Root(t)
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
				srv.MustRun(t, third, "DROP TABLE t.d")
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
			srv.MustRun(t, third, "DROP TABLE t.d", "INSERT INTO t.m VALUES (1)")
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
	mustLock(tb, session, 10*time.Second)
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
	root := srv.Root(t)
	for _, mode := range []Lock{LockFTWRL, LockBackup, LockNone} {
		t.Run(string(mode), func(t *testing.T) {
			s := srv.inMode(t, mode)
			mustLock(t, s, 10*time.Second)
			if mode != LockNone {
				srv.MustRun(t, s.pair.A, unlocks(mode, srv.Flavor))
				if _, lost := errorAs[*snapshot.LockLostError](s.Verify(t.Context())); !lost {
					t.Error("Verify does not see that the lock is gone")
				}
				srv.MustWrite(t) // the proof leaves nothing behind
				if err := s.Unlock(t.Context()); err != nil {
					t.Error(err)
				}
				mustLock(t, s, 10*time.Second)
			}
			// A KILL QUERY for the holder spoils nothing.
			srv.MustRun(t, root, fmt.Sprintf("KILL QUERY %d", s.pair.A.ID))
			if err := s.Verify(t.Context()); err != nil {
				t.Error(err)
			}
			srv.MustRun(t, root, fmt.Sprintf("KILL %d", s.pair.A.ID))
			if _, lost := errorAs[*snapshot.LockLostError](s.Verify(t.Context())); !lost {
				t.Error("Verify does not see that the session was killed")
			}
			if _, lost := errorAs[*snapshot.LockLostError](s.Unlock(t.Context())); !lost {
				t.Error("Unlock does not say that the lock was lost")
			}
			mustLock(t, s, 10*time.Second)
			if err := s.Unlock(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// unlocks is the statement that gives up a mode's lock.
func unlocks(mode Lock, flavor string) string {
	switch {
	case mode == LockFTWRL:
		return "UNLOCK TABLES"
	case flavor == dialect.MariaDB:
		return "BACKUP STAGE END"
	}
	return "UNLOCK INSTANCE"
}

// The server lets go by itself in every mode: not before hold, and less than a second after.
func letsGoByItself(t *testing.T, srv *testServer) {
	const hold = 1500 * time.Millisecond
	for _, mode := range []Lock{LockBackup} {
		s := srv.inMode(t, mode)
		c := srv.Root(t)
		start := time.Now()
		mustLock(t, s, hold)
		if srv.Flavor == dialect.MariaDB {
			srv.MustRun(t, c, "SET SESSION max_statement_time = 10")
		} else {
			srv.MustRun(t, c, "SET SESSION lock_wait_timeout = 10")
		}
		srv.MustRun(t, c, "CREATE TABLE t.switch (i INT)")
		freed := time.Since(start)
		t.Logf("%s: hold %v, DDL flows after %v", mode, hold, freed.Round(time.Millisecond))
		srv.MustRun(t, c, "DROP TABLE t.switch")
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

// A server whose InnoDB writes its log late is known by its variable, at each try anew.
func logIsWrittenLate(t *testing.T, srv *testServer) {
	s := srv.inMode(t, LockFTWRL)
	for value, late := range map[string]bool{"1": false, "2": false, "0": true} {
		srv.MustRun(t, srv.Root(t), "SET GLOBAL innodb_flush_log_at_trx_commit = "+value)
		mustLock(t, s, 10*time.Second)
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
	root := srv.Root(t)
	for i := range 500 { // more than a server lists in a millisecond, however idle it is
		srv.MustRun(t, root, fmt.Sprintf("CREATE VIEW t.v%d AS SELECT 1", i))
	}
	s := srv.connect(t, func(c *Config) { c.Lock, c.EverythingFrozen, c.LockTimeout = LockAuto, true, time.Millisecond })
	if err := s.Ready(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if c := s.Claim(); c.Lock != snapshot.LockFTWRL || !strings.Contains(c.Reason, "did not list its tables within") {
		t.Errorf("it goes for %s: %s", c.Lock, c.Reason)
	}
}
