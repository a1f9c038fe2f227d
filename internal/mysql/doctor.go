package mysql

import (
	"context"
	"errors"
	"strconv"

	"stillpoint/internal/mysql/applier"
	"stillpoint/internal/mysql/look"
	"stillpoint/internal/mysql/position"
	"stillpoint/internal/mysql/wire"
	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// CheckUp is a pair of sessions on which everything that a run would refuse is
// looked at, each thing by itself, by what the run itself goes by. Nothing
// is locked, flushed, ended or set but in these sessions. It is used by one goroutine
// at a time.
type CheckUp struct{ s *Session }

// CheckUp opens the sessions and learns what the server is. Its errors are those of Connect.
func (d *Database) CheckUp(ctx context.Context) (*CheckUp, error) {
	s, err := d.open(ctx)
	if err != nil {
		return nil, err
	}
	if err := s.pair.LearnViews(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return &CheckUp{s}, nil
}

// Close ends the sessions. It may be called twice.
func (c *CheckUp) Close() error { return c.s.Close() }

// Server says flavor and version.
func (c *CheckUp) Server() messages.MySQL { return c.s.Server() }

// Target names the server as errors do.
func (c *CheckUp) Target() string { return c.s.pair.Target.String() }

// Binlog says that the server writes one.
func (c *CheckUp) Binlog() bool { return c.s.pair.Server.Binlog }

// Known says how it is known that the statements for this version are right: "run",
// "run by hand" or "read, not run"; "" where the version is older than those.
func (c *CheckUp) Known() string {
	server := c.s.pair.Server
	if oldest := map[bool]int{true: 100300, false: 50700}[server.IsMariaDB()]; server.Number < oldest {
		return ""
	}
	return string(server.Dialect().Evidence)
}

// Privileges refuses a user who could not go through with the plan.
func (c *CheckUp) Privileges(ctx context.Context) error { return c.s.checkPrivileges(ctx) }

// Cluster refuses a node of a Galera cluster whose others the lock would stall;
// member says whether it is one at all.
func (c *CheckUp) Cluster(ctx context.Context) (member bool, err error) {
	return c.s.pair.Server.Wsrep, c.s.look.CheckCluster(ctx)
}

// Claim picks the lock that a run would take now, and says what it is worth. It
// comes after Privileges.
func (c *CheckUp) Claim(ctx context.Context) (snapshot.Claim, error) {
	err := c.s.lock.Decide(ctx)
	return c.s.lock.Claim(), err
}

// InTheWay is what would block the lock at this moment.
type InTheWay = look.InTheWay

// InTheWay looks for what would block the lock that Claim picked. Nothing is ended.
func (c *CheckUp) InTheWay(ctx context.Context) (InTheWay, error) { return c.s.look.Now(ctx) }

// Locate is Session.Locate.
func (c *CheckUp) Locate(ctx context.Context) (snapshot.Location, error) { return c.s.Locate(ctx) }

// Settings are the server's own that matter to a snapshot. What it does not know is "".
type Settings struct {
	// SyncBinlog is sync_binlog, BinlogBase log_bin_basename, Datadir the data directory.
	SyncBinlog, BinlogBase, Datadir string
	// Connections are those that are open, our two among them, of the most that may be.
	Connections, MaxConnections int
}

// Settings reads them.
func (c *CheckUp) Settings(ctx context.Context) (Settings, error) {
	var set Settings
	p := c.s.pair
	rows, err := p.B.Query(ctx, "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('sync_binlog', 'log_bin_basename', 'datadir', 'max_connections')")
	if err != nil {
		return set, p.StatementError(p.B, "read the variables of", err)
	}
	v := map[string]string{}
	for _, r := range rows {
		v[r["variable_name"]] = r["value"]
	}
	set.SyncBinlog, set.BinlogBase, set.Datadir = v["sync_binlog"], v["log_bin_basename"], v["datadir"]
	set.MaxConnections, _ = strconv.Atoi(v["max_connections"])
	rows, err = p.B.Query(ctx, "SHOW GLOBAL STATUS LIKE 'Threads_connected'")
	if err == nil && len(rows) == 1 {
		set.Connections, err = strconv.Atoi(rows[0]["value"])
	}
	if err != nil {
		return set, p.StatementError(p.B, "read the status of", err)
	}
	return set, nil
}

// Source is one that the server replicates from.
type Source = position.Source

// Sources lists them; none where the server is no replica.
func (c *CheckUp) Sources(ctx context.Context) ([]Source, error) {
	return position.Sources(ctx, c.s.pair, c.s.cfg.StopApplier)
}

// LookDefaults reads a defaults file as Connect would. readable says that others than
// its owner may read it, empty that nothing in it is for a client.
func LookDefaults(path string) (readable, empty bool, err error) { return wire.Readable(path) }

// StoppedApplier is what the note of a runtime directory says, to one who only looks.
type StoppedApplier = applier.Seen

// LookApplier reads the note. It takes no lock and starts nothing.
func LookApplier(dir string) (StoppedApplier, error) { return applier.Look(dir) }
