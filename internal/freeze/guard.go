package freeze

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// Guard is the worker's side of one freeze. Its methods may be called by
// several goroutines. It freezes once: after a failed Freeze, arm anew.
type Guard struct {
	targets                   []*target
	answerWithin, closeWithin time.Duration

	command           *exec.Cmd
	sock              *os.File
	timer             int // the backstop's timerfd
	rcuFile, lockFile *os.File
	rcu               expediter
	record            *record

	alive   chan struct{} // one is in it when the guardian has given a sign of life
	frozen  chan struct{} // closed when all are frozen
	gone    chan struct{} // closed when the guardian's end of the socket has closed
	over    chan struct{} // closed when nothing is frozen by us (any more)
	closing chan struct{} // closed by Close
	ended   chan struct{} // closed when the guardian is reaped and all is closed
	drained chan struct{} // closed when its standard error has ended

	heard    atomic.Int64 // when the guardian said something last, CLOCK_BOOTTIME
	decided  atomic.Bool  // who reports the thaw: the guardian by kindOver, or the worker by rescue
	settling sync.WaitGroup

	mu        sync.Mutex
	notes     []string
	stderr    string
	commanded bool  // kindFreeze was sent
	abandoned bool  // Freeze returned an error
	closed    bool  // Close was called
	shut      bool  // nothing can be sent any more
	done      bool  // the descriptors are closed
	overdue   int64 // the backstop wants to have heard something since then, CLOCK_BOOTTIME
	final     frame // the guardian's kindOver
	thawedAt  time.Time
	lost      *lost // set when the worker takes over; nil where it did not
	at        time.Time
	took      time.Duration
	expedited bool
	rcuFault  unix.Errno
}

// lost is what became of the guardian.
type lost struct {
	why string
	// foreign names the file systems that the worker found thawed.
	foreign []string
}

// Report is what is worth logging about a Guard, after the thaw.
type Report struct {
	// Guardian is the guardian's process id.
	Guardian int
	// FrozenAt is when all were frozen; zero where they were not.
	FrozenAt time.Time
	// FreezeTook is the time from the command until then, as the guardian measured it.
	FreezeTook time.Duration
	// Expedited says that rcu_expedited was raised for this freeze.
	Expedited bool
	// Notes are what did not work and is not fatal, one sentence each.
	Notes []string
}

// Report returns what is known by now. It may be called at any time.
func (g *Guard) Report() Report {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := Report{Guardian: g.command.Process.Pid, FrozenAt: g.at, FreezeTook: g.took, Expedited: g.expedited, Notes: slices.Clone(g.notes)}
	if g.rcuFault != 0 {
		r.Notes = append(r.Notes, "cannot put rcu_expedited back: "+g.rcuFault.Error())
	}
	return r
}

// Settle runs syncfs on all file systems at once. Where ctx ends first it
// returns an error; the flushes go on, and Close waits for them.
func (g *Guard) Settle(ctx context.Context) error {
	results := make(chan error, len(g.targets))
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return fmt.Errorf("cannot flush %s: this guard is closed", g.names())
	}
	for _, t := range g.targets {
		g.settling.Go(func() {
			err := unix.Syncfs(t.fd())
			if err != nil {
				err = fmt.Errorf("cannot flush %s: %w", t.name, err)
			}
			results <- err
		})
	}
	g.mu.Unlock()
	var failures []error
	for range g.targets {
		select {
		case err := <-results:
			failures = append(failures, err)
		case <-ctx.Done():
			return errors.Join(append(failures, fmt.Errorf("cannot flush %s in time: %w", g.names(), context.Cause(ctx)))...)
		}
	}
	return errors.Join(failures...)
}

// Ready asks the guardian for a sign of life. The error says that it has none
// to give: it was killed, is stopped, or hangs.
func (g *Guard) Ready(ctx context.Context) error {
	select {
	case <-g.alive: // of an earlier time
	default:
	}
	g.send(kindPing) // where that fails there will be no answer
	late := time.NewTimer(g.answerWithin)
	defer late.Stop()
	select {
	case <-g.alive:
		return nil
	case <-g.over:
		return fmt.Errorf("the guardian (process %d) has died", g.command.Process.Pid)
	case <-late.C:
		return fmt.Errorf("the guardian (process %d) does not answer", g.command.Process.Pid)
	case <-ctx.Done():
		return fmt.Errorf("cannot wait for the guardian: %w", context.Cause(ctx))
	}
}

// Owe notes in the record whether post_thaw is owed. Where both are killed
// while it is, whoever settles the record runs it. A failure to note it is in the Report.
func (g *Guard) Owe(owed bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.done {
		return
	}
	if errno := g.record.setOwed(owed); errno != 0 {
		g.notes = append(g.notes, "cannot note in the freeze record whether post_thaw is owed: "+errno.Error())
	}
}

// Freeze freezes all file systems, or returns an error and none is left
// frozen. The guardian thaws at the deadline, which counts on CLOCK_BOOTTIME
// from now on. Where the kernel has not answered FIFREEZE when ctx ends, Freeze
// returns soon after Config.AnswerWithin, and the guardian thaws as soon as it does.
func (g *Guard) Freeze(ctx context.Context, deadline time.Time) error {
	if err := g.freeze(ctx, deadline); err != nil {
		g.mu.Lock()
		g.abandoned = true
		g.mu.Unlock()
		return err
	}
	return nil
}

func (g *Guard) freeze(ctx context.Context, deadline time.Time) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("cannot freeze %s: %w", g.names(), context.Cause(ctx))
	}
	if err := g.orderFreeze(deadline); err != nil {
		return err
	}
	if err := g.awaitFrozen(ctx); err == nil || ctx.Err() == nil {
		return err
	}
	reason := fmt.Errorf("cannot freeze %s in time: %w", g.names(), context.Cause(ctx))
	if err := g.letGo(ctx); err != nil {
		return errors.Join(reason, err)
	}
	return reason
}

// awaitFrozen returns nil when all are frozen. The guardian answers however long
// the kernel takes; one that does not is stopped, and is not waited for.
func (g *Guard) awaitFrozen(ctx context.Context) error {
	turn := time.NewTicker(g.answerWithin)
	defer turn.Stop()
	asked := bootNow() // by the order itself
	g.send(kindPing)
	for {
		select {
		case <-g.frozen:
			return nil
		case <-g.over:
			return g.freezeError()
		case <-ctx.Done():
			return ctx.Err()
		case <-turn.C:
			asked = g.askAgain(kindPing, asked)
		}
	}
}

// askAgain sends a command once more, and says when. A guardian of which nothing
// was heard since it was asked last is stopped: the worker thaws.
func (g *Guard) askAgain(k kind, asked int64) int64 {
	if g.heard.Load() < asked && !g.readable() {
		go g.rescue("it did not answer within " + g.answerWithin.String())
	}
	asked = bootNow()
	g.send(k)
	return asked
}

// send sends a command without more to it. A guardian that cannot be reached
// has ended, which watch notices, or has been deaf for long.
func (g *Guard) send(k kind) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.shut {
		f := frame{kind: k}
		_ = f.send(g.fd())
	}
}

// orderFreeze sets the backstop and sends the command.
func (g *Guard) orderFreeze(deadline time.Time) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.lost != nil:
		return nil // over says why
	case g.commanded || g.closed:
		return fmt.Errorf("cannot freeze %s: this guard has been used", g.names())
	}
	at := bootTime(deadline)
	// Before the command, so that there is no freeze without a backstop.
	if err := setTimer(g.timer, at+int64(backstopMargin)); err != nil {
		return fmt.Errorf("cannot freeze %s: cannot set a timer: %w", g.names(), err)
	}
	// Before the command as well, so that whoever finds the record knows how long to wait.
	if errno := g.record.setDeadline(at); errno != 0 {
		return fmt.Errorf("cannot freeze %s: cannot write to the freeze record: %w", g.names(), errno)
	}
	g.overdue, g.commanded = at, true
	f := frame{kind: kindFreeze, at: at}
	if err := f.send(g.fd()); err != nil {
		go g.rescue("it could not be told to freeze: " + err.Error())
	}
	return nil
}

// freezeError says why nothing is frozen.
func (g *Guard) freezeError() error {
	g.mu.Lock()
	f, l, said := g.final, g.lost, g.stderr
	g.mu.Unlock()
	switch {
	case l != nil && said != "":
		return fmt.Errorf("cannot freeze %s: the guardian was lost: %s: %s", g.names(), l.why, said)
	case l != nil:
		return fmt.Errorf("cannot freeze %s: the guardian was lost: %s", g.names(), l.why)
	case f.cause == causeDeadline:
		return fmt.Errorf("cannot freeze %s: the deadline passed before the kernel had frozen all: %w", g.names(), context.DeadlineExceeded)
	case f.cause == causeFailed && f.stage == stageFreeze:
		return fmt.Errorf("cannot freeze %s: %w%s", g.nameOf(f.index), f.errno, advice(f.errno))
	case f.cause == causeFailed && f.stage == stageRecord:
		return fmt.Errorf("cannot freeze %s: cannot write to the freeze record: %w", g.nameOf(f.index), f.errno)
	case f.errno != 0:
		return fmt.Errorf("cannot freeze %s: %w", g.names(), f.errno)
	}
	return fmt.Errorf("cannot freeze %s: it was called off", g.names())
}

// advice says what an errno of FIFREEZE means.
func advice(errno unix.Errno) string {
	switch errno {
	case unix.EBUSY:
		return " (it is frozen already, and not by this run: look for another backup program at work, or for a freeze that one left behind, which fsfreeze --unfreeze ends)"
	case unix.EPERM:
		return " (freezing needs CAP_SYS_ADMIN)"
	case unix.EOPNOTSUPP:
		return " (this file system cannot be frozen)"
	}
	return ""
}

func (g *Guard) fd() int { return int(g.sock.Fd()) }

// names lists all mount points, for errors.
func (g *Guard) names() string {
	var names []string
	for _, t := range g.targets {
		names = append(names, t.name)
	}
	return strings.Join(names, ", ")
}

// nameOf returns one mount point.
func (g *Guard) nameOf(index int32) string {
	if index < 0 || int(index) >= len(g.targets) {
		return g.names()
	}
	return g.targets[index].name
}
