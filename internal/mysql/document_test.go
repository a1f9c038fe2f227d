package mysql

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write docs/database-user.md anew where it is made from the code")

const document = "../../docs/database-user.md"

// families are the servers that the document has, the newest versions that are run here.
var families = []struct {
	name, flavor string
	kind         server
}{
	{"MySQL 8.0.23 and newer, Percona Server likewise", flavorMySQL, server{flavor: flavorMySQL, number: 90704, perf: true}},
	{"MariaDB 10.5.9 and newer", flavorMariaDB, server{flavor: flavorMariaDB, number: 101119}},
}

const documented = "'stillpoint'@'localhost'"

// The document's statements and its table of privileges are those of the code.
func TestDocument(t *testing.T) {
	b, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	text := string(b)
	for name, want := range map[string]string{"grants": documentGrants(), "privileges": documentPrivileges()} {
		begin, end := "<!-- begin: "+name+" -->\n", "<!-- end: "+name+" -->"
		before, rest, ok := strings.Cut(text, begin)
		now, after, closed := strings.Cut(rest, end)
		if !ok || !closed {
			t.Fatalf("%s has no part %q", document, name)
		}
		if now != want && !*update {
			t.Errorf("%s is out of date in %q: go test ./internal/mysql -run TestDocument -update", document, name)
		}
		text = before + begin + want + end + after
	}
	if *update {
		if err := os.WriteFile(document, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// documentGrants has the statements for each lock, and what else adds.
func documentGrants() string {
	var b strings.Builder
	for _, f := range families {
		fmt.Fprintf(&b, "\n%s:\n", f.name)
		for _, lock := range []Lock{LockFTWRL, LockBackup, LockAuto, LockNone} {
			fmt.Fprintf(&b, "\n```sql %s-%s\n-- lock: %s\n", f.flavor, lock, lock)
			for _, statement := range grantStatements(privilegesFor(f.kind, Config{Lock: lock}), documented) {
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
			base := privilegesFor(f.kind, Config{})
			extra := privilegesFor(f.kind, more.cfg)[0:0:0]
			for _, p := range privilegesFor(f.kind, more.cfg) {
				known := false
				for _, q := range base {
					known = known || q.name == p.name && q.on == p.on
				}
				if !known {
					extra = append(extra, p)
				}
			}
			fmt.Fprintf(&b, "\n```sql %s-%s\n-- %s\n%s;\n```\n", f.flavor, more.name, more.key, strings.Join(grantStatements(extra, documented), ";\n"))
		}
	}
	return b.String() + "\n"
}

// documentPrivileges is the table itself.
func documentPrivileges() string {
	var b strings.Builder
	b.WriteString("\n| server | versions | privilege | on | for | to |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, p := range privileges {
		family := "MySQL"
		if p.mariadb {
			family = "MariaDB"
		}
		words := make([]string, len(p.uses))
		for i, u := range p.uses {
			words[i] = string(u)
		}
		fmt.Fprintf(&b, "| %s | %s | `%s` | `%s` | %s | %s |\n", family, span(p.from, p.before), p.name, p.on, strings.Join(words, "; "), p.why)
	}
	return b.String() + "\n"
}

// span says between which versions.
func span(from, before int) string {
	dotted := func(n int) string { return fmt.Sprintf("%d.%d.%d", n/10000, n/100%100, n%100) }
	switch {
	case from == 0 && before == 0:
		return "all"
	case from == 0:
		return "before " + dotted(before)
	case before == 0:
		return dotted(from) + " and newer"
	}
	return dotted(from) + " to before " + dotted(before)
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
		root := srv.root(t)
		drop := "DROP USER IF EXISTS " + documented
		const old, fresh = "a-long-random-one", "another-long-one"
		file := filepath.Join(t.TempDir(), "my.cnf")
		write := func(password string) {
			t.Helper()
			text := strings.NewReplacer("/run/mysqld/mysqld.sock", srv.socket, old, password).Replace(list["my.cnf"])
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
			srv.mustRun(t, root, append([]string{drop}, statements(list[srv.flavor])...)...)
			switch name {
			case "kill", "applier":
				srv.mustRun(t, root, append(statements(list[srv.flavor+"-ftwrl"]), statements(list[srv.flavor+"-"+name])...)...)
			default:
				srv.mustRun(t, root, statements(list[srv.flavor+"-"+name])...)
			}
			if err := enter(plan); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}

		srv.mustRun(t, root, append([]string{drop}, append(statements(list[srv.flavor]), statements(list[srv.flavor+"-ftwrl"])...)...)...)
		rotate := statements(list[srv.flavor+"-rotate"])
		srv.mustRun(t, root, rotate[0])
		for _, password := range []string{old, fresh} {
			write(password)
			if err := enter(Config{}); err != nil {
				t.Errorf("while both hold, by %q: %v", password, err)
			}
		}
		srv.mustRun(t, root, rotate[1])
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
			fmt.Sprintf("KILL %d", root.id),
		} {
			if err := s.b.exec(t.Context(), statement); err == nil {
				t.Errorf("the user may: %s", statement)
			} else if !isDenied(err) && code(err) != 1095 && code(err) != erOptionPrevents { // ER_KILL_DENIED_ERROR, secure_file_priv
				t.Errorf("%s: %v", statement, err)
			}
		}
		if srv.flavor == flavorMySQL {
			srv.mustRun(t, root, append([]string{drop}, append(statements(list["mysql-socket"]), statements(list["mysql-ftwrl"])...)...)...)
			if err := check(t, Config{Socket: srv.socket, User: "stillpoint", LockTimeout: time.Second}); err != nil && currentUser() == "root" {
				t.Errorf("without a password: %v", err)
			}
		}
	}
	t.Run(flavorMariaDB, func(t *testing.T) { test(t, startServer(t)) })
	t.Run(flavorMySQL, func(t *testing.T) {
		test(t, startMySQL(t, pluginOptions(t, flavorMySQL)[0]))
	})
	file := filepath.Join(t.TempDir(), "my.cnf")
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(list["my.cnf-tls"], "/etc/mysql/ca.pem", newAuthority(t, "ca").path)), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := New(Config{DefaultsFile: file})
	if err != nil {
		t.Fatal(err)
	}
	if at, err := d.cfg.target(); err != nil || at.tls.mode != tlsVerifyIdentity || at.network != "tcp" {
		t.Errorf("%+v, %v", at.tls, err)
	}
}
