package mysql

import (
	"os"
	"strings"
	"testing"
	"time"

	"stillpoint/internal/mysql/access"
	"stillpoint/internal/mysql/dialect"
	"stillpoint/internal/snapshot"
)

// auto takes the backup lock only where every table is shown to be
// transactional, and says why.
func autoTakesTheLightest(t *testing.T, srv *testServer) {
	root := srv.Root(t)
	tables := []struct {
		name, make, drop string
		lighter          bool
		says             string // in the reason
		on               string // the only flavor that has it; "": both
	}{
		{"InnoDB alone", "", "", true, "every table is transactional", ""},
		{"MyISAM", "CREATE TABLE t.x (i INT) ENGINE=MyISAM", "DROP TABLE t.x", false, "these are not transactional: t.x (MyISAM)", ""},
		{"MyISAM in a schema of its own", "CREATE TABLE u.x (i INT) ENGINE=MyISAM", "DROP TABLE u.x", false, "u.x (MyISAM)", ""},
		{"a MyISAM table in partitions", "CREATE TABLE t.x (i INT) ENGINE=MyISAM PARTITION BY HASH (i) PARTITIONS 2", "DROP TABLE t.x", false, "t.x (MyISAM)", dialect.MariaDB},
		{"Aria", "CREATE TABLE t.x (i INT) ENGINE=Aria TRANSACTIONAL=1", "DROP TABLE t.x", false, "t.x (Aria)", dialect.MariaDB},
		{"a sequence of MyISAM's", "CREATE SEQUENCE t.x ENGINE=MyISAM", "DROP SEQUENCE t.x", false, "t.x (MyISAM)", dialect.MariaDB},
		{"an InnoDB sequence", "CREATE SEQUENCE t.x", "DROP SEQUENCE t.x", true, "", dialect.MariaDB},
		{"CSV", "CREATE TABLE t.x (i INT NOT NULL) ENGINE=CSV", "DROP TABLE t.x", false, "t.x (CSV)", ""},
		{"ARCHIVE", "CREATE TABLE t.x (i INT) ENGINE=ARCHIVE", "DROP TABLE t.x", false, "t.x (ARCHIVE)", dialect.MySQL},
		{"BLACKHOLE", "CREATE TABLE t.x (i INT) ENGINE=BLACKHOLE", "DROP TABLE t.x", true, "", dialect.MySQL},
		{"a view", "CREATE VIEW t.x AS SELECT 1", "DROP VIEW t.x", true, "", ""},
		{"MEMORY, of which no snapshot has anything", "CREATE TABLE t.x (i INT) ENGINE=MEMORY", "DROP TABLE t.x", true, "", ""},
		{"InnoDB in partitions", "CREATE TABLE t.x (i INT) ENGINE=InnoDB PARTITION BY HASH (i) PARTITIONS 2", "DROP TABLE t.x", true, "", ""},
		{"a temporary table", "CREATE TEMPORARY TABLE t.x (i INT) ENGINE=MyISAM", "DROP TABLE t.x", true, "", ""},
	}
	srv.MustRun(t, root, "CREATE DATABASE u")
	backup := snapshot.LockInstance
	if srv.Flavor == dialect.MariaDB {
		backup = snapshot.LockBackupStage
	}
	s := srv.inMode(t, LockAuto)
	for _, c := range tables {
		if c.on != "" && c.on != srv.Flavor {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			if c.make != "" {
				srv.MustRun(t, root, c.make)
				defer srv.MustRun(t, root, c.drop)
			}
			mustLock(t, s, 10*time.Second)
			defer func() {
				if err := s.Unlock(t.Context()); err != nil {
					t.Error(err)
				}
			}()
			got := s.Claim()
			want := snapshot.LockFTWRL
			if c.lighter {
				want = backup
			}
			if got.Lock != want || got.Transactional != c.lighter || !strings.Contains(got.Reason, c.says) || got.Doubt != "" {
				t.Errorf("%+v", got)
			}
			if err := s.Verify(t.Context()); err != nil {
				t.Error(err)
			}
			m, err := s.Coordinates(t.Context())
			if err != nil || m.Lock != want.Name() || m.LockReason != got.Reason {
				t.Errorf("the result says %q, %q, %v", m.Lock, m.LockReason, err)
			}
		})
	}
	// More than the sentence has room for.
	for _, name := range strings.Fields("a1 b1 c1 d1 e1 f1 g1") {
		srv.MustRun(t, root, "CREATE TABLE u."+name+" (i INT) ENGINE=MyISAM")
	}
	mustLock(t, s, 10*time.Second)
	if got := s.Claim().Reason; !strings.HasSuffix(got, "u.e1 (MyISAM) and more") {
		t.Errorf("many: %q", got)
	}
	if err := s.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
	srv.MustRun(t, root, "DROP DATABASE u")
}

// What the plan, the server or the user lacks for auto to be lighter.
func autoCannotBeSure(t *testing.T, srv *testServer) {
	root := srv.Root(t)
	srv.MustRun(t, root, "CREATE TABLE t.hidden (i INT) ENGINE=MyISAM")
	plan := Config{Lock: LockAuto, EverythingFrozen: true}
	all := access.For(srv.Kind, plan.uses())
	without := access.Statements(all[:0:0], anotherUser)
	for _, p := range all {
		if !p.Optional() {
			without = append(without, access.Statements([]access.Privilege{p}, anotherUser)...)
		}
	}
	sees := "GRANT REFERENCES ON *.* TO " + anotherUser
	connect := func(cfg Config) *Session {
		t.Helper()
		d, err := New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		s, err := d.connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	decided := func(s *Session) snapshot.Claim {
		t.Helper()
		if err := s.lock.Decide(t.Context()); err != nil {
			t.Fatal(err)
		}
		return s.Claim()
	}
	ftwrl := func(what string, c snapshot.Claim, says string) {
		t.Helper()
		if c.Lock != snapshot.LockFTWRL || !strings.Contains(c.Reason, says) {
			t.Errorf("%s: %+v, want it to say %q", what, c, says)
		}
	}
	cfg := srv.another(t, root, without...)
	cfg.Lock, cfg.EverythingFrozen = LockAuto, true
	few := connect(cfg)
	ftwrl("a user who does not see every table", few.Claim(), "what helps is: "+sees)
	// A global privilege counts from the next connection on, but is shown at once.
	srv.MustRun(t, root, sees)
	ftwrl("a session older than the grant", decided(few), "may not see every table")
	ftwrl("a user who does", connect(cfg).Claim(), "t.hidden (MyISAM)")
	srv.MustRun(t, root, "DROP TABLE t.hidden")
	ftwrl("a session older than the grant", decided(few), "may not see every table")
	if c := connect(cfg).Claim(); c.Lock == snapshot.LockFTWRL {
		t.Errorf("nothing is hidden any more: %+v", c)
	}
	cfg.EverythingFrozen = false
	ftwrl("not everything frozen", connect(cfg).Claim(), "does not freeze everything")
	// A privilege on the probe itself proves nothing; the other one is asked then.
	cfg.EverythingFrozen = true
	srv.MustRun(t, root, "GRANT SELECT ON mysql.* TO "+anotherUser)
	if c := connect(cfg).Claim(); c.Lock == snapshot.LockFTWRL {
		t.Errorf("the other probe: %+v", c)
	}
	srv.MustRun(t, root, "GRANT SELECT ON sys.* TO "+anotherUser)
	ftwrl("no probe", connect(cfg).Claim(), "privileges of its own")
}

// A table whose definition cannot be read has no engine, and so is not transactional.
func brokenTable(t *testing.T, srv *testServer) {
	path := srv.Dir + "/data/t/broken.frm"
	if err := os.WriteFile(path, []byte("this is no definition of a table"), 0o600); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = os.Remove(path) }()
	if c := srv.inMode(t, LockAuto).Claim(); c.Lock != snapshot.LockFTWRL || !strings.Contains(c.Reason, "t.broken (engine unknown)") {
		t.Errorf("%+v", c)
	}
}

// MySQL's backup lock is taken where tables are not transactional too, as the
// plan has it; then it is worth less, and says so.
func backupWithDoubts(t *testing.T, srv *testServer) {
	root := srv.Root(t)
	s := srv.inMode(t, LockBackup)
	if c := s.Claim(); c.Doubt != "" {
		t.Errorf("%+v", c)
	}
	srv.MustRun(t, root, "CREATE TABLE t.m (i INT) ENGINE=MyISAM")
	mustLock(t, s, 10*time.Second)
	c := s.Claim()
	switch srv.Flavor {
	case dialect.MariaDB: // it matters to the other only
		if c.Doubt != "" {
			t.Errorf("%+v", c)
		}
	case dialect.MySQL:
		if c.Doubt != "these are not transactional: t.m (MyISAM)" || c.Transactional {
			t.Errorf("%+v", c)
		}
	}
	if err := s.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
}

// A table that is made between the look at the tables and the backup lock: auto
// goes on to FTWRL within the same try, having let go of the backup lock first.
func autoLooksAgain(t *testing.T, srv *testServer) {
	root := srv.Root(t)
	s := srv.inMode(t, LockAuto)
	between := func() {
		t.Helper()
		srv.MustRun(t, root, "DROP TABLE IF EXISTS t.m")
		if err := s.Ready(t.Context(), 10*time.Second); err != nil {
			t.Fatal(err)
		}
		if c := s.Claim(); c.Lock != snapshot.LockInstance {
			t.Fatalf("%+v", c)
		}
		srv.MustRun(t, root, "CREATE TABLE t.m (i INT) ENGINE=MyISAM")
	}
	between()
	mustLock(t, s, 10*time.Second)
	if c := s.Claim(); c.Lock != snapshot.LockFTWRL || !strings.Contains(c.Reason, "t.m (MyISAM)") {
		t.Errorf("%+v", c)
	}
	rows, err := root.Query(t.Context(), "SELECT COUNT(*) AS n FROM performance_schema.metadata_locks WHERE OBJECT_TYPE = 'BACKUP LOCK' AND LOCK_TYPE = 'SHARED'")
	if err != nil || rows[0]["n"] != "0" {
		t.Errorf("backup locks: %v, %v", rows, err)
	}
	srv.MustBlock(t)
	if err := s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Unlock(t.Context()); err != nil {
		t.Error(err)
	}
	// A statement that would block FTWRL, and does not block the backup lock: FTWRL is not requested.
	stop := srv.Busy(t, "SELECT SLEEP(30) FROM t.a")
	between()
	if refused, ok := errorAs[*snapshot.LockNotGrantedError](s.Lock(t.Context(), 10*time.Second)); !ok || !refused.Waited || refused.Blockers == "" {
		t.Errorf("Lock: %v", refused)
	}
	srv.IsIdle(t, 2)
	srv.holdsNothing(t, s)
	srv.MustWrite(t)
	if _, err := root.Query(t.Context(), "SELECT COUNT(*) AS n FROM t.a"); err != nil { // nothing is flush-pending
		t.Error(err)
	}
	stop()
}

// A server without a backup lock: refused where the plan wants one, and FTWRL with auto.
func noBackupLock(t *testing.T, srv *testServer) {
	s := srv.inMode(t, LockBackup)
	s.pair.Server.Number = 100334
	err := s.lock.Decide(t.Context())
	if _, refused := errorAs[*snapshot.RefusedError](err); !refused || !strings.Contains(err.Error(), "has no backup lock") || !strings.Contains(err.Error(), "write lock: ftwrl, or auto") {
		t.Errorf("%v", err)
	}
	s.lock.Mode = LockAuto
	if err := s.lock.Decide(t.Context()); err != nil || s.Claim().Lock != snapshot.LockFTWRL || !strings.Contains(s.Claim().Reason, "no backup lock") {
		t.Errorf("%+v, %v", s.Claim(), err)
	}
}
