package freeze

import (
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Leftover is what the record of a runtime directory says, to one who only looks.
type Leftover struct {
	// Found says that there is a record; Unreadable is why it cannot be understood, or not all of it.
	Found      bool
	Unreadable error
	// Damaged are records that were set aside because nobody could understand them.
	Damaged []string
	// Worker and Guardian are the processes of the record that live; 0: dead.
	Worker, Guardian int
	// EarlierBoot says that the record was made before this boot: nothing of it is frozen.
	EarlierBoot bool
	// Frozen are the mount points that the record says may be frozen.
	Frozen []string
	// Raised says that rcu_expedited is still to be put back, Owed that post_thaw is to be run.
	Raised, Owed bool
	// Made is when, RFC 3339.
	Made string
}

// Look reads the record of a runtime directory. It takes no lock and settles
// nothing: whoever has the record in hand does not notice. The error says that
// the directory or the record cannot be opened.
func Look(dir string) (Leftover, error) {
	var l Leftover
	l.Damaged, _ = filepath.Glob(filepath.Join(dir, RecordName+".damaged-*")) // the pattern is a good one
	r, err := openRecord(dir)
	if r == nil || err != nil {
		return l, err
	}
	defer r.close()
	l.Found = true
	a, err := r.read()
	if err != nil {
		if !r.named() { // removed meanwhile
			return Leftover{Damaged: l.Damaged}, nil
		}
		l.Unreadable = err
		if !errors.Is(err, errDamaged) {
			return l, nil
		}
	}
	boot, err := bootID()
	if err != nil {
		return l, err
	}
	l.EarlierBoot, l.Made = a.BootID != boot, a.Made
	if l.EarlierBoot {
		return l, nil
	}
	if a.Worker.alive() && !a.Worker.dying() {
		l.Worker = a.Worker.PID
	}
	if a.Guardian.alive() {
		l.Guardian = a.Guardian.PID
	}
	for _, e := range a.entries {
		if e.marked().owed() {
			l.Frozen = append(l.Frozen, e.Mount)
		}
	}
	l.Raised, l.Owed = a.RCU.Raised, a.PostThaw.Owed
	return l, nil
}

// FrozenBy is the living worker which has the file system at a mount point frozen, by
// the record of a runtime directory; 0: nobody of ours.
func FrozenBy(dir, mount string) (worker int) {
	l, err := Look(dir)
	if err != nil || l.Worker == 0 {
		return 0
	}
	if on, err := On(l.Frozen, mount); err != nil || on == "" {
		return 0
	}
	return l.Worker
}

// On says on the file system of which of the mount points a path lies, itself or
// through a loop device or an overlay; "" where on none. A path that is not there
// counts as its nearest parent.
func On(mounts []string, path string) (mount string, err error) {
	mounted, err := readTable()
	if err != nil {
		return "", err
	}
	at, err := mounted.locatePath(path)
	if err != nil {
		return "", err
	}
	var theirs []place
	for _, m := range mounts {
		p, err := mounted.locatePath(m)
		if err != nil {
			return "", err
		}
		theirs = append(theirs, p)
	}
	for _, q := range append([]place{at}, carriers(mounted, at)...) { // itself first
		for i, p := range theirs {
			if p.super == q.super || p.device == q.device {
				return mounts[i], nil
			}
		}
	}
	return "", nil
}

// Expeditable says why rcu_expedited cannot be raised; nil where it can. It is
// opened, and not written to.
func Expeditable() error {
	fd, err := unix.Open(DefaultRCUPath, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot open %s: %w", DefaultRCUPath, err)
	}
	return unix.Close(fd)
}

// What a run keeps in the runtime directory: its locks, its record, and a note
// about an applier.
const (
	runtimeBytes  = 64 << 10
	runtimeInodes = 4
)

// CheckRuntimeRoom says why a run could not keep its files in a runtime directory,
// or make the directory where it is missing; nil where it could.
func CheckRuntimeRoom(dir string) error {
	at := dir
	err := unix.Access(at, unix.W_OK)
	for errors.Is(err, unix.ENOENT) && at != "/" {
		at = filepath.Dir(at)
		err = unix.Access(at, unix.W_OK)
	}
	if err != nil {
		return fmt.Errorf("%s cannot be written to: %w", at, err)
	}
	var room unix.Statfs_t
	if err := unix.Statfs(at, &room); err != nil {
		return fmt.Errorf("cannot look at %s: %w", at, err)
	}
	// A tmpfs without a bound says 0 of 0.
	if free := int64(room.Bavail) * room.Bsize; room.Blocks > 0 && free < runtimeBytes {
		return fmt.Errorf("%d KiB are free under %s, and a run keeps %d KiB there", free>>10, at, runtimeBytes>>10)
	}
	if room.Files > 0 && room.Ffree < runtimeInodes {
		return fmt.Errorf("%d inodes are free under %s, and a run makes %d files there", room.Ffree, at, runtimeInodes)
	}
	return nil
}

// CheckRuntimeDir says why a runtime directory would be refused; nil where it would
// not, or is still to be made.
func CheckRuntimeDir(dir string) (exists bool, err error) {
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	switch {
	case errors.Is(err, unix.ENOENT):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("cannot open %s: %w", dir, err)
	}
	defer func() { _ = unix.Close(fd) }()
	return true, checkOwner(fd, dir)
}
