package parts

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"stillpoint/internal/mysql/locate"
	"stillpoint/internal/mysql/session"
	"stillpoint/internal/snapshot"
)

// located is the process that was found to be the server.
type located struct {
	process *locate.Process
	// a and b are the sessions that were seen to lead to it, by their ids.
	a, b uint64
}

// Finder finds where a server's files are, through a pair's connections.
type Finder struct {
	*session.Pair
	trust   bool
	located located
}

// New finds for a plan that takes the server's word where the kernel cannot be
// asked (trust).
func New(p *session.Pair, trust bool) *Finder { return &Finder{Pair: p, trust: trust} }

// Locate says where the server's files are. See snapshot.DatabaseSession.
//
// What is shown: the process that holds the other end of session A (and of B) is
// the server, because it has open the very file (device and inode) to which the
// path leads that the server says its own system tablespace, dictionary or Aria
// log control file has, resolved in that process's root and mount namespace. A
// proxy has none of them open. From there on the server's word for its other
// paths is resolved in the same way, and held against the files that the
// process has open.
func (f *Finder) Locate(ctx context.Context) (snapshot.Location, error) {
	at := snapshot.Location{Trusted: f.trust}
	if f.Closed || f.Held {
		return at, fmt.Errorf("cannot look where the files of %s are: the session is closed or holds the lock", f.Target)
	}
	if err := f.Revive(ctx); err != nil {
		return at, err
	}
	f.Forget()
	vars, err := f.readPaths(ctx)
	if err != nil {
		return at, f.StatementError(f.A, "read the variables of", err)
	}
	var doubts []string
	doubt := func(err error) error {
		var d *locate.NotShownError
		if !errors.As(err, &d) {
			return err
		}
		if !slices.Contains(doubts, d.Error()) {
			doubts = append(doubts, d.Error())
		}
		return nil
	}
	if err := f.locateParts(ctx, vars, &at); err != nil {
		if err := doubt(err); err != nil {
			return at, err
		}
		f.Forget()
	}
	own := 0
	if f.located.process != nil {
		own, at.Process = f.located.process.PID, f.located.process.String()
	}
	if at.Neighbours, err = locate.Neighbours(own); err != nil {
		if err := doubt(err); err != nil {
			return at, err
		}
	}
	at.Doubt = strings.Join(doubts, "; ")
	return at, ctx.Err()
}

// Forget lets go of the process.
func (f *Finder) Forget() {
	_ = f.located.process.Close()
	f.located = located{}
}

// locateParts finds the process and what it has. Its error is a
// *locate.NotShownError where something cannot be shown; what was found until
// then stands in at.
func (f *Finder) locateParts(ctx context.Context, v variables, at *snapshot.Location) error {
	process, err := f.peer()
	if err != nil {
		return err
	}
	f.located = located{process: process, a: f.A.ID, b: f.B.ID}
	l := &lister{process: process, vars: v, ctx: ctx, binlog: f.Server.Binlog}
	if l.files, err = process.Files(); err != nil {
		return err
	}
	if err := l.anchor(); err != nil {
		return err
	}
	err = l.list()
	if err == nil && !f.Server.IsMariaDB() {
		err = f.dictionaryParts(ctx, l)
	}
	at.Parts, at.Warnings = l.parts, l.warnings
	return err
}

// peer is the process at the other end of both sessions.
func (f *Finder) peer() (*locate.Process, error) {
	a, err := locate.Peer(f.A.Net)
	if err != nil {
		return nil, err
	}
	b, err := locate.Peer(f.B.Net)
	if err == nil && b.PID != a.PID {
		err = &locate.NotShownError{Why: fmt.Sprintf("one connection leads to %s and another to %s: connect to the server itself", a, b)}
	}
	_ = b.Close()
	if err != nil {
		_ = a.Close()
		return nil, err
	}
	return a, nil
}

// StillThere makes sure that a session which was opened again since Locate
// leads to the process that was located. It is cheap where none was.
func (f *Finder) StillThere() error {
	l := &f.located
	if l.process == nil || l.a == f.A.ID && l.b == f.B.ID {
		return nil
	}
	now, err := f.peer()
	if err != nil {
		return &snapshot.OutOfReachError{What: f.Target.String(), Err: fmt.Errorf("its process was %s, and cannot be told any more: %w", l.process, err)}
	}
	defer func() { _ = now.Close() }()
	if !now.Same(l.process) {
		return &snapshot.OutOfReachError{What: f.Target.String(), Err: fmt.Errorf("its process was %s when its files were looked at, and is %s now", l.process, now)}
	}
	l.a, l.b = f.A.ID, f.B.ID
	return nil
}

// variables are the server's, by name; what it does not know or leaves empty is "".
type variables map[string]string

// pathVariables are those that say where something is which a restore needs,
// and what it takes to read them. Not among them: tmpdir and the temporary
// tablespaces, the pid file and the logs for people. A server ignores the names
// that it does not know.
var pathVariables = []string{
	"datadir", "log_bin_basename", "log_bin_index", "relay_log_basename", "relay_log_index", "relay_log_info_file",
	"innodb_data_home_dir", "innodb_data_file_path", "innodb_log_group_home_dir", "innodb_undo_directory",
	"innodb_doublewrite_dir", "aria_log_dir_path", "binlog_directory",
	"rocksdb_datadir", "rocksdb_wal_dir", "tokudb_data_dir", "tokudb_log_dir",
	"keyring_file_data", "keyring_encrypted_file_data", "file_key_management_filename", "file_key_management_filekey",
	"tmpdir", "slave_load_tmpdir", "innodb_tmpdir", "innodb_temp_tablespaces_dir",
}

func (f *Finder) readPaths(ctx context.Context) (variables, error) {
	rows, err := f.A.Query(ctx, "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('"+strings.Join(pathVariables, "','")+"')")
	if err != nil {
		return nil, err
	}
	v := variables{}
	for _, r := range rows {
		v[strings.ToLower(r["variable_name"])] = r["value"]
	}
	if !path.IsAbs(v["datadir"]) {
		return nil, fmt.Errorf("it says that its data directory is %q", v["datadir"])
	}
	return v, nil
}

// in is a path as the server means it: relative ones begin at the data directory.
func (v variables) in(p string) string {
	if !path.IsAbs(p) {
		p = path.Join(v["datadir"], p)
	}
	return path.Clean(p)
}

// systemTablespace lists the files of innodb_data_file_path, such as
// "ibdata1:12M;/disk2/ibdata2:50M:autoextend".
func (v variables) systemTablespace() []string {
	var files []string
	for spec := range strings.SplitSeq(v["innodb_data_file_path"], ";") {
		name, _, _ := strings.Cut(strings.TrimSpace(spec), ":")
		switch home := v["innodb_data_home_dir"]; {
		case name == "":
		case home != "" && !path.IsAbs(name):
			files = append(files, v.in(path.Join(home, name)))
		default:
			files = append(files, v.in(name))
		}
	}
	return files
}

// dictionaryParts asks MySQL's dictionary for InnoDB files outside the data
// directory: tables with DATA DIRECTORY, general and undo tablespaces. (MariaDB
// keeps link files in the data directory.)
func (f *Finder) dictionaryParts(ctx context.Context, l *lister) error {
	table := "INNODB_DATAFILES"
	if f.Server.Number < 80003 { // read, not run
		table = "INNODB_SYS_DATAFILES"
	}
	rows, err := f.B.Query(ctx, "SELECT PATH AS path FROM information_schema."+table+" WHERE PATH LIKE '/%' OR PATH LIKE '../%'")
	if err != nil {
		return f.StatementError(f.B, "read the tablespaces of", err)
	}
	for _, r := range rows {
		if err := l.optional("a tablespace", l.vars.in(r["path"])); err != nil {
			return err
		}
	}
	return nil
}

// notThere says that nothing is at a path.
func notThere(err error) bool { return errors.Is(err, fs.ErrNotExist) }
