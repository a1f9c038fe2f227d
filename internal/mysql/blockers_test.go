package mysql

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"stillpoint/internal/mysql/dialect"
	"stillpoint/internal/mysql/look"
	"stillpoint/internal/mysql/mysqltest"
	"stillpoint/internal/mysql/wire"
	"stillpoint/internal/snapshot"
	"stillpoint/test/rig"
)

// awaitSleep waits until the sessions sleep: the answer comes before the server shows them at rest.
func awaitSleep(tb testing.TB, watcher *wire.Conn, ids ...uint64) {
	tb.Helper()
	for end := time.Now().Add(20 * time.Second); ; {
		rows, err := watcher.Query(tb.Context(), "SHOW PROCESSLIST")
		if err != nil {
			tb.Fatal(err)
		}
		busy := slices.ContainsFunc(rows, func(r wire.Row) bool {
			return r["command"] != "Sleep" && slices.ContainsFunc(ids, func(id uint64) bool { return r["id"] == strconv.FormatUint(id, 10) })
		})
		if !busy {
			return
		}
		if time.Now().After(end) {
			tb.Fatalf("%d do not come to rest: %v", ids, rows)
		}
	}
}

// awaitState waits until the server shows a statement with this text, in this state ("" any).
func (s *testServer) awaitState(tb testing.TB, root *wire.Conn, text, state string) {
	tb.Helper()
	for end := time.Now().Add(20 * time.Second); ; {
		rows, err := root.Query(tb.Context(), "SELECT STATE AS state, INFO AS info FROM information_schema.PROCESSLIST WHERE INFO IS NOT NULL")
		if err != nil {
			tb.Fatal(err)
		}
		for _, r := range rows {
			if r["info"] == text && strings.Contains(r["state"], state) {
				return
			}
		}
		if time.Now().After(end) {
			tb.Fatalf("%s does not come to %q: %v", text, state, rows)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

// What blocks FTWRL on each flavor, tried; and what the look before it sees.
func TestWhatBlocks(t *testing.T) {
	const (
		no = iota
		yes
		// careful: it does not block, and the look takes it for a blocker all the same.
		careful
		// unseen: it blocks, and the look does not see it.
		unseen
	)
	cases := []struct {
		name           string
		asleep         []string // in a session that sleeps afterwards
		runs, state    string   // in another
		mariadb, mysql int      // -1: no such thing
		says           string
	}{
		{name: "SELECT", runs: "SELECT SLEEP(60) FROM t.a", state: "User sleep", mysql: yes},
		{name: "SELECT without a table", runs: "SELECT SLEEP(60)", state: "User sleep"},
		{name: "open transaction that read", asleep: []string{"BEGIN", "SELECT * FROM t.a"}},
		{name: "open transaction that wrote", asleep: []string{"BEGIN", "UPDATE t.a SET v = v + 1"}},
		{name: "XA prepared", asleep: []string{"XA START 'x'", "UPDATE t.a SET v = v + 1", "XA END 'x'", "XA PREPARE 'x'"}},
		{name: "UPDATE", runs: longUpdate, state: "User sleep", mariadb: yes, mysql: yes},
		{name: "UPDATE that waits for a row", asleep: []string{"BEGIN", "UPDATE t.a SET v = v + 1"}, runs: "UPDATE t.a SET v = v + 2", mariadb: yes, mysql: yes},
		{name: "SELECT FOR UPDATE that waits for a row", asleep: []string{"BEGIN", "UPDATE t.a SET v = v + 1"}, runs: "SELECT * FROM t.a FOR UPDATE", mariadb: yes, mysql: yes},
		{name: "CREATE TABLE ... SELECT", runs: "CREATE TABLE t.z SELECT SLEEP(60) AS s FROM t.a", state: "User sleep", mariadb: yes, mysql: yes},
		{name: "ALTER that waits for a metadata lock", asleep: []string{"BEGIN", "SELECT * FROM t.a"}, runs: "ALTER TABLE t.a ADD COLUMN x INT", state: waitsForMetadata,
			mariadb: yes, mysql: yes, says: "which waits for id "},
		{name: "OPTIMIZE that waits for a metadata lock", asleep: []string{"BEGIN", "SELECT * FROM t.a"}, runs: "OPTIMIZE TABLE t.a", state: waitsForMetadata, mariadb: yes, mysql: yes},
		{name: "DROP that waits for a metadata lock", asleep: []string{"BEGIN", "SELECT * FROM t.w"}, runs: "DROP TABLE t.w", state: waitsForMetadata, mariadb: careful, mysql: yes},
		{name: "LOCK TABLES READ, asleep", asleep: []string{"LOCK TABLES t.a READ"}, mysql: yes, says: "idle, holds t.a"},
		{name: "LOCK TABLES WRITE, asleep", asleep: []string{"LOCK TABLES t.a WRITE"}, mariadb: unseen, mysql: yes, says: "idle, holds t.a"},
		{name: "HANDLER, asleep", asleep: []string{"HANDLER t.a OPEN"}, mysql: yes, says: "idle, holds t.a"},
		{name: "FLUSH TABLES t WITH READ LOCK, asleep", asleep: []string{"FLUSH TABLES t.a WITH READ LOCK"}, mysql: yes, says: "idle, holds t.a"},
		{name: "FLUSH TABLES t FOR EXPORT, asleep", asleep: []string{"FLUSH TABLES t.a FOR EXPORT"}, mysql: yes, says: "idle, holds t.a"},
		{name: "FTWRL of another, asleep", asleep: []string{"FLUSH LOCAL TABLES WITH READ LOCK"}},
		{name: "UPDATE behind FTWRL of another", asleep: []string{"FLUSH LOCAL TABLES WITH READ LOCK"}, runs: "UPDATE t.a SET v = 1", mariadb: careful},
		{name: "LOCK INSTANCE FOR BACKUP, asleep", asleep: []string{"LOCK INSTANCE FOR BACKUP"}, mariadb: -1},
		{name: "CREATE behind LOCK INSTANCE", asleep: []string{"LOCK INSTANCE FOR BACKUP"}, runs: "CREATE TABLE t.z (i INT)", state: "Waiting for backup lock", mariadb: -1, mysql: yes},
		{name: "BACKUP STAGE START, asleep", asleep: []string{"BACKUP STAGE START"}, mysql: -1},
		{name: "BACKUP STAGE BLOCK_COMMIT, asleep", asleep: []string{"BACKUP STAGE START", "BACKUP STAGE FLUSH", "BACKUP STAGE BLOCK_DDL", "BACKUP STAGE BLOCK_COMMIT"}, mysql: -1},
		{name: "INSERT behind BACKUP STAGE", asleep: []string{"BACKUP STAGE START", "BACKUP STAGE FLUSH", "BACKUP STAGE BLOCK_DDL", "BACKUP STAGE BLOCK_COMMIT"},
			runs: "INSERT INTO t.w (v) VALUES (1)", state: "Waiting for backup lock", mysql: -1, mariadb: yes},
	}
	try := func(t *testing.T, srv *testServer, exact bool) {
		s := srv.connect(t, func(c *Config) { c.LongQueryAfter, c.LockTimeout = time.Hour, 100*time.Millisecond })
		s.look.Patience = 0
		root := srv.Root(t)
		for _, c := range cases {
			expect := c.mysql
			if srv.Flavor == dialect.MariaDB {
				expect = c.mariadb
			}
			if expect < 0 {
				continue
			}
			sees := expect == yes || expect == careful
			if exact {
				sees = expect == yes || expect == unseen
			}
			t.Run(c.name, func(t *testing.T) {
				asleep, runs := srv.Root(t), srv.Root(t)
				for _, q := range c.asleep {
					if err := asleep.Exec(t.Context(), q); err != nil {
						t.Fatalf("%s: %v", q, err)
					}
				}
				done := make(chan struct{})
				if c.runs == "" {
					close(done)
				} else {
					go func() { defer close(done); _ = runs.ExecUnbounded(c.runs) }()
					srv.awaitState(t, root, c.runs, c.state)
				}
				defer func() {
					_ = root.Exec(context.Background(), fmt.Sprintf("KILL %d", runs.ID))
					<-done // first, or what it waits for would be its own
					// Gone in the server as well: its client hears of the kill before a DROP that waits does.
					for wire.Code(root.Exec(context.Background(), fmt.Sprintf("KILL %d", runs.ID))) != wire.ErNoSuchThread {
						time.Sleep(5 * time.Millisecond)
					}
					if strings.HasPrefix(c.name, "XA") { // by its own session: one that is killed was seen to leave its row locks behind
						srv.MustRun(t, asleep, "XA ROLLBACK 'x'")
					}
					_ = root.Exec(context.Background(), fmt.Sprintf("KILL %d", asleep.ID))
					waitGone(t, s)
				}()
				awaitSleep(t, s.pair.B, root.ID, asleep.ID)
				time.Sleep(2 * time.Millisecond) // from the state that is shown to the lock that is held
				list, err := s.look.Blockers(t.Context(), 0)
				if err != nil {
					t.Fatal(err)
				}
				if saw := len(list) > 0; saw != sees {
					t.Errorf("the look sees %q", look.Describe(list))
				}
				if c.says != "" && len(list) > 0 && !strings.Contains(look.Describe(list), c.says) {
					t.Errorf("the look says %q, and not %q", look.Describe(list), c.says)
				}
				blocks := expect == yes || expect == unseen
				err = s.Lock(t.Context(), time.Minute)
				for range 20 {
					if blocks || err == nil {
						break // else a busy machine
					}
					err = s.Lock(t.Context(), time.Minute)
				}
				_, refused := errorAs[*snapshot.LockNotGrantedError](err)
				if granted := err == nil; granted == blocks || !granted && !refused {
					t.Errorf("FTWRL: %v", err)
				}
				if err := s.Unlock(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	}
	each(t, func(t *testing.T, srv *testServer) { try(t, srv, srv.Flavor == dialect.MySQL) })
	// With what MariaDB can be made to show, the look sees what blocks and nothing else.
	t.Run("mariadb with performance_schema", func(t *testing.T) {
		srv := startServer(t, "--performance-schema=ON", "--performance-schema-instrument=wait/lock/metadata/sql/mdl=ON")
		srv.MustExec(t, "GRANT SELECT ON performance_schema.* TO "+mysqltest.User+"@localhost")
		try(t, srv, true)
	})
	t.Run("mariadb with metadata_lock_info", func(t *testing.T) {
		srv := startServer(t, withPlugin(t, "metadata_lock_info")...)
		try(t, srv, true)
	})
}

// withPlugin are the options for a server with one of MariaDB's plugins, which
// Debian has in another package than the server itself (see scripts/setup.sh).
func withPlugin(tb testing.TB, name string) []string {
	tb.Helper()
	for _, dir := range []string{"/usr/lib/mysql/plugin", filepath.Join(rig.MariaDBTree(), "usr/lib/mysql/plugin")} {
		if _, err := os.Stat(filepath.Join(dir, name+".so")); err == nil {
			return []string{"--plugin-dir=" + dir, "--plugin-load-add=" + name, "--plugin-maturity=unknown"}
		}
	}
	tb.Skipf("MariaDB's plugin %s is not here", name)
	return nil
}

// Where performance_schema shows only a part of what is in use, a request behind
// a reader would leave its tables flush-pending: then whatever runs is in the way.
func TestHolesInPerformanceSchema(t *testing.T) {
	srv := startMySQL(t)
	defer srv.Busy(t, "SELECT SLEEP(60) FROM t.a")()
	for _, hole := range []string{
		"UPDATE performance_schema.setup_instruments SET ENABLED = '%s' WHERE NAME = 'wait/lock/table/sql/handler'",
		"UPDATE performance_schema.setup_instruments SET ENABLED = '%s' WHERE NAME = 'wait/lock/metadata/sql/mdl'",
		"UPDATE performance_schema.setup_consumers SET ENABLED = '%s' WHERE NAME = 'global_instrumentation'",
		"UPDATE performance_schema.setup_objects SET ENABLED = '%s' WHERE OBJECT_TYPE = 'TABLE' AND OBJECT_SCHEMA = '%%'",
	} {
		turn := func(to string) { srv.MustExec(t, strings.ReplaceAll(strings.Replace(hole, "'%s'", to, 1), "%%", "%")) }
		turn("'NO'")
		// Opened anew by what runs now.
		stop := srv.Busy(t, "SELECT SLEEP(60) FROM t.w RIGHT JOIN t.a ON TRUE")
		s := srv.connect(t, nil)
		list, err := s.look.Blockers(t.Context(), 0)
		if err != nil || len(list) != 2 {
			t.Errorf("%s: of two statements there are %v, %v", hole, list, err)
		}
		stop()
		_ = s.Close()
		turn("'YES'")
	}
	if s := srv.connect(t, nil); !s.pair.Server.Listed {
		t.Error("nothing is turned off any more, and the lists are not believed")
	}
}

// The lock is not proved by a list that is not kept, and not refuted either.
func TestVerifyWithoutInstrumentation(t *testing.T) {
	srv := startMySQL(t)
	srv.MustExec(t, "UPDATE performance_schema.setup_consumers SET ENABLED = 'NO' WHERE NAME = 'global_instrumentation'")
	s := srv.connect(t, nil)
	if err := s.Lock(t.Context(), time.Minute); err != nil {
		t.Fatal(err)
	}
	if err := s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
}

// A statement that is no text must not keep the list of what runs from being
// read: not before performance_schema is known to be there, and not without it.
func TestStatementsThatAreNoText(t *testing.T) {
	each(t, func(t *testing.T, srv *testServer) {
		root, c := srv.Root(t), srv.Root(t)
		for _, statement := range []string{"SELECT SLEEP(60), '\x81\x90M\xab' FROM t.a", "UPDATE t.a SET v = SLEEP(60) + LENGTH('\xb8\xee\x95')"} {
			done := make(chan error, 1)
			go func() { done <- c.ExecUnbounded(statement) }()
			id := strconv.FormatUint(c.ID, 10)
			for running := false; !running; {
				rows, err := root.Query(t.Context(), "SHOW PROCESSLIST")
				if err != nil {
					t.Fatal(err)
				}
				running = slices.ContainsFunc(rows, func(r wire.Row) bool { return r["id"] == id && r["state"] == "User sleep" })
			}
			s := srv.connect(t, nil)
			for _, perf := range []bool{s.pair.Server.Perf, false} {
				s.pair.Server.Perf = perf
				list, err := s.look.Blockers(t.Context(), 0)
				if blocks := strings.HasPrefix(statement, "UPDATE") || srv.Flavor == dialect.MySQL; err != nil || blocks != (len(list) == 1 && strings.HasPrefix(list[0].String(), "id "+id+" ")) {
					t.Errorf("performance_schema %v, %q: %v, %v", perf, statement, list, err)
				}
				if _, there, err := s.pair.Command(t.Context()); err != nil || !there {
					t.Errorf("performance_schema %v, %q: our own session is not found: %v", perf, statement, err)
				}
			}
			srv.MustRun(t, root, "KILL QUERY "+id)
			<-done //nolint:errcheck // that it has ended is all that matters
		}
	})
}
