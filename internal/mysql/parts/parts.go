package parts

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"stillpoint/internal/mysql/locate"
	"stillpoint/internal/snapshot"
)

// lister collects a server's parts: what its variables name, what leads away
// from there, and what the process has open.
type lister struct {
	ctx      context.Context
	process  *locate.Process
	vars     variables
	files    []locate.File
	binlog   bool
	parts    []snapshot.Part
	warnings []string
}

// anchor shows that the process is the server: it has open what the server
// says is its own.
func (l *lister) anchor() error {
	v := l.vars
	var tried []string
	for _, p := range append(v.systemTablespace(), v.in("mysql.ibd"), v.in(path.Join(v["aria_log_dir_path"], "aria_log_control"))) {
		place, err := l.process.Look(p)
		if notThere(err) {
			continue
		}
		if err != nil {
			return err
		}
		if l.process.Has(l.files, place) {
			return nil
		}
		tried = append(tried, p)
	}
	if len(tried) == 0 {
		return &locate.NotShownError{Why: fmt.Sprintf("the other end of the connection is %s, and where that runs there is no data directory %s of the server's: it is a proxy, or something was mounted over the directory; connect through the server's own socket", l.process, v["datadir"])}
	}
	return &locate.NotShownError{Why: fmt.Sprintf("the other end of the connection is %s, which does not have open what the server has (%s): it is a proxy, or something was mounted over the directory; connect through the server's own socket", l.process, strings.Join(tried, ", "))}
}

// treeDepth is how deep under the data directory links and mounts are looked
// for: databases, the servers' own directories, and what lies in these.
const treeDepth = 3

// directories are the variables that name one, with how the names in it begin
// that are the server's own; "": all are.
var directories = []struct{ name, prefix string }{
	{"innodb_log_group_home_dir", "ib_logfile"}, {"innodb_log_group_home_dir", redoDirectory},
	{"innodb_undo_directory", "undo"}, {"innodb_doublewrite_dir", "#ib_"}, {"aria_log_dir_path", "aria_log"},
	{"binlog_directory", ""}, {"rocksdb_datadir", ""}, {"rocksdb_wal_dir", ""}, {"tokudb_data_dir", ""}, {"tokudb_log_dir", ""},
}

// redoDirectory is where MySQL since 8.0.30 has its redo log, in innodb_log_group_home_dir.
const redoDirectory = "#innodb_redo"

// list goes through everything but MySQL's dictionary.
func (l *lister) list() error {
	v := l.vars
	if err := l.datadir(v.in(".")); err != nil {
		return err
	}
	for i, p := range v.systemTablespace() {
		what := "innodb_data_file_path"
		if i == 0 && v["innodb_data_home_dir"] != "" {
			what = "innodb_data_home_dir"
		}
		if err := l.part(what, p); err != nil {
			return err
		}
	}
	for _, d := range directories {
		if v[d.name] == "" {
			continue
		}
		if err := l.directory(d.name, v.in(v[d.name]), d.prefix); err != nil {
			return err
		}
	}
	if l.binlog {
		if err := l.logs("log_bin_basename", "log_bin_index"); err != nil {
			return err
		}
	}
	if _, err := l.process.Look(v.in(v["relay_log_index"])); v["relay_log_index"] != "" && err == nil { // else it never had a relay log
		if err := l.logs("relay_log_basename", "relay_log_index"); err != nil {
			return err
		}
	}
	if v["relay_log_info_file"] != "" {
		if err := l.optional("relay_log_info_file", v.in(v["relay_log_info_file"])); err != nil {
			return err
		}
	}
	l.keys()
	l.open()
	return nil
}

// part notes one path that must be there.
func (l *lister) part(what, p string) error {
	place, err := l.process.Look(p)
	if notThere(err) {
		return &locate.NotShownError{Why: fmt.Sprintf("%s of the server leads to %s, which %s does not see", what, p, l.process)}
	}
	if err == nil {
		l.add(what, p, place.FS)
	}
	return err
}

// optional notes one path, where something is there.
func (l *lister) optional(what, p string) error {
	place, err := l.process.Look(p)
	if notThere(err) {
		return nil
	}
	if err == nil {
		l.add(what, p, place.FS)
	}
	return err
}

// add keeps one path of a kind on each file system.
func (l *lister) add(what, p string, on snapshot.FileSystem) {
	if !slices.ContainsFunc(l.parts, func(o snapshot.Part) bool { return o.What == what && o.FS == on }) {
		l.parts = append(l.parts, snapshot.Part{What: what, Path: p, FS: on})
	}
}

// datadir notes the data directory and what leads away from it: databases and
// tables behind symbolic links, InnoDB's link files, mounts in it.
func (l *lister) datadir(dir string) error {
	if err := l.part("datadir", dir); err != nil {
		return err
	}
	return l.leads("datadir", dir, treeDepth, func(e locate.Entry, isDir bool) bool {
		// Beside the databases links lead to logs, keys and sockets, too.
		return isDir || e.Depth > 1 || locate.IsData(e.Path)
	})
}

// directory notes a directory beside the data directory, which was gone through,
// and what leads away from it under names that begin with prefix: the rest of it
// need not be the server's.
func (l *lister) directory(what, dir, prefix string) error {
	if err := l.part(what, dir); err != nil || dir == l.vars.in(".") {
		return err
	}
	if prefix == redoDirectory {
		if err := l.optional(what, path.Join(dir, redoDirectory)); err != nil {
			return err
		}
		return l.leads(what, path.Join(dir, redoDirectory), 1, func(locate.Entry, bool) bool { return true })
	}
	return l.leads(what, dir, 1, func(e locate.Entry, _ bool) bool { return strings.HasPrefix(path.Base(e.Path), prefix) })
}

// logs notes the directory of numbered logs, and their index.
func (l *lister) logs(basename, index string) error {
	if err := l.part(basename, path.Dir(l.vars.in(l.vars[basename]))); err != nil {
		return err
	}
	return l.optional(index, l.vars.in(l.vars[index]))
}

// leads notes where links lead that are of interest, and mounts. A directory
// behind a link is gone through in its turn.
func (l *lister) leads(what, dir string, depth int, keep func(e locate.Entry, isDir bool) bool) error {
	err := l.process.Leads(dir, depth, func(e locate.Entry) error {
		if err := l.ctx.Err(); err != nil {
			return err
		}
		if !e.Link {
			if !l.temporary(e.Path) {
				l.add(what, e.Path, e.Place.FS)
			}
			return nil
		}
		place, err := l.process.Look(l.vars.in(e.Target))
		if notThere(err) { // it leads nowhere
			return nil
		}
		if err != nil || !keep(e, place.Dir) || place.Dir && l.temporary(e.Path) {
			return err
		}
		l.add(what, e.Path, place.FS)
		if !place.Dir || depth <= e.Depth {
			return nil
		}
		return l.leads(what, e.Path, depth-e.Depth, func(locate.Entry, bool) bool { return true })
	})
	if notThere(err) {
		return nil
	}
	return err
}

// temporary says that a path in the data directory is one of the server's
// directories for temporary files, or below one. (One that the data directory
// itself is in says nothing about what is there.)
func (l *lister) temporary(p string) bool {
	for _, name := range []string{"tmpdir", "slave_load_tmpdir", "innodb_tmpdir", "innodb_temp_tablespaces_dir"} {
		for dir := range strings.SplitSeq(l.vars[name], ":") {
			if dir == "" {
				continue
			}
			if dir = l.vars.in(dir); below(dir, l.vars.in(".")) && (p == dir || below(p, dir)) {
				return true
			}
		}
	}
	return false
}

// below says that a clean path lies under a directory.
func below(p, dir string) bool { return strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/") }

// keys warns of files with the keys of encrypted tables: whether a restore finds
// them is someone's to know. On the set they would be the key beside the lock.
func (l *lister) keys() {
	for _, name := range []string{"keyring_file_data", "keyring_encrypted_file_data", "file_key_management_filename", "file_key_management_filekey"} {
		if file := strings.TrimPrefix(l.vars[name], "FILE:"); path.IsAbs(file) {
			l.warnings = append(l.warnings, fmt.Sprintf("encrypted tables can only be read after a restore with the keys in %s (%s): keep them where a restore finds them", file, name))
		}
	}
}

// open notes, as the second source, files of data that the process has open for
// writing where no variable led.
func (l *lister) open() {
	for _, f := range l.files {
		if !locate.IsData(f.Path) || slices.ContainsFunc(l.parts, func(p snapshot.Part) bool { return p.FS == f.FS }) {
			continue
		}
		l.add("an open file", f.Path, f.FS)
	}
}
