package mysql

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stillpoint/internal/mysql/access"
	"stillpoint/internal/mysql/dialect"
	"stillpoint/internal/mysql/docpart"
	"stillpoint/internal/mysql/mysqltest"
	"stillpoint/internal/mysql/wire"
)

var update = flag.Bool("update", false, "write docs/database-user.md anew where it is made from the code")

const document = "../../docs/database-user.md"

// families are the servers that the document has, the newest versions that are run here.
var families = []struct {
	name, flavor string
	kind         dialect.Server
}{
	{"MySQL 8.0.23 and newer, Percona Server likewise", dialect.MySQL, dialect.Server{Flavor: dialect.MySQL, Number: 90704, Perf: true}},
	{"MariaDB 10.5.9 and newer", dialect.MariaDB, dialect.Server{Flavor: dialect.MariaDB, Number: 101119}},
}

const documented = "'stillpoint'@'localhost'"

// The document's statements are those of the code. Its table of privileges is access's.
func TestDocument(t *testing.T) {
	docpart.Check(t, document, "grants", documentGrants(), *update)
}

// documentGrants has the statements for each lock, and what else adds.
func documentGrants() string {
	var b strings.Builder
	for _, f := range families {
		fmt.Fprintf(&b, "\n%s:\n", f.name)
		for _, lock := range []Lock{LockFTWRL, LockBackup, LockAuto, LockNone} {
			fmt.Fprintf(&b, "\n```sql %s-%s\n-- lock: %s\n", f.flavor, lock, lock)
			for _, statement := range access.Statements(access.For(f.kind, Config{Lock: lock}.uses()), documented) {
				fmt.Fprintf(&b, "%s;\n", statement)
			}
			b.WriteString("```\n")
		}
		for _, more := range []struct {
			name, key string
			cfg       Config
		}{
			{"kill", "long_queries: kill, beside that", Config{LongQueries: LongQueriesKill}},
			{"applier", "replica: stop_applier, beside that", Config{StopApplier: true}},
		} {
			base := access.For(f.kind, Config{}.uses())
			extra := access.For(f.kind, more.cfg.uses())[0:0:0]
			for _, p := range access.For(f.kind, more.cfg.uses()) {
				known := false
				for _, q := range base {
					known = known || q.Name == p.Name && q.On == p.On
				}
				if !known {
					extra = append(extra, p)
				}
			}
			fmt.Fprintf(&b, "\n```sql %s-%s\n-- %s\n%s;\n```\n", f.flavor, more.name, more.key, strings.Join(access.Statements(extra, documented), ";\n"))
		}
	}
	return b.String() + "\n"
}

// blocks are the document's fenced blocks by what stands behind the language.
func blocks(t *testing.T) map[string]string {
	t.Helper()
	b, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	list := map[string]string{}
	for _, part := range strings.Split(string(b), "\n```")[1:] {
		head, body, _ := strings.Cut(part, "\n")
		if _, name, ok := strings.Cut(head, " "); ok {
			if list[name] != "" {
				t.Fatalf("two blocks %q", name)
			}
			list[name] = body
		}
	}
	return list
}

// statements are those of a block, comments left out.
func statements(block string) []string {
	var list []string
	for _, line := range strings.Split(block, "\n") {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "--") {
			list = append(list, strings.TrimSuffix(line, ";"))
		}
	}
	return list
}

// The document's commands, run as they stand there, make a user with whom each
// plan passes; its files are understood; a password is changed with no moment at
// which neither holds; and the user cannot do what the document says.
func TestDocumentedCommands(t *testing.T) {
	list := blocks(t)
	test := func(t *testing.T, srv *testServer) {
		root := srv.Root(t)
		drop := "DROP USER IF EXISTS " + documented
		const old, fresh = "a-long-random-one", "another-long-one"
		file := filepath.Join(t.TempDir(), "my.cnf")
		write := func(password string) {
			t.Helper()
			text := strings.NewReplacer("/run/mysqld/mysqld.sock", srv.Socket, old, password).Replace(list["my.cnf"])
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		enter := func(plan Config) error {
			t.Helper()
			plan.DefaultsFile, plan.LockTimeout = file, 250*time.Millisecond
			return check(t, plan)
		}
		for name, plan := range plans {
			write(old)
			srv.MustRun(t, root, append([]string{drop}, statements(list[srv.Flavor])...)...)
			switch name {
			case "kill", "applier":
				srv.MustRun(t, root, append(statements(list[srv.Flavor+"-ftwrl"]), statements(list[srv.Flavor+"-"+name])...)...)
			default:
				srv.MustRun(t, root, statements(list[srv.Flavor+"-"+name])...)
			}
			if err := enter(plan); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}

		srv.MustRun(t, root, append([]string{drop}, append(statements(list[srv.Flavor]), statements(list[srv.Flavor+"-ftwrl"])...)...)...)
		rotate := statements(list[srv.Flavor+"-rotate"])
		srv.MustRun(t, root, rotate[0])
		for _, password := range []string{old, fresh} {
			write(password)
			if err := enter(Config{}); err != nil {
				t.Errorf("while both hold, by %q: %v", password, err)
			}
		}
		srv.MustRun(t, root, rotate[1])
		if err := enter(Config{}); err != nil {
			t.Errorf("with the new one: %v", err)
		}
		write(old)
		if err := enter(Config{}); err == nil {
			t.Error("the old password still holds")
		}

		write(fresh)
		d, err := New(Config{DefaultsFile: file})
		if err != nil {
			t.Fatal(err)
		}
		s, err := d.connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = s.Close() }()
		for _, statement := range []string{
			"SELECT * FROM t.a", "INSERT INTO t.a VALUES (9, 9)", "SELECT 1 INTO OUTFILE '/tmp/stillpoint-must-not'", "CREATE USER x@localhost",
			"SET GLOBAL max_connections = 7", "SET SESSION sql_log_bin = 0", "SHUTDOWN", "DROP DATABASE t", "SELECT * FROM mysql.user", "CREATE TABLE t.x (i INT)",
			fmt.Sprintf("KILL %d", root.ID),
		} {
			if err := s.pair.B.Exec(t.Context(), statement); err == nil {
				t.Errorf("the user may: %s", statement)
			} else if !wire.IsDenied(err) && wire.Code(err) != 1095 && wire.Code(err) != wire.ErOptionPrevents { // ER_KILL_DENIED_ERROR, secure_file_priv
				t.Errorf("%s: %v", statement, err)
			}
		}
		if srv.Flavor == dialect.MySQL {
			srv.MustRun(t, root, append([]string{drop}, append(statements(list["mysql-socket"]), statements(list["mysql-ftwrl"])...)...)...)
			if err := check(t, Config{Socket: srv.Socket, User: "stillpoint", LockTimeout: time.Second}); err != nil && currentUser() == "root" {
				t.Errorf("without a password: %v", err)
			}
		}
	}
	t.Run(dialect.MariaDB, func(t *testing.T) { test(t, startServer(t)) })
	t.Run(dialect.MySQL, func(t *testing.T) {
		test(t, startMySQL(t, mysqltest.PluginOptions(t, dialect.MySQL)[0]))
	})
	file := filepath.Join(t.TempDir(), "my.cnf")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(list["my.cnf-tls"], "/etc/mysql/ca.pem", mysqltest.NewAuthority(t, "ca").Path)), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := New(Config{DefaultsFile: file})
	if err != nil {
		t.Fatal(err)
	}
	at, err := d.cfg.address().Target()
	if err != nil {
		t.Fatal(err)
	}
	if dial, err := at.DriverConfig(); err != nil || dial.Net != "tcp" || dial.TLS == nil || dial.TLS.InsecureSkipVerify || dial.AllowFallbackToPlaintext {
		t.Errorf("it does not verify whom it talks to: %+v, %v", dial, err)
	}
}
