package disk

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// Find looks for a loop device on file that a process before this one has attached, and that is still there because it is mounted
// or open. It does not hold it: the device goes at its last close. Nil: there is none.
func Find(file string) *Loop {
	paths, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return nil
	}
	for _, path := range paths {
		name := strings.Split(path, "/")[3]
		l := &Loop{Path: "/dev/" + name, name: name, file: file}
		if l.Attached() {
			return l
		}
	}
	return nil
}

// Adopt finds such a device and holds it as Attach does, with its direct I/O and its sectors as they are. Nil: there is none.
func Adopt(file string) (*Loop, error) {
	l := Find(file)
	if l == nil {
		return nil, nil //nolint:nilnil // no device is no error
	}
	held, err := os.Open(l.Path)
	if err != nil {
		return nil, fmt.Errorf("cannot hold %s, which is still on %s: %w", l.Path, file, err)
	}
	l.held = held
	// It may have gone between the look and the open, and even be on another file now. Once it is held it stays.
	ours, err := l.on(file)
	if err != nil || !ours {
		_ = held.Close()
		return nil, err
	}
	return l, nil
}

// on tells whether the device that is held is on the very file, and not on one that had its name before.
func (l *Loop) on(file string) (bool, error) {
	info, err := unix.IoctlLoopGetStatus64(int(l.held.Fd()))
	if err != nil {
		return false, nil //nolint:nilerr // it has no file any more
	}
	var stat unix.Stat_t
	if err := unix.Stat(file, &stat); err != nil {
		return false, fmt.Errorf("cannot see which file %s is on: %w", l.Path, err)
	}
	return info.Inode == stat.Ino && l.Attached(), nil
}

// Grow tells the kernel that the backing file has become longer.
func (l *Loop) Grow() error {
	if l.held == nil {
		return nil // it is on its way out, and the next device sees the length of the file
	}
	if err := unix.IoctlSetInt(int(l.held.Fd()), unix.LOOP_SET_CAPACITY, 0); err != nil {
		return fmt.Errorf("cannot make %s as large as its file: %w", l.Path, err)
	}
	return nil
}
