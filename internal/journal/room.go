package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// A full disk must be found before anything is locked, and must not keep a
// result from being written afterwards: so the journal holds some room of the
// file system for itself, checks it in Intend, and gives it up as soon as a
// write finds none.

const (
	reserveFile = "reserve"
	// reserveBytes is enough for one request's verdict, result, outbox entry
	// and the tags owed to some 40 snapshots, each in blocks of 4 KiB and for a
	// moment beside the file that it replaces.
	reserveBytes = 512 << 10
)

// RoomError says that the file system has no room for what a run must write down.
type RoomError struct {
	Dir string
	Err error
}

func (e *RoomError) Error() string {
	return fmt.Sprintf("cannot keep %d KiB free for results in %s: %v: make room there", reserveBytes>>10, e.Dir, e.Err)
}

func (e *RoomError) Unwrap() error { return e.Err }

// keepRoom makes sure that the room is there. The error is a *RoomError.
func (j *Journal) keepRoom() error {
	path := filepath.Join(j.dir, reserveFile)
	if reserved(path) {
		return nil
	}
	err := reserve(path)
	if err == nil {
		return nil
	}
	// Half of it is of no use to us, and may be to others.
	return &RoomError{j.dir, errors.Join(err, ignoreMissing(os.Remove(path)))}
}

func reserve(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	for err = unix.EINTR; errors.Is(err, unix.EINTR); {
		err = unix.Fallocate(int(f.Fd()), 0, 0, reserveBytes)
	}
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) { // not every file system can
		_, err = f.WriteAt(make([]byte, reserveBytes), 0)
	}
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// giveRoom gives the room up. It returns false where there was none.
func (j *Journal) giveRoom() bool {
	path := filepath.Join(j.dir, reserveFile)
	// The blocks at once, and then the inode: an unlinked file's blocks may be
	// freed in the background.
	if err := os.Truncate(path, 0); err != nil {
		return false
	}
	return os.Remove(path) == nil && syncDir(j.dir) == nil
}

// write is for what must be written down whatever the disk: it uses the room
// that was kept where there is no other.
func (j *Journal) write(path string, v any) error {
	err := write(path, v)
	if full(err) && j.giveRoom() {
		err = write(path, v)
	}
	return err
}

func full(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// Check implements worker.Journal: it makes up for what a full disk left out,
// and says whether there is room again.
func (j *Journal) Check() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	err := j.catchUp()
	if err == nil {
		// With the room kept nothing would be written that could fail.
		if err := unix.Access(j.dir, unix.W_OK); errors.Is(err, unix.EROFS) {
			return fmt.Errorf("cannot write to %s: %w: remount it, and look at the kernel's log for why it was made so", j.dir, err)
		}
		err = j.keepRoom()
	}
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w (is it still mounted?)", err)
	}
	return err
}
