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
	// one; another one's is refused with a *ForeignError. "": no such check.
	InstanceID string
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
	lastTime int64   // the newest time in the name of an outbox entry
	behind   bool    // an outbox entry may not have been carried over yet
	current  *record // the attempt whose descriptor is open
	pruned   time.Time
}

var _ worker.Journal = (*Journal)(nil)

// DirError says why a directory will not do, and how to mend it.
type DirError struct {
	Dir, Problem, Fix string
}

func (e *DirError) Error() string {
	return fmt.Sprintf("cannot use %s: %s: %s", e.Dir, e.Problem, e.Fix)
}

// ForeignError says that the directory belongs to another instance: this one
// is a clone, or the directory was copied.
type ForeignError struct {
	Dir, Owner, Instance string
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("cannot use %s: it belongs to instance %s and this is %s: move it away, and start with an empty one", e.Dir, e.Owner, e.Instance)
}

// Open opens the journal in dir, creating it where it is missing, and makes up
// for what a crash left half done. The error is a *DirError where others could
// read or change it, a *ForeignError where it is another instance's.
func Open(dir string, o Options) (*Journal, error) {
	if o.Keep == 0 {
		o.Keep = 30 * 24 * time.Hour
	}
	if o.MaxOutboxBytes == 0 {
		o.MaxOutboxBytes = 64 << 20
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
	if err := prepare(dir); err != nil {
		return nil, err
	}
	if err := j.bind(); err != nil {
		return nil, err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.behind = true
	err := j.catchUp()
	j.prune()
	if err != nil { // on a full disk, what can be read can be published all the same
		o.Log.Error().Err(err).Msg("cannot repair the journal yet: trying again whenever it is used")
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

// prepare makes or checks the directory and its folders.
func prepare(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cannot create %s: %w", dir, err)
	}
	if err := check(dir); err != nil {
		return err
	}
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

type binding struct {
	InstanceID string `json:"instanceId"`
}

// bind ties the directory to the instance.
func (j *Journal) bind() error {
	if j.options.InstanceID == "" {
		return nil
	}
	path := filepath.Join(j.dir, "instance"+suffix)
	var b binding
	err := read(path, &b)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return write(path, binding{j.options.InstanceID})
	case err != nil:
		return fmt.Errorf("cannot tell which instance %s belongs to: %w", j.dir, err)
	case b.InstanceID != j.options.InstanceID:
		return &ForeignError{j.dir, b.InstanceID, j.options.InstanceID}
	}
	return nil
}

func (j *Journal) path(folder, name string) string {
	return filepath.Join(j.dir, folder, name)
}
