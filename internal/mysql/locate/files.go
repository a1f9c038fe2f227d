package locate

import (
	"errors"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"stillpoint/internal/snapshot"
)

// File is a file that a process has open for writing.
type File struct {
	// Path is as the kernel gives it: in the process's mount namespace.
	Path string
	FS   snapshot.FileSystem

	fd string
}

// Files lists the named files that the process has open for writing. Deleted
// ones, as temporary files are, and what is no file (sockets, pipes, devices)
// are left out.
func (p *Process) Files() ([]File, error) {
	var files []File
	var failed error
	err := p.descriptors(func(fd string) bool {
		link, err := os.Readlink(p.proc("fd", fd))
		if err != nil || !strings.HasPrefix(link, "/") || strings.HasSuffix(link, " (deleted)") {
			return true // closed meanwhile, or nothing with a name
		}
		info, err := fields(p.proc("fdinfo", fd))
		if errors.Is(err, fs.ErrNotExist) {
			return true
		}
		if err != nil {
			failed = err
			return false
		}
		flags, err := strconv.ParseUint(info["flags"], 8, 64)
		if err != nil || flags&unix.O_ACCMODE == unix.O_RDONLY {
			return true
		}
		system, err := p.fileSystem(info["mnt_id"], 0)
		switch {
		case err != nil: // a mount that is in no table: its device number must do
			var st unix.Stat_t
			if unix.Stat(p.proc("fd", fd), &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
				return true // such as the /dev/null that a server was started with, outside of its namespace
			}
			if system, err = p.fileSystem("", st.Dev); err != nil {
				failed = err
				return false
			}
		case pseudo[system.Type]:
			return true
		}
		files = append(files, File{Path: link, FS: system, fd: fd})
		return true
	})
	if err = errors.Join(err, failed); err != nil {
		return nil, notShown(err, "the open files of %s may not be looked at", p)
	}
	return files, nil
}

// pseudo are file systems that hold no files of anybody's.
var pseudo = map[string]bool{
	"devtmpfs": true, "devpts": true, "proc": true, "sysfs": true, "cgroup": true, "cgroup2": true,
	"mqueue": true, "hugetlbfs": true, "tracefs": true, "debugfs": true, "pipefs": true, "sockfs": true, "anon_inodefs": true,
}

// network are file systems of which looking at a file may wait for another host.
var network = map[string]bool{"nfs": true, "nfs4": true, "cifs": true, "smb3": true, "ceph": true, "lustre": true, "fuse": true, "fuse.sshfs": true, "9p": true}

// Has says whether one of the process's open files is what the place is: the same inode.
func (p *Process) Has(files []File, place Place) bool {
	for _, named := range []bool{true, false} { // those of its name first: there may be thousands
		for _, f := range files {
			if named != (path.Base(f.Path) == path.Base(place.Path)) || f.FS != place.FS || network[f.FS.Type] {
				continue
			}
			var st unix.Stat_t
			if unix.Stat(p.proc("fd", f.fd), &st) == nil && st.Dev == place.dev && st.Ino == place.ino {
				return true
			}
		}
	}
	return false
}

// dataName are the names of files that hold what a server would need again:
// InnoDB's, MyISAM's, Aria's, Archive's, CSV's, RocksDB's.
var dataName = regexp.MustCompile(`(?i)^(ibdata|ib_logfile|#ib_|undo_?[0-9]|aria_log)|\.(ibd|ibu|dblwr|my[di]|ma[di]|frm|ar[zmn]|cs[vm]|sst)$`)

// binlogName is how both servers number their binlogs, and nobody rotates logs so.
var binlogName = regexp.MustCompile(`\.([0-9]{6}|index)$`)

// IsData says that a file's name is that of data of a MySQL or MariaDB, and not
// of what is made anew: temporary tables (#sql..., .ibt, ibtmp1) and logs.
func IsData(name string) bool {
	name = path.Base(name)
	return dataName.MatchString(name) && !strings.HasPrefix(name, "#sql")
}
