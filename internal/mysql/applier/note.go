package applier

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"stillpoint/internal/mysql/wire"
	"stillpoint/internal/snapshot"
)

// NoteName is the file in the runtime directory that says which applier is stopped.
const NoteName = "applier.json"

// The phases of a note, of the same width, so that one can be written over the other.
const (
	phaseStopping = "stopping" // a stop may be in flight, or have come off
	phaseStopped  = "stopped " // all have stopped
)

// owedStart is what a note holds: which server's appliers are to be started
// again. There is no password in it; the defaults file has that.
type owedStart struct {
	DefaultsFile string   `json:"defaultsFile"`
	Socket       string   `json:"socket"`
	Host         string   `json:"host"`
	Port         uint16   `json:"port"`
	User         string   `json:"user"`
	Channels     []string `json:"channels"`
	Phase        string   `json:"phase"`
	PID          int      `json:"pid"`
	BootID       string   `json:"bootId"`
	// Connection is the id of a session of then, and Since the time of this boot in
	// nanoseconds (CLOCK_BOOTTIME): a server that has been up for less than has
	// passed since, or gives out smaller ids, was restarted.
	Connection uint64 `json:"connection"`
	Since      int64  `json:"since"`
}

// note is a file that is locked (flock) for as long as the process lives that has
// to start the applier. It is not synced: a stop does not outlive the boot either.
// nil is a note that nobody asked for.
type note struct {
	file *os.File
	path string
	owed owedStart
}

// newNote writes the note before anything is stopped; nil without a runtime directory.
func (a *Applier) newNote(ctx context.Context, channels []string) (*note, error) {
	if a.dir == "" {
		return nil, nil //nolint:nilnil // nobody asked for one
	}
	boot, since, err := now()
	if err != nil {
		return nil, err
	}
	n := &note{path: filepath.Join(a.dir, NoteName), owed: owedStart{
		DefaultsFile: a.at.DefaultsFile, Socket: a.at.Socket, Host: a.at.Host, Port: a.at.Port, User: a.at.User,
		Channels: channels, Phase: phaseStopping, PID: os.Getpid(), BootID: boot, Connection: a.B.ID, Since: since,
	}}
	within, cancel := context.WithTimeout(ctx, a.Within)
	defer cancel()
	_, err = Settle(within, a.dir) // one that is left is in the way, and owed first
	if err != nil && within.Err() != nil && ctx.Err() == nil {
		return nil, &snapshot.LockNotGrantedError{Waited: true, Blockers: err.Error()}
	}
	if err == nil {
		err = n.create(a.dir)
	}
	if err != nil {
		return nil, &snapshot.RefusedError{Sentence: "the replica's applier was not stopped, since it cannot be noted in " + n.path + " that it has to be started again", Err: err}
	}
	return n, nil
}

// create gives the note its name when it is complete and locked, so that nobody finds half of one.
func (n *note) create(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := mayHoldNotes(dir); err != nil {
		return err
	}
	spare := filepath.Join(dir, "."+NoteName+"."+strconv.Itoa(os.Getpid()))
	if err := os.Remove(spare); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(spare, os.O_CREATE|os.O_EXCL|os.O_RDWR|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(spare) }()
	n.file = f
	if err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err == nil {
		err = n.write()
	}
	if err == nil {
		err = os.Link(spare, n.path)
	}
	if err != nil {
		_ = f.Close()
	}
	return err
}

// write writes all of it; the length stays the same.
func (n *note) write() error {
	text, err := json.Marshal(n.owed)
	if err != nil {
		return err
	}
	_, err = n.file.WriteAt(append(text, '\n'), 0)
	return err
}

// stopped notes that no stop is in flight any more.
func (n *note) stopped() error {
	if n == nil {
		return nil
	}
	n.owed.Phase = phaseStopped
	if err := n.write(); err != nil {
		return fmt.Errorf("cannot write %s: %w", n.path, err)
	}
	return nil
}

// remove takes the note away: nothing is owed any more.
func (n *note) remove() error {
	if n == nil {
		return nil
	}
	err := os.Remove(n.path)
	_ = n.file.Close()
	if err != nil {
		return fmt.Errorf("cannot remove %s, which says that an applier has to be started: %w", n.path, err)
	}
	return nil
}

// LetGo leaves the note for others to settle.
func (n *note) letGo() {
	if n != nil {
		_ = n.file.Close()
	}
}

// ErrBusy says that a living process has the note of Settle.
var ErrBusy = errors.New("a living stillpoint has stopped it and starts it again")

// openNote opens and locks the note that is there; nil where there is none.
func openNote(dir string) (*note, error) {
	path := filepath.Join(dir, NoteName)
	for {
		f, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, nil //nolint:nilnil // there is none
		case err != nil:
			return nil, err
		}
		n := &note{file: f, path: path}
		if err := n.trust(dir); err != nil {
			_ = f.Close()
			return nil, err
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
			_ = f.Close()
			return nil, ErrBusy
		}
		if !n.named() {
			_ = f.Close()
			continue // removed since it was opened
		}
		text, err := io.ReadAll(io.LimitReader(f, 1<<20))
		if err == nil {
			err = json.Unmarshal(text, &n.owed)
		}
		if err == nil && (n.owed.BootID == "" || len(n.owed.Channels) == 0) {
			err = errors.New("it does not say what was stopped, and when")
		}
		if err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("cannot read %s: %w; look whether the replica's applier runs, start it, and remove the file", path, err)
		}
		return n, nil
	}
}

// trust refuses a note that someone else could have written.
func (n *note) trust(dir string) error {
	if err := mayHoldNotes(dir); err != nil {
		return err
	}
	info, err := n.file.Stat()
	if err == nil {
		err = wire.CheckTrust(info)
	}
	if err != nil {
		return fmt.Errorf("cannot use %s: %w", n.path, err)
	}
	return nil
}

// mayHoldNotes refuses a directory to which others may write: what a note says is done as root.
func mayHoldNotes(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok || stat.Uid != 0 && int64(stat.Uid) != int64(os.Geteuid()) || info.Mode().Perm()&0o022 != 0 {
		return fmt.Errorf("%s must belong to root, or to who runs stillpoint, and others must not be able to write to it", dir)
	}
	return nil
}

func (n *note) named() bool {
	own, err := n.file.Stat()
	if err != nil {
		return false
	}
	found, err := os.Lstat(n.path)
	return err == nil && os.SameFile(own, found)
}

// now is this boot's id and how long it has lasted, in nanoseconds.
func now() (boot string, since int64, err error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id") // random(4)
	if err != nil {
		return "", 0, fmt.Errorf("cannot tell this boot from others: %w", err)
	}
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		return "", 0, fmt.Errorf("cannot tell how long this boot has lasted: %w", err)
	}
	return strings.TrimSpace(string(b)), ts.Nano(), nil
}

// restartMargin is what a server's Uptime, in whole seconds of a clock that may be
// slewed, may be short of the time that has passed.
const restartMargin = 5 * time.Second

// outlived says that the server was restarted since the note was written: then
// nothing of ours is stopped in it any more.
func (n *note) outlived(ctx context.Context, c *wire.Conn) (bool, error) {
	boot, since, err := now()
	if err != nil {
		return false, err
	}
	if boot != n.owed.BootID || c.ID < n.owed.Connection {
		return true, nil
	}
	rows, err := c.Query(ctx, "SHOW GLOBAL STATUS LIKE 'Uptime'")
	if err != nil {
		return false, err
	}
	uptime, err := wire.OneUint(rows, "value")
	return time.Duration(uptime)*time.Second+restartMargin < time.Duration(since-n.owed.Since), err
}
