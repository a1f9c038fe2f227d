package freeze

import (
	"fmt"
	"slices"

	"golang.org/x/sys/unix"

	"stillpoint/internal/snapshot"
)

// ban is a file system that must not be frozen.
type ban struct {
	place place
	// why completes "the file system at /data must not be frozen: it ...".
	why string
}

// checkForbidden refuses to freeze what the worker itself needs. A worker that
// waits for a disk which it froze itself waits forever.
func (f *Freezer) checkForbidden(mounted *table, targets []*target) error {
	bans, err := f.bans(mounted)
	if err != nil {
		return err
	}
	for _, t := range targets {
		for _, b := range bans {
			if b.place.super == t.place.super || b.place.device == t.place.device {
				return refuse("the file system at %s must not be frozen: it %s", t.name, b.why)
			}
		}
	}
	return nil
}

// bans lists the forbidden file systems and those that carry them.
func (f *Freezer) bans(mounted *table) ([]ban, error) {
	var bans []ban
	add := func(path, why string) error {
		p, err := mounted.locatePath(path)
		if err != nil {
			return &snapshot.RefusedError{Sentence: fmt.Sprintf("cannot make sure that %s will not be frozen", path), Err: err}
		}
		bans = append(bans, ban{p, why})
		return nil
	}
	if err := add("/", "is the root file system; put the data on a volume of its own"); err != nil {
		return nil, err
	}
	if err := add(selfPath, "holds the running program; install it elsewhere"); err != nil {
		return nil, err
	}
	if f.config.Executable != selfPath {
		if err := add(f.config.Executable, "holds the program "+f.config.Executable+"; install it elsewhere"); err != nil {
			return nil, err
		}
	}
	forbidden := f.config.Forbidden
	if f.config.RuntimeDir != "" {
		forbidden = append(slices.Clone(forbidden), f.config.RuntimeDir)
	}
	for _, path := range forbidden {
		if err := add(path, "holds "+path+", which the worker writes to; move that elsewhere"); err != nil {
			return nil, err
		}
	}
	for fd, name := range []string{"standard input", "standard output", "standard error"} {
		if b, ok := banOfStream(mounted, fd, name); ok && !f.rehearsal {
			bans = append(bans, b)
		}
	}
	// What carries a forbidden file system is forbidden as well.
	for _, b := range bans[:len(bans):len(bans)] {
		for _, p := range carriers(mounted, b.place) {
			bans = append(bans, ban{p, "carries another file system (by a loop device or an overlay), and that one " + b.why})
		}
	}
	return bans, nil
}

// banOfStream bans the file system of a standard stream. Pipes, sockets and
// devices are harmless: nothing of a write to them waits for the file system
// that their name may be on (a FIFO's times are left alone when it is frozen) [S].
func banOfStream(mounted *table, fd int, name string) (ban, bool) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return ban{}, false // closed
	}
	if kind := st.Mode & unix.S_IFMT; kind != unix.S_IFREG && kind != unix.S_IFDIR {
		return ban{}, false
	}
	p, err := mounted.locate(fd)
	if err != nil {
		p = place{super: st.Dev, device: st.Dev}
	}
	return ban{p, "holds the file that is the worker's " + name + "; send that to the journal, to a pipe or to a file elsewhere"}, true
}
