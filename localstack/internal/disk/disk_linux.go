// Package disk keeps the files under volumes and snapshots, and puts loop devices on them.
package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"golang.org/x/sys/unix"
)

// Store keeps the backing files of volumes and snapshots in one folder: <id>.img. Without a folder it keeps nothing. Beside them lie
// the lock of the folder, the state of the one who uses it, and while files are being made or deleted a note of which.
type Store struct {
	Dir string

	mu      sync.Mutex
	intents []string // what Intend has noted since the last Settled
}

// errLive says that a device was written to while its file was being copied.
var errLive = errors.New("the device was written to while its file was copied; on a file system that can clone files (XFS with reflink, btrfs) this is no problem, elsewhere freeze it first")

// Real tells whether there is a folder, and so data.
func (d *Store) Real() bool { return d.Dir != "" }

// Path is the backing file of a volume or snapshot.
func (d *Store) Path(id string) string { return filepath.Join(d.Dir, id+suffix) }

// Create makes a sparse file of size bytes.
func (d *Store) Create(id string, size int64) error {
	if err := d.Intend(id); err != nil {
		return err
	}
	f, err := os.OpenFile(d.Path(id), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return fmt.Errorf("cannot create the file of %s: %w", id, err)
	}
	if err := errors.Join(f.Truncate(size), f.Close()); err != nil {
		return fmt.Errorf("cannot size the file of %s: %w", id, errors.Join(err, os.Remove(d.Path(id))))
	}
	return nil
}

// Size is in bytes.
func (d *Store) Size(id string) (int64, error) {
	info, err := os.Stat(d.Path(id))
	if err != nil {
		return 0, fmt.Errorf("cannot see the size of %s: %w", id, err)
	}
	return info.Size(), nil
}

// Grow makes the file of id at least size bytes long.
func (d *Store) Grow(id string, size int64) error {
	old, err := d.Size(id)
	if err != nil {
		return err
	}
	if size <= old {
		return nil
	}
	if err := os.Truncate(d.Path(id), size); err != nil {
		return fmt.Errorf("cannot make the file of %s larger: %w", id, err)
	}
	return nil
}

// Remove deletes the file of id.
func (d *Store) Remove(id string) error {
	if err := d.Intend(id); err != nil {
		return err
	}
	if err := os.Remove(d.Path(id)); err != nil && !errors.Is(err, os.ErrNotExist) { // its user may have
		return fmt.Errorf("cannot delete the file of %s: %w", id, err)
	}
	return nil
}

// Clone makes the file of to from that of from, as that is at one moment, and makes it at least size bytes long. It says how:
// "ficlone" or "copy". dev is the loop device of from, nil for none.
//
// Nothing is flushed first. What a frozen file system has written is on the device, and so in the file; what is still in a page
// cache above the device is not on the disk, and does not belong into a snapshot. FICLONE keeps writers out of the file while
// it works. A copy does not: the device's counters must prove that nobody wrote, else it is errLive.
func (d *Store) Clone(from, to string, size int64, dev *Loop) (how string, err error) {
	if err := d.Intend(to); err != nil {
		return "", err
	}
	src, err := os.Open(d.Path(from))
	if err != nil {
		return "", fmt.Errorf("cannot clone %s: %w", from, err)
	}
	defer src.Close()
	dst, err := os.OpenFile(d.Path(to), os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err != nil {
		return "", fmt.Errorf("cannot clone %s to %s: %w", from, to, err)
	}
	defer func() {
		err = errors.Join(err, dst.Close())
		if err != nil {
			err = fmt.Errorf("cannot clone %s to %s: %w", from, to, errors.Join(err, os.Remove(d.Path(to))))
		}
	}()

	how = "ficlone"
	err = unix.IoctlFileClone(int(dst.Fd()), int(src.Fd()))
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EXDEV) || errors.Is(err, unix.ENOTTY) || errors.Is(err, unix.EINVAL) {
		how = "copy"
		err = copyStill(dst, src, dev)
	}
	if err != nil {
		return how, err
	}
	info, err := dst.Stat()
	if err != nil {
		return how, err
	}
	if size > info.Size() {
		err = dst.Truncate(size)
	}
	return how, err
}

// copyStill copies src, and again if its device was written to meanwhile, three times in all.
func copyStill(dst, src *os.File, dev *Loop) error {
	if dev == nil {
		return copySparse(dst, src)
	}
	for range 3 {
		before, busy, err := dev.Writes()
		if err != nil {
			return err
		}
		if err := copySparse(dst, src); err != nil {
			return err
		}
		after, busyNow, err := dev.Writes()
		if err != nil {
			return err
		}
		if before == after && !busy && !busyNow {
			return nil
		}
		if err := dst.Truncate(0); err != nil {
			return err
		}
	}
	return errLive
}

// copySparse copies the data of src and leaves its holes as holes.
func copySparse(dst, src *os.File) error {
	info, err := src.Stat()
	if err != nil {
		return err
	}
	if err := dst.Truncate(info.Size()); err != nil {
		return err
	}
	for at := int64(0); at < info.Size(); {
		data, err := unix.Seek(int(src.Fd()), at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			return nil // holes up to the end
		}
		if err != nil {
			return err
		}
		hole, err := unix.Seek(int(src.Fd()), data, unix.SEEK_HOLE)
		if err != nil {
			return err
		}
		if err := copyRange(dst, src, data, hole); err != nil {
			return err
		}
		at = hole
	}
	return nil
}

func copyRange(dst, src *os.File, from, to int64) error {
	in, out := from, from
	for in < to {
		n, err := unix.CopyFileRange(int(src.Fd()), &in, int(dst.Fd()), &out, int(min(to-in, 1<<30)), 0)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 { // across file systems on some kernels
			_, err := io.Copy(io.NewOffsetWriter(dst, in), io.NewSectionReader(src, in, to-in))
			return err
		}
	}
	return nil
}
