package position

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"stillpoint/internal/mysql/session"
	"stillpoint/internal/mysql/wire"
	"stillpoint/messages"
)

// Read reads into m where the server is, on the session that holds the
// lock: three round trips, one more on MySQL where it is a replica, each a fraction
// of a millisecond. ours are the channels of a replica that we have stopped, and
// seen to have stopped.
//
// GTID is what has been written to this server's own binlog, as file and position
// are: on MariaDB gtid_binlog_pos (not gtid_current_pos, which mixes in what was
// replicated without being written to the binlog, and after a change of roles an
// older branch; that is the replica's GTID, gtid_slave_pos), on MySQL
// gtid_executed, which has both, and only where gtid_mode is ON: else transactions
// without one may be missing from it.
//
// The statements do not wait for the lock, but they do for a frozen file system
// [facts, "Freezing a live server"]: never call this while anything is frozen.
// An error that broke the connection means that the lock is lost; Verify says so.
func Read(ctx context.Context, p *session.Pair, ours []string, m *messages.MySQL) error {
	binlog, err := Binlog(ctx, p, p.A)
	if err != nil {
		return p.StatementError(p.A, "read the binlog position of", err)
	}
	m.BinlogFile, m.BinlogPosition, m.GTID = binlog.file, binlog.position, binlog.gtid
	if m.Replica, m.OtherSources, err = readReplica(ctx, p, p.A, binlog, ours); err != nil {
		return p.StatementError(p.A, "read the replica status of", err)
	}
	return nil
}

// dialect.BinlogStatus is where the server's own binlog is.
type binlogStatus struct {
	file     string // "" without a binlog
	position uint64
	gtid     string
	// replicaGTID is what was executed of the sources' transactions: MariaDB's
	// gtid_slave_pos, on MySQL the same as gtid.
	replicaGTID string
	// workers is MariaDB's slave_parallel_threads, read along.
	workers int
}

// Binlog reads file, position and GTID on c. Without a binlog the statement
// still succeeds, with no row.
func Binlog(ctx context.Context, p *session.Pair, c *wire.Conn) (binlogStatus, error) {
	var b binlogStatus
	rows, err := c.Query(ctx, p.Server.Dialect().BinlogStatus)
	if err != nil {
		return b, err
	}
	if len(rows) > 0 {
		b.file = rows[0]["file"]
		if b.position, err = strconv.ParseUint(rows[0]["position"], 10, 64); err != nil {
			return b, fmt.Errorf("cannot read its position: %w", err)
		}
	}
	switch {
	case p.Server.IsMariaDB():
		rows, err = c.Query(ctx, "SELECT @@global.gtid_binlog_pos AS gtid, @@global.gtid_slave_pos AS replica, @@global.slave_parallel_threads AS workers")
	case !p.Server.GTID:
		return b, nil
	case len(rows) > 0:
		b.gtid = oneLine(rows[0]["executed_gtid_set"])
		b.replicaGTID = b.gtid
		return b, nil
	default:
		rows, err = c.Query(ctx, "SELECT @@global.gtid_executed AS gtid, @@global.gtid_executed AS replica, 0 AS workers")
	}
	if err == nil && len(rows) == 1 {
		b.gtid, b.replicaGTID = oneLine(rows[0]["gtid"]), oneLine(rows[0]["replica"])
		b.workers, err = strconv.Atoi(rows[0]["workers"])
	}
	return b, err
}

// oneLine takes the line breaks out of a GTID set, which MySQL puts after each comma.
func oneLine(s string) string {
	return strings.Join(strings.Fields(s), "")
}
