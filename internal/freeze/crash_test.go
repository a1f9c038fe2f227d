package freeze

import (
	"bufio"
	"io"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stillpoint/internal/snapshot"
)

// crew is a worker and its guardian, in processes of their own.
type crew struct {
	*exec.Cmd
	guardian int
	notes    string
	in       io.Writer
	lines    *bufio.Scanner
}

// startWorker runs a worker that freezes and never thaws, until it says a word.
func startWorker(t *testing.T, word string, disks ...*disk) (worker *exec.Cmd, guardian int) {
	t.Helper()
	c := startCrew(t, "", 20*time.Second, "", disks...)
	c.goOn(t)
	if word == "frozen" {
		c.expect(t, word)
	}
	return c.Cmd, c.guardian
}

// startCrew starts a worker and waits until it is armed.
func startCrew(t testing.TB, runtimeDir string, hold time.Duration, rcu string, disks ...*disk) *crew {
	t.Helper()
	return startCrewBy(t, nil, runtimeDir, hold, rcu, disks...)
}

// startCrewBy starts it by another program.
func startCrewBy(t testing.TB, by []string, runtimeDir string, hold time.Duration, rcu string, disks ...*disk) *crew {
	t.Helper()
	exe, err := os.Executable() // selfPath would be the other program
	must(t, err)
	argv := append(slices.Clone(by), exe, "worker", runtimeDir, hold.String(), rcu)
	c := &crew{Cmd: exec.Command(argv[0], argv[1:]...)}
	for _, d := range disks {
		c.Args = append(c.Args, d.path)
	}
	c.in, err = c.StdinPipe() // whose end it would notice, were it not killed
	must(t, err)
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
	})
	c.lines = bufio.NewScanner(out)
	pid, notes, _ := strings.Cut(c.expect(t, "armed"), " ")
	c.notes = notes
	c.guardian, err = strconv.Atoi(pid)
	must(t, err)
	return c
}

// goOn lets the worker go on to its next step.
func (c *crew) goOn(t testing.TB) {
	t.Helper()
	_, err := c.in.Write([]byte("."))
	must(t, err)
}

// expect reads what the worker says next, and returns what follows the word.
func (c *crew) expect(t testing.TB, word string) string {
	t.Helper()
	if !c.lines.Scan() {
		t.Fatalf("the worker has ended, want it to say %s", word)
	}
	said, rest, _ := strings.Cut(c.lines.Text(), " ")
	if said != word {
		t.Fatalf("the worker says %q, want %s", c.lines.Text(), word)
	}
	return rest
}

// signal sends one to both.
func (c *crew) signal(t testing.TB, s unix.Signal) {
	t.Helper()
	for _, pid := range []int{c.Process.Pid, c.guardian} {
		if err := unix.Kill(pid, s); err != nil && err != unix.ESRCH { // it may have ended by itself
			t.Error(err)
		}
	}
}

// killBoth kills both at once: neither has the time to notice the other's end.
func (c *crew) killBoth(t testing.TB) {
	t.Helper()
	c.signal(t, unix.SIGSTOP)
	c.signal(t, unix.SIGKILL)
	_ = c.Wait()
}

// mustEnd waits for a process that is not our child.
func mustEnd(t *testing.T, pid int) {
	t.Helper()
	for limit := time.Now().Add(3 * time.Second); unix.Kill(pid, 0) != unix.ESRCH && !zombie(pid); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("the guardian, process %d, is still there after 3 s", pid)
		}
	}
}

func TestWorkerKilled(t *testing.T) {
	dir := t.TempDir()
	disks := []*disk{newDisk(t, "xfs", dir), newDisk(t, "ext4", dir)}
	flows := []*flow{disks[0].startWriter(t), disks[1].startWriter(t)}
	worker, guardian := startWorker(t, "frozen", disks...)
	for _, w := range flows {
		w.stopped(t, 50*time.Millisecond)
	}
	from := bootNow()
	must(t, worker.Process.Kill())
	for i, w := range flows {
		late := time.Duration(w.firstAfter(t, from) - from)
		t.Logf("writer %d flowed %v after the worker was killed", i, late)
		if late > time.Second {
			t.Errorf("writer %d flowed %v after the worker was killed, want less than a second", i, late)
		}
	}
	mustEnd(t, guardian)
}

func TestWorkerKilledWhileFreezing(t *testing.T) { bothStalls(t, workerKilledWhileFreezing) }

func workerKilledWhileFreezing(t *testing.T, d *disk, release func()) {
	worker, guardian := startWorker(t, "armed", d)
	time.Sleep(200 * time.Millisecond) // until FIFREEZE is in flight
	must(t, worker.Process.Kill())
	_ = worker.Wait()
	time.Sleep(100 * time.Millisecond)
	if unix.Kill(guardian, 0) != nil || zombie(guardian) {
		t.Error("the guardian left while FIFREEZE was in flight")
	}
	release()
	mustEnd(t, guardian)
	if d.isFrozen(t) {
		t.Error("still frozen")
	}
}

// TestSignalsDoNotEndTheGuardian: a service manager sends SIGTERM to all processes of a unit.
func TestSignalsDoNotEndTheGuardian(t *testing.T) {
	d := newDisk(t, "xfs", t.TempDir())
	g := arm(t, config(t), d)
	must(t, g.Freeze(t.Context(), in(5*time.Second)))
	for _, s := range []unix.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGPIPE, unix.SIGQUIT, unix.SIGABRT, unix.SIGUSR1, unix.SIGIO, unix.SIGXCPU, unix.SIGVTALRM} {
		must(t, unix.Kill(g.Report().Guardian, s))
	}
	time.Sleep(50 * time.Millisecond)
	thawed, err := g.Thaw(t.Context())
	must(t, err)
	if !thawed.Held() {
		t.Errorf("Thaw = %+v, want it held", thawed)
	}
}

func TestGuardianKilled(t *testing.T) {
	dir := t.TempDir()
	a, b := newDisk(t, "xfs", dir), newDisk(t, "ext4", dir)
	w := a.startWriter(t)
	c := config(t)
	g := arm(t, c, a, b)
	must(t, g.Freeze(t.Context(), in(10*time.Second)))
	w.stopped(t, 50*time.Millisecond)
	from := bootNow()
	must(t, unix.Kill(g.Report().Guardian, unix.SIGKILL))
	late := time.Duration(w.firstAfter(t, from) - from)
	t.Logf("writer flowed %v after the guardian was killed", late)
	if late > time.Second {
		t.Errorf("the writer flowed %v after the guardian was killed, want less than a second", late)
	}
	thawed, err := g.Thaw(t.Context())
	must(t, err)
	if thawed.Cause != snapshot.ThawGuardianLost {
		t.Errorf("Thaw = %+v, want the guardian lost", thawed)
	}
	if a.isFrozen(t) || b.isFrozen(t) {
		t.Error("still frozen")
	}
	wantRCU(t, c, "0")
	must(t, g.Close())
}

// TestGuardianKilledBesideForeignFreezes: the worker thaws what its guardian
// had frozen, and nothing else, such as what it could not freeze.
func TestGuardianKilledBesideForeignFreezes(t *testing.T) {
	slow, release := stalledDisk(t, false)
	theirs := newDisk(t, "xfs", t.TempDir())
	theirs.freezeForeign(t)
	g := arm(t, config(t), slow, theirs)
	failed := make(chan error)
	go func() { failed <- g.Freeze(bounded(t, 10*time.Second), in(10*time.Second)) }()
	var index int
	for i, target := range g.targets {
		if target.name == theirs.path {
			index = i
		}
	}
	for g.record.mark(index) != markFailed {
		time.Sleep(time.Millisecond)
	}
	must(t, unix.Kill(g.Report().Guardian, unix.SIGKILL))
	time.AfterFunc(200*time.Millisecond, release)
	t.Log(<-failed)
	must(t, g.Close())
	if !theirs.isFrozen(t) {
		t.Error("the worker thawed someone else's freeze")
	}
	if slow.isFrozen(t) {
		t.Error("the worker left its own")
	}
}

// TestGuardianWithoutPrivileges: what it cannot do to protect itself is a note.
func TestGuardianWithoutPrivileges(t *testing.T) {
	if _, err := exec.LookPath("setpriv"); err != nil {
		t.Skip("needs setpriv")
	}
	d := newDisk(t, "xfs", t.TempDir())
	c := startCrewBy(t, []string{"setpriv", "--bounding-set", "-sys_resource,-sys_nice,-ipc_lock"}, t.TempDir(), 20*time.Second, "", d)
	t.Log(c.notes)
	for _, want := range []string{"protect itself from the OOM killer", "run ahead of other processes"} {
		if !strings.Contains(c.notes, want) {
			t.Errorf("the notes are %q, want that it cannot %s", c.notes, want)
		}
	}
	c.goOn(t)
	c.expect(t, "frozen")
	c.goOn(t)
	c.expect(t, "thawed")
}

func TestGuardianKilledBeforeTheFreeze(t *testing.T) {
	d := newDisk(t, "xfs", t.TempDir())
	g := arm(t, config(t), d)
	must(t, unix.Kill(g.Report().Guardian, unix.SIGKILL))
	<-g.over
	err := g.Freeze(t.Context(), in(5*time.Second))
	if err == nil || !strings.Contains(err.Error(), "the guardian was lost") {
		t.Errorf("Freeze = %v, want the guardian lost", err)
	}
	thawed, err := g.Thaw(t.Context())
	must(t, err)
	if thawed != (snapshot.Thawed{}) {
		t.Errorf("Thaw = %+v, want nothing", thawed)
	}
	if d.isFrozen(t) {
		t.Error("frozen")
	}
}

// Ready tells a guardian that lives from one that is stopped or dead; what is
// armed anew after it works as the first would have.
func TestReady(t *testing.T) {
	d := newDisk(t, "xfs", t.TempDir())
	c := config(t)
	c.AnswerWithin = 300 * time.Millisecond
	for _, tc := range []struct {
		signal unix.Signal
		says   string
	}{{0, ""}, {unix.SIGSTOP, "does not answer"}, {unix.SIGKILL, "has died"}} {
		g := arm(t, c, d)
		must(t, g.Ready(t.Context()))
		must(t, unix.Kill(g.Report().Guardian, tc.signal))
		if tc.signal == unix.SIGKILL {
			<-g.over
		}
		for range 2 {
			if err := g.Ready(t.Context()); (err == nil) != (tc.signal == 0) || err != nil && !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%v: Ready = %v, want %q", tc.signal, err, tc.says)
			}
		}
		must(t, g.Close())
	}
	g := arm(t, c, d)
	must(t, g.Ready(t.Context()))
	must(t, g.Freeze(t.Context(), in(5*time.Second)))
	if thawed, err := g.Thaw(t.Context()); err != nil || !thawed.Held() {
		t.Errorf("Thaw = %+v, %v", thawed, err)
	}
}

// A guardian that is stopped before it can freeze is not waited for until the deadline.
func TestGuardianStoppedBeforeTheFreeze(t *testing.T) {
	d := newDisk(t, "xfs", t.TempDir())
	c := config(t)
	c.AnswerWithin = 300 * time.Millisecond
	g := arm(t, c, d)
	must(t, unix.Kill(g.Report().Guardian, unix.SIGSTOP))
	from := bootNow()
	err := g.Freeze(t.Context(), in(30*time.Second))
	if err == nil || !strings.Contains(err.Error(), "did not answer") {
		t.Errorf("Freeze = %v, want that it did not answer", err)
	}
	if took := time.Duration(bootNow() - from); took > 10*time.Second {
		t.Errorf("that took %v", took)
	}
	if d.isFrozen(t) {
		t.Error("frozen")
	}
	must(t, g.Close())
}

func TestGuardianStopped(t *testing.T) {
	d := newDisk(t, "xfs", t.TempDir())
	w := d.startWriter(t)
	c := config(t)
	c.AnswerWithin = 300 * time.Millisecond
	g := arm(t, c, d)
	must(t, g.Freeze(t.Context(), in(10*time.Second)))
	must(t, unix.Kill(g.Report().Guardian, unix.SIGSTOP))
	w.stopped(t, 50*time.Millisecond)
	from := bootNow()
	thawed, err := g.Thaw(t.Context())
	must(t, err)
	if thawed.Cause != snapshot.ThawGuardianLost {
		t.Errorf("Thaw = %+v, want the guardian lost", thawed)
	}
	// Or it would thaw what someone else has frozen by the time it goes on.
	select {
	case <-g.gone:
	case <-time.After(time.Second):
		t.Error("the stopped guardian was left alive")
	}
	late := time.Duration(w.firstAfter(t, from) - from)
	t.Logf("writer flowed %v after Thaw was called", late)
	if late > c.AnswerWithin+200*time.Millisecond {
		t.Errorf("the writer flowed %v after Thaw was called, want soon after %v", late, c.AnswerWithin)
	}
	must(t, g.Close())
	if err := unix.Kill(g.Report().Guardian, 0); err != unix.ESRCH {
		t.Errorf("the guardian was not reaped: %v", err)
	}
}

func TestGuardianStoppedAndNobodyThaws(t *testing.T) {
	d := newDisk(t, "xfs", t.TempDir())
	w := d.startWriter(t)
	c := config(t)
	g := arm(t, c, d)
	deadline := in(300 * time.Millisecond)
	at := bootTime(deadline)
	must(t, g.Freeze(t.Context(), deadline))
	must(t, unix.Kill(g.Report().Guardian, unix.SIGSTOP))
	w.stopped(t, 100*time.Millisecond)
	late := time.Duration(w.firstAfter(t, bootNow()) - at)
	t.Logf("writer flowed %v after the deadline", late)
	if late < 0 || late > backstopMargin+150*time.Millisecond {
		t.Errorf("the writer flowed %v after the deadline, want soon after %v", late, backstopMargin)
	}
	thawed, err := g.Thaw(t.Context())
	must(t, err)
	if thawed.Cause != snapshot.ThawGuardianLost {
		t.Errorf("Thaw = %+v, want the guardian lost", thawed)
	}
	wantRCU(t, c, "0")
}

func TestCloseThaws(t *testing.T) {
	for _, stop := range []bool{false, true} {
		t.Run("stopped="+strconv.FormatBool(stop), func(t *testing.T) {
			d := newDisk(t, "xfs", t.TempDir())
			w := d.startWriter(t)
			g := arm(t, config(t), d)
			must(t, g.Freeze(t.Context(), in(10*time.Second)))
			if stop {
				must(t, unix.Kill(g.Report().Guardian, unix.SIGSTOP))
			}
			from := bootNow()
			must(t, g.Close())
			t.Logf("Close took %v", time.Duration(bootNow()-from))
			w.firstAfter(t, from)
		})
	}
}

func TestCloseOfAStoppedGuardian(t *testing.T) {
	d := newDisk(t, "xfs", t.TempDir())
	g := arm(t, config(t), d)
	must(t, unix.Kill(g.Report().Guardian, unix.SIGSTOP))
	must(t, g.Close())
}

// TestFrozenMountStays: a frozen file system must not be unmounted, or nobody could thaw it.
func TestFrozenMountStays(t *testing.T) {
	d := newDisk(t, "xfs", t.TempDir())
	g := arm(t, config(t), d)
	must(t, g.Freeze(t.Context(), in(5*time.Second)))
	unix.Close(d.fd) // leaves the guard's
	err := unix.Unmount(d.path, 0)
	d.fd, _ = unix.Open(d.path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != unix.EBUSY {
		t.Errorf("umount of a frozen file system: %v, want EBUSY", err)
	}
	thawed, err := g.Thaw(t.Context())
	must(t, err)
	if !thawed.Held() {
		t.Errorf("Thaw = %+v, want it held", thawed)
	}
}
