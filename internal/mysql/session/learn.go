package session

import (
	"context"
	"errors"
	"strings"

	"stillpoint/internal/mysql/dialect"
	"stillpoint/internal/mysql/wire"
)

// learn asks the server what it is.
func (p *Pair) learn(ctx context.Context) error {
	rows, err := p.B.Query(ctx, "SELECT VERSION() AS version, @@version_comment AS comment, CURRENT_USER() AS user, @@global.log_bin AS log_bin")
	if err == nil && len(rows) != 1 {
		err = errors.New("it does not say its version")
	}
	if err != nil {
		return p.StatementError(p.B, "ask", err)
	}
	p.Server.Identify(rows[0]["version"], rows[0]["comment"])
	p.Server.User = dialect.QuoteUser(rows[0]["user"])
	p.Server.Binlog = rows[0]["log_bin"] == "1"
	if p.Server.IsMariaDB() {
		p.Server.GTID = true
		return nil
	}
	rows, err = p.B.Query(ctx, "SELECT @@global.gtid_mode AS gtid_mode, @@global.performance_schema AS perf")
	if err != nil || len(rows) != 1 {
		return p.StatementError(p.B, "ask", errors.Join(err, errors.New("it does not say whether it has GTIDs")))
	}
	p.Server.GTID = rows[0]["gtid_mode"] == "ON"
	p.Server.Perf = rows[0]["perf"] == "1"
	if p.Server.Flavor != dialect.Percona {
		return nil
	}
	rows, err = p.B.Query(ctx, "SHOW GLOBAL VARIABLES LIKE 'have_backup_locks'")
	if err != nil {
		return p.StatementError(p.B, "ask", err)
	}
	p.Server.BackupLocks = len(rows) == 1 && rows[0]["value"] == "YES"
	return nil
}

// LearnPerformance asks whether the server lists who holds which lock. It comes
// after the look at the privileges, which says better what is missing.
func (p *Pair) LearnPerformance(ctx context.Context) error {
	if !p.Server.Perf {
		return nil
	}
	rows, err := p.B.Query(ctx, "SELECT ENABLED AS enabled FROM performance_schema.setup_instruments WHERE NAME = 'wait/lock/metadata/sql/mdl'")
	if err != nil {
		return p.StatementError(p.B, "read the performance_schema of", err)
	}
	p.Server.MDL = len(rows) == 1 && rows[0]["enabled"] == "YES"
	// A part of this can be turned off or be too small, and the lists of what is in
	// use then have holes that do not show.
	rows, err = p.B.Query(ctx, `SELECT
		(SELECT COUNT(*) FROM performance_schema.setup_consumers WHERE NAME = 'global_instrumentation' AND ENABLED = 'YES') AS kept,
		(SELECT COUNT(*) FROM performance_schema.setup_instruments WHERE NAME = 'wait/lock/table/sql/handler' AND ENABLED = 'YES') AS handles,
		(SELECT COUNT(*) FROM performance_schema.setup_objects WHERE OBJECT_TYPE = 'TABLE' AND OBJECT_SCHEMA = '%' AND OBJECT_NAME = '%' AND ENABLED = 'YES') AS objects,
		(SELECT COUNT(*) FROM performance_schema.setup_objects WHERE OBJECT_TYPE = 'TABLE' AND ENABLED = 'NO'
			AND OBJECT_SCHEMA NOT IN ('mysql', 'performance_schema', 'information_schema')) AS hidden,
		(SELECT COUNT(*) FROM performance_schema.global_status WHERE VARIABLE_VALUE <> '0' AND VARIABLE_NAME IN ('Performance_schema_metadata_lock_lost',
			'Performance_schema_table_handles_lost', 'Performance_schema_table_instances_lost', 'Performance_schema_thread_instances_lost')) AS lost`)
	switch {
	case wire.IsDenied(err): // privileges on single tables of it
		return nil
	case err != nil:
		return p.StatementError(p.B, "read the performance_schema of", err)
	case len(rows) != 1:
		return nil
	}
	r := rows[0]
	p.Server.MDL = p.Server.MDL && r["kept"] == "1"
	p.Server.Listed = p.Server.MDL && r["handles"] == "1" && r["objects"] == "1" && r["hidden"] == "0" && r["lost"] == "0"
	return nil
}

// LearnViews finds out by which of the server's own tables it can be seen
// who is in the way. Nothing of it is needed; what is missing makes the look coarser.
func (p *Pair) LearnViews(ctx context.Context) error {
	if p.Server.IsMariaDB() {
		// Its plugin is asked directly: no privilege is needed for the question, and PROCESS for the answer.
		_, err := p.B.Query(ctx, "SELECT THREAD_ID FROM information_schema.METADATA_LOCK_INFO LIMIT 1")
		p.Server.MDLInfo = err == nil
		// Off by default, and the minimal user may not read it.
		var rows []wire.Row
		rows, err = p.B.Query(ctx, `SELECT ENABLED AS enabled, (SELECT COUNT(*) FROM performance_schema.metadata_locks) + (SELECT COUNT(*) FROM performance_schema.threads) AS n
			FROM performance_schema.setup_instruments WHERE NAME = 'wait/lock/metadata/sql/mdl'`)
		p.Server.MDLPerf = err == nil && len(rows) == 1 && rows[0]["enabled"] == "YES" && rows[0]["n"] != "0"
		_, err = p.B.Query(ctx, "SELECT e.THREAD_ID FROM performance_schema.events_statements_current e JOIN performance_schema.threads t USING (THREAD_ID) LIMIT 1")
		p.Server.Digests = err == nil
		if !p.B.Alive() {
			return p.StatementError(p.B, "ask", err)
		}
	}
	return p.learnCluster(ctx)
}

// learnCluster finds out whether the server is a node of a Galera cluster.
func (p *Pair) learnCluster(ctx context.Context) error {
	rows, err := p.B.Query(ctx, "SHOW GLOBAL VARIABLES LIKE 'wsrep_on'")
	if err != nil {
		return p.StatementError(p.B, "ask", err)
	}
	p.Server.Wsrep = len(rows) == 1 && strings.EqualFold(rows[0]["value"], "ON")
	return nil
}
