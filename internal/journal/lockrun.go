package journal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"golang.org/x/sys/unix"
)

// Holder is who has a lock, and what for.
type Holder struct {
	PID int `json:"-"` // 0: not known
	// Since is when the lock was taken; zero: not known.
	Since time.Time `json:"since,omitzero"`
	// RequestID and Plan are what is being done under it; "" where nothing is yet.
	RequestID string `json:"requestId,omitzero"`
	Plan      string `json:"plan,omitzero"`
}

// BusyError says that another process has the lock.
type BusyError struct {
	Path   string
	Holder Holder
}

func (e *BusyError) Error() string {
	h := e.Holder
	who := "another stillpoint process"
	if h.PID != 0 {
		who = fmt.Sprintf("process %d", h.PID)
	}
	s := fmt.Sprintf("%s has %s", who, e.Path)
	if !h.Since.IsZero() {
		s += " since " + h.Since.UTC().Format(time.RFC3339)
	}
	if h.RequestID != "" {
		s += fmt.Sprintf(", for request %s of plan %s", h.RequestID, h.Plan)
	}
	return s
}

// maxHolder bounds what is read of a lock's file: a request id has at most 256 characters.
const maxHolder = 4 << 10

// RunLock is the right to run requests on this host, or to be its worker. The
// kernel takes it back when the process ends, however it ends.
type RunLock struct {
	file   *os.File
	holder Holder
}

// LockRun takes the lock without waiting. The file is created where it is
// missing, and stays. The error is a *BusyError where another process has it.
func LockRun(path string) (*RunLock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("cannot open the run lock: %w", err)
	}
	if err = flock(f, unix.LOCK_EX|unix.LOCK_NB); errors.Is(err, unix.EWOULDBLOCK) {
		busy := &BusyError{Path: path}
		if text, err := io.ReadAll(io.LimitReader(f, maxHolder)); err == nil {
			busy.Holder = parseHolder(string(text))
		}
		_ = f.Close()
		return nil, busy
	}
	l := &RunLock{file: f, holder: Holder{PID: os.Getpid(), Since: time.Now().UTC()}}
	if err == nil {
		err = l.write()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cannot lock %s: %w", path, err), f.Close())
	}
	return l, nil
}

func flock(f *os.File, how int) (err error) {
	for err = unix.EINTR; errors.Is(err, unix.EINTR); {
		err = unix.Flock(int(f.Fd()), how)
	}
	return err
}

// For notes in the lock's file what the lock is held for, so that whoever finds
// it taken can say so. It is not synced: a lock does not outlive the kernel.
func (l *RunLock) For(requestID, plan string) error {
	l.holder.RequestID, l.holder.Plan = requestID, plan
	return l.write()
}

// write puts the process id on the first line and the rest on the second.
func (l *RunLock) write() error {
	about, err := json.Marshal(l.holder)
	if err != nil {
		return err
	}
	text := append([]byte(strconv.Itoa(l.holder.PID)+"\n"), about...)
	if _, err := l.file.WriteAt(text, 0); err != nil {
		return err
	}
	return l.file.Truncate(int64(len(text)))
}

// parseHolder makes what it can of the file of another process, which may be
// writing it, or have another version.
func parseHolder(text string) Holder {
	pid, about, _ := strings.Cut(text, "\n")
	var h Holder
	if json.Unmarshal([]byte(about), &h) != nil {
		h = Holder{}
	}
	h.PID, _ = strconv.Atoi(strings.TrimSpace(pid))
	return h
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
