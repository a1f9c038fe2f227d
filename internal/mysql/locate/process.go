package locate

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Process is one process of this host.
type Process struct {
	PID int
	// Name is its program's, as far as that can be told.
	Name string

	dir    *os.File // /proc/PID
	root   *os.File // its root directory, once asked for
	mounts mountTable
}

// open takes hold of a process. An error that is fs.ErrNotExist: there is none.
func open(pid int) (*Process, error) {
	dir, err := os.OpenFile("/proc/"+strconv.Itoa(pid), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	p := &Process{PID: pid, dir: dir}
	exe, err := os.Readlink(p.proc("exe"))
	if err != nil { // a kernel thread, or someone else's
		comm, err := os.ReadFile(p.proc("comm"))
		if err != nil {
			return nil, errors.Join(gone(err), p.Close())
		}
		exe = strings.TrimSpace(string(comm))
	}
	// Of a server whose package was upgraded the program is "... (deleted)".
	p.Name = filepath.Base(strings.TrimSuffix(exe, " (deleted)"))
	return p, nil
}

// gone is fs.ErrNotExist for the error that a process which has ended gives.
func gone(err error) error {
	if errors.Is(err, unix.ESRCH) {
		return fs.ErrNotExist
	}
	return err
}

// Close lets go of the process.
func (p *Process) Close() error {
	if p == nil {
		return nil
	}
	err := p.dir.Close()
	if p.root != nil {
		err = errors.Join(err, p.root.Close())
	}
	return err
}

// String names the process as sentences do.
func (p *Process) String() string { return fmt.Sprintf("%s (process %d)", p.Name, p.PID) }

// proc is a path below /proc/PID that stays with this process.
func (p *Process) proc(elem ...string) string {
	return filepath.Join(append([]string{"/proc/self/fd", strconv.Itoa(int(p.dir.Fd()))}, elem...)...)
}

// holds says whether the process has the socket of that inode.
func (p *Process) holds(socket uint64) (bool, error) {
	want := fmt.Sprintf("socket:[%d]", socket)
	found := false
	err := p.descriptors(func(fd string) bool {
		link, err := os.Readlink(p.proc("fd", fd))
		found = err == nil && link == want
		return !found
	})
	return found, err
}

// descriptors calls visit with each open descriptor until it returns false.
func (p *Process) descriptors(visit func(fd string) bool) error {
	dir, err := os.Open(p.proc("fd"))
	if err != nil {
		return gone(err)
	}
	defer func() { _ = dir.Close() }()
	for {
		names, err := dir.Readdirnames(512)
		for _, fd := range names {
			if !visit(fd) {
				return nil
			}
		}
		if err != nil || len(names) == 0 {
			return nil //nolint:nilerr // io.EOF, or the process has ended meanwhile
		}
	}
}

// Directory is the directory that the process works in, as its path reads here.
func (p *Process) Directory() string {
	dir, _ := os.Readlink(p.proc("cwd")) // "" where nobody may know
	return dir
}

// each calls visit with every process of this host until it returns false; the
// handle is visit's to close. Processes that end meanwhile are left out.
func each(visit func(*Process) bool) error {
	dir, err := os.Open("/proc")
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	names, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		p, err := open(pid)
		if err != nil {
			continue // it has ended
		}
		if !visit(p) {
			return nil
		}
	}
	return nil
}

// fields reads "key:\tvalue" lines.
func fields(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, gone(err)
	}
	defer func() { _ = f.Close() }()
	m := map[string]string{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if key, value, ok := strings.Cut(lines.Text(), ":"); ok {
			m[key] = strings.TrimSpace(value)
		}
	}
	return m, lines.Err()
}

// Same says that both are one process: the same number with the same time of
// start, while the other's handle still answers.
func (p *Process) Same(other *Process) bool {
	a, aErr := p.startTime()
	b, bErr := other.startTime()
	return aErr == nil && bErr == nil && p.PID == other.PID && a == b
}

// startTime is in clock ticks since boot (proc(5), stat, field 22).
func (p *Process) startTime() (string, error) {
	stat, err := os.ReadFile(p.proc("stat"))
	if err != nil {
		return "", gone(err)
	}
	i := strings.LastIndexByte(string(stat), ')') // the name before it may hold anything
	if after := strings.Fields(string(stat[i+1:])); i > 0 && len(after) > 19 {
		return after[19], nil
	}
	return "", fmt.Errorf("cannot read when process %d was started", p.PID)
}
