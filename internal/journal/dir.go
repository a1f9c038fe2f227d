package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// State is a state directory as one sees it who only looks.
type State struct {
	// Exists is false where the directory is still to be made; then what follows
	// is of its nearest parent.
	Exists bool
	// Problem is why Open would refuse it, a *DirError; nil where it would not.
	Problem error
	// Owner is the user whom it belongs to.
	Owner int
	// ReadOnly says that nothing can be written there.
	ReadOnly error
	// Free are the bytes that are left, Inodes the files; Inodes is -1 where the
	// file system does not count them.
	Free, Inodes int64
	// Reserved says that the room which follows a window is kept already.
	Reserved bool
	// Bound is the instance that it is bound to; "" where to none yet.
	Bound string
	// SetAside is where another instance's state lies that nobody has claimed yet,
	// and SetAsideOwner whose it was; "" where there is none.
	SetAside, SetAsideOwner string
	// Unreadable says that a file which tells this cannot be understood.
	Unreadable error
}

// Reserve is how many bytes are kept for what follows a window.
const Reserve int64 = reserveBytes

// LookAtDir looks at a state directory. It makes, repairs and sets aside nothing. The
// error says that it cannot be looked at.
func LookAtDir(dir string) (State, error) {
	s := State{Inodes: -1}
	at := dir
	info, err := os.Lstat(dir)
	for errors.Is(err, fs.ErrNotExist) && at != "/" {
		at = filepath.Dir(at)
		info, err = os.Stat(at)
	}
	if err != nil {
		return s, fmt.Errorf("cannot look at %s: %w", dir, err)
	}
	s.Exists = at == dir
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		s.Owner = int(st.Uid)
	}
	if s.Exists {
		s.Problem = check(dir)
	} else if !info.IsDir() {
		s.Problem = &DirError{dir, at + " is not a directory", "name another, or move it away"}
	}
	if err := unix.Access(at, unix.W_OK); err != nil {
		s.ReadOnly = err
	}
	var room unix.Statfs_t
	if err := unix.Statfs(at, &room); err != nil {
		return s, fmt.Errorf("cannot look at %s: %w", at, err)
	}
	s.Free = int64(room.Bavail) * room.Bsize
	if room.Files > 0 {
		s.Inodes = int64(room.Ffree)
	}
	if s.Exists && s.Problem == nil {
		s.lookInside(dir)
	}
	return s, nil
}

// lookInside reads what is in a directory that would be used.
func (s *State) lookInside(dir string) {
	s.Reserved = reserved(filepath.Join(dir, reserveFile))
	var b binding
	var u unclaimed
	s.Unreadable = errors.Join(ignoreMissing(peek(filepath.Join(dir, instanceFile), &b)), ignoreMissing(peek(filepath.Join(dir, unclaimedFile), &u)))
	s.Bound, s.SetAside, s.SetAsideOwner = b.InstanceID, u.SetAside, u.Owner
}

// reserved says that the room is kept already.
func reserved(path string) bool {
	info, err := os.Lstat(path)
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && st.Blocks*512 >= reserveBytes
}
