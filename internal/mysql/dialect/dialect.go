package dialect

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
	// EvidenceRead: no server here can show it; it stands in the row's source.
	EvidenceRead evidence = "read, not run"
)

// Dialect is one row of the table: the servers of some flavors, from a version on.
type Dialect struct {
	flavors []string
	// from is the first version, as server.number; the row goes up to the next one.
	from     int
	Evidence evidence
	// Source is where it stands: the server that was run, or a page.
	Source string
	vocabulary
	// backup is the server's backup lock; nil where it has none.
	backup *Method
	// tables is Percona's own, where the server says that it has it (have_backup_locks); else nil.
	tables *Method
}

// vocabulary is what a server calls things. Columns are read by name, in lower
// case, as query returns them.
type vocabulary struct {
	// BinlogStatus tells file and position of the server's own binlog,
	// ReplicaStatus of all channels, one row each.
	BinlogStatus, ReplicaStatus string
	Columns                     ReplicaColumns
	// stopApplier and startApplier take a channel for %s, see dialect.stop.
	stopApplier, startApplier string
	// OpenTempTables is the status variable that counts the applier's open temporary tables.
	OpenTempTables string
	// ParallelWorkers is the variable that says how many threads an applier gets when it starts.
	ParallelWorkers string
	// ChangeSource and what follows are for a person who sets up a replica.
	ChangeSource, AutoPosition, SourcePrefix string
}

// but is the vocabulary with a change.
func (v vocabulary) but(change func(*vocabulary)) vocabulary {
	change(&v)
	return v
}

// ReplicaColumns are the names in the rows of ReplicaStatus.
type ReplicaColumns struct {
	Channel, Host, Port     string
	IoRunning, SqlRunning   string
	ExecutedFile, Executed  string
	SqlErrno, ExecutedGTIDs string
	// UsesGTID tells whether the position in the source is kept as GTIDs.
	UsesGTID string
}

var (
	// columnsMaster: MySQL before 8.0.22.
	columnsMaster = ReplicaColumns{
		Channel: "channel_name", Host: "master_host", Port: "master_port", IoRunning: "slave_io_running", SqlRunning: "slave_sql_running",
		ExecutedFile: "relay_master_log_file", Executed: "exec_master_log_pos", SqlErrno: "last_sql_errno", ExecutedGTIDs: "executed_gtid_set", UsesGTID: "auto_position",
	}
	// columnsSource: MySQL since then.
	columnsSource = ReplicaColumns{
		Channel: "channel_name", Host: "source_host", Port: "source_port", IoRunning: "replica_io_running", SqlRunning: "replica_sql_running",
		ExecutedFile: "relay_source_log_file", Executed: "exec_source_log_pos", SqlErrno: "last_sql_errno", ExecutedGTIDs: "executed_gtid_set", UsesGTID: "auto_position",
	}
	// columnsMariaDB: it kept the old names, also where the statement says REPLICA [facts, "Position"].
	columnsMariaDB = ReplicaColumns{
		Channel: "connection_name", Host: "master_host", Port: "master_port", IoRunning: "slave_io_running", SqlRunning: "slave_sql_running",
		ExecutedFile: "relay_master_log_file", Executed: "exec_master_log_pos", SqlErrno: "last_sql_errno", UsesGTID: "using_gtid",
	}
)

var (
	wordsMariaDB = vocabulary{
		BinlogStatus: "SHOW MASTER STATUS", ReplicaStatus: "SHOW ALL SLAVES STATUS", Columns: columnsMariaDB,
		stopApplier: "STOP SLAVE %s SQL_THREAD", startApplier: "START SLAVE %s SQL_THREAD",
		OpenTempTables: "Slave_open_temp_tables", ParallelWorkers: "slave_parallel_threads",
		ChangeSource: "CHANGE MASTER %s TO", AutoPosition: "MASTER_USE_GTID = slave_pos", SourcePrefix: "MASTER",
	}
	// words80200 are MySQL's since 8.2.0; 8.4.0 took the old names away.
	words80200 = vocabulary{
		BinlogStatus: "SHOW BINARY LOG STATUS", ReplicaStatus: "SHOW REPLICA STATUS", Columns: columnsSource,
		stopApplier: "STOP REPLICA SQL_THREAD FOR CHANNEL %s", startApplier: "START REPLICA SQL_THREAD FOR CHANNEL %s",
		OpenTempTables: "Replica_open_temp_tables", ParallelWorkers: "replica_parallel_workers",
		ChangeSource: "CHANGE REPLICATION SOURCE TO", AutoPosition: "SOURCE_AUTO_POSITION = 1", SourcePrefix: "SOURCE",
	}
	words80026 = words80200.but(func(v *vocabulary) { v.BinlogStatus = "SHOW MASTER STATUS" })
	words80023 = words80026.but(func(v *vocabulary) {
		v.OpenTempTables, v.ParallelWorkers = "Slave_open_temp_tables", "slave_parallel_workers"
	})
	words80022 = words80023.but(func(v *vocabulary) {
		v.ChangeSource, v.AutoPosition, v.SourcePrefix = "CHANGE MASTER TO", "MASTER_AUTO_POSITION = 1", "MASTER"
	})
	words80000 = words80022.but(func(v *vocabulary) {
		v.ReplicaStatus, v.Columns = "SHOW SLAVE STATUS", columnsMaster
		v.stopApplier, v.startApplier = "STOP SLAVE SQL_THREAD FOR CHANNEL %s", "START SLAVE SQL_THREAD FOR CHANNEL %s"
	})
)

var (
	mariaDB = []string{MariaDB}
	mySQL   = []string{MySQL}
	percona = []string{Percona}
)

const (
	mysqlDocs   = "https://dev.mysql.com/doc/refman/"
	perconaDocs = "https://docs.percona.com/percona-server/"
	mariaDocs   = "https://mariadb.com/kb/en/"
)

// dialects is the choice of statements by flavor and version, of each flavor the
// newest first. A server older than all rows of its flavor gets the oldest one.
var dialects = []Dialect{
	{mariaDB, 120000, EvidenceRead, mariaDocs + "show-replica-status, " + mariaDocs + "backup-stage", wordsMariaDB, &Stage, nil},
	{mariaDB, 110000, evidenceByHand, "MariaDB 11.8.9, Debian sid's", wordsMariaDB, &Stage, nil},
	{mariaDB, 101100, evidenceRun, "MariaDB 10.11, Debian bookworm's", wordsMariaDB, &Stage, nil},
	{mariaDB, 100600, EvidenceRead, mariaDocs + "show-replica-status, " + mariaDocs + "backup-stage", wordsMariaDB, &Stage, nil},
	{mariaDB, 100401, EvidenceRead, mariaDocs + "backup-stage (since 10.4.1)", wordsMariaDB, &Stage, nil},
	{mariaDB, 0, EvidenceRead, mariaDocs + "backup-stage (not before 10.4.1)", wordsMariaDB, nil, nil},

	{mySQL, 90000, evidenceRun, "MySQL 9.7, Debian sid's", words80200, &Instance, nil},
	{mySQL, 80200, EvidenceRead, mysqlDocs + "8.4/en/show-binary-log-status.html (since 8.2.0)", words80200, &Instance, nil},
	{mySQL, 80026, EvidenceRead, mysqlDocs + "8.0/en/replication-options-replica.html (replica_... since 8.0.26)", words80026, &Instance, nil},
	{mySQL, 80023, EvidenceRead, mysqlDocs + "8.0/en/change-replication-source-to.html (since 8.0.23)", words80023, &Instance, nil},
	{mySQL, 80022, EvidenceRead, mysqlDocs + "8.0/en/show-replica-status.html (since 8.0.22)", words80022, &Instance, nil},
	{mySQL, 80011, EvidenceRead, mysqlDocs + "8.0/en/show-slave-status.html", words80000, &Instance, nil},
	{mySQL, 0, EvidenceRead, mysqlDocs + "5.7/en/show-slave-status.html", words80000, nil, nil},

	// Percona's follows MySQL's versions, and has its own lock beside.
	{percona, 80200, EvidenceRead, perconaDocs + "8.4/backup-locks.html", words80200, &Instance, &Tables},
	{percona, 80026, EvidenceRead, perconaDocs + "8.0/backup-locks.html", words80026, &Instance, &Tables},
	{percona, 80023, EvidenceRead, perconaDocs + "8.0/backup-locks.html", words80023, &Instance, &Tables},
	{percona, 80022, EvidenceRead, perconaDocs + "8.0/backup-locks.html", words80022, &Instance, &Tables},
	{percona, 80011, EvidenceRead, perconaDocs + "8.0/backup-locks.html", words80000, &Instance, &Tables},
	{percona, 0, EvidenceRead, perconaDocs + "5.7/management/backup_locks.html", words80000, nil, &TablesBinlog},
}

// BackupMethod is the server's backup lock; false where it has none.
func (s Server) BackupMethod() (Method, bool) {
	d := s.Dialect()
	m := d.backup
	if s.BackupLocks && d.tables != nil {
		m = d.tables
	}
	if m == nil {
		return Method{}, false
	}
	return *m, true
}

// Dialect is the row for the server.
func (s Server) Dialect() Dialect {
	var last Dialect
	for _, d := range dialects {
		if !slices.Contains(d.flavors, s.Flavor) {
			continue
		}
		last = d
		if s.Number >= d.from {
			break
		}
	}
	return last
}

// Stop is the statement that stops the applier of one channel; "" is the default one.
func (d Dialect) Stop(channel string) string {
	return strings.Replace(d.stopApplier, "%s", Quote(channel), 1)
}

// Start is the statement that starts it.
func (d Dialect) Start(channel string) string {
	return strings.Replace(d.startApplier, "%s", Quote(channel), 1)
}

// Quote makes a string literal of a name from the server. It holds whatever the
// sql_mode of the session is: a backslash is refused instead of escaped, see GoodName.
func Quote(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// GoodName says that a channel's name can be put into a statement: with
// NO_BACKSLASH_ESCAPES and without, it must come to the same.
func GoodName(s string) bool { return !strings.ContainsAny(s, "\\\x00") }
