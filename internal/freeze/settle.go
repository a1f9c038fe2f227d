package freeze

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"
)

const (
	// settleMargin is how long after its deadline a freeze is left to worker
	// and guardian: the backstop and the worker's own thaw come before.
	settleMargin = 1500 * time.Millisecond
	// orphanMargin is how long a guardian whose worker is dead may take to thaw;
	// it takes milliseconds, unless it is stopped, or dying with a thread in the kernel.
	orphanMargin = 500 * time.Millisecond
	// settlePoll is how often the record is looked at while somebody else has it.
	settlePoll = 20 * time.Millisecond
	// settleSpeak is how often a wait is told of.
	settleSpeak = 3 * time.Second
)

// SettleOptions say what to settle.
type SettleOptions struct {
	// RuntimeDir is where the record is.
	RuntimeDir string
	// RunHook runs a command that is owed to a dead run; nil: it stays owed,
	// and Settle returns an error that names it.
	RunHook func(ctx context.Context, o Owed) error
	// Progress is told, in a sentence, what is being waited for; nil: nobody is.
	Progress func(sentence string)

	// patience: wait so long for the end of those who live, and not at all for
	// a living worker, then return an *activeError; zero: wait until ctx ends.
	patience time.Duration
}

// Owed is a command that a dead run still owes.
type Owed struct {
	Plan    string
	Argv    []string
	Timeout time.Duration
}

// SettleReport is what Settle found and did.
type SettleReport struct {
	// Found says that there was a record.
	Found bool
	// Worker is the process id of a worker that lives and has its run in
	// hand, with nothing frozen any more, or not yet; 0 where there is none.
	Worker int
	// FileSystems are those of the record; empty where a living worker ended its freeze itself.
	FileSystems []Settled
	// Notes are what else there is to say, one sentence each.
	Notes []string
}

// Settled is what became of one file system.
type Settled struct {
	Mount, Device, UUID string
	// Thawed says that it was frozen by a dead run until now.
	Thawed bool
	// What says what was found and done, to be read after the mount point.
	What string
	// Err is why it may still be frozen by us; nil: it is not.
	Err error
}

// Sentences are the report, one line for each thing that it says.
func (r SettleReport) Sentences() []string {
	var lines []string
	for _, f := range r.FileSystems {
		line := fmt.Sprintf("%s (device %s): %s", f.Mount, f.Device, f.What)
		if f.Err != nil {
			line += ": " + f.Err.Error()
		}
		lines = append(lines, line)
	}
	return append(lines, r.Notes...)
}

// activeError says that worker or guardian of an older freeze live.
type activeError struct{ who string }

func (e *activeError) Error() string { return "an older freeze of this host has not ended: " + e.who }

// Settle makes sure that nothing which the record of a runtime directory names
// as frozen stays frozen, and removes the record. It thaws only what is still
// the same superblock, never what is only intended, and waits for those who
// live: a living worker's window is left to it until its deadline and a second
// and a half have passed, a guardian without a worker has half a second; then
// the guardian is killed, since it is stopped or hangs, unless all that it waits
// for is a FIFREEZE. The order of the thaw is the reverse of the freeze.
//
// A FIFREEZE or FITHAW that has not returned is waited for until ctx ends. The
// error names what may still be frozen, or the command that is still owed.
func Settle(ctx context.Context, o SettleOptions) (SettleReport, error) {
	s := &settler{SettleOptions: o, began: time.Now()}
	for {
		r, err := openRecord(o.RuntimeDir)
		if r == nil || err != nil {
			return s.report, err
		}
		s.report.Found = true
		again, err := s.look(ctx, r)
		if !s.kept {
			r.close()
		}
		if !again {
			return s.report, err
		}
		select {
		case <-time.After(settlePoll):
		case <-ctx.Done():
			return s.report, fmt.Errorf("cannot settle the freeze record %s yet: %s: %w", s.path(), cmp.Or(s.waiting, "it is in use"), context.Cause(ctx))
		}
	}
}

type settler struct {
	SettleOptions
	report SettleReport
	began  time.Time
	// orphaned is since when the guardian is known to have no worker.
	orphaned time.Time
	waiting  string // for what
	spoken   time.Time
	late     bool // at the last look, those who live were past their time
	kept     bool // a goroutine that is stuck in the kernel uses the record
}

func (s *settler) path() string { return filepath.Join(s.RuntimeDir, RecordName) }

// wait remembers what is being waited for, and tells it now and then.
func (s *settler) wait(format string, args ...any) {
	what := fmt.Sprintf(format, args...)
	if s.Progress != nil && (s.waiting == "" || time.Since(s.spoken) >= settleSpeak) {
		s.spoken = time.Now()
		s.Progress(what)
	}
	s.waiting = what
}

// look decides between the living and the dead. again means: look once more.
func (s *settler) look(ctx context.Context, r *record) (again bool, err error) {
	if r.lock() {
		if !r.named() {
			return true, nil // removed, or another one took its place, since it was opened
		}
		return false, s.dead(ctx, r)
	}
	late := s.late
	s.late = false
	a, err := r.read()
	if err != nil { // perhaps read in the middle of a change
		s.wait("the record is locked and cannot be read (%v)", err)
		return s.atMost("its record " + s.path() + " is in use")
	}
	// One that was killed a moment ago has nothing in hand any more, but may still have the record.
	worker, guardian := a.Worker.alive() && !a.Worker.dying(), a.Guardian.alive()
	who := living(a, worker, guardian)
	switch {
	case s.patience > 0 && worker:
		return false, &activeError{who}
	case s.patience > 0:
		return s.atMost(who)
	case !a.anyOwed() && worker:
		s.report.Worker = a.Worker.PID
		s.note("%s has a run in hand; none of its file systems is frozen at this moment", who)
		return false, nil
	case a.anyOwed() && bootNow() < a.Deadline.Boot+int64(settleMargin) && s.inTime(worker, guardian):
		s.wait("%s has frozen %s and will thaw by %s: waiting for it", who, owedNames(a), a.Deadline.Time)
		return true, nil
	case !a.anyOwed() && s.inTime(worker, guardian):
		s.wait("%s has thawed all and is about to end", who)
		return true, nil
	case !worker && !guardian:
		s.wait("%s", who)
		return true, nil
	case guardian && a.anyOwed() && !a.anyFrozen() && !a.Guardian.halted():
		// It thaws when the kernel answers, however late; were it killed, it
		// would be left to us, who may have to give up before.
		s.wait("the guardian (process %d) waits for the kernel, which has not frozen %s yet, and thaws as soon as it has", a.Guardian.PID, owedNames(a))
		return true, nil
	case !late:
		// The record is not read at once: the deadline may have been written
		// after our look at it, and before the one at the marks.
		s.late = true
		return true, nil
	}
	return s.overdue(ctx, r, a, worker)
}

// inTime says that whoever lives may still thaw before the deadline. A guardian
// that has lost its worker does so at once.
func (s *settler) inTime(worker, guardian bool) bool {
	if worker || !guardian {
		s.orphaned = time.Time{}
		return true
	}
	if s.orphaned.IsZero() {
		s.orphaned = time.Now()
	}
	return time.Since(s.orphaned) < orphanMargin
}

// atMost says whether there is patience left to look again.
func (s *settler) atMost(who string) (again bool, err error) {
	if s.patience > 0 && time.Since(s.began) > s.patience {
		return false, &activeError{who}
	}
	return true, nil
}

// living names who has the record.
func living(a *account, worker, guardian bool) string {
	switch {
	case worker:
		return fmt.Sprintf("a living stillpoint (process %d)", a.Worker.PID)
	case guardian:
		return fmt.Sprintf("the guardian (process %d) of a stillpoint that is dead", a.Guardian.PID)
	default:
		return "another process, most likely another stillpoint thaw, has the record"
	}
}

func owedNames(a *account) string {
	var names []string
	for _, e := range a.entries {
		if e.marked().owed() {
			names = append(names, e.Mount)
		}
	}
	return strings.Join(names, ", ")
}

func (s *settler) note(format string, args ...any) {
	s.report.Notes = append(s.report.Notes, fmt.Sprintf(format, args...))
}

// overdue ends a freeze whose worker and guardian should have ended it, but
// are stopped or hang. A worker that goes on later finds it thawed.
func (s *settler) overdue(ctx context.Context, r *record, a *account, worker bool) (again bool, err error) {
	gone := make(chan struct{})
	h, alive := a.Guardian.open()
	if !alive {
		close(gone)
	} else {
		if err := h.kill(); err != nil {
			h.close()
			return false, fmt.Errorf("cannot end the guardian (process %d), which does not thaw %s: %w", a.Guardian.PID, owedNames(a), err)
		}
		s.note("the guardian (process %d) did not thaw, so it is stopped, or waits for the kernel: it was killed", a.Guardian.PID)
		stop := make(chan struct{})
		waited := make(chan struct{})
		defer func() { close(stop); <-waited; h.close() }()
		go func() {
			defer close(waited)
			for {
				if h.ended(int(settlePoll / time.Millisecond)) {
					close(gone)
					return
				}
				select {
				case <-stop:
					return
				default:
				}
			}
		}()
	}
	// The lock that goes with the setting is held by the worker, on behalf of this very record.
	if r.isSet(r.Raised) {
		s.lowerRCU(r, a, true)
	}
	if err := s.thawAll(ctx, r, gone); err != nil {
		return false, err
	}
	if worker {
		s.report.Worker = a.Worker.PID
		s.note("the worker (process %d) had not thawed either: it is stopped or hangs (kill -CONT, or end it)", a.Worker.PID)
		return false, nil
	}
	return true, nil // to clean up, once the lock is free
}

// errAdvice is what a person can do about it.
var errAdvice = errors.New("look at the volume; when it answers again, run stillpoint thaw once more (or fsfreeze --unfreeze on the mount point)")
