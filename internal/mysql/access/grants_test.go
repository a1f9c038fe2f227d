package access

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stillpoint/internal/mysql/dialect"
)

// The rows for servers that are not here: read, not run.
func TestPrivilegesByVersion(t *testing.T) {
	usual := []Use{Always, FTWRL, Flush}
	with := func(list []Use, more Use) []Use { return append(slices.Clone(list), more) }
	for _, c := range []struct {
		flavor string
		number int
		uses   []Use
		want   []string
	}{
		{dialect.MariaDB, 100412, usual, []string{"GRANT RELOAD, PROCESS, REPLICATION CLIENT ON *.* TO u"}},
		{dialect.MariaDB, 100412, with(usual, Kill), []string{"GRANT RELOAD, PROCESS, REPLICATION CLIENT, SUPER ON *.* TO u"}},
		{dialect.MariaDB, 100508, with(usual, Applier), []string{"GRANT RELOAD, PROCESS, BINLOG MONITOR, REPLICATION SLAVE ADMIN ON *.* TO u"}},
		{dialect.MariaDB, 100619, usual, []string{"GRANT RELOAD, PROCESS, BINLOG MONITOR, SLAVE MONITOR ON *.* TO u"}},
		{dialect.MariaDB, 120002, []Use{Always, Auto, Flush}, []string{"GRANT RELOAD, PROCESS, BINLOG MONITOR, SLAVE MONITOR, REFERENCES ON *.* TO u"}},
		{dialect.MariaDB, 120002, []Use{Always}, []string{"GRANT PROCESS, BINLOG MONITOR, SLAVE MONITOR ON *.* TO u"}},
		{dialect.MySQL, 50744, with(usual, Kill), []string{"GRANT RELOAD, PROCESS, REPLICATION CLIENT, SUPER ON *.* TO u", "GRANT SELECT ON performance_schema.* TO u"}},
		{dialect.MySQL, 80022, usual, []string{"GRANT RELOAD, PROCESS, REPLICATION CLIENT ON *.* TO u", "GRANT SELECT ON performance_schema.* TO u"}},
		{dialect.MySQL, 80400, []Use{Always, Backup}, []string{"GRANT PROCESS, REPLICATION CLIENT, BACKUP_ADMIN, REFERENCES ON *.* TO u", "GRANT SELECT ON performance_schema.* TO u"}},
		{dialect.Percona, 80036, []Use{Always, Auto, Flush}, []string{"GRANT FLUSH_TABLES, PROCESS, REPLICATION CLIENT, BACKUP_ADMIN, REFERENCES ON *.* TO u", "GRANT SELECT ON performance_schema.* TO u"}},
		{dialect.MySQL, 90704, with(usual, Applier), []string{"GRANT FLUSH_TABLES, PROCESS, REPLICATION CLIENT, REPLICATION_SLAVE_ADMIN ON *.* TO u", "GRANT SELECT ON performance_schema.* TO u"}},
	} {
		s := dialect.Server{Flavor: c.flavor, Number: c.number, Perf: c.flavor != dialect.MariaDB}
		if diff := cmp.Diff(c.want, Statements(For(s, c.uses), "u")); diff != "" {
			t.Errorf("%s %d: %s", c.flavor, c.number, diff)
		}
	}
	// SUPER does, where it did.
	for number, does := range map[int]bool{100412: true, 101119: true, 110002: false} {
		g := Parse([]string{"GRANT RELOAD, PROCESS, SUPER ON *.* TO `u`@`h`"})
		s := dialect.Server{Flavor: dialect.MariaDB, Number: number}
		lacks := slices.ContainsFunc(g.Missing(For(s, with(usual, Kill)), s), func(p Privilege) bool { return p.Name == "CONNECTION ADMIN" })
		if lacks == does {
			t.Errorf("SUPER on MariaDB %d: lacks CONNECTION ADMIN: %v", number, lacks)
		}
	}
}

func TestParseGrants(t *testing.T) {
	g := Parse([]string{
		"GRANT SELECT, RELOAD ON *.* TO `u`@`h` IDENTIFIED BY PASSWORD '*ABC'",
		"GRANT BACKUP_ADMIN,FLUSH_TABLES ON *.* TO `u`@`h`",
		"GRANT PROCESS ON `a`.* TO `u`@`h`",
		"GRANT SELECT ON `performance\\_schema`.* TO `u`@`h`",
		"GRANT SELECT (`a`, `b`), INSERT ON `b`.`t` TO `u`@`h`",
		"REVOKE RELOAD ON `a`.* FROM `u`@`h`",
		"REVOKE RELOAD ON `mysql.``x`.* FROM `u`@`h`",
		"SET DEFAULT ROLE `r` FOR `u`@`h`",
	})
	want := Granted{
		server:  map[string]bool{"SELECT": true, "RELOAD": true, "BACKUP_ADMIN": true, "FLUSH_TABLES": true},
		schemas: map[string]map[string]bool{"a": {"PROCESS": true}, performanceSchema: {"SELECT": true}},
		revoked: map[string]map[string]bool{"a": {"RELOAD": true}, "mysql.`x": {"RELOAD": true}},
		tables:  map[string]bool{"b": true},
	}
	if diff := cmp.Diff(want, g, cmp.AllowUnexported(Granted{})); diff != "" {
		t.Error(diff)
	}
	if !Parse([]string{"GRANT `r`@`%` TO `u`@`h`"}).Roles {
		t.Error("a role is not seen")
	}
	if !Parse([]string{"GRANT ALL PRIVILEGES ON *.* TO `u`@`h` WITH GRANT OPTION"}).All {
		t.Error("ALL PRIVILEGES is not seen")
	}
}
