package mysql

import (
	"slices"
	"strings"
)

// evidence says how it is known that a row of dialects is right.
type evidence string

const (
	// evidenceRun: the tests run every statement of the row on such a server.
	evidenceRun evidence = "run"
	// evidenceByHand: the tests of this package were run by hand on such a server.
	evidenceByHand evidence = "run by hand"
	// evidenceRead: no server here can show it; it stands in the row's source.
	evidenceRead evidence = "read, not run"
)

// dialect is one row of the table: the servers of some flavors, from a version on.
type dialect struct {
	flavors []string
	// from is the first version, as server.number; the row goes up to the next one.
	from     int
	evidence evidence
	// source is where it stands: the server that was run, or a page.
	source string
	vocabulary
	// backup is the server's backup lock; nil where it has none.
	backup *method
	// tables is Percona's own, where the server says that it has it (have_backup_locks); else nil.
	tables *method
}

// vocabulary is what a server calls things. Columns are read by name, in lower
// case, as query returns them.
type vocabulary struct {
	// binlogStatus tells file and position of the server's own binlog,
	// replicaStatus of all channels, one row each.
	binlogStatus, replicaStatus string
	columns                     replicaColumns
	// stopApplier and startApplier take a channel for %s, see dialect.stop.
	stopApplier, startApplier string
	// openTempTables is the status variable that counts the applier's open temporary tables.
	openTempTables string
	// parallelWorkers is the variable that says how many threads an applier gets when it starts.
	parallelWorkers string
	// changeSource and what follows are for a person who sets up a replica.
	changeSource, autoPosition, sourcePrefix string
}

// but is the vocabulary with a change.
func (v vocabulary) but(change func(*vocabulary)) vocabulary {
	change(&v)
	return v
}

// replicaColumns are the names in the rows of replicaStatus.
type replicaColumns struct {
	channel, host, port     string
	ioRunning, sqlRunning   string
	executedFile, executed  string
	sqlErrno, executedGTIDs string
	// usesGTID tells whether the position in the source is kept as GTIDs.
	usesGTID string
}

var (
	// columnsMaster: MySQL before 8.0.22.
	columnsMaster = replicaColumns{
		channel: "channel_name", host: "master_host", port: "master_port", ioRunning: "slave_io_running", sqlRunning: "slave_sql_running",
		executedFile: "relay_master_log_file", executed: "exec_master_log_pos", sqlErrno: "last_sql_errno", executedGTIDs: "executed_gtid_set", usesGTID: "auto_position",
	}
	// columnsSource: MySQL since then.
	columnsSource = replicaColumns{
		channel: "channel_name", host: "source_host", port: "source_port", ioRunning: "replica_io_running", sqlRunning: "replica_sql_running",
		executedFile: "relay_source_log_file", executed: "exec_source_log_pos", sqlErrno: "last_sql_errno", executedGTIDs: "executed_gtid_set", usesGTID: "auto_position",
	}
	// columnsMariaDB: it kept the old names, also where the statement says REPLICA [facts, "Position"].
	columnsMariaDB = replicaColumns{
		channel: "connection_name", host: "master_host", port: "master_port", ioRunning: "slave_io_running", sqlRunning: "slave_sql_running",
		executedFile: "relay_master_log_file", executed: "exec_master_log_pos", sqlErrno: "last_sql_errno", usesGTID: "using_gtid",
	}
)

var (
	wordsMariaDB = vocabulary{
		binlogStatus: "SHOW MASTER STATUS", replicaStatus: "SHOW ALL SLAVES STATUS", columns: columnsMariaDB,
		stopApplier: "STOP SLAVE %s SQL_THREAD", startApplier: "START SLAVE %s SQL_THREAD",
		openTempTables: "Slave_open_temp_tables", parallelWorkers: "slave_parallel_threads",
		changeSource: "CHANGE MASTER %s TO", autoPosition: "MASTER_USE_GTID = slave_pos", sourcePrefix: "MASTER",
	}
	// words80200 are MySQL's since 8.2.0; 8.4.0 took the old names away.
	words80200 = vocabulary{
		binlogStatus: "SHOW BINARY LOG STATUS", replicaStatus: "SHOW REPLICA STATUS", columns: columnsSource,
		stopApplier: "STOP REPLICA SQL_THREAD FOR CHANNEL %s", startApplier: "START REPLICA SQL_THREAD FOR CHANNEL %s",
		openTempTables: "Replica_open_temp_tables", parallelWorkers: "replica_parallel_workers",
		changeSource: "CHANGE REPLICATION SOURCE TO", autoPosition: "SOURCE_AUTO_POSITION = 1", sourcePrefix: "SOURCE",
	}
	words80026 = words80200.but(func(v *vocabulary) { v.binlogStatus = "SHOW MASTER STATUS" })
	words80023 = words80026.but(func(v *vocabulary) {
		v.openTempTables, v.parallelWorkers = "Slave_open_temp_tables", "slave_parallel_workers"
	})
	words80022 = words80023.but(func(v *vocabulary) {
		v.changeSource, v.autoPosition, v.sourcePrefix = "CHANGE MASTER TO", "MASTER_AUTO_POSITION = 1", "MASTER"
	})
	words80000 = words80022.but(func(v *vocabulary) {
		v.replicaStatus, v.columns = "SHOW SLAVE STATUS", columnsMaster
		v.stopApplier, v.startApplier = "STOP SLAVE SQL_THREAD FOR CHANNEL %s", "START SLAVE SQL_THREAD FOR CHANNEL %s"
	})
)

var (
	mariaDB = []string{flavorMariaDB}
	mySQL   = []string{flavorMySQL}
	percona = []string{flavorPercona}
)

const (
	mysqlDocs   = "https://dev.mysql.com/doc/refman/"
	perconaDocs = "https://docs.percona.com/percona-server/"
	mariaDocs   = "https://mariadb.com/kb/en/"
)

// dialects is the choice of statements by flavor and version, of each flavor the
// newest first. A server older than all rows of its flavor gets the oldest one.
var dialects = []dialect{
	{mariaDB, 120000, evidenceRead, mariaDocs + "show-replica-status, " + mariaDocs + "backup-stage", wordsMariaDB, &methodStage, nil},
	{mariaDB, 110000, evidenceByHand, "MariaDB 11.8.9, Debian sid's", wordsMariaDB, &methodStage, nil},
	{mariaDB, 101100, evidenceRun, "MariaDB 10.11, Debian bookworm's", wordsMariaDB, &methodStage, nil},
	{mariaDB, 100600, evidenceRead, mariaDocs + "show-replica-status, " + mariaDocs + "backup-stage", wordsMariaDB, &methodStage, nil},
	{mariaDB, 100401, evidenceRead, mariaDocs + "backup-stage (since 10.4.1)", wordsMariaDB, &methodStage, nil},
	{mariaDB, 0, evidenceRead, mariaDocs + "backup-stage (not before 10.4.1)", wordsMariaDB, nil, nil},

	{mySQL, 90000, evidenceRun, "MySQL 9.7, Debian sid's", words80200, &methodInstance, nil},
	{mySQL, 80200, evidenceRead, mysqlDocs + "8.4/en/show-binary-log-status.html (since 8.2.0)", words80200, &methodInstance, nil},
	{mySQL, 80026, evidenceRead, mysqlDocs + "8.0/en/replication-options-replica.html (replica_... since 8.0.26)", words80026, &methodInstance, nil},
	{mySQL, 80023, evidenceRead, mysqlDocs + "8.0/en/change-replication-source-to.html (since 8.0.23)", words80023, &methodInstance, nil},
	{mySQL, 80022, evidenceRead, mysqlDocs + "8.0/en/show-replica-status.html (since 8.0.22)", words80022, &methodInstance, nil},
	{mySQL, 80011, evidenceRead, mysqlDocs + "8.0/en/show-slave-status.html", words80000, &methodInstance, nil},
	{mySQL, 0, evidenceRead, mysqlDocs + "5.7/en/show-slave-status.html", words80000, nil, nil},

	// Percona's follows MySQL's versions, and has its own lock beside.
	{percona, 80200, evidenceRead, perconaDocs + "8.4/backup-locks.html", words80200, &methodInstance, &methodTables},
	{percona, 80026, evidenceRead, perconaDocs + "8.0/backup-locks.html", words80026, &methodInstance, &methodTables},
	{percona, 80023, evidenceRead, perconaDocs + "8.0/backup-locks.html", words80023, &methodInstance, &methodTables},
	{percona, 80022, evidenceRead, perconaDocs + "8.0/backup-locks.html", words80022, &methodInstance, &methodTables},
	{percona, 80011, evidenceRead, perconaDocs + "8.0/backup-locks.html", words80000, &methodInstance, &methodTables},
	{percona, 0, evidenceRead, perconaDocs + "5.7/management/backup_locks.html", words80000, nil, &methodTablesBinlog},
}

// backupMethod is the server's backup lock; false where it has none.
func (s server) backupMethod() (method, bool) {
	d := s.dialect()
	m := d.backup
	if s.backupLocks && d.tables != nil {
		m = d.tables
	}
	if m == nil {
		return method{}, false
	}
	return *m, true
}

// dialect is the row for the server.
func (s server) dialect() dialect {
	var last dialect
	for _, d := range dialects {
		if !slices.Contains(d.flavors, s.flavor) {
			continue
		}
		last = d
		if s.number >= d.from {
			break
		}
	}
	return last
}

// stop is the statement that stops the applier of one channel; "" is the default one.
func (d dialect) stop(channel string) string {
	return strings.Replace(d.stopApplier, "%s", quote(channel), 1)
}

// start is the statement that starts it.
func (d dialect) start(channel string) string {
	return strings.Replace(d.startApplier, "%s", quote(channel), 1)
}

// quote makes a string literal of a name from the server. It holds whatever the
// sql_mode of the session is: a backslash is refused instead of escaped, see goodName.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// goodName says that a channel's name can be put into a statement: with
// NO_BACKSLASH_ESCAPES and without, it must come to the same.
func goodName(s string) bool { return !strings.ContainsAny(s, "\\\x00") }
