package freeze

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"stillpoint/internal/snapshot"
)

// dead settles the record of a worker and a guardian that have both ended. The
// caller holds its lock.
func (s *settler) dead(ctx context.Context, r *record) error {
	a, err := r.read()
	damaged := errors.Is(err, errDamaged)
	if err != nil && !damaged {
		return err
	}
	boot, err := bootID()
	if err != nil {
		return err
	}
	switch {
	case a.BootID == "":
		return s.setAside(r, errors.New("nothing of it can be understood"))
	case a.BootID != boot:
		s.note("the record is of an earlier boot (made %s): a freeze ends with the kernel, so nothing of it is frozen", cmp.Or(a.Made, "at an unknown time"))
		for i := range a.entries {
			_ = r.set(i, markThawed)
		}
	default:
		if a.RCU.Raised {
			s.lowerRCU(r, a, false)
		}
		if err := s.thawAll(ctx, r, closed()); err != nil {
			return err
		}
	}
	if damaged {
		return s.setAside(r, errors.New("what could be understood of it is settled"))
	}
	_ = r.setRaised(false)
	hook := s.payHook(ctx, r, a)
	r.remove()
	return hook
}

func closed() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}

// setAside renames a record that is damaged, so that it does not stand in the way.
func (s *settler) setAside(r *record, what error) error {
	aside := RecordName + ".damaged-" + time.Now().UTC().Format("20060102T150405.000000000Z")
	if err := unix.Renameat(r.dir, RecordName, r.dir, aside); err != nil {
		return fmt.Errorf("the freeze record %s is damaged (%w), and cannot be set aside: %w", s.path(), what, err)
	}
	return fmt.Errorf("the freeze record %s was damaged: %w; it is kept as %s: where %s hangs, run fsfreeze --unfreeze on it, and remove that file when all is well", s.path(), what, aside, r.mountsIn())
}

// mountPattern finds mount points in a record, wherever it was cut short.
var mountPattern = regexp.MustCompile(`"mount": ?"([^"]+)"`)

// mountsIn names the mount points that can still be read in a damaged record.
func (r *record) mountsIn() string {
	text, _ := io.ReadAll(io.NewSectionReader(preader(r.fd), 0, maxRecord))
	var names []string
	for _, m := range mountPattern.FindAllSubmatch(text, -1) {
		names = append(names, string(m[1]))
	}
	if len(names) == 0 {
		return "a mount point of a plan"
	}
	return strings.Join(names, " or ")
}

// thawAll thaws what the record names, until nothing of it is owed and whoever
// freezes is gone.
func (s *settler) thawAll(ctx context.Context, r *record, gone <-chan struct{}) error {
	handled := map[int]bool{}
	for {
		ended := false
		select {
		case <-gone:
			ended = true
		default:
		}
		a, err := r.read()
		if err != nil && !errors.Is(err, errDamaged) {
			return err
		}
		var owed []int
		for i, e := range a.entries {
			if e.marked().owed() && !handled[i] {
				owed, handled[i] = append(owed, i), true
			}
		}
		if len(owed) == 0 {
			if ended {
				s.tellRest(a, handled)
				return s.unsettled()
			}
			if err := s.await(ctx, gone); err != nil {
				return err
			}
			continue
		}
		if err := checkCapability(); err != nil {
			return fmt.Errorf("cannot thaw %s: %w", owedNames(a), err)
		}
		b := &batch{settler: s, record: r, account: a, gone: gone}
		if err := b.run(ctx, owed); err != nil {
			return err
		}
	}
}

// await waits for the guardian's end.
func (s *settler) await(ctx context.Context, gone <-chan struct{}) error {
	for {
		select {
		case <-gone:
			return nil
		case <-ctx.Done():
			return fmt.Errorf("cannot wait any longer for the guardian's end: the kernel does not let it go: %w: %w", context.Cause(ctx), errAdvice)
		case <-time.After(settleSpeak):
			s.wait("waiting for the guardian's end: the kernel does not let it go before a freeze that is under way has ended")
		}
	}
}

// tell keeps what was said of a file system first: later looks find what it left.
func (s *settler) tell(e entry, what string, thawed bool, err error) {
	for _, f := range s.report.FileSystems {
		if f.Mount == e.Mount && f.Device == e.Device {
			return
		}
	}
	s.report.FileSystems = append(s.report.FileSystems, Settled{Mount: e.Mount, Device: e.Device, UUID: e.UUID, Thawed: thawed, What: what, Err: err})
}

// tellRest tells of those that were left alone.
func (s *settler) tellRest(a *account, handled map[int]bool) {
	for i, e := range a.entries {
		switch m := e.marked(); {
		case handled[i]:
		case m == markIntended:
			s.tell(e, "stillpoint had not frozen it: left alone", false, nil)
		case m == markFailed:
			s.tell(e, "stillpoint could not freeze it: left alone", false, nil)
		case m == markThawed:
			s.tell(e, "stillpoint had thawed it before", false, nil)
		}
	}
}

// unsettled joins what could not be settled.
func (s *settler) unsettled() error {
	var errs []error
	for _, f := range s.report.FileSystems {
		if f.Err != nil {
			errs = append(errs, fmt.Errorf("cannot thaw %s (device %s): %w", f.Mount, f.Device, f.Err))
		}
	}
	return errors.Join(errs...)
}

// lowerRCU puts rcu_expedited back. Where both are dead their lock on it is
// free: whoever has it now either drops it at once, on finding our 1, or found
// that it had been put back, and has raised it anew. With ours, the lock is
// still held on behalf of this record.
func (s *settler) lowerRCU(r *record, a *account, ours bool) {
	err := func() error {
		f, err := os.OpenFile(a.RCU.Path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		lock := f
		if a.RCU.Lock != "" {
			if lock, err = os.OpenFile(a.RCU.Lock, os.O_RDWR, 0); err != nil {
				return err
			}
			defer lock.Close()
		}
		for limit := time.Now().Add(time.Second); !ours && unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil; time.Sleep(settlePoll) {
			if time.Now().After(limit) {
				return nil
			}
		}
		var b [16]byte
		n, err := unix.Pread(int(f.Fd()), b[:], 0)
		if err != nil || !bytes.Equal(bytes.TrimSpace(b[:n]), []byte("1")) {
			return err
		}
		_, err = unix.Pwrite(int(f.Fd()), []byte("0\n"), 0)
		return err
	}()
	if err != nil {
		s.note("cannot put rcu_expedited back: %v: write 0 to %s", err, a.RCU.Path)
	}
	_ = r.setRaised(false)
}

// payHook runs post_thaw where the dead run owes it. It is run after a reboot
// as well: it is always run once pre_freeze was started, and bears being run twice.
func (s *settler) payHook(ctx context.Context, r *record, a *account) error {
	if !a.PostThaw.Owed {
		return nil
	}
	command := slices.Clone(a.PostThaw.Command)
	if len(command) == 0 {
		_ = r.setOwed(false)
		return nil
	}
	if s.RunHook == nil {
		return fmt.Errorf("cannot run the command that is owed since the thaw (post_thaw): run it by hand and remove %s: %q", s.path(), command)
	}
	err := s.RunHook(ctx, Owed{Plan: a.PostThaw.Plan, Argv: command, Timeout: a.hookTimeout()})
	// Our own time was up and not the command's, or it never ran.
	if err != nil && (ctx.Err() != nil || errors.As(err, new(*snapshot.HookNotStartedError))) {
		return fmt.Errorf("nothing is frozen, but the command that is owed since the thaw (post_thaw) was not done when the time was up, and stays owed: run stillpoint thaw with a --wait longer than %s: %q: %w", a.hookTimeout(), command, err)
	}
	// Once: one that fails would else stand in the way of every further run.
	_ = r.setOwed(false)
	if err != nil {
		return &hookFailedError{command, err}
	}
	s.note("ran the command that was owed since the thaw (post_thaw): %q", command)
	return nil
}

// hookFailedError says that a command which was owed has failed. Nothing else is left.
type hookFailedError struct {
	command []string
	err     error
}

func (e *hookFailedError) Error() string {
	return fmt.Sprintf("nothing is frozen, but the command that was owed since the thaw (post_thaw) failed, and is not run again: %q: %v", e.command, e.err)
}

func (e *hookFailedError) Unwrap() error { return e.err }
