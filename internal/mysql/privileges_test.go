package mysql

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

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
func (s *testServer) another(tb testing.TB, root *conn, statements ...string) Config {
	tb.Helper()
	s.mustRun(tb, root, append([]string{"DROP USER IF EXISTS another@localhost", "CREATE USER another@localhost"}, statements...)...)
	return Config{Socket: s.socket, User: "another", LockTimeout: 250 * time.Millisecond}
}

const anotherUser = "'another'@'localhost'"

func (s *testServer) mustRun(tb testing.TB, c *conn, statements ...string) {
	tb.Helper()
	for _, statement := range statements {
		if err := c.exec(context.Background(), statement); err != nil {
			tb.Fatalf("%s: %v", statement, err)
		}
	}
}

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
	root := srv.root(t)
	for name, plan := range plans {
		list := privilegesFor(srv.kind, plan)
		all := grantStatements(list, anotherUser)
		plan := plan
		use := srv.another(t, root, all...)
		plan.Socket, plan.User, plan.LockTimeout = use.Socket, use.User, use.LockTimeout
		if err := check(t, plan); err != nil {
			t.Errorf("%s: with %q: %v", name, all, err)
			continue
		}
		for i, p := range list {
			what := fmt.Sprintf("%s without %s on %s", name, p.name, p.on)
			without := slices.Delete(slices.Clone(list), i, i+1)
			srv.another(t, root, grantStatements(without, anotherUser)...)
			statement := grantStatements(list[i:i+1], anotherUser)[0]
			err := check(t, plan)
			if p.optional() { // what becomes of the plan without it: TestLockModes
				if err != nil {
					t.Errorf("%s: %v", what, err)
				}
			} else if _, refused := errorAs[*snapshot.RefusedError](err); !refused || !strings.HasSuffix(err.Error(), "what helps is: "+statement) {
				t.Errorf("%s: %v, want only %s", what, err, statement)
			}
			if err := srv.does(t, root, p); err == nil {
				t.Errorf("%s: the server does not deny what it is for", what)
			} else if !isDenied(err) && !strings.Contains(err.Error(), "sees") {
				t.Errorf("%s: %v", what, err)
			}
			srv.mustRun(t, root, statement)
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
func (s *testServer) does(tb testing.TB, root *conn, p privilege) error {
	tb.Helper()
	cfg := s.rootConfig()
	cfg.User = "another"
	c, err := open(tb.Context(), cfg)
	if err != nil {
		tb.Fatal(err)
	}
	defer c.drop()
	var statements []string
	switch p.name {
	case "RELOAD", "FLUSH_TABLES":
		statements = []string{statementLock, "UNLOCK TABLES", statementFlush}
		if s.flavor == flavorMariaDB {
			statements = append(statements, "BACKUP STAGE START", "BACKUP STAGE END")
		}
	case "BACKUP_ADMIN":
		statements = []string{"LOCK INSTANCE FOR BACKUP", "UNLOCK INSTANCE"}
	case "PROCESS":
		table := map[string]string{flavorMariaDB: "INNODB_SYS_TABLESPACES", flavorMySQL: "INNODB_TABLESPACES"}[s.flavor]
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
		other, err := open(tb.Context(), cfg)
		if err != nil {
			tb.Fatal(err)
		}
		defer other.drop()
		err = c.exec(tb.Context(), fmt.Sprintf("KILL %d", other.id))
		if code(err) == 1095 { // ER_KILL_DENIED_ERROR
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
		tb.Fatalf("nothing is known to need %s", p.name)
	}
	for _, statement := range statements {
		if err := c.exec(tb.Context(), statement); err != nil {
			return err
		}
	}
	return nil
}

// tablesSeen is how many tables of the users' schemas a session is shown.
func tablesSeen(tb testing.TB, c *conn) uint64 {
	tb.Helper()
	rows, err := c.query(tb.Context(), "SELECT COUNT(*) AS n FROM information_schema.TABLES WHERE TABLE_SCHEMA NOT IN ('mysql','sys','information_schema','performance_schema')")
	if err != nil {
		tb.Fatal(err)
	}
	n, err := oneUint(rows, "n")
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

// Each of seesTables shows all tables, and what is not among them does not.
func anyOfTheseShowsAllTables(t *testing.T, srv *testServer) {
	root := srv.root(t)
	srv.mustRun(t, root, "CREATE DATABASE u", "CREATE TABLE u.m (i INT) ENGINE=MyISAM")
	for _, p := range append([]string{"SHOW DATABASES", "PROCESS", "LOCK TABLES", "EXECUTE", "EVENT"}, seesTables...) {
		srv.another(t, root, "GRANT "+p+" ON *.* TO "+anotherUser)
		err := srv.does(t, root, privilege{name: "REFERENCES"})
		if sees := slices.Contains(seesTables, p); sees != (err == nil) {
			t.Errorf("%s: %v", p, err)
		}
	}
}

// What is held in other ways than by the rows of the table.
func privilegesOfRoles(t *testing.T, srv *testServer) {
	root := srv.root(t)
	role, activate := "r", "SET DEFAULT ROLE r FOR "+anotherUser
	if srv.flavor == flavorMySQL {
		role, activate = "'r'@'%'", "SET DEFAULT ROLE ALL TO "+anotherUser
	}
	srv.mustRun(t, root, append([]string{"CREATE ROLE " + role}, grantStatements(privilegesFor(srv.kind, Config{}), role)...)...)
	cfg := srv.another(t, root, "GRANT "+role+" TO "+anotherUser)
	if err := check(t, cfg); err == nil || !strings.Contains(err.Error(), "SET DEFAULT ROLE") || !strings.Contains(err.Error(), "it lacks") {
		t.Errorf("a role that is not active: %v", err)
	}
	srv.mustRun(t, root, activate)
	if err := check(t, cfg); err != nil {
		t.Errorf("a role that is active: %v", err)
	}
	// What the role lacks is seen, role or not.
	srv.mustRun(t, root, "REVOKE PROCESS ON *.* FROM "+role)
	if err := check(t, cfg); err == nil || !strings.Contains(err.Error(), "GRANT PROCESS ON *.* TO "+anotherUser) {
		t.Errorf("a role without PROCESS: %v", err)
	}
}

func allPrivileges(t *testing.T, srv *testServer) {
	root := srv.root(t)
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
	srv.restart(t, "--skip-grant-tables")
	if err := check(t, Config{Socket: srv.socket, User: "anyone", LockTimeout: time.Second}); err != nil {
		t.Error(err)
	}
}

// MySQL's partial revokes: a privilege on *.* with a hole in it.
func TestPartialRevokes(t *testing.T) {
	srv := startMySQL(t, "--partial-revokes=ON")
	root := srv.root(t)
	plan := plans["auto"]
	use := srv.another(t, root, append(grantStatements(privilegesFor(srv.kind, plan), anotherUser), "GRANT SELECT ON *.* TO "+anotherUser)...)
	plan.Socket, plan.User, plan.LockTimeout = use.Socket, use.User, use.LockTimeout
	if err := check(t, plan); err != nil {
		t.Fatal(err)
	}
	// Nothing of the users' is there.
	srv.mustRun(t, root, "REVOKE SELECT ON mysql.* FROM "+anotherUser, "REVOKE REFERENCES ON mysql.* FROM "+anotherUser)
	if err := check(t, plan); err != nil {
		t.Error(err)
	}
	// A schema of theirs is asked for by itself.
	srv.mustRun(t, root, "REVOKE SELECT ON t.* FROM "+anotherUser, "REVOKE REFERENCES ON t.* FROM "+anotherUser)
	d, err := New(Config{Socket: plan.Socket, User: plan.User, Lock: LockAuto})
	if err != nil {
		t.Fatal(err)
	}
	s, err := d.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	g, err := s.granted(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"GRANT REFERENCES ON `t`.* TO " + anotherUser}
	if got := grantStatements(g.missing([]privilege{sees}, s.server), anotherUser); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	srv.mustRun(t, root, want[0])
	if n := tablesSeen(t, root); srv.does(t, root, privilege{name: "REFERENCES"}) != nil {
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
		srv.mustRun(t, root, c.revoke...)
		if err := check(t, plan); err == nil || !strings.HasSuffix(err.Error(), "what helps is: "+c.helps) {
			t.Errorf("%q: %v", c.revoke, err)
		}
		srv.mustRun(t, root, c.helps)
		if err := check(t, plan); err != nil {
			t.Errorf("%q: %v", c.helps, err)
		}
	}
}

// Grants on single tables of the performance_schema do as well as one on all.
func grantsOnSingleTables(t *testing.T, srv *testServer) {
	if srv.flavor != flavorMySQL {
		return // MariaDB is asked for nothing of the performance_schema
	}
	root := srv.root(t)
	list := privilegesFor(srv.kind, Config{})
	statements := grantStatements(list[:len(list)-1], anotherUser) // without performance_schema.*
	for _, table := range []string{"threads", "table_handles", "metadata_locks", "setup_instruments", "events_statements_current"} {
		statements = append(statements, "GRANT SELECT ON performance_schema."+table+" TO "+anotherUser)
	}
	cfg := srv.another(t, root, statements...)
	if err := check(t, cfg); err != nil {
		t.Error(err)
	}
	srv.mustRun(t, root, "REVOKE SELECT ON performance_schema.threads FROM "+anotherUser)
	if err := check(t, cfg); err == nil || !strings.Contains(err.Error(), "GRANT SELECT ON performance_schema.* TO "+anotherUser) {
		t.Errorf("one table short: %v", err)
	}
}

// A server whose performance_schema is off: nothing of it is asked for.
func TestPerformanceSchemaOff(t *testing.T) {
	srv := startMySQL(t, "--performance-schema=OFF")
	kind := srv.kind
	kind.perf = false
	cfg := srv.another(t, srv.root(t), grantStatements(privilegesFor(kind, Config{}), anotherUser)...)
	if err := check(t, cfg); err != nil {
		t.Error(err)
	}
}

// The rows for servers that are not here: read, not run.
func TestPrivilegesByVersion(t *testing.T) {
	for _, c := range []struct {
		flavor string
		number int
		cfg    Config
		want   []string
	}{
		{flavorMariaDB, 100412, Config{}, []string{"GRANT RELOAD, PROCESS, REPLICATION CLIENT ON *.* TO u"}},
		{flavorMariaDB, 100412, plans["kill"], []string{"GRANT RELOAD, PROCESS, REPLICATION CLIENT, SUPER ON *.* TO u"}},
		{flavorMariaDB, 100508, plans["applier"], []string{"GRANT RELOAD, PROCESS, BINLOG MONITOR, REPLICATION SLAVE ADMIN ON *.* TO u"}},
		{flavorMariaDB, 100619, Config{}, []string{"GRANT RELOAD, PROCESS, BINLOG MONITOR, SLAVE MONITOR ON *.* TO u"}},
		{flavorMariaDB, 120002, plans["auto"], []string{"GRANT RELOAD, PROCESS, BINLOG MONITOR, SLAVE MONITOR, REFERENCES ON *.* TO u"}},
		{flavorMariaDB, 120002, plans["none"], []string{"GRANT PROCESS, BINLOG MONITOR, SLAVE MONITOR ON *.* TO u"}},
		{flavorMySQL, 50744, plans["kill"], []string{"GRANT RELOAD, PROCESS, REPLICATION CLIENT, SUPER ON *.* TO u", "GRANT SELECT ON performance_schema.* TO u"}},
		{flavorMySQL, 80022, Config{}, []string{"GRANT RELOAD, PROCESS, REPLICATION CLIENT ON *.* TO u", "GRANT SELECT ON performance_schema.* TO u"}},
		{flavorMySQL, 80400, plans["backup"], []string{"GRANT PROCESS, REPLICATION CLIENT, BACKUP_ADMIN, REFERENCES ON *.* TO u", "GRANT SELECT ON performance_schema.* TO u"}},
		{flavorPercona, 80036, plans["auto"], []string{"GRANT FLUSH_TABLES, PROCESS, REPLICATION CLIENT, BACKUP_ADMIN, REFERENCES ON *.* TO u", "GRANT SELECT ON performance_schema.* TO u"}},
		{flavorMySQL, 90704, plans["applier"], []string{"GRANT FLUSH_TABLES, PROCESS, REPLICATION CLIENT, REPLICATION_SLAVE_ADMIN ON *.* TO u", "GRANT SELECT ON performance_schema.* TO u"}},
	} {
		s := server{flavor: c.flavor, number: c.number, perf: c.flavor != flavorMariaDB}
		if diff := cmp.Diff(c.want, grantStatements(privilegesFor(s, c.cfg), "u")); diff != "" {
			t.Errorf("%s %d: %s", c.flavor, c.number, diff)
		}
	}
	// SUPER does, where it did.
	for number, does := range map[int]bool{100412: true, 101119: true, 110002: false} {
		g := parseGrants([]string{"GRANT RELOAD, PROCESS, SUPER ON *.* TO `u`@`h`"})
		s := server{flavor: flavorMariaDB, number: number}
		lacks := slices.ContainsFunc(g.missing(privilegesFor(s, plans["kill"]), s), func(p privilege) bool { return p.name == "CONNECTION ADMIN" })
		if lacks == does {
			t.Errorf("SUPER on MariaDB %d: lacks CONNECTION ADMIN: %v", number, lacks)
		}
	}
}

func TestParseGrants(t *testing.T) {
	g := parseGrants([]string{
		"GRANT SELECT, RELOAD ON *.* TO `u`@`h` IDENTIFIED BY PASSWORD '*ABC'",
		"GRANT BACKUP_ADMIN,FLUSH_TABLES ON *.* TO `u`@`h`",
		"GRANT PROCESS ON `a`.* TO `u`@`h`",
		"GRANT SELECT ON `performance\\_schema`.* TO `u`@`h`",
		"GRANT SELECT (`a`, `b`), INSERT ON `b`.`t` TO `u`@`h`",
		"REVOKE RELOAD ON `a`.* FROM `u`@`h`",
		"REVOKE RELOAD ON `mysql.``x`.* FROM `u`@`h`",
		"SET DEFAULT ROLE `r` FOR `u`@`h`",
	})
	want := granted{
		server:  map[string]bool{"SELECT": true, "RELOAD": true, "BACKUP_ADMIN": true, "FLUSH_TABLES": true},
		schemas: map[string]map[string]bool{"a": {"PROCESS": true}, performanceSchema: {"SELECT": true}},
		revoked: map[string]map[string]bool{"a": {"RELOAD": true}, "mysql.`x": {"RELOAD": true}},
		tables:  map[string]bool{"b": true},
	}
	if diff := cmp.Diff(want, g, cmp.AllowUnexported(granted{})); diff != "" {
		t.Error(diff)
	}
	if !parseGrants([]string{"GRANT `r`@`%` TO `u`@`h`"}).roles {
		t.Error("a role is not seen")
	}
	if !parseGrants([]string{"GRANT ALL PRIVILEGES ON *.* TO `u`@`h` WITH GRANT OPTION"}).all {
		t.Error("ALL PRIVILEGES is not seen")
	}
}
