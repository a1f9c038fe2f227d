package locate

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"stillpoint/internal/snapshot"
)

// Place is what a path of a process leads to.
type Place struct {
	// Path is the one that was asked for, as the process sees it.
	Path string
	// FS is the file system that it lies on; of a raw partition, that device.
	FS snapshot.FileSystem
	// Dir says that it is a directory.
	Dir bool

	dev, ino uint64
}

// mountTable is by mount id.
type mountTable map[int]*mountinfo.Info

// Look resolves an absolute path as the process would: in its root directory
// and mount namespace, symbolic links and ".." included. It opens nothing for
// reading. Where nothing is there the error is fs.ErrNotExist; any other is a
// *NotShownError.
func (p *Process) Look(path string) (Place, error) {
	file, place, err := p.look(path)
	if err != nil {
		return Place{}, err
	}
	return place, file.Close()
}

func (p *Process) look(path string) (*os.File, Place, error) {
	if p.root == nil {
		root, err := os.OpenFile(p.proc("root"), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err != nil {
			return nil, Place{}, notShown(gone(err), "the root directory of %s may not be looked at", p)
		}
		p.root = root
	}
	how := &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT}
	var fd int
	var err error
	for range 32 { // EAGAIN: something was renamed meanwhile (openat2(2))
		if fd, err = unix.Openat2(int(p.root.Fd()), path, how); err != unix.EAGAIN && err != unix.EINTR { //nolint:errorlint // the bare number of a system call
			break
		}
	}
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return nil, Place{}, fmt.Errorf("%s: %w", path, fs.ErrNotExist)
	case errors.Is(err, unix.ENOSYS):
		return nil, Place{}, notShown(err, "the paths of %s cannot be resolved in its own root directory: that takes Linux 5.6", p)
	case err != nil:
		return nil, Place{}, notShown(err, "%s of %s cannot be looked at", path, p)
	}
	file := os.NewFile(uintptr(fd), path)
	place, err := p.place(file)
	if err != nil {
		return nil, Place{}, errors.Join(err, file.Close())
	}
	return file, place, nil
}

// place finds the file system of an open descriptor of ours.
func (p *Process) place(file *os.File) (Place, error) {
	place := Place{Path: file.Name()}
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		return place, notShown(err, "%s of %s cannot be looked at", place.Path, p)
	}
	place.dev, place.ino, place.Dir = st.Dev, st.Ino, st.Mode&unix.S_IFMT == unix.S_IFDIR
	if st.Mode&unix.S_IFMT == unix.S_IFBLK {
		place.FS = snapshot.FileSystem{Major: int(unix.Major(st.Rdev)), Minor: int(unix.Minor(st.Rdev)), Type: "a raw device", Source: place.Path}
		return place, nil
	}
	info, err := fields("/proc/self/fdinfo/" + strconv.Itoa(int(file.Fd())))
	if err != nil {
		return place, notShown(err, "the mount of %s cannot be told", place.Path)
	}
	place.FS, err = p.fileSystem(info["mnt_id"], st.Dev)
	return place, err
}

// fileSystem is that of a mount, by the id that fdinfo gives. dev is st_dev,
// which says enough where the mount is in no table that can be read (the root
// of a chroot need not be in its own).
func (p *Process) fileSystem(mountID string, dev uint64) (snapshot.FileSystem, error) {
	if p.mounts == nil {
		p.mounts = mountTable{}
		for _, table := range []string{"/proc/self/mountinfo", p.proc("mountinfo")} { // its own wins
			if err := p.mounts.read(table); err != nil {
				return snapshot.FileSystem{}, notShown(err, "the mounts of %s cannot be listed", p)
			}
		}
	}
	if id, err := strconv.Atoi(mountID); err == nil {
		if m := p.mounts[id]; m != nil {
			return snapshot.FileSystem{
				Major: m.Major, Minor: m.Minor, Type: m.FSType, Source: m.Source, Options: m.VFSOptions, Mountpoint: m.Mountpoint,
			}, nil
		}
	}
	if unix.Major(dev) == 0 { // nothing behind it that could be named
		return snapshot.FileSystem{}, &NotShownError{Why: fmt.Sprintf("the mount with id %s of %s is in no mount table that can be read", mountID, p)}
	}
	return snapshot.FileSystem{Major: int(unix.Major(dev)), Minor: int(unix.Minor(dev))}, nil
}

func (t mountTable) read(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return gone(err)
	}
	defer func() { _ = f.Close() }()
	all, err := mountinfo.GetMountsFromReader(f, nil)
	for _, m := range all {
		t[m.ID] = m
	}
	return err
}
