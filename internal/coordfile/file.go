package coordfile

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"stillpoint/internal/snapshot"
)

const (
	// room is how long the file is made, and so how much can be told. What is not used is cut off.
	room = 64 << 10
	// marker is the first line, by which a file is known to be one of ours.
	marker = "# stillpoint coordinates, format 1\n"
	// unwritten stands in the file until the lock was granted.
	unwritten = marker + "# Nothing is told here: the snapshot was not taken under the lock.\n"
	// leftover is how much of a file is looked at to tell whether it is ours.
	leftover = len(marker)
)

// File is the plan's coordinates_file.
type File struct {
	// Path is absolute.
	Path string
	// Freeze and NoFreeze are the plan's mount points; the file must lie on one of their file systems.
	Freeze, NoFreeze []string
}

var _ snapshot.CoordinatesFile = (*File)(nil)

// Open makes the file. One that a run left that was killed is taken over, and
// found says so. What must not be there, or not be written, is a *snapshot.RefusedError.
func (f *File) Open(context.Context) (snapshot.Sheet, string, error) {
	s, found, err := f.open()
	if err != nil {
		return nil, "", &snapshot.RefusedError{Sentence: "the coordinates_file " + f.Path + " cannot be used", Err: err}
	}
	return s, found, nil
}

func (f *File) open() (_ *sheet, found string, err error) {
	dir, base := filepath.Split(filepath.Clean(f.Path))
	s := &sheet{dir: -1, fd: -1, base: base}
	defer func() {
		if err != nil {
			if s.made {
				err = errors.Join(err, s.Close())
			}
			s.release()
		}
	}()
	if s.dir, s.sync, err = f.directory(dir); err != nil {
		return nil, "", err
	}
	s.fd, err = unix.Openat(s.dir, base, unix.O_CREAT|unix.O_EXCL|unix.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if errors.Is(err, unix.EEXIST) {
		if s.fd, err = unix.Openat(s.dir, base, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err == nil {
			err = checkOurs(s.fd)
		}
		if err != nil {
			return nil, "", fmt.Errorf("there is one already that is not one of stillpoint's: remove it, or name another: %w", err)
		}
		found = fmt.Sprintf("the coordinates_file %s was there already, left by a run that was killed: it was taken over", f.Path)
	}
	if err != nil {
		return nil, "", fmt.Errorf("it cannot be made: %w", err)
	}
	s.made = true
	// Written and on the disk before the window, so that no room is missing then.
	if err := s.put(pad([]byte(unwritten))); err != nil {
		return nil, "", fmt.Errorf("there is no room for it (%d KiB): %w", room>>10, err)
	}
	if err := unix.Ftruncate(s.fd, room); err != nil {
		return nil, "", err
	}
	if err := unix.Fsync(s.fd); err != nil {
		return nil, "", fmt.Errorf("there is no room for it (%d KiB): %w", room>>10, err)
	}
	return s, found, nil
}

// directory opens the directory that the file is to lie in, and says whether what
// is written there has to be synced.
func (f *File) directory(dir string) (fd int, sync bool, err error) {
	// Without symbolic links anywhere in the path (openat2(2)): whoever owns a
	// directory on the way must not be able to lead us elsewhere.
	how := &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS}
	if fd, err = unix.Openat2(unix.AT_FDCWD, filepath.Clean(dir), how); err != nil {
		name := filepath.Clean(dir)
		switch {
		case errors.Is(err, unix.ELOOP):
			return -1, false, fmt.Errorf("there is a symbolic link on the way to it: name the directory itself")
		case errors.Is(err, unix.ENOENT):
			return -1, false, fmt.Errorf("its directory %s is not there: install -d -o root -m 700 %s", name, name)
		}
		return -1, false, fmt.Errorf("its directory %s cannot be opened: %w", name, err)
	}
	if err = checkDirectory(fd, dir); err == nil {
		sync, err = f.unfrozen(fd)
	}
	if err != nil {
		_ = unix.Close(fd)
		return -1, false, err
	}
	return fd, sync, nil
}

// Check says beforehand why Open would refuse; nil where nothing speaks against
// it. It makes nothing.
func (f *File) Check() error {
	dir, base := filepath.Split(filepath.Clean(f.Path))
	d, _, err := f.directory(dir)
	if err == nil {
		defer func() { _ = unix.Close(d) }()
		err = checkPlace(d, base)
	}
	if err != nil {
		return &snapshot.RefusedError{Sentence: "the coordinates_file " + f.Path + " cannot be used", Err: err}
	}
	return nil
}

// checkPlace refuses a directory in which the file cannot be made.
func checkPlace(dir int, base string) error {
	var at unix.Statfs_t
	if err := unix.Fstatfs(dir, &at); err != nil {
		return err
	}
	switch free := int64(at.Bavail) * at.Bsize; {
	case at.Flags&unix.ST_RDONLY != 0:
		return fmt.Errorf("it cannot be made: %w", unix.EROFS)
	case free < room:
		return fmt.Errorf("there is no room for it (%d KiB)", room>>10)
	}
	fd, err := unix.Openat(dir, base, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err == nil {
		err = checkOurs(fd)
		_ = unix.Close(fd)
	}
	if err != nil {
		return fmt.Errorf("there is one already that is not one of stillpoint's: remove it, or name another: %w", err)
	}
	return nil
}

// checkDirectory refuses a directory in which others could put something in the file's place.
func checkDirectory(fd int, name string) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Uid != 0 && st.Uid != uint32(os.Geteuid()) || st.Mode&0o022 != 0 {
		return fmt.Errorf("its directory %s must belong to root, and others must not be able to write to it (it belongs to user %d, mode %04o): make one of its own for it on the volume", filepath.Clean(name), st.Uid, st.Mode&0o7777)
	}
	return nil
}

// checkOurs says whether an open file is one that a run has left.
func checkOurs(fd int) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	switch {
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return errors.New("it is not a regular file")
	case st.Uid != 0 && st.Uid != uint32(os.Geteuid()), st.Mode&0o022 != 0, st.Nlink != 1:
		return fmt.Errorf("it belongs to user %d, has mode %04o and %d names", st.Uid, st.Mode&0o7777, st.Nlink)
	}
	b := make([]byte, leftover)
	if n, err := unix.Pread(fd, b, 0); err != nil || string(b[:n]) != marker && st.Size != 0 {
		return errors.New("it does not begin with the line that stillpoint writes")
	}
	return nil
}

// unfrozen says whether the directory lies on a file system that is not to be
// frozen, which then has to be synced. The error says that it lies on none of the set.
func (f *File) unfrozen(dir int) (bool, error) {
	var st unix.Stat_t
	if err := unix.Fstat(dir, &st); err != nil {
		return false, err
	}
	on := func(mounts []string) bool {
		for _, m := range mounts {
			var at unix.Stat_t
			if unix.Stat(m, &at) == nil && at.Dev == st.Dev {
				return true
			}
		}
		return false
	}
	switch {
	case on(f.Freeze):
		return false, nil
	case on(f.NoFreeze):
		return true, nil
	}
	return false, fmt.Errorf("it lies on none of the file systems of the set (%s), so that no snapshot would have it", strings.Join(append(append([]string{}, f.Freeze...), f.NoFreeze...), ", "))
}

// pad fills what is not used with blank lines.
func pad(text []byte) []byte {
	return append(bytes.Clone(text), bytes.Repeat([]byte("\n"), room-len(text))...)
}
