package freeze

import (
	"context"
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"stillpoint/internal/snapshot"
)

// Config says how to freeze. Its zero value is usable where the program runs
// GuardianMain without arguments.
type Config struct {
	// Executable is the program that becomes the guardian; "" means the
	// running one, /proc/self/exe, which stays the same program when its file
	// is replaced. Another program is refused unless it is the same build.
	Executable string
	// Args are the arguments with which Executable runs GuardianMain.
	Args []string
	// Expedite raises rcu_expedited while the kernel freezes: some 30 ms
	// become 1. Where that is not possible it is left out, and Report says so.
	Expedite bool
	// RCUPath is that setting's file; "" means DefaultRCUPath.
	RCUPath string
	// LockFile is a file whose flock keeps two runs on this host from mixing
	// up what to put back into RCUPath; "" means RCUPath itself. It is made
	// where it is missing.
	LockFile string
	// Forbidden are paths whose file systems must not be frozen, such as the
	// state directory; one that does not exist yet counts as its nearest
	// parent. Those of `/`, of the program and of standard input, output and
	// error where they are files are always among them.
	Forbidden []string
	// RuntimeDir is where the record of what is frozen is kept, and what a
	// worker and a guardian that both died have left behind is found; it is
	// made where it is missing, and never frozen. "" means that there is no such
	// record: then what is frozen when both die stays frozen.
	RuntimeDir string
	// PostThaw is the command that the record names where Guard.Owe says that
	// it is owed; PostThawTimeout bounds it.
	PostThaw        []string
	PostThawTimeout time.Duration
	// Plan is the plan's name, for the record.
	Plan string
	// RunHook runs such a command for a leftover record; nil: it stays owed, and Arm fails.
	RunHook func(ctx context.Context, o Owed) error
	// Program is the version for the record.
	Program string
	// AnswerWithin bounds how long a guardian may be silent before the worker
	// takes over and thaws; zero means 500 ms.
	AnswerWithin time.Duration
	// CloseWithin bounds Guard.Close; zero means 5 s.
	CloseWithin time.Duration
}

// Freezer freezes file systems of this host. It is safe for concurrent use.
type Freezer struct {
	config Config
	// rehearsal: see Rehearse.
	rehearsal bool
}

var (
	_ snapshot.Freezer = (*Freezer)(nil)
	_ snapshot.Guard   = (*Guard)(nil)
)

// New returns a Freezer. It touches nothing.
func New(c Config) *Freezer {
	if c.Executable == "" {
		c.Executable = selfPath
	}
	if c.RCUPath == "" {
		c.RCUPath = DefaultRCUPath
	}
	if c.AnswerWithin <= 0 {
		c.AnswerWithin = 500 * time.Millisecond
	}
	if c.CloseWithin <= 0 {
		c.CloseWithin = 5 * time.Second
	}
	return &Freezer{config: c}
}

// Arm opens the mount points, refuses what must not or cannot be frozen with a
// *snapshot.RefusedError, and starts the guardian. Nothing is frozen
// afterwards, and after an error nothing is left behind. The Guard is a *Guard.
func (f *Freezer) Arm(ctx context.Context, mounts []string) (snapshot.Guard, error) {
	if err := checkCapability(); err != nil {
		return nil, err
	}
	left, err := f.settleLeftover(ctx)
	if err != nil {
		return nil, err
	}
	targets, err := f.resolve(mounts)
	if err != nil {
		return nil, err
	}
	g := &Guard{
		targets:      targets,
		notes:        left,
		answerWithin: f.config.AnswerWithin,
		closeWithin:  f.config.CloseWithin,
		rcu:          expediter{fd: -1},
		alive:        make(chan struct{}, 1),
		frozen:       make(chan struct{}),
		gone:         make(chan struct{}),
		over:         make(chan struct{}),
		closing:      make(chan struct{}),
		ended:        make(chan struct{}),
		drained:      make(chan struct{}),
	}
	if g.record, err = f.newRecord(targets); err != nil {
		g.closeFiles()
		return nil, err
	}
	g.openRCU(f.config)
	if err := g.start(ctx, f.config); err != nil {
		g.record.remove()
		g.closeFiles()
		return nil, err
	}
	return g, nil
}

// openRCU opens what expediting needs. Without it the freeze is slower, not less safe.
func (g *Guard) openRCU(c Config) {
	if !c.Expedite {
		return
	}
	rcu, err := os.OpenFile(c.RCUPath, os.O_RDWR, 0)
	if err != nil {
		g.notes = append(g.notes, "cannot expedite the freeze: "+err.Error())
		return
	}
	lock := rcu
	if c.LockFile != "" {
		lock, err = os.OpenFile(c.LockFile, os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			g.notes = append(g.notes, "cannot expedite the freeze: "+err.Error())
			_ = rcu.Close()
			return
		}
		g.lockFile = lock
	}
	g.rcuFile = rcu
	g.rcu = expediter{fd: int(rcu.Fd()), lock: int(lock.Fd())}
}

// closeFiles closes every descriptor of the worker's side.
func (g *Guard) closeFiles() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut, g.done = true, true
	if g.record != nil {
		g.record.close()
	}
	for _, t := range g.targets {
		_ = t.file.Close()
	}
	for _, f := range []*os.File{g.rcuFile, g.lockFile, g.sock} {
		if f != nil {
			_ = f.Close()
		}
	}
	if g.timer > 0 {
		_ = unix.Close(g.timer)
	}
}

// errEnded says that the guardian is gone.
var errEnded = errors.New("the guardian has ended")
