package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"stillpoint/worker"
)

// Options of a Journal. The zero value is usable.
type Options struct {
	// Keep is for how long a request id is remembered. It must be longer than
	// SQS can keep a message (14 days). Zero: 30 days.
	Keep time.Duration
	// MaxOutboxBytes bounds what waits to be published. Where it is passed,
	// the oldest successes go first and failures last. Zero: 64 MiB.
	MaxOutboxBytes int64
	// InstanceID binds the directory to one instance, at the first Open with
	// one; what is another's is set aside, and the error is an *UnclaimedError
	// until Claim was called. "": no such check.
	InstanceID string
	// Region is noted beside InstanceID.
	Region string
	// KeepResults is for how long a result waits that SNS does not take; it is
	// dropped then, with an error in the log, but not within a day of Open, so
	// that what a host that was off has kept is tried first. Zero: 14 days.
	KeepResults time.Duration
	// KeepForeign leaves another instance's state in its place, and Open fails
	// with an *UnclaimedError all the same: for a run by hand, whose instance id
	// may be mistyped.
	KeepForeign bool
	// BootID tells one run of the kernel from another; "": the kernel's own.
	BootID string
	// Now is the clock; nil: time.Now.
	Now func() time.Time
	// Log is told of what was repaired, set aside or dropped.
	Log zerolog.Logger
}

// Journal implements worker.Journal. It is safe for use by several goroutines;
// several processes may have it open (each file is replaced as a whole), if
// only one at a time runs requests (LockRun).
type Journal struct {
	dir     string
	options Options
	boot    string

	mu       sync.Mutex
	lastTime int64           // the newest time in the name of an outbox entry
	behind   bool            // an outbox entry of ours may not have been carried over yet
	carried  map[string]bool // the outbox entries that were
	current  *record         // the attempt whose descriptor is open
	pruned   time.Time
	searched bool // Unfinished has read every request once
}

var _ worker.Journal = (*Journal)(nil)

// DirError says why a directory will not do, and how to mend it.
type DirError struct {
	Dir, Problem, Fix string
}

func (e *DirError) Error() string {
	return fmt.Sprintf("cannot use %s: %s: %s", e.Dir, e.Problem, e.Fix)
}

// Open opens the journal in dir, creating it where it is missing, and makes up
// for what a crash left half done. The error is a *DirError where others could
// read or change it, an *UnclaimedError where it was another instance's.
func Open(dir string, o Options) (*Journal, error) {
	j, err := openDir(dir, o)
	if err != nil {
		return nil, err
	}
	if err := j.bind(); err != nil {
		return nil, err
	}
	if err := prepareFolders(dir); err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.behind = true
	err = j.catchUp()
	j.prune(false)
	if err != nil { // on a full disk, what can be read can be published all the same
		j.options.Log.Error().Err(err).Msg("cannot repair the journal yet: trying again whenever it is used")
	}
	return j, nil
}

// openDir makes or checks the directory itself.
func openDir(dir string, o Options) (*Journal, error) {
	if o.Keep == 0 {
		o.Keep = 30 * 24 * time.Hour
	}
	if o.MaxOutboxBytes == 0 {
		o.MaxOutboxBytes = 64 << 20
	}
	if o.KeepResults == 0 {
		o.KeepResults = 14 * 24 * time.Hour
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	j := &Journal{dir: dir, options: o, boot: o.BootID}
	if j.boot == "" {
		id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
		if err != nil {
			return nil, fmt.Errorf("cannot read the boot id: %w", err)
		}
		j.boot = strings.TrimSpace(string(id))
	}
	if err := os.MkdirAll(dir, 0o700); errors.Is(err, syscall.ENOTDIR) {
		return nil, &DirError{dir, "it, or what it would lie in, is not a directory", "name another under state_dir, or move that away"}
	} else if err != nil {
		return nil, fmt.Errorf("cannot create %s: %w", dir, err)
	}
	if err := check(dir); err != nil {
		return nil, err
	}
	return j, nil
}

// Close closes the descriptor of an attempt that was never settled.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.release()
}

func (j *Journal) release() error {
	if j.current == nil {
		return nil
	}
	err := j.current.close()
	j.current = nil
	return err
}

// prepareFolders makes or checks the folders.
func prepareFolders(dir string) error {
	for _, name := range []string{requestsDir, sentDir, outboxDir, tagsDir, plansDir} {
		sub := filepath.Join(dir, name)
		if err := os.Mkdir(sub, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("cannot create %s: %w", sub, err)
		}
		if err := check(sub); err != nil {
			return err
		}
	}
	return syncDir(dir)
}

func check(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("cannot look at %s: %w", dir, err)
	}
	if !info.IsDir() {
		return &DirError{dir, "it is not a directory", "name one, or move it away so that it is created"}
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return &DirError{dir, fmt.Sprintf("it belongs to user %d and stillpoint runs as user %d", st.Uid, os.Geteuid()),
			fmt.Sprintf("chown -R %d %s", os.Geteuid(), dir)}
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return &DirError{dir, fmt.Sprintf("its mode is %04o, which lets others in", mode), "chmod 0700 " + dir}
	}
	return nil
}

func (j *Journal) path(folder, name string) string {
	return filepath.Join(j.dir, folder, name)
}
