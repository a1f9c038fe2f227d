package access

import (
	"slices"
	"strings"

	"stillpoint/internal/mysql/dialect"
)

// Use is a part of a plan that needs something of the server's user, in the
// words of the plan's file.
type Use string

const (
	Always  Use = "every plan"
	Flush   Use = "preliminary_flush other than never"
	FTWRL   Use = "lock: ftwrl"
	Backup  Use = "lock: backup"
	Auto    Use = "lock: auto"
	Kill    Use = "long_queries: kill"
	Applier Use = "replica: stop_applier"
)

// The scopes of privileges.
const (
	onServer      = "*.*"
	onPerformance = performanceSchema + ".*"

	performanceSchema = "performance_schema"
)

// Privilege is one row of the table of what the server's user must be allowed.
type Privilege struct {
	// mariadb says which family of servers; the other is MySQL with Percona's.
	mariadb bool
	// from and before bound the versions, as server.number counts them; 0: no bound.
	from, before int
	// uses are the parts of a plan that need it, any of them.
	uses []Use
	// Name and on are as GRANT has them.
	Name, On string
	// instead are other privileges that allow the same.
	instead []string
	// super is the version before which SUPER allows it too; 0: none. It is left
	// out where a harmless statement can be tried, which knows better.
	super int
	// Why goes on after "to".
	Why string
}

// Optional says that a plan is carried out without it, with a lesser claim or a
// heavier lock, and says so: see the survey in lock.
func (p Privilege) Optional() bool { return p.Name == Sees.Name }

const (
	everyVersion = 1 << 30
	// MariaDB 11.0.1 took out of SUPER what has a privilege of its own (MDEV-29668; read, not run).
	mariadbSplitSuper = 110001
)

// seesTables are privileges of which each, granted on *.*, makes every table
// appear in information_schema.TABLES, on both families (TestPrivileges).
// Of them REFERENCES alone lets its bearer neither read nor change anything.
var seesTables = []string{"REFERENCES", "SHOW VIEW", "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "INDEX", "TRIGGER"}

// Sees is the privilege that shows every table, see seesTables.
var Sees = Privilege{Name: "REFERENCES", On: onServer, instead: seesTables, Why: "see every table's engine"}

// privileges is the table. What is of 10.11 and 9.7 is measured: for each row
// TestPrivileges takes it away and sees the server deny a statement.
// Older versions are read, not run.
var privileges = []Privilege{
	{true, 0, 0, []Use{FTWRL, Backup, Auto, Flush}, "RELOAD", onServer, nil, 0, "flush the tables and take the lock"},
	{true, 0, 0, []Use{Always}, "PROCESS", onServer, nil, 0, "see what is in the way, and where InnoDB's files are"},
	{true, 100502, 0, []Use{Always}, "BINLOG MONITOR", onServer, nil, everyVersion, "read the binlog position"},
	{true, 100509, 0, []Use{Always}, "SLAVE MONITOR", onServer, nil, everyVersion, "read a replica's position"},
	{true, 100502, 100509, []Use{Always}, "REPLICATION SLAVE ADMIN", onServer, nil, everyVersion, "read a replica's position"},
	{true, 0, 100502, []Use{Always}, "REPLICATION CLIENT", onServer, nil, everyVersion, "read binlog and replica position"},
	{true, 100502, 0, []Use{Kill}, "CONNECTION ADMIN", onServer, nil, mariadbSplitSuper, "end other users' statements"},
	{true, 0, 100502, []Use{Kill}, "SUPER", onServer, nil, 0, "end other users' statements"},
	{true, 100502, 0, []Use{Applier}, "REPLICATION SLAVE ADMIN", onServer, nil, mariadbSplitSuper, "stop and start the applier"},
	{true, 0, 100502, []Use{Applier}, "SUPER", onServer, nil, 0, "stop and start the applier"},
	{true, 0, 0, []Use{Auto}, "REFERENCES", onServer, seesTables, 0, "see every table's engine"},

	{false, 80023, 0, []Use{FTWRL, Auto, Flush}, "FLUSH_TABLES", onServer, []string{"RELOAD"}, 0, "flush the tables and take the lock"},
	{false, 0, 80023, []Use{FTWRL, Auto, Flush}, "RELOAD", onServer, nil, 0, "flush the tables and take the lock"},
	{false, 0, 0, []Use{Always}, "PROCESS", onServer, nil, 0, "see open transactions, and where InnoDB's files are"},
	{false, 0, 0, []Use{Always}, "REPLICATION CLIENT", onServer, nil, everyVersion, "read binlog and replica position"},
	{false, 80000, 0, []Use{Backup, Auto}, "BACKUP_ADMIN", onServer, nil, 0, "take the backup lock"},
	{false, 80000, 0, []Use{Kill}, "CONNECTION_ADMIN", onServer, nil, everyVersion, "end other users' statements"},
	{false, 0, 80000, []Use{Kill}, "SUPER", onServer, nil, 0, "end other users' statements"},
	{false, 80000, 0, []Use{Applier}, "REPLICATION_SLAVE_ADMIN", onServer, nil, everyVersion, "stop and start the applier"},
	{false, 0, 80000, []Use{Applier}, "SUPER", onServer, nil, 0, "stop and start the applier"},
	{false, 0, 0, []Use{Backup, Auto}, "REFERENCES", onServer, seesTables, 0, "see every table's engine"},
	{false, 0, 0, []Use{Always}, "SELECT", onPerformance, nil, 0, "see what is in use, and prove the hold"},
}

// For are the rows for a server and a plan, in the table's order, each privilege once.
func For(s dialect.Server, uses []Use) []Privilege {
	var list []Privilege
	for _, p := range privileges {
		switch {
		case p.mariadb != s.IsMariaDB(),
			s.Number < p.from, p.before != 0 && s.Number >= p.before,
			p.On == onPerformance && !s.Perf,
			!slices.ContainsFunc(p.uses, func(u Use) bool { return slices.Contains(uses, u) }),
			slices.ContainsFunc(list, func(q Privilege) bool { return q.Name == p.Name && q.On == p.On }):
			continue
		}
		list = append(list, p)
	}
	return list
}

// Statements are the statements that grant them to a quoted user, one for
// each scope.
func Statements(list []Privilege, user string) []string {
	var scopes []string
	names := map[string][]string{}
	for _, p := range list {
		if names[p.On] == nil {
			scopes = append(scopes, p.On)
		}
		names[p.On] = append(names[p.On], p.Name)
	}
	statements := make([]string, len(scopes))
	for i, on := range scopes {
		statements[i] = "GRANT " + strings.Join(names[on], ", ") + " ON " + on + " TO " + user
	}
	return statements
}
