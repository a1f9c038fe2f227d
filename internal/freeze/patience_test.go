package freeze

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stillpoint/internal/snapshot"
)

// TestSettleReadsInPieces: the record is not read at once, so that a look may
// show what was frozen with the deadline of before. The guardian is none the worse for that.
func TestSettleReadsInPieces(t *testing.T) {
	dir := t.TempDir()
	boot, err := bootID()
	must(t, err)
	self, err := processOf(os.Getpid())
	must(t, err)
	sleeper := exec.Command("sleep", "60")
	must(t, sleeper.Start())
	t.Cleanup(func() { _ = sleeper.Process.Kill(); _ = sleeper.Wait() })
	guardian, err := processOf(sleeper.Process.Pid)
	must(t, err)
	r, err := newRecord(dir, &account{BootID: boot, Worker: self, entries: []entry{{Mount: "/none"}}})
	must(t, err)
	t.Cleanup(r.close)
	for _, errno := range []unix.Errno{r.setGuardian(guardian), r.set(0, markFrozen)} {
		if errno != 0 {
			t.Fatal(errno)
		}
	}
	// As if the deadline had been written between the pieces, and seen at the second look.
	s := &settler{SettleOptions: SettleOptions{RuntimeDir: dir}, began: time.Now()}
	look := func() bool {
		found, err := openRecord(dir)
		must(t, err)
		defer found.close()
		again, err := s.look(t.Context(), found)
		must(t, err)
		return again
	}
	if !look() || !guardian.alive() {
		t.Error("one look was enough to end a living guardian")
	}
	if errno := r.setDeadline(bootNow() + int64(time.Minute)); errno != 0 {
		t.Fatal(errno)
	}
	for range 3 {
		if !look() || !guardian.alive() {
			t.Error("a guardian was ended before its deadline")
		}
	}
}

// TestSettleStoppedBeforeTheFreeze: the guardian of a dead worker is stopped
// with nothing frozen. Nobody would ever be armed beside it.
func TestSettleStoppedBeforeTheFreeze(t *testing.T) {
	d, dir := newDisk(t, "xfs", t.TempDir()), t.TempDir()
	c := startCrew(t, dir, 20*time.Second, "", d)
	must(t, unix.Kill(c.guardian, unix.SIGSTOP))
	t.Cleanup(func() {
		if t.Failed() {
			_ = unix.Kill(c.guardian, unix.SIGKILL)
		}
	})
	must(t, c.Process.Kill())
	_ = c.Wait() // until then it may be taken for alive
	settle(t, dir)
	mustEnd(t, c.guardian)
	wantNoRecord(t, dir)
}

// TestSettleGivenUpLeavesTheGuardian: a guardian that waits for FIFREEZE
// outlives a Settle that had to give up, and thaws when the kernel has answered.
func TestSettleGivenUpLeavesTheGuardian(t *testing.T) {
	bothStalls(t, settleGivenUpLeavesTheGuardian)
}

func settleGivenUpLeavesTheGuardian(t *testing.T, d *disk, release func()) {
	dir := t.TempDir()
	c := startCrew(t, dir, 300*time.Millisecond, "", d)
	c.goOn(t)
	marked(t, dir, markFreezing)
	must(t, c.Process.Kill())
	// Past its deadline and all margins.
	if _, err := Settle(bounded(t, 3*time.Second), SettleOptions{RuntimeDir: dir}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Settle = %v, want it to wait", err)
	} else {
		t.Log(err)
	}
	release()
	mustEnd(t, c.guardian)
	if d.isFrozen(t) {
		t.Error("still frozen")
	}
	wantNoRecord(t, dir)
}

// TestSettleOwesWhatWasCutShort: a command that our own end has cut short is run again.
func TestSettleOwesWhatWasCutShort(t *testing.T) {
	dir := t.TempDir()
	boot, err := bootID()
	must(t, err)
	a := &account{BootID: boot, entries: []entry{{Mount: "/none"}}}
	a.PostThaw.Command, a.PostThaw.Timeout = []string{"/bin/echo"}, "1m0s"
	r, err := newRecord(dir, a)
	must(t, err)
	if errno := r.setOwed(true); errno != 0 {
		t.Fatal(errno)
	}
	r.close()
	ctx, cancel := context.WithCancel(t.Context())
	ran := 0
	o := SettleOptions{RuntimeDir: dir, RunHook: func(ctx context.Context, _ Owed) error {
		switch ran++; ran {
		case 1:
			cancel()
		case 2:
			return &snapshot.HookNotStartedError{Err: errors.New("it was stopped")}
		}
		return ctx.Err()
	}}
	if _, err := Settle(t.Context(), SettleOptions{RuntimeDir: dir}); err == nil {
		t.Error("Settle = nil, want what is owed")
	}
	if _, err := Settle(ctx, o); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "stays owed") {
		t.Errorf("Settle = %v, want that it stays owed", err)
	}
	if _, err := Settle(t.Context(), o); err == nil || !strings.Contains(err.Error(), "stays owed") {
		t.Errorf("Settle of one that did not start = %v, want that it stays owed", err)
	}
	if _, err := Settle(t.Context(), o); err != nil || ran != 3 {
		t.Errorf("Settle = %v after %d runs, want it run again", err, ran)
	}
	wantNoRecord(t, dir)
}

// TestArmWhereADeadRunsHookFails: nothing is frozen, so it is told, and no reason
// to do without the set of this run.
func TestArmWhereADeadRunsHookFails(t *testing.T) {
	d, dir := newDisk(t, "xfs", t.TempDir()), t.TempDir()
	boot, err := bootID()
	must(t, err)
	a := &account{BootID: boot, entries: []entry{{Mount: "/none"}}}
	a.PostThaw.Command, a.PostThaw.Timeout = []string{"/bin/echo"}, "1m0s"
	r, err := newRecord(dir, a)
	must(t, err)
	if errno := r.setOwed(true); errno != 0 {
		t.Fatal(errno)
	}
	r.close()
	c := config(t)
	c.RuntimeDir = dir
	c.RunHook = func(context.Context, Owed) error { return errors.New("no such queue") }
	g := arm(t, c, d)
	if notes := strings.Join(g.Report().Notes, "\n"); !strings.Contains(notes, "no such queue") {
		t.Errorf("the notes are %q", notes)
	}
}

// TestSettleUnknownNamesTheWayOut: what cannot be told to be the same is left
// to a person, and so is the record, which stands in the way until then.
func TestSettleUnknownNamesTheWayOut(t *testing.T) {
	d, dir := newDisk(t, "xfs", t.TempDir()), t.TempDir()
	c := startCrew(t, dir, 20*time.Second, "", d)
	c.goOn(t)
	c.expect(t, "frozen")
	c.killBoth(t)
	edit(t, dir, func(text string) string {
		return regexp.MustCompile(`"(superblock|mountId)":[0-9]+`).ReplaceAllString(text, `"$1":0`)
	})
	report, err := Settle(bounded(t, 5*time.Second), SettleOptions{RuntimeDir: dir})
	if err == nil || !d.isFrozen(t) {
		t.Fatalf("Settle = %v, want it left alone", err)
	}
	said := strings.Join(report.Sentences(), "\n")
	t.Log(said)
	for _, want := range []string{"fsfreeze --unfreeze", "remove " + filepath.Join(dir, RecordName)} {
		if !strings.Contains(said, want) {
			t.Errorf("it says %q, want %q in it", said, want)
		}
	}
}

// TestDying: a process that was killed, and that a frozen file system keeps in
// the kernel, lives on and yet is dying.
func TestDying(t *testing.T) {
	d := newDisk(t, "xfs", t.TempDir())
	d.freezeForeign(t)
	c := exec.Command("sh", "-c", "echo x > "+filepath.Join(d.path, "x")) // which blocks
	must(t, c.Start())
	p, err := processOf(c.Process.Pid)
	must(t, err)
	stuck := func(th thread) bool { return th.state == "D" }
	for !p.anyThread(stuck) {
		time.Sleep(time.Millisecond)
	}
	if p.dying() || p.halted() || !p.alive() {
		t.Errorf("blocked: dying %v, halted %v, alive %v", p.dying(), p.halted(), p.alive())
	}
	must(t, c.Process.Kill())
	if !p.dying() || !p.alive() {
		t.Errorf("killed: dying %v, alive %v", p.dying(), p.alive())
	}
	if errno := thawFS(d.fd); errno != 0 {
		t.Error(errno)
	}
	_ = c.Wait()
	if p.alive() {
		t.Error("alive")
	}
}
