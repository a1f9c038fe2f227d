package position

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"stillpoint/internal/mysql/dialect"
	"stillpoint/internal/mysql/session"
	"stillpoint/internal/mysql/wire"
	"stillpoint/messages"
)

// channel is one connection of a replica to a source, as the server tells of it.
type channel struct {
	Name, host string
	port       uint16
	// Applying says that its SQL thread runs, or is about to.
	Applying bool
	// failed says that its applier stopped because of an error.
	failed bool
	// dialect.UsesGTID says that it finds its place in the source by GTIDs.
	usesGTID bool
	// file and position are what the server calls executed, see doubt.
	file     string
	position uint64
}

// maxSources is how many further channels a result lists.
const maxSources = 8

// readReplica reads how far this server has executed what its sources wrote: the
// place in the source's binlog of what was executed (Exec_ and Relay_Source_Log_File),
// not of what was fetched (Read_ and Source_Log_File), which the predecessor of
// this program mixed up. nil where it is no replica. It is one as long as it is
// configured, running or not, and asked for each time, since FTWRL does not stop
// CHANGE MASTER. Of several sources the default connection comes first.
func readReplica(ctx context.Context, p *session.Pair, c *wire.Conn, b binlogStatus, ours []string) (*messages.Replica, []messages.Replica, error) {
	channels, err := Channels(ctx, p, c)
	if err != nil || len(channels) == 0 {
		return nil, nil, err
	}
	appliers, err := readAppliers(ctx, p, c, b)
	if err != nil {
		return nil, nil, err
	}
	appliers.ours = ours
	var list []messages.Replica
	for _, ch := range channels {
		r := messages.Replica{Channel: wire.Printable(ch.Name), SourceHost: wire.Printable(ch.host), SourcePort: ch.port}
		switch doubt := appliers.doubt(ch); {
		case doubt != "":
			r.PositionOmitted = doubt
		case ch.file != "":
			r.ExecutedFile, r.ExecutedPosition = ch.file, ch.position
		}
		if ch.Name == "" {
			list = append([]messages.Replica{r}, list...)
		} else {
			list = append(list, r)
		}
	}
	list[0].GTID = b.replicaGTID
	if len(list) == 1 {
		return &list[0], nil, nil
	}
	return &list[0], list[1:min(len(list), 1+maxSources)], nil
}

// Channels reads the status of all channels, by the names of the server's version.
func Channels(ctx context.Context, p *session.Pair, c *wire.Conn) ([]channel, error) {
	d := p.Server.Dialect()
	rows, err := c.Query(ctx, d.ReplicaStatus)
	if err != nil {
		return nil, err
	}
	return toChannels(rows, d.Columns)
}

// toChannels reads the rows of a replica's status.
func toChannels(rows []wire.Row, names dialect.ReplicaColumns) ([]channel, error) {
	var list []channel
	for _, r := range rows {
		ch := channel{
			Name: r[names.Channel], host: r[names.Host], file: r[names.ExecutedFile],
			Applying: r[names.SqlRunning] != "No",
			failed:   r[names.SqlErrno] != "0",
			usesGTID: r[names.UsesGTID] != "0" && r[names.UsesGTID] != "No",
		}
		if _, ok := r[names.SqlRunning]; !ok {
			return nil, fmt.Errorf("the replica's status has no column %s", names.SqlRunning)
		}
		port, err := strconv.ParseUint(r[names.Port], 10, 16)
		if err != nil {
			return nil, fmt.Errorf("cannot read the port of a source: %w", err)
		}
		ch.port = uint16(port)
		if ch.position, err = strconv.ParseUint(r[names.Executed], 10, 64); err != nil {
			return nil, fmt.Errorf("cannot read the executed position: %w", err)
		}
		list = append(list, ch)
	}
	return list, nil
}

// appliers is what decides whether an executed position can be believed.
type appliers struct {
	mariadb bool
	// threads is how many MariaDB's applier has, and domains how many of them its GTID has.
	threads, domains int
	// parallel has the channels of MySQL whose applier has a coordinator, and how
	// many of its workers have applied something since the server started; nil
	// with unknown where that is not told.
	parallel map[string]int
	unknown  bool
	// ours are the channels that we have stopped, and seen to have stopped.
	ours []string
}

// readAppliers asks how the appliers work.
func readAppliers(ctx context.Context, p *session.Pair, c *wire.Conn, b binlogStatus) (appliers, error) {
	if p.Server.IsMariaDB() {
		return appliers{mariadb: true, threads: b.workers, domains: domains(b.replicaGTID)}, nil
	}
	if !p.Server.Perf || p.Server.Number < 80000 {
		rows, err := c.Query(ctx, "SELECT @@global."+p.Server.Dialect().ParallelWorkers+" AS n")
		if err != nil {
			return appliers{}, err
		}
		n, err := wire.OneUint(rows, "n")
		return appliers{unknown: n > 0}, err
	}
	// What the variable says holds for appliers that are started after it was set,
	// so that the ones that are there are asked for.
	rows, err := c.Query(ctx, `SELECT c.CHANNEL_NAME AS channel,
		(SELECT COUNT(*) FROM performance_schema.replication_applier_status_by_worker w
			WHERE w.CHANNEL_NAME = c.CHANNEL_NAME AND w.LAST_APPLIED_TRANSACTION <> '') AS applied
		FROM performance_schema.replication_applier_status_by_coordinator c`)
	if err != nil {
		return appliers{}, err
	}
	a := appliers{parallel: map[string]int{}}
	for _, r := range rows {
		if a.parallel[r["channel"]], err = strconv.Atoi(r["applied"]); err != nil {
			return appliers{}, fmt.Errorf("cannot read how many workers have applied something: %w", err)
		}
	}
	return a, nil
}

// doubt says why file and position of a channel may not be where its applier is;
// "" where they are.
//
// MySQL's applier with a coordinator (always, since 9.x has at least one worker)
// notes its position only now and then: under FTWRL it was seen up to 185
// transactions behind what had been executed, with replica_preserve_commit_order
// too, and without that there were gaps as well (TestExecutedPositions). Once it
// has been stopped, and was not by an error, it is where it says: a stop waits
// for the workers. That the applier has not been at work since the server
// started proves nothing of that kind: the server may have crashed before.
//
// MariaDB keeps the position with each commit, and FTWRL waits for the workers
// to come to the end of their groups, so that it is exact with parallel threads
// too; unless they commit out of order, which they do only across domains.
func (a appliers) doubt(ch channel) string {
	switch {
	case a.mariadb && a.threads > 0 && a.domains > 1 && ch.usesGTID:
		return "its applier has several threads and the GTIDs several domains, which it applies out of order"
	case a.mariadb:
		return ""
	}
	applied, parallel := a.parallel[ch.Name]
	switch {
	case !parallel && !a.unknown:
		return ""
	case ch.Applying:
		return "its applier has several threads and notes the position only now and then; stopped (replica: stop_applier) it is exact"
	case ch.failed:
		return "its applier has several threads and stopped with an error, which may leave gaps"
	case slices.Contains(a.ours, ch.Name):
		return ""
	case applied == 0:
		return "its applier has several threads and has applied nothing since the server started, so that it is not known how it ended before"
	}
	return ""
}

// domains counts the domains in a GTID position of MariaDB's.
func domains(gtid string) int {
	seen := map[string]bool{}
	for one := range strings.SplitSeq(gtid, ",") {
		if domain, _, ok := strings.Cut(one, "-"); ok {
			seen[domain] = true
		}
	}
	return len(seen)
}
