package mysql

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

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
	t, err := d.cfg.target()
	if err != nil {
		return nil, &snapshot.RefusedError{Sentence: "the database's credentials cannot be read", Err: err}
	}
	dial, err := t.driverConfig()
	if err != nil {
		return nil, &snapshot.RefusedError{Sentence: "the settings of the connection to the database cannot be used", Err: err}
	}
	s := &Session{cfg: d.cfg, target: t, dial: dial, patience: min(d.cfg.LongQueryAfter, maxPatience)}
	for _, step := range []func(context.Context) error{s.revive, s.learn, s.learnViews} {
		if err := step(ctx); err != nil {
			return nil, errors.Join(err, s.Close())
		}
	}
	return &CheckUp{s}, nil
}

// Close ends the sessions. It may be called twice.
func (c *CheckUp) Close() error { return c.s.Close() }

// Server says flavor and version, and by what address it was reached.
func (c *CheckUp) Server() (m messages.MySQL, addr string) { return c.s.Server(), c.s.target.addr }

// Binlog says that the server writes one.
func (c *CheckUp) Binlog() bool { return c.s.server.binlog }

// Known says how it is known that the statements for this version are right: "run",
// "run by hand" or "read, not run"; "" where the version is older than those.
func (c *CheckUp) Known() string {
	d := c.s.server.dialect()
	if oldest := map[bool]int{true: 100300, false: 50700}[c.s.server.mariadb()]; c.s.server.number < oldest {
		return ""
	}
	return string(d.evidence)
}

// Privileges refuses a user who could not go through with the plan.
func (c *CheckUp) Privileges(ctx context.Context) error { return c.s.checkPrivileges(ctx) }

// Cluster refuses a node of a Galera cluster whose others the lock would stall;
// member says whether it is one at all.
func (c *CheckUp) Cluster(ctx context.Context) (member bool, err error) {
	return c.s.server.wsrep, c.s.checkCluster(ctx)
}

// Claim picks the lock that a run would take now, and says what it is worth. It
// comes after Privileges.
func (c *CheckUp) Claim(ctx context.Context) (snapshot.Claim, error) {
	err := c.s.decide(ctx)
	return c.s.claim, err
}

// InTheWay is what would block the lock at this moment, each in words.
type InTheWay struct {
	// Long are those that have reached long_query_after, as the plan counts.
	Long []string
	// Ended are those of Long that a run would end (long_queries: kill).
	Ended []string
	// Young is how many there are that have not, and would be waited for.
	Young int
	// Blind says that a session which sleeps on what it holds is not seen on this
	// server: MariaDB without metadata_lock_info.
	Blind bool
}

// InTheWay looks for what would block the lock that Claim picked. Nothing is ended.
func (c *CheckUp) InTheWay(ctx context.Context) (InTheWay, error) {
	s := c.s
	w := InTheWay{Blind: s.server.mariadb() && s.heldLocks() == "" && !s.holdsNobodyUp()}
	all, err := s.blockers(ctx, 0)
	if err != nil {
		return w, err
	}
	all = clients(all)
	long := older(all, s.cfg.LongQueryAfter)
	w.Young = len(all) - len(long)
	if len(long) == 0 {
		return w, nil
	}
	now := map[string]running{}
	if s.cfg.LongQueries == LongQueriesKill {
		if now, err = s.recheck(ctx, long); err != nil {
			return w, err
		}
	}
	for _, b := range long {
		if s.cfg.LongQueries == LongQueriesKill {
			if b.spared = s.spare(b, now[b.key()]); b.spared == "" {
				w.Ended = append(w.Ended, b.String())
			}
		}
		w.Long = append(w.Long, b.String())
	}
	return w, nil
}

// Locate is Session.Locate.
func (c *CheckUp) Locate(ctx context.Context) (snapshot.Location, error) { return c.s.Locate(ctx) }

// Settings are the server's own that matter to a snapshot. What it does not know is "".
type Settings struct {
	// Binlog says that it writes one; SyncBinlog is sync_binlog.
	Binlog     bool
	SyncBinlog string
	// FlushAtCommit is innodb_flush_log_at_trx_commit.
	FlushAtCommit string
	// BinlogBase is log_bin_basename, Datadir the data directory.
	BinlogBase, Datadir string
	// Connections are those that are open, our two among them, of the most that may be.
	Connections, MaxConnections int
}

// Settings reads them.
func (c *CheckUp) Settings(ctx context.Context) (Settings, error) {
	set := Settings{Binlog: c.s.server.binlog}
	rows, err := c.s.b.query(ctx, "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('sync_binlog', 'innodb_flush_log_at_trx_commit', 'log_bin_basename', 'datadir', 'max_connections')")
	if err != nil {
		return set, c.s.statementError(c.s.b, "read the variables of", err)
	}
	v := map[string]string{}
	for _, r := range rows {
		v[r["variable_name"]] = r["value"]
	}
	set.SyncBinlog, set.FlushAtCommit, set.BinlogBase, set.Datadir = v["sync_binlog"], v["innodb_flush_log_at_trx_commit"], v["log_bin_basename"], v["datadir"]
	set.MaxConnections, _ = strconv.Atoi(v["max_connections"])
	rows, err = c.s.b.query(ctx, "SHOW GLOBAL STATUS LIKE 'Threads_connected'")
	if err == nil && len(rows) == 1 {
		set.Connections, err = strconv.Atoi(rows[0]["value"])
	}
	if err != nil {
		return set, c.s.statementError(c.s.b, "read the status of", err)
	}
	return set, nil
}

// Source is one that this server replicates from.
type Source struct {
	// Channel is its name, "" the default one; Host the source's.
	Channel, Host string
	// Applying says that its SQL thread runs, Failed that an error has stopped it.
	Applying, Failed bool
	// Doubt is why its executed position would be left out of a result; "" where it would not.
	Doubt string
}

// Sources lists them; none where the server is no replica.
func (c *CheckUp) Sources(ctx context.Context) ([]Source, error) {
	fail := func(err error) ([]Source, error) {
		return nil, c.s.statementError(c.s.b, "read the replica status of", err)
	}
	channels, err := c.s.readChannels(ctx, c.s.b)
	if err != nil {
		return fail(err)
	}
	if len(channels) == 0 {
		return nil, nil
	}
	binlog, err := c.s.readBinlog(ctx, c.s.b)
	if err != nil {
		return fail(err)
	}
	appliers, err := c.s.readAppliers(ctx, c.s.b, binlog)
	if err != nil {
		return fail(err)
	}
	if c.s.cfg.StopApplier { // stopped by the run they are exact where an error did not stop them before
		for i := range channels {
			if channels[i].applying && !channels[i].failed {
				channels[i].applying, appliers.ours = false, append(appliers.ours, channels[i].name)
			}
		}
	}
	var list []Source
	for _, ch := range channels {
		ours := slices.Contains(appliers.ours, ch.name)
		list = append(list, Source{
			Channel: printable(ch.name), Host: printable(ch.host), Applying: ch.applying || ours, Failed: ch.failed, Doubt: appliers.doubt(ch),
		})
	}
	return list, nil
}

// LookDefaults reads a defaults file as Connect would. readable says that others than
// its owner may read it.
func LookDefaults(path string) (readable bool, err error) {
	if _, err := readDefaults(path); err != nil {
		return false, err
	}
	info, err := os.Stat(path)
	return err == nil && info.Mode().Perm()&0o044 != 0, err
}

// StoppedApplier is what the note of a runtime directory says, to one who only looks.
type StoppedApplier struct {
	// Found says that there is one, Living that the process lives which has stopped it.
	Found, Living bool
	PID           int
	Channels      []string
	// EarlierBoot says that it is of an earlier boot: nothing is owed.
	EarlierBoot bool
}

// LookApplier reads the note. It takes no lock and starts nothing.
func LookApplier(dir string) (StoppedApplier, error) {
	var a StoppedApplier
	path := filepath.Join(dir, NoteName)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return a, nil
	}
	var owed owedStart
	if err == nil {
		err = json.Unmarshal(text, &owed)
	}
	if err != nil {
		return a, fmt.Errorf("cannot read %s: %w", path, err)
	}
	boot, _, err := now()
	if err != nil {
		return a, err
	}
	locked, err := isLocked(path)
	if err != nil {
		return a, err
	}
	return StoppedApplier{Found: true, Living: locked, PID: owed.PID, Channels: owed.Channels, EarlierBoot: owed.BootID != boot}, nil
}

// isLocked asks the kernel's list (proc(5), locks) whether somebody has the flock of a file.
func isLocked(path string) (bool, error) {
	info, err := os.Stat(path)
	if err != nil {
		return false, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return false, fmt.Errorf("cannot look at %s", path)
	}
	f, err := os.Open("/proc/locks")
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }()
	name := fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if fields := strings.Fields(lines.Text()); len(fields) > 5 && fields[1] == "FLOCK" && fields[5] == name {
			return true, nil
		}
	}
	return false, lines.Err()
}
