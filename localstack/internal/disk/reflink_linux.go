package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// CanClone tells whether the folder is on a file system that clones files. Elsewhere a snapshot is a sparse copy.
func (d *Store) CanClone() (bool, error) {
	var files [2]*os.File
	for i := range files {
		f, err := os.CreateTemp(d.Dir, "clone-")
		if err != nil {
			return false, err
		}
		defer f.Close()
		if err := os.Remove(f.Name()); err != nil {
			return false, err
		}
		files[i] = f
	}
	_, err := files[0].WriteString("x")
	if err != nil {
		return false, err
	}
	err = unix.IoctlFileClone(int(files[1].Fd()), int(files[0].Fd()))
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) {
		return false, nil
	}
	return err == nil, err
}
