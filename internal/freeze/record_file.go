package freeze

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// maxRecord bounds what is read of a record, in bytes.
const maxRecord = 4 << 20

// bootIDPath names this boot of the kernel (random(4)) [S].
const bootIDPath = "/proc/sys/kernel/random/boot_id"

func bootID() (string, error) {
	b, err := os.ReadFile(bootIDPath)
	if err != nil {
		return "", fmt.Errorf("cannot tell this boot from others: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// newRecord writes the record for a and locks it. It gets its name when it is
// complete, so that nobody ever finds half of one. With dir "" it has no name
// and dies with its holders. fs.ErrExist means that there is one already.
func newRecord(dir string, a *account) (*record, error) {
	text, err := a.text()
	if err != nil {
		return nil, err
	}
	back, err := parse(text)
	if err != nil || len(back.entries) != len(a.entries) {
		return nil, fmt.Errorf("cannot write the freeze record: it does not read back: %w", errors.Join(err, errDamaged))
	}
	r := &record{fd: -1, dir: -1, spots: back.spots}
	done := false
	defer func() {
		if !done && r.fd >= 0 {
			r.close()
		}
	}()
	var spare string // a name of its own, where the file system cannot do without
	if dir == "" {
		r.fd, err = unix.MemfdCreate("stillpoint-freeze", unix.MFD_CLOEXEC)
	} else {
		if r.dir, err = openRuntimeDir(dir); err == nil {
			r.fd, spare, err = unnamedFile(r.dir)
			if err != nil {
				_ = unix.Close(r.dir)
			}
		}
	}
	if err != nil {
		return nil, fmt.Errorf("cannot make the freeze record %s: %w", filepath.Join(dir, RecordName), err)
	}
	if spare != "" {
		defer func() { _ = unix.Unlinkat(r.dir, spare, 0) }()
	}
	if !r.lock() {
		return nil, fmt.Errorf("cannot lock the freeze record %s", filepath.Join(dir, RecordName))
	}
	if errno := r.put(0, text); errno != 0 {
		return nil, fmt.Errorf("cannot write the freeze record %s: %w", filepath.Join(dir, RecordName), errno)
	}
	if dir != "" {
		err := unix.Linkat(unix.AT_FDCWD, "/proc/self/fd/"+strconv.Itoa(r.fd), r.dir, RecordName, unix.AT_SYMLINK_FOLLOW)
		if err != nil {
			return nil, fmt.Errorf("cannot make the freeze record %s: %w", filepath.Join(dir, RecordName), err)
		}
	}
	done = true
	return r, nil
}

// unnamedFile makes a file without a name (O_TMPFILE, open(2)), or where the
// file system cannot, one whose spare name is to be taken away.
func unnamedFile(dir int) (fd int, spare string, err error) {
	fd, err = unix.Openat(dir, ".", unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err == nil || !errors.Is(err, unix.EOPNOTSUPP) && !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EINVAL) {
		return fd, "", err
	}
	spare = "." + RecordName + "." + strconv.Itoa(os.Getpid())
	fd, err = unix.Openat(dir, spare, unix.O_CREAT|unix.O_RDWR|unix.O_TRUNC|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	return fd, spare, err
}

// openRuntimeDir makes the directory where it is missing. One that others may
// write to is refused: a record names a command to run.
func openRuntimeDir(dir string) (int, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return -1, err
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err := checkOwner(fd, dir); err != nil {
		_ = unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// checkOwner refuses what someone else owns or may write to.
func checkOwner(fd int, name string) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return err
	}
	if st.Uid != 0 && st.Uid != uint32(os.Geteuid()) {
		return fmt.Errorf("%s belongs to user %d: it must belong to root, or to who runs stillpoint", name, st.Uid)
	}
	if st.Mode&0o022 != 0 {
		return fmt.Errorf("%s can be written to by others (mode %04o): chmod go-w %s", name, st.Mode&0o7777, name)
	}
	return nil
}

// openRecord opens the record of a runtime directory; nil where there is none.
// It is not locked.
func openRecord(dir string) (*record, error) {
	path := filepath.Join(dir, RecordName)
	fail := func(err error) error {
		if errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0 {
			return fmt.Errorf("cannot open the freeze record %s: %w: run it as root", path, err)
		}
		return fmt.Errorf("cannot open the freeze record %s: %w", path, err)
	}
	r := &record{fd: -1, dir: -1}
	var err error
	if r.dir, err = unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil //nolint:nilnil // there is none
		}
		return nil, fail(err)
	}
	r.fd, err = unix.Openat(r.dir, RecordName, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		_ = unix.Close(r.dir)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil //nolint:nilnil // there is none
		}
		return nil, fail(err)
	}
	for fd, name := range map[int]string{r.dir: dir, r.fd: path} {
		if err := checkOwner(fd, name); err != nil {
			r.close()
			return nil, fail(err)
		}
	}
	return r, nil
}

// read reads the record through its descriptor. The error is errDamaged, or
// says that nothing could be read.
func (r *record) read() (*account, error) {
	text, err := io.ReadAll(io.NewSectionReader(preader(r.fd), 0, maxRecord))
	if err != nil {
		return nil, fmt.Errorf("cannot read the freeze record: %w", err)
	}
	a, err := parse(text)
	r.spots = a.spots
	return a, err
}

// preader reads a descriptor at an offset.
type preader int

func (fd preader) ReadAt(b []byte, at int64) (int, error) {
	n, err := unix.Pread(int(fd), b, at)
	if err != nil {
		return 0, err
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}
