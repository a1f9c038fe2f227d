package mysql

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	driver "github.com/go-sql-driver/mysql"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// The flavors of messages.MySQL.
const (
	flavorMySQL   = "mysql"
	flavorMariaDB = "mariadb"
	flavorPercona = "percona"
)

// Session is a pair of open connections to one server, see the package. It is
// used by one goroutine at a time.
type Session struct {
	cfg    Config
	target target
	dial   *driver.Config
	server server

	// a holds the lock, b watches it.
	a, b *conn
	// held says that Lock has returned nil and Unlock has not been called since.
	held bool
	// until is when the server is to let go by itself; zero where nothing is held.
	until time.Time
	hold  time.Duration // of the last try
	// ready says that Ready was called since the last try.
	ready  bool
	closed bool
	// method is that of the next try, or of the lock that is held; claim is what
	// it is worth.
	method method
	claim  snapshot.Claim
	// applier is what StopApplier has stopped.
	applier applier
	// located is what Locate found.
	located located

	// patience is how long clear waits for statements that are not long yet.
	patience time.Duration
	// told are the statements whose text was given to Config.Statements, killed
	// those that were ended, and ended the same by what they are told apart by.
	told, ended map[string]bool
	killed      []messages.Statement
	trxRead     time.Time // when INNODB_TRX was last read

	// beforeKill is a test's way into the moment in which a try has run into its
	// time and is about to be withdrawn; nil outside tests.
	beforeKill func()
}

var _ snapshot.DatabaseSession = (*Session)(nil)

// server is what was learned of the server.
type server struct {
	flavor  string
	version string
	// number is 101119 for 10.11.19 and 90704 for 9.7.4.
	number int
	// user is CURRENT_USER(), quoted for a GRANT.
	user string
	// binlog says that the server writes one.
	binlog bool
	// gtid says that all transactions have GTIDs; always on MariaDB.
	gtid bool
	// perf says that performance_schema is there and can be read (MySQL).
	perf bool
	// mdl says that performance_schema.metadata_locks is filled (MySQL).
	mdl bool
	// listed says that performance_schema shows whatever is in use (MySQL).
	listed bool
	// backupLocks says that the server knows LOCK TABLES FOR BACKUP (Percona).
	backupLocks bool
	// mdlInfo says that the plugin metadata_lock_info is loaded, mdlPerf that
	// performance_schema.metadata_locks is filled and can be read, and digests
	// that its statements can (MariaDB).
	mdlInfo, mdlPerf, digests bool
	// wsrep says that the server is a node of a Galera cluster.
	wsrep bool
}

func (s server) mariadb() bool { return s.flavor == flavorMariaDB }

// Connect opens both connections, learns what the server is and that the user
// may do all that will be needed. See snapshot.Database for its errors.
func (d *Database) Connect(ctx context.Context) (snapshot.DatabaseSession, error) {
	s, err := d.connect(ctx)
	if err != nil {
		return nil, err
	}
	return s, nil
}

func (d *Database) connect(ctx context.Context) (*Session, error) {
	t, err := d.cfg.target()
	if err != nil {
		return nil, &snapshot.RefusedError{Sentence: "the database's credentials cannot be read", Err: err}
	}
	dial, err := t.driverConfig()
	if err != nil {
		return nil, &snapshot.RefusedError{Sentence: "the settings of the connection to the database cannot be used", Err: err}
	}
	s := &Session{cfg: d.cfg, target: t, dial: dial, patience: min(d.cfg.LongQueryAfter, maxPatience)}
	if err := s.revive(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.learn(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.learnViews(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.checkPrivileges(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.checkCluster(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.decide(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if s.cfg.LongQueries == LongQueriesFail { // at once, and in a dry run too
		if err := s.clear(ctx); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return s, nil
}

// Server says flavor and version, and what was killed up to now.
func (s *Session) Server() messages.MySQL {
	return messages.MySQL{Flavor: s.server.flavor, Version: s.server.version, Killed: slices.Clone(s.killed)}
}

// revive makes sure, by asking, that both connections answer, and opens again
// what does not. It is called outside the window only.
func (s *Session) revive(ctx context.Context) error {
	opened := false
	for _, c := range []**conn{&s.b, &s.a} {
		if (*c).alive() && (*c).exec(ctx, "DO 0") == nil {
			continue
		}
		(*c).drop()
		fresh, err := open(ctx, s.dial)
		if err != nil {
			return s.target.connectError(ctx, err)
		}
		*c, opened = fresh, true
	}
	if !opened {
		return nil
	}
	return s.oneServer(ctx)
}

// oneServer refuses connections that lead to different servers, as through a
// proxy that balances: what the watcher would kill by A's id were someone else's session.
func (s *Session) oneServer(ctx context.Context) error {
	var names [2]string
	for i, c := range []*conn{s.a, s.b} {
		rows, err := c.query(ctx, "SELECT CONCAT_WS(' ', @@global.hostname, @@global.port, @@global.socket, @@global.datadir, @@global.pid_file, @@global.server_id) AS name")
		if err != nil || len(rows) != 1 {
			return s.statementError(c, "ask", errors.Join(err, errors.New("it does not say which server it is")))
		}
		names[i] = rows[0]["name"]
	}
	_, there, err := s.command(ctx)
	switch {
	case err != nil:
		return s.statementError(s.b, "read the processes of", err)
	case !there || names[0] != names[1]:
		return s.target.refused("leads one connection to one server and the next to another, as a proxy does that balances: connect to the server itself", nil)
	}
	return nil
}

// learn asks the server what it is.
func (s *Session) learn(ctx context.Context) error {
	rows, err := s.b.query(ctx, "SELECT VERSION() AS version, @@version_comment AS comment, CURRENT_USER() AS user, @@global.log_bin AS log_bin")
	if err == nil && len(rows) != 1 {
		err = errors.New("it does not say its version")
	}
	if err != nil {
		return s.statementError(s.b, "ask", err)
	}
	s.server.identify(rows[0]["version"], rows[0]["comment"])
	s.server.user = quoteUser(rows[0]["user"])
	s.server.binlog = rows[0]["log_bin"] == "1"
	if s.server.mariadb() {
		s.server.gtid = true
		return nil
	}
	rows, err = s.b.query(ctx, "SELECT @@global.gtid_mode AS gtid_mode, @@global.performance_schema AS perf")
	if err != nil || len(rows) != 1 {
		return s.statementError(s.b, "ask", errors.Join(err, errors.New("it does not say whether it has GTIDs")))
	}
	s.server.gtid = rows[0]["gtid_mode"] == "ON"
	s.server.perf = rows[0]["perf"] == "1"
	if s.server.flavor != flavorPercona {
		return nil
	}
	rows, err = s.b.query(ctx, "SHOW GLOBAL VARIABLES LIKE 'have_backup_locks'")
	if err != nil {
		return s.statementError(s.b, "ask", err)
	}
	s.server.backupLocks = len(rows) == 1 && rows[0]["value"] == "YES"
	return nil
}

// learnPerformance asks whether the server lists who holds which lock. It comes
// after the look at the privileges, which says better what is missing.
func (s *Session) learnPerformance(ctx context.Context) error {
	if !s.server.perf {
		return nil
	}
	rows, err := s.b.query(ctx, "SELECT ENABLED AS enabled FROM performance_schema.setup_instruments WHERE NAME = 'wait/lock/metadata/sql/mdl'")
	if err != nil {
		return s.statementError(s.b, "read the performance_schema of", err)
	}
	s.server.mdl = len(rows) == 1 && rows[0]["enabled"] == "YES"
	// A part of this can be turned off or be too small, and the lists of what is in
	// use then have holes that do not show.
	rows, err = s.b.query(ctx, `SELECT
		(SELECT COUNT(*) FROM performance_schema.setup_consumers WHERE NAME = 'global_instrumentation' AND ENABLED = 'YES') AS kept,
		(SELECT COUNT(*) FROM performance_schema.setup_instruments WHERE NAME = 'wait/lock/table/sql/handler' AND ENABLED = 'YES') AS handles,
		(SELECT COUNT(*) FROM performance_schema.setup_objects WHERE OBJECT_TYPE = 'TABLE' AND OBJECT_SCHEMA = '%' AND OBJECT_NAME = '%' AND ENABLED = 'YES') AS objects,
		(SELECT COUNT(*) FROM performance_schema.setup_objects WHERE OBJECT_TYPE = 'TABLE' AND ENABLED = 'NO'
			AND OBJECT_SCHEMA NOT IN ('mysql', 'performance_schema', 'information_schema')) AS hidden,
		(SELECT COUNT(*) FROM performance_schema.global_status WHERE VARIABLE_VALUE <> '0' AND VARIABLE_NAME IN ('Performance_schema_metadata_lock_lost',
			'Performance_schema_table_handles_lost', 'Performance_schema_table_instances_lost', 'Performance_schema_thread_instances_lost')) AS lost`)
	switch {
	case isDenied(err): // privileges on single tables of it
		return nil
	case err != nil:
		return s.statementError(s.b, "read the performance_schema of", err)
	case len(rows) != 1:
		return nil
	}
	r := rows[0]
	s.server.mdl = s.server.mdl && r["kept"] == "1"
	s.server.listed = s.server.mdl && r["handles"] == "1" && r["objects"] == "1" && r["hidden"] == "0" && r["lost"] == "0"
	return nil
}

// identify tells the flavors apart, by what they say of themselves.
func (s *server) identify(version, comment string) {
	s.version = version
	switch {
	case strings.Contains(strings.ToLower(version), "mariadb"), strings.Contains(strings.ToLower(comment), "mariadb"):
		s.flavor = flavorMariaDB
	case strings.Contains(strings.ToLower(comment), "percona"):
		s.flavor = flavorPercona
	default:
		s.flavor = flavorMySQL
	}
	number := 0
	plain, _, _ := strings.Cut(version, "-")
	for i, part := range strings.SplitN(plain, ".", 3) {
		n, _ := strconv.Atoi(part) // what is no number counts as 0: the oldest
		number += n * []int{10000, 100, 1}[i]
	}
	s.number = number
}

// quoteUser turns user@host into 'user'@'host'; the host never has an @.
func quoteUser(s string) string {
	user, host := s, "%"
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		user, host = s[:i], s[i+1:]
	}
	return fmt.Sprintf("'%s'@'%s'", strings.ReplaceAll(user, "'", "''"), host)
}
