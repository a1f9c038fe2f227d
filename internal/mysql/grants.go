package mysql

import (
	"slices"
	"strings"
)

// use is a part of a plan that needs something of the server's user, in the
// words of the plan's file.
type use string

const (
	useAlways  use = "every plan"
	useFlush   use = "preliminary_flush other than never"
	useFTWRL   use = "lock: ftwrl"
	useBackup  use = "lock: backup"
	useAuto    use = "lock: auto"
	useKill    use = "long_queries: kill"
	useApplier use = "replica: stop_applier"
)

// uses are the parts that a plan has.
func (c Config) uses() []use {
	uses := []use{useAlways}
	switch c.Lock {
	case LockFTWRL, "":
		uses = append(uses, useFTWRL)
	case LockBackup:
		uses = append(uses, useBackup)
	case LockAuto:
		uses = append(uses, useAuto)
	}
	// For the backup lock it only runs where the plan insists, see Settle; on MariaDB that takes no more than the lock does.
	if c.PreliminaryFlush == FlushAlways || c.PreliminaryFlush != FlushNever && c.Lock != LockNone && c.Lock != LockBackup {
		uses = append(uses, useFlush)
	}
	if c.LongQueries == LongQueriesKill {
		uses = append(uses, useKill)
	}
	if c.StopApplier {
		uses = append(uses, useApplier)
	}
	return uses
}

// The scopes of privileges.
const (
	onServer      = "*.*"
	onPerformance = performanceSchema + ".*"

	performanceSchema = "performance_schema"
)

// privilege is one row of the table of what the server's user must be allowed.
type privilege struct {
	// mariadb says which family of servers; the other is MySQL with Percona's.
	mariadb bool
	// from and before bound the versions, as server.number counts them; 0: no bound.
	from, before int
	// uses are the parts of a plan that need it, any of them.
	uses []use
	// name and on are as GRANT has them.
	name, on string
	// instead are other privileges that allow the same.
	instead []string
	// super is the version before which SUPER allows it too; 0: none. It is left
	// out where a harmless statement can be tried, which knows better.
	super int
	// why goes on after "to".
	why string
}

// optional says that a plan is carried out without it, with a lesser claim or a
// heavier lock, and says so: see survey.
func (p privilege) optional() bool { return p.name == sees.name }

const (
	everyVersion = 1 << 30
	// MariaDB 11.0.1 took out of SUPER what has a privilege of its own (MDEV-29668; read, not run).
	mariadbSplitSuper = 110001
)

// seesTables are privileges of which each, granted on *.*, makes every table
// appear in information_schema.TABLES, on both families (TestPrivileges).
// Of them REFERENCES alone lets its bearer neither read nor change anything.
var seesTables = []string{"REFERENCES", "SHOW VIEW", "SELECT", "INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "INDEX", "TRIGGER"}

// privileges is the table. What is of 10.11 and 9.7 is measured: for each row
// TestPrivileges takes it away and sees the server deny a statement.
// Older versions are read, not run.
var privileges = []privilege{
	{true, 0, 0, []use{useFTWRL, useBackup, useAuto, useFlush}, "RELOAD", onServer, nil, 0, "flush the tables and take the lock"},
	{true, 0, 0, []use{useAlways}, "PROCESS", onServer, nil, 0, "see what is in the way, and where InnoDB's files are"},
	{true, 100502, 0, []use{useAlways}, "BINLOG MONITOR", onServer, nil, everyVersion, "read the binlog position"},
	{true, 100509, 0, []use{useAlways}, "SLAVE MONITOR", onServer, nil, everyVersion, "read a replica's position"},
	{true, 100502, 100509, []use{useAlways}, "REPLICATION SLAVE ADMIN", onServer, nil, everyVersion, "read a replica's position"},
	{true, 0, 100502, []use{useAlways}, "REPLICATION CLIENT", onServer, nil, everyVersion, "read binlog and replica position"},
	{true, 100502, 0, []use{useKill}, "CONNECTION ADMIN", onServer, nil, mariadbSplitSuper, "end other users' statements"},
	{true, 0, 100502, []use{useKill}, "SUPER", onServer, nil, 0, "end other users' statements"},
	{true, 100502, 0, []use{useApplier}, "REPLICATION SLAVE ADMIN", onServer, nil, mariadbSplitSuper, "stop and start the applier"},
	{true, 0, 100502, []use{useApplier}, "SUPER", onServer, nil, 0, "stop and start the applier"},
	{true, 0, 0, []use{useAuto}, "REFERENCES", onServer, seesTables, 0, "see every table's engine"},

	{false, 80023, 0, []use{useFTWRL, useAuto, useFlush}, "FLUSH_TABLES", onServer, []string{"RELOAD"}, 0, "flush the tables and take the lock"},
	{false, 0, 80023, []use{useFTWRL, useAuto, useFlush}, "RELOAD", onServer, nil, 0, "flush the tables and take the lock"},
	{false, 0, 0, []use{useAlways}, "PROCESS", onServer, nil, 0, "see open transactions, and where InnoDB's files are"},
	{false, 0, 0, []use{useAlways}, "REPLICATION CLIENT", onServer, nil, everyVersion, "read binlog and replica position"},
	{false, 80000, 0, []use{useBackup, useAuto}, "BACKUP_ADMIN", onServer, nil, 0, "take the backup lock"},
	{false, 80000, 0, []use{useKill}, "CONNECTION_ADMIN", onServer, nil, everyVersion, "end other users' statements"},
	{false, 0, 80000, []use{useKill}, "SUPER", onServer, nil, 0, "end other users' statements"},
	{false, 80000, 0, []use{useApplier}, "REPLICATION_SLAVE_ADMIN", onServer, nil, everyVersion, "stop and start the applier"},
	{false, 0, 80000, []use{useApplier}, "SUPER", onServer, nil, 0, "stop and start the applier"},
	{false, 0, 0, []use{useBackup, useAuto}, "REFERENCES", onServer, seesTables, 0, "see every table's engine"},
	{false, 0, 0, []use{useAlways}, "SELECT", onPerformance, nil, 0, "see what is in use, and prove the hold"},
}

// privilegesFor are the rows for a server and a plan, in the table's order, each privilege once.
func privilegesFor(s server, c Config) []privilege {
	uses := c.uses()
	var list []privilege
	for _, p := range privileges {
		switch {
		case p.mariadb != s.mariadb(),
			s.number < p.from, p.before != 0 && s.number >= p.before,
			p.on == onPerformance && !s.perf,
			!slices.ContainsFunc(p.uses, func(u use) bool { return slices.Contains(uses, u) }),
			slices.ContainsFunc(list, func(q privilege) bool { return q.name == p.name && q.on == p.on }):
			continue
		}
		list = append(list, p)
	}
	return list
}

// grantStatements are the statements that grant them to a quoted user, one for
// each scope.
func grantStatements(list []privilege, user string) []string {
	var scopes []string
	names := map[string][]string{}
	for _, p := range list {
		if names[p.on] == nil {
			scopes = append(scopes, p.on)
		}
		names[p.on] = append(names[p.on], p.name)
	}
	statements := make([]string, len(scopes))
	for i, on := range scopes {
		statements[i] = "GRANT " + strings.Join(names[on], ", ") + " ON " + on + " TO " + user
	}
	return statements
}
