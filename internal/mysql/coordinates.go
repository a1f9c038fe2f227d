package mysql

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"stillpoint/messages"
)

// Coordinates reads where the server is, on the session that holds the lock:
// three round trips and one for the dead man's switch, each a fraction of a millisecond.
//
// GTID is what has been written to this server's own binlog, as file and position
// are: on MariaDB gtid_binlog_pos (not gtid_current_pos, which mixes in what was
// replicated without being written to the binlog, and after a change of roles an
// older branch; that is the replica's GTID, gtid_slave_pos), on MySQL
// gtid_executed, which has both. A replica is reported as long as it is
// configured, running or not, and asked for each time, since FTWRL does not stop
// CHANGE MASTER. Of several sources the default connection is reported, else the first.
//
// The statements do not wait for the lock, but they do for a frozen file system
// [facts, "Freezing a live server"]: never call this while anything is frozen.
// An error that broke the connection means that the lock is lost; Verify says so.
func (s *Session) Coordinates(ctx context.Context) (messages.MySQL, error) {
	m := s.Server()
	if s.closed {
		return m, fmt.Errorf("cannot read the coordinates of %s: the session is closed", s.target)
	}
	binlog, err := s.readBinlog(ctx, s.a)
	if err != nil {
		return m, s.statementError(s.a, "read the binlog position of", err)
	}
	m.BinlogFile, m.BinlogPosition, m.GTID = binlog.file, binlog.position, binlog.gtid
	if m.Replica, err = s.readReplica(ctx, s.a); err != nil {
		return m, s.statementError(s.a, "read the replica status of", err)
	}
	if m.Replica != nil && m.Replica.GTID == "" {
		m.Replica.GTID = binlog.replicaGTID
	}
	if s.held {
		m.Lock, m.LockReason = s.claim.Lock.Name(), s.claim.Reason
		if err := s.armSwitch(ctx); err != nil {
			return m, s.statementError(s.a, "set the wait_timeout of", err)
		}
	}
	return m, nil
}

// binlogStatus is where the server's own binlog is.
type binlogStatus struct {
	file     string // "" without a binlog
	position uint64
	gtid     string
	// replicaGTID is MariaDB's gtid_slave_pos, read along.
	replicaGTID string
}

// readBinlog reads file, position and GTID on c. Without a binlog the statement
// still succeeds, with no row.
func (s *Session) readBinlog(ctx context.Context, c *conn) (binlogStatus, error) {
	var b binlogStatus
	statement := "SHOW MASTER STATUS"
	// MySQL: SHOW BINARY LOG STATUS since 8.2.0, the old name gone in 8.4.0.
	if !s.server.mariadb() && s.server.number >= 80200 {
		statement = "SHOW BINARY LOG STATUS"
	}
	rows, err := c.query(ctx, statement)
	if err != nil {
		return b, err
	}
	if len(rows) > 0 {
		b.file = rows[0]["file"]
		if b.position, err = strconv.ParseUint(rows[0]["position"], 10, 64); err != nil {
			return b, fmt.Errorf("cannot read its position: %w", err)
		}
		b.gtid = oneLine(rows[0]["executed_gtid_set"]) // MySQL only
	}
	switch {
	case s.server.mariadb():
		rows, err = c.query(ctx, "SELECT @@global.gtid_binlog_pos AS gtid, @@global.gtid_slave_pos AS replica")
	case len(rows) == 0 && s.server.gtid:
		rows, err = c.query(ctx, "SELECT @@global.gtid_executed AS gtid")
	default:
		return b, nil
	}
	if err == nil && len(rows) == 1 {
		b.gtid, b.replicaGTID = oneLine(rows[0]["gtid"]), oneLine(rows[0]["replica"])
	}
	return b, err
}

// readReplica reads how far this server has executed what its source wrote: the
// position in the source's binlog of what was executed (Exec_ and
// Relay_Master_Log_File), not of what was fetched (Read_ and Master_Log_File),
// which the predecessor of this program mixed up. nil where it is no replica.
// With parallel workers MySQL's position is a low-water mark; the GTID is exact.
func (s *Session) readReplica(ctx context.Context, c *conn) (*messages.Replica, error) {
	statement := "SHOW ALL SLAVES STATUS"
	switch {
	case s.server.mariadb():
	case s.server.number >= 80022:
		statement = "SHOW REPLICA STATUS"
	default:
		statement = "SHOW SLAVE STATUS"
	}
	rows, err := c.query(ctx, statement)
	if err != nil {
		return nil, err
	}
	return toReplica(rows)
}

// toReplica picks the connection to report, by the columns' names: MySQL since
// 8.0.22 says source where it and MariaDB said master before.
func toReplica(rows []row) (*messages.Replica, error) {
	if len(rows) == 0 {
		return nil, nil
	}
	r := rows[0]
	for _, other := range rows {
		if other["connection_name"] == "" && other["channel_name"] == "" {
			r = other
			break
		}
	}
	replica := &messages.Replica{
		SourceHost:   first(r["source_host"], r["master_host"]),
		ExecutedFile: first(r["relay_source_log_file"], r["relay_master_log_file"]),
		GTID:         oneLine(r["executed_gtid_set"]), // MySQL only
	}
	if position := first(r["exec_source_log_pos"], r["exec_master_log_pos"]); position != "" {
		var err error
		if replica.ExecutedPosition, err = strconv.ParseUint(position, 10, 64); err != nil {
			return nil, fmt.Errorf("cannot read its executed position: %w", err)
		}
	}
	return replica, nil
}

// oneLine takes the line breaks out of a GTID set, which MySQL puts after each comma.
func oneLine(s string) string {
	return strings.Join(strings.Fields(s), "")
}
