package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// BusyError says that another process has the run lock.
type BusyError struct {
	Path string
	PID  int // 0: not known
}

func (e *BusyError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("another stillpoint process has %s", e.Path)
	}
	return fmt.Sprintf("process %d has %s", e.PID, e.Path)
}

// RunLock is the right to run requests on this host. The kernel takes it back
// when the process ends, however it ends.
type RunLock struct{ file *os.File }

// LockRun takes the lock without waiting. The file is created where it is
// missing, and stays. The error is a *BusyError where another process has it.
func LockRun(path string) (*RunLock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open the run lock: %w", err)
	}
	for err = unix.EINTR; errors.Is(err, unix.EINTR); {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	}
	if errors.Is(err, unix.EWOULDBLOCK) {
		busy := &BusyError{Path: path}
		if text, err := io.ReadAll(io.LimitReader(f, 20)); err == nil {
			busy.PID, _ = strconv.Atoi(strings.TrimSpace(string(text)))
		}
		_ = f.Close()
		return nil, busy
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot lock %s: %w", path, err), f.Close())
	}
	return &RunLock{file: f}, nil
}

// Unlock gives the lock back. It may be called twice.
func (l *RunLock) Unlock() error {
	if l == nil || l.file == nil {
		return nil
	}
	err := l.file.Close()
	l.file = nil
	return err
}
