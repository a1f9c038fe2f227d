package freeze

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"stillpoint/internal/snapshot"
)

// target is one file system to freeze.
type target struct {
	// name is the mount point as the plan names it.
	name string
	// file is open on the mount point from before the freeze until after the
	// thaw: it is what FITHAW needs, and it keeps the mount from being
	// unmounted while frozen [V].
	file  *os.File
	place place
	// level is 0 for what is frozen first.
	level int
}

func (t *target) fd() int { return int(t.file.Fd()) }

// freezable are the types of file system that can be frozen and are worth it:
// on a block device, and not shared with other hosts. XFS, ext4 and btrfs were
// tried [V]; the others have freeze_fs [S].
var freezable = map[string]bool{
	"xfs": true, "ext4": true, "ext3": true, "ext2": true, "btrfs": true, "f2fs": true, "jfs": true, "nilfs2": true,
}

func refuse(format string, args ...any) error {
	return &snapshot.RefusedError{Sentence: fmt.Sprintf(format, args...)}
}

// resolve opens the mount points and checks them. The targets are in the order
// of the freeze.
func (f *Freezer) resolve(mounts []string) (targets []*target, err error) {
	if len(mounts) == 0 {
		return nil, refuse("there is nothing to freeze: name at least one mount point")
	}
	defer func() {
		if err != nil {
			for _, t := range targets {
				_ = t.file.Close()
			}
			targets = nil
		}
	}()
	before, err := readTable()
	if err != nil {
		return nil, err
	}
	for _, name := range mounts {
		file, err := openMount(before, name)
		if err != nil {
			return targets, err
		}
		targets = append(targets, &target{name: filepath.Clean(name), file: file})
	}
	// Read again: what counts is the table after the descriptors were opened.
	mounted, err := readTable()
	if err != nil {
		return targets, err
	}
	for _, t := range targets {
		if t.place, err = mounted.locate(t.fd()); err != nil {
			return targets, err
		}
		if err := checkMount(t); err != nil {
			return targets, err
		}
	}
	targets = unique(targets)
	if err := f.checkForbidden(mounted, targets); err != nil {
		return targets, err
	}
	return targets, order(mounted, targets)
}

// openMount opens one mount point. The mount table is asked first, since even
// looking at a dead network file system would hang.
func openMount(mounted *table, name string) (*os.File, error) {
	if !filepath.IsAbs(name) {
		return nil, refuse("%q is not an absolute path: name the mount point in full", name)
	}
	if m := mounted.at(filepath.Clean(name)); m != nil && !freezable[m.FSType] {
		return nil, cannotFreeze(filepath.Clean(name), m.FSType)
	}
	path, err := filepath.EvalSymlinks(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &snapshot.RefusedError{Sentence: fmt.Sprintf("the mount point %s does not exist: mount it, or correct the plan", name), Err: err}
	}
	if err != nil {
		return nil, &snapshot.RefusedError{Sentence: fmt.Sprintf("cannot resolve the mount point %s", name), Err: err}
	}
	if path == "/" { // in a chroot it need not be a mount point, and is as little to be frozen
		return nil, refuse("the file system at / must not be frozen: it is the root file system; put the data on a volume of its own")
	}
	if m := mounted.at(path); m != nil && !freezable[m.FSType] {
		return nil, cannotFreeze(filepath.Clean(name), m.FSType)
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOTDIR) {
		return nil, refuse("%s is not a directory: name the mount point of the file system, not a file on it", name)
	}
	if err != nil {
		return nil, &snapshot.RefusedError{Sentence: fmt.Sprintf("cannot open the mount point %s", name), Err: err}
	}
	return os.NewFile(uintptr(fd), path), nil
}

func cannotFreeze(name, fsType string) error {
	return refuse("%s is of type %s, which cannot be frozen: take it out of the plan's freeze list, or move the data to XFS or ext4", name, fsType)
}

// checkMount refuses what the descriptor turned out to be.
func checkMount(t *target) error {
	m, path := t.place.mount, t.file.Name()
	switch {
	case m == nil: // on what this process's table does not have: the root of a chroot, or gone since it was opened
		return refuse("%s is not a mount point that this process sees, or was unmounted in this moment: mount what belongs there", t.name)
	case m.Mountpoint != path:
		return refuse("%s is not a mount point, it lies on %s: mount what belongs there, or name %s", t.name, m.Mountpoint, m.Mountpoint)
	case !freezable[m.FSType]:
		return cannotFreeze(t.name, m.FSType)
	case hasOption(m.VFSOptions, "ro"):
		return refuse("the file system at %s is mounted read-only, so there is nothing to freeze: remount it read-write, or take it out of the plan's freeze list", t.name)
	}
	// A mount that is read-only by itself is fine as long as its file system is
	// written through others: a freeze stops them all, and a service manager
	// shows a hardened unit every mount like that (ProtectSystem=strict).
	return nil
}

// unique keeps one target per file system: a freeze stops all its mounts [V].
func unique(targets []*target) []*target {
	var kept []*target
	seen := map[uint64]bool{}
	for _, t := range targets {
		if seen[t.place.super] {
			_ = t.file.Close()
			continue
		}
		seen[t.place.super] = true
		kept = append(kept, t)
	}
	return kept
}
