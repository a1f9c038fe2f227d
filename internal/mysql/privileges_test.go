package mysql

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"stillpoint/internal/mysql/access"
	"stillpoint/internal/mysql/dialect"
	"stillpoint/internal/mysql/wire"
	"stillpoint/internal/snapshot"
)

// plans are those of which each privilege is needed by one at least.
var plans = map[string]Config{
	"ftwrl":   {},
	"backup":  {Lock: LockBackup, PreliminaryFlush: FlushNever},
	"auto":    {Lock: LockAuto},
	"none":    {Lock: LockNone},
	"kill":    {LongQueries: LongQueriesKill},
	"applier": {StopApplier: true},
}

// another makes a user anew, with these grants, and returns its configuration.
func (s *testServer) another(tb testing.TB, root *wire.Conn, statements ...string) Config {
	tb.Helper()
	s.MustRun(tb, root, append([]string{"DROP USER IF EXISTS another@localhost", "CREATE USER another@localhost"}, statements...)...)
	return Config{Socket: s.Socket, User: "another", LockTimeout: 250 * time.Millisecond}
}

const anotherUser = "'another'@'localhost'"

// check connects with a plan's configuration, which New may not know yet, and
// returns what preflight says of its user.
func check(tb testing.TB, cfg Config) error {
	tb.Helper()
	d, err := New(Config{DefaultsFile: cfg.DefaultsFile, Socket: cfg.Socket, User: cfg.User, LockTimeout: cfg.LockTimeout})
	if err != nil {
		tb.Fatal(err)
	}
	d.cfg.Lock, d.cfg.LongQueries, d.cfg.StopApplier, d.cfg.PreliminaryFlush = cfg.Lock, cfg.LongQueries, cfg.StopApplier, cfg.PreliminaryFlush
	s, err := d.connect(tb.Context())
	if err != nil {
		return err
	}
	return s.Close()
}

// What the server's user must be allowed, on one server of each flavor.
func TestPrivileges(t *testing.T) {
	each(t, func(t *testing.T, srv *testServer) {
		for _, c := range []struct {
			name string
			test func(*testing.T, *testServer)
		}{
			{"each is needed", everyPrivilegeIsNeeded},
			{"any of these shows all tables", anyOfTheseShowsAllTables},
			{"roles", privilegesOfRoles},
			{"all", allPrivileges},
			{"single tables", grantsOnSingleTables},
			{"skip_grant_tables", skipGrantTables}, // last: it starts the server anew
		} {
			t.Run(c.name, func(t *testing.T) { c.test(t, srv) })
		}
	})
}

// Each privilege of the table is needed, by a plan that asks for it: with all of them
// preflight passes; without one it refuses with just the statement that grants
// it, and after that statement it passes again. And the server does deny
// without it what the table says that it is for.
func everyPrivilegeIsNeeded(t *testing.T, srv *testServer) {
	root := srv.Root(t)
	for name, plan := range plans {
		list := access.For(srv.Kind, plan.uses())
		all := access.Statements(list, anotherUser)
		plan := plan
		use := srv.another(t, root, all...)
		plan.Socket, plan.User, plan.LockTimeout = use.Socket, use.User, use.LockTimeout
		if err := check(t, plan); err != nil {
			t.Errorf("%s: with %q: %v", name, all, err)
			continue
		}
		for i, p := range list {
			what := fmt.Sprintf("%s without %s on %s", name, p.Name, p.On)
			without := slices.Delete(slices.Clone(list), i, i+1)
			srv.another(t, root, access.Statements(without, anotherUser)...)
			statement := access.Statements(list[i:i+1], anotherUser)[0]
			err := check(t, plan)
			if p.Optional() { // what becomes of the plan without it: TestLockModes
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
			} else if _, refused := errorAs[*snapshot.RefusedError](err); !refused || !strings.HasSuffix(err.Error(), "what helps is: "+statement) {
				t.Errorf("%s: %v, want only %s", what, err, statement)
			}
			if err := srv.does(t, root, p); err == nil {
				t.Errorf("%s: the server does not deny what it is for", what)
			} else if !wire.IsDenied(err) && !strings.Contains(err.Error(), "sees") {
				t.Errorf("%s: %v", what, err)
			}
			srv.MustRun(t, root, statement)
			if err := check(t, plan); err != nil {
				t.Errorf("%s, and granted again: %v", what, err)
			}
			if err := srv.does(t, root, p); err != nil {
				t.Errorf("%s, and granted again: %v", what, err)
			}
		}
	}
}

// does does as the user another what a privilege is for.
func (s *testServer) does(tb testing.TB, root *wire.Conn, p access.Privilege) error {
	tb.Helper()
	cfg := s.RootConfig()
	cfg.User = "another"
	c, err := wire.Open(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	defer c.Drop()
	var statements []string
	switch p.Name {
	case "RELOAD", "FLUSH_TABLES":
		statements = []string{"FLUSH LOCAL TABLES WITH READ LOCK", "UNLOCK TABLES", "FLUSH LOCAL TABLES"}
		if s.Flavor == dialect.MariaDB {
			statements = append(statements, "BACKUP STAGE START", "BACKUP STAGE END")
		}
	case "BACKUP_ADMIN":
		statements = []string{"LOCK INSTANCE FOR BACKUP", "UNLOCK INSTANCE"}
	case "PROCESS":
		table := map[string]string{dialect.MariaDB: "INNODB_SYS_TABLESPACES", dialect.MySQL: "INNODB_TABLESPACES"}[s.Flavor]
		statements = []string{"SELECT COUNT(*) FROM information_schema.INNODB_TRX", "SELECT COUNT(*) FROM information_schema." + table}
	case "BINLOG MONITOR":
		statements = []string{"SHOW MASTER STATUS"}
	case "SLAVE MONITOR":
		statements = []string{"SHOW ALL SLAVES STATUS"}
	case "REPLICATION CLIENT":
		statements = []string{"SHOW BINARY LOG STATUS", "SHOW REPLICA STATUS"}
	case "REPLICATION SLAVE ADMIN":
		statements = []string{"STOP SLAVE SQL_THREAD"}
	case "REPLICATION_SLAVE_ADMIN":
		statements = []string{"STOP REPLICA SQL_THREAD"}
	case "CONNECTION ADMIN", "CONNECTION_ADMIN":
		// Not root: MySQL spares users with SYSTEM_USER.
		cfg.User = "nobody"
		other, err := wire.Open(tb.Context(), cfg)
		if err != nil {
			tb.Fatal(err)
		}
		defer other.Drop()
		err = c.Exec(tb.Context(), fmt.Sprintf("KILL %d", other.ID))
		if wire.Code(err) == 1095 { // ER_KILL_DENIED_ERROR
			return fmt.Errorf("the user sees it, and may not end it: %w", err)
		}
		return err
	case "SELECT":
		statements = []string{"SELECT COUNT(*) FROM performance_schema.metadata_locks", "SELECT COUNT(*) FROM performance_schema.table_handles"}
	case "REFERENCES":
		all, seen := tablesSeen(tb, root), tablesSeen(tb, c)
		if all != seen {
			return fmt.Errorf("it sees %d tables of %d", seen, all)
		}
		return nil
	default:
		tb.Fatalf("nothing is known to need %s", p.Name)
	}
	for _, statement := range statements {
		if err := c.Exec(tb.Context(), statement); err != nil {
			return err
		}
	}
	return nil
}

// tablesSeen is how many tables of the users' schemas a session is shown.
func tablesSeen(tb testing.TB, c *wire.Conn) uint64 {
	tb.Helper()
	rows, err := c.Query(tb.Context(), "SELECT COUNT(*) AS n FROM information_schema.TABLES WHERE TABLE_SCHEMA NOT IN ('mysql','sys','information_schema','performance_schema')")
	if err != nil {
		tb.Fatal(err)
	}
	n, err := wire.OneUint(rows, "n")
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// What the table takes for a privilege that shows all tables does, and nothing else.
func anyOfTheseShowsAllTables(t *testing.T, srv *testServer) {
	root := srv.Root(t)
	srv.MustRun(t, root, "CREATE DATABASE u", "CREATE TABLE u.m (i INT) ENGINE=MyISAM")
	for _, p := range []string{"SHOW DATABASES", "PROCESS", "LOCK TABLES", "EXECUTE", "EVENT",
		"REFERENCES", "SHOW VIEW", "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "INDEX", "TRIGGER"} {
		srv.another(t, root, "GRANT "+p+" ON *.* TO "+anotherUser)
		err := srv.does(t, root, access.Privilege{Name: "REFERENCES"})
		if is := len(access.Parse([]string{"GRANT " + p + " ON *.* TO `u`@`h`"}).Missing([]access.Privilege{access.Sees}, srv.Kind)) == 0; is != (err == nil) {
			t.Errorf("%s: %v", p, err)
		}
	}
}

// What is held in other ways than by the rows of the table.
func privilegesOfRoles(t *testing.T, srv *testServer) {
	root := srv.Root(t)
	role, activate := "r", "SET DEFAULT ROLE r FOR "+anotherUser
	if srv.Flavor == dialect.MySQL {
		role, activate = "'r'@'%'", "SET DEFAULT ROLE ALL TO "+anotherUser
	}
	srv.MustRun(t, root, append([]string{"CREATE ROLE " + role}, access.Statements(access.For(srv.Kind, Config{}.uses()), role)...)...)
	cfg := srv.another(t, root, "GRANT "+role+" TO "+anotherUser)
	if err := check(t, cfg); err == nil || !strings.Contains(err.Error(), "SET DEFAULT ROLE") || !strings.Contains(err.Error(), "it lacks") {
		t.Errorf("a role that is not active: %v", err)
	}
	srv.MustRun(t, root, activate)
	if err := check(t, cfg); err != nil {
		t.Errorf("a role that is active: %v", err)
	}
	// What the role lacks is seen, role or not.
	srv.MustRun(t, root, "REVOKE PROCESS ON *.* FROM "+role)
	if err := check(t, cfg); err == nil || !strings.Contains(err.Error(), "GRANT PROCESS ON *.* TO "+anotherUser) {
		t.Errorf("a role without PROCESS: %v", err)
	}
}

func allPrivileges(t *testing.T, srv *testServer) {
	root := srv.Root(t)
	for name, plan := range plans {
		use := srv.another(t, root, "GRANT ALL PRIVILEGES ON *.* TO "+anotherUser)
		plan.Socket, plan.User, plan.LockTimeout = use.Socket, use.User, use.LockTimeout
		if err := check(t, plan); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	// On one schema it is not what is needed.
	cfg := srv.another(t, root, "GRANT ALL PRIVILEGES ON t.* TO "+anotherUser)
	if err := check(t, cfg); err == nil || !strings.Contains(err.Error(), "it lacks") {
		t.Errorf("on one schema: %v", err)
	}
}

func skipGrantTables(t *testing.T, srv *testServer) {
	srv.Restart(t, "--skip-grant-tables")
	if err := check(t, Config{Socket: srv.Socket, User: "anyone", LockTimeout: time.Second}); err != nil {
		t.Error(err)
	}
}

// MySQL's partial revokes: a privilege on *.* with a hole in it.
func TestPartialRevokes(t *testing.T) {
	srv := startMySQL(t, "--partial-revokes=ON")
	root := srv.Root(t)
	plan := plans["auto"]
	use := srv.another(t, root, append(access.Statements(access.For(srv.Kind, plan.uses()), anotherUser), "GRANT SELECT ON *.* TO "+anotherUser)...)
	plan.Socket, plan.User, plan.LockTimeout = use.Socket, use.User, use.LockTimeout
	if err := check(t, plan); err != nil {
		t.Fatal(err)
	}
	// Nothing of the users' is there.
	srv.MustRun(t, root, "REVOKE SELECT ON mysql.* FROM "+anotherUser, "REVOKE REFERENCES ON mysql.* FROM "+anotherUser)
	if err := check(t, plan); err != nil {
		t.Error(err)
	}
	// A schema of theirs is asked for by itself.
	srv.MustRun(t, root, "REVOKE SELECT ON t.* FROM "+anotherUser, "REVOKE REFERENCES ON t.* FROM "+anotherUser)
	d, err := New(Config{Socket: plan.Socket, User: plan.User, Lock: LockAuto})
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	g, err := s.pair.Granted(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"GRANT REFERENCES ON `t`.* TO " + anotherUser}
	if got := access.Statements(g.Missing([]access.Privilege{access.Sees}, s.pair.Server), anotherUser); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	srv.MustRun(t, root, want[0])
	if n := tablesSeen(t, root); srv.does(t, root, access.Privilege{Name: "REFERENCES"}) != nil {
		t.Errorf("with %s not all %d tables are seen", want[0], n)
	}
	for _, c := range []struct {
		revoke []string
		helps  string
	}{
		{[]string{"REVOKE SELECT ON performance_schema.* FROM " + anotherUser}, "GRANT SELECT ON performance_schema.* TO " + anotherUser},
	} {
		srv.another(t, root, "GRANT SELECT, REFERENCES, PROCESS, REPLICATION CLIENT, FLUSH_TABLES, BACKUP_ADMIN ON *.* TO "+anotherUser)
		if err := check(t, plan); err != nil {
			t.Fatal(err)
		}
		srv.MustRun(t, root, c.revoke...)
		if err := check(t, plan); err == nil || !strings.HasSuffix(err.Error(), "what helps is: "+c.helps) {
			t.Errorf("%q: %v", c.revoke, err)
		}
		srv.MustRun(t, root, c.helps)
		if err := check(t, plan); err != nil {
			t.Errorf("%q: %v", c.helps, err)
		}
	}
}

// Grants on single tables of the performance_schema do as well as one on all.
func grantsOnSingleTables(t *testing.T, srv *testServer) {
	if srv.Flavor != dialect.MySQL {
		return // MariaDB is asked for nothing of the performance_schema
	}
	root := srv.Root(t)
	list := access.For(srv.Kind, Config{}.uses())
	statements := access.Statements(list[:len(list)-1], anotherUser) // without performance_schema.*
	for _, table := range []string{"threads", "table_handles", "metadata_locks", "setup_instruments", "events_statements_current"} {
		statements = append(statements, "GRANT SELECT ON performance_schema."+table+" TO "+anotherUser)
	}
	cfg := srv.another(t, root, statements...)
	if err := check(t, cfg); err != nil {
		t.Error(err)
	}
	srv.MustRun(t, root, "REVOKE SELECT ON performance_schema.threads FROM "+anotherUser)
	if err := check(t, cfg); err == nil || !strings.Contains(err.Error(), "GRANT SELECT ON performance_schema.* TO "+anotherUser) {
		t.Errorf("one table short: %v", err)
	}
}

// A server whose performance_schema is off: nothing of it is asked for.
func TestPerformanceSchemaOff(t *testing.T) {
	srv := startMySQL(t, "--performance-schema=OFF")
	kind := srv.Kind
	kind.Perf = false
	cfg := srv.another(t, srv.Root(t), access.Statements(access.For(kind, Config{}.uses()), anotherUser)...)
	if err := check(t, cfg); err != nil {
		t.Error(err)
	}
}
