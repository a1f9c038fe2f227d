package mysql

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"stillpoint/messages"
)

// channel is one connection of a replica to a source, as the server tells of it.
type channel struct {
	name, host string
	port       uint16
	// applying says that its SQL thread runs, or is about to.
	applying bool
	// failed says that its applier stopped because of an error.
	failed bool
	// usesGTID says that it finds its place in the source by GTIDs.
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
func (s *Session) readReplica(ctx context.Context, c *conn, b binlogStatus) (*messages.Replica, []messages.Replica, error) {
	channels, err := s.readChannels(ctx, c)
	if err != nil || len(channels) == 0 {
		return nil, nil, err
	}
	appliers, err := s.readAppliers(ctx, c, b)
	if err != nil {
		return nil, nil, err
	}
	if s.applier.whole {
		appliers.ours = s.applier.channels
	}
	var list []messages.Replica
	for _, ch := range channels {
		r := messages.Replica{Channel: printable(ch.name), SourceHost: printable(ch.host), SourcePort: ch.port}
		switch doubt := appliers.doubt(ch); {
		case doubt != "":
			r.PositionOmitted = doubt
		case ch.file != "":
			r.ExecutedFile, r.ExecutedPosition = ch.file, ch.position
		}
		if ch.name == "" {
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

// readChannels reads the status of all channels, by the names of the server's version.
func (s *Session) readChannels(ctx context.Context, c *conn) ([]channel, error) {
	d := s.server.dialect()
	rows, err := c.query(ctx, d.replicaStatus)
	if err != nil {
		return nil, err
	}
	return toChannels(rows, d.columns)
}

// toChannels reads the rows of a replica's status.
func toChannels(rows []row, names replicaColumns) ([]channel, error) {
	var list []channel
	for _, r := range rows {
		ch := channel{
			name: r[names.channel], host: r[names.host], file: r[names.executedFile],
			applying: r[names.sqlRunning] != "No",
			failed:   r[names.sqlErrno] != "0",
			usesGTID: r[names.usesGTID] != "0" && r[names.usesGTID] != "No",
		}
		if _, ok := r[names.sqlRunning]; !ok {
			return nil, fmt.Errorf("the replica's status has no column %s", names.sqlRunning)
		}
		port, err := strconv.ParseUint(r[names.port], 10, 16)
		if err != nil {
			return nil, fmt.Errorf("cannot read the port of a source: %w", err)
		}
		ch.port = uint16(port)
		if ch.position, err = strconv.ParseUint(r[names.executed], 10, 64); err != nil {
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
func (s *Session) readAppliers(ctx context.Context, c *conn, b binlogStatus) (appliers, error) {
	if s.server.mariadb() {
		return appliers{mariadb: true, threads: b.workers, domains: domains(b.replicaGTID)}, nil
	}
	if !s.server.perf || s.server.number < 80000 {
		rows, err := c.query(ctx, "SELECT @@global."+s.server.dialect().parallelWorkers+" AS n")
		if err != nil {
			return appliers{}, err
		}
		n, err := oneUint(rows, "n")
		return appliers{unknown: n > 0}, err
	}
	// What the variable says holds for appliers that are started after it was set,
	// so that the ones that are there are asked for.
	rows, err := c.query(ctx, `SELECT c.CHANNEL_NAME AS channel,
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
	applied, parallel := a.parallel[ch.name]
	switch {
	case !parallel && !a.unknown:
		return ""
	case ch.applying:
		return "its applier has several threads and notes the position only now and then; stopped (replica: stop_applier) it is exact"
	case ch.failed:
		return "its applier has several threads and stopped with an error, which may leave gaps"
	case slices.Contains(a.ours, ch.name):
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
