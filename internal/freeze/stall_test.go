package freeze

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stillpoint/internal/snapshot"
)

// stalledDisk returns a file system whose next FIFREEZE does not return until
// release is called: the file system that carries it is frozen, as by a volume
// that has stalled. FIFREEZE then either has dirty pages to write, and a FITHAW
// meanwhile waits for it; or, with inFlight, it waits for a direct write that
// had begun before, and a FITHAW meanwhile answers EINVAL.
func stalledDisk(t *testing.T, inFlight bool) (d *disk, release func()) {
	outer := newDisk(t, "xfs", t.TempDir())
	d = newDisk(t, "ext4", outer.path)
	direct := openDirect(t, d)
	run(t, "sync", "-f", d.path)
	if !inFlight {
		d.dirty(t)
	}
	outer.freezeForeign(t)
	release = func() {
		if errno := thawFS(outer.fd); errno != 0 && errno != unix.EINVAL {
			t.Errorf("cannot release: %v", errno)
		}
	}
	written := make(chan error, 1)
	if inFlight {
		go func() {
			_, err := unix.Pwrite(direct, pages(t), 0)
			written <- err
		}()
		time.Sleep(50 * time.Millisecond) // until it is in the kernel
	} else {
		written <- nil
	}
	t.Cleanup(func() {
		release()
		must(t, <-written)
		unix.Close(direct)
	})
	// Should the test hang, the machine must not.
	alarm := time.AfterFunc(20*time.Second, release)
	t.Cleanup(func() { alarm.Stop() })
	return d, release
}

// openDirect opens a file of one page with O_DIRECT, whose block is allocated.
func openDirect(t *testing.T, d *disk) int {
	t.Helper()
	fd, err := unix.Open(d.path+"/direct", unix.O_RDWR|unix.O_CREAT|unix.O_DIRECT|unix.O_CLOEXEC, 0o600)
	must(t, err)
	_, err = unix.Pwrite(fd, pages(t), 0)
	must(t, err)
	return fd
}

// pages returns memory that is aligned for O_DIRECT.
func pages(t *testing.T) []byte {
	b, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	must(t, err)
	return b
}

// TestThawDuringFreezeAnswersEINVAL is the fact of the kernel on which
// thawSurely and hand rest.
func TestThawDuringFreezeAnswersEINVAL(t *testing.T) {
	d, release := stalledDisk(t, true)
	frozen := make(chan unix.Errno)
	go func() { frozen <- freezeFS(d.fd) }()
	time.Sleep(50 * time.Millisecond)
	if errno := thawFS(d.fd); errno != unix.EINVAL {
		t.Errorf("FITHAW during FIFREEZE = %v, want EINVAL", errno)
	}
	release()
	if errno := <-frozen; errno != 0 {
		t.Errorf("FIFREEZE = %v", errno)
	}
	if errno := thawFS(d.fd); errno != 0 {
		t.Errorf("FITHAW after it = %v: it was not frozen", errno)
	}
}

// bothStalls runs a test with either of the two reasons for which FIFREEZE hangs.
func bothStalls(t *testing.T, test func(t *testing.T, d *disk, release func())) {
	for name, inFlight := range map[string]bool{"dirty": false, "in flight": true} {
		t.Run(name, func(t *testing.T) {
			d, release := stalledDisk(t, inFlight)
			test(t, d, release)
		})
	}
}

func TestSettleCanBeGivenUp(t *testing.T) {
	d, release := stalledDisk(t, false)
	g := arm(t, config(t), d)
	from := time.Now()
	err := g.Settle(bounded(t, 100*time.Millisecond))
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(from) > time.Second {
		t.Errorf("Settle = %v after %v, want the context's error at once", err, time.Since(from))
	}
	t.Log(err)
	release()
	must(t, g.Close())
}

func TestFreezeCanBeGivenUp(t *testing.T) { bothStalls(t, freezeCanBeGivenUp) }

func freezeCanBeGivenUp(t *testing.T, d *disk, release func()) {
	c := config(t)
	g := arm(t, c, d)
	from := time.Now()
	err := g.Freeze(bounded(t, 200*time.Millisecond), in(10*time.Second))
	if !errors.Is(err, context.DeadlineExceeded) || time.Since(from) > 2*time.Second {
		t.Fatalf("Freeze = %v after %v, want the context's error soon", err, time.Since(from))
	}
	t.Log(err)
	wantRCU(t, c, "0") // although FIFREEZE is still in flight
	if _, err := g.Thaw(bounded(t, 100*time.Millisecond)); err == nil {
		t.Error("Thaw says that it is thawed, while FIFREEZE is in flight")
	} else {
		t.Log(err)
	}
	release()
	at := bootNow()
	thawed, err := g.Thaw(bounded(t, 5*time.Second))
	must(t, err)
	t.Logf("thawed %v after the volume recovered", time.Duration(bootNow()-at))
	if thawed != (snapshot.Thawed{}) {
		t.Errorf("Thaw = %+v, want nothing, since Freeze had failed", thawed)
	}
	if d.isFrozen(t) {
		t.Error("still frozen")
	}
}

func TestDeadlineWhileFreezing(t *testing.T) { bothStalls(t, deadlineWhileFreezing) }

func deadlineWhileFreezing(t *testing.T, d *disk, release func()) {
	c := config(t)
	g := arm(t, c, d)
	time.AfterFunc(1200*time.Millisecond, release)
	// The deadline and two turns of the backstop pass before the kernel answers.
	err := g.Freeze(bounded(t, 8*time.Second), in(150*time.Millisecond))
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "the deadline passed") {
		t.Errorf("Freeze = %v, want the deadline", err)
	}
	wantRCU(t, c, "0")
	thawed, err := g.Thaw(t.Context())
	must(t, err)
	if thawed.Held() || thawed.Cause == snapshot.ThawGuardianLost {
		t.Errorf("Thaw = %+v, want neither held nor the guardian lost", thawed)
	}
	if d.isFrozen(t) {
		t.Error("still frozen: the guardian gave up")
	}
}

func TestCloseWhileFreezing(t *testing.T) { bothStalls(t, closeWhileFreezing) }

func closeWhileFreezing(t *testing.T, d *disk, release func()) {
	c := config(t)
	c.CloseWithin = 700 * time.Millisecond
	g := arm(t, c, d)
	_ = g.Freeze(bounded(t, 50*time.Millisecond), in(10*time.Second))
	from := time.Now()
	err := g.Close()
	if err == nil || time.Since(from) > 2*time.Second {
		t.Errorf("Close = %v after %v, want an error soon", err, time.Since(from))
	}
	t.Log(err)
	release()
	select {
	case <-g.ended:
	case <-time.After(5 * time.Second):
		t.Error("the guardian did not end by itself after the kernel had answered")
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.lost != nil {
		t.Errorf("the guardian was lost: %s", g.lost.why)
	}
	if d.isFrozen(t) {
		t.Error("still frozen")
	}
}

// TestGuardianKilledWhileFreezing: FITHAW says EINVAL, and the file system
// becomes frozen after that, with its freezer dead.
func TestGuardianKilledWhileFreezing(t *testing.T) { bothStalls(t, guardianKilledWhileFreezing) }

func guardianKilledWhileFreezing(t *testing.T, d *disk, release func()) {
	c := config(t)
	c.AnswerWithin = 200 * time.Millisecond
	g := arm(t, c, d)
	time.AfterFunc(1200*time.Millisecond, release)
	time.AfterFunc(200*time.Millisecond, func() {
		wantRCU(t, c, "1")
		_ = unix.Kill(g.Report().Guardian, unix.SIGKILL)
	})
	err := g.Freeze(bounded(t, 500*time.Millisecond), in(10*time.Second))
	if err == nil {
		t.Fatal("Freeze froze without a guardian")
	}
	t.Log(err)
	wantRCU(t, c, "0") // put back by the worker, while the guardian cannot die yet
	thawed, err := g.Thaw(bounded(t, 5*time.Second))
	must(t, err)
	if thawed.Cause != snapshot.ThawGuardianLost {
		t.Errorf("Thaw = %+v, want the guardian lost", thawed)
	}
	if d.isFrozen(t) {
		t.Error("still frozen")
	}
}

// TestRollback: one is frozen while the other's FIFREEZE still runs, and the third's fails.
func TestRollbackWaitsForTheKernel(t *testing.T) {
	slow, release := stalledDisk(t, false)
	dir := t.TempDir()
	quick, theirs := newDisk(t, "xfs", dir), newDisk(t, "xfs", dir)
	w := quick.startWriter(t)
	theirs.freezeForeign(t)
	g := arm(t, config(t), quick, slow, theirs)
	time.AfterFunc(700*time.Millisecond, release)
	from := bootNow()
	err := g.Freeze(bounded(t, 5*time.Second), in(10*time.Second))
	if !errors.Is(err, unix.EBUSY) {
		t.Errorf("Freeze = %v, want EBUSY", err)
	}
	if took := time.Duration(bootNow() - from); took < 500*time.Millisecond {
		t.Errorf("Freeze returned after %v, with FIFREEZE in flight", took)
	}
	w.firstAfter(t, from)
	if slow.isFrozen(t) || quick.isFrozen(t) {
		t.Error("still frozen")
	}
	if !theirs.isFrozen(t) {
		t.Error("someone else's freeze was thawed")
	}
}

// TestExpediteOverlaps: the value is the host's; a second run must not take the first one's 1 for it.
func TestExpediteOverlaps(t *testing.T) {
	for _, lockFile := range []bool{false, true} {
		slow, release := stalledDisk(t, false)
		quick := newDisk(t, "xfs", t.TempDir())
		c := config(t)
		if lockFile {
			c.LockFile = c.RCUPath + ".lock"
		}
		first, second := arm(t, c, slow), arm(t, c, quick)
		done := make(chan error)
		go func() { done <- first.Freeze(bounded(t, 5*time.Second), in(10*time.Second)) }()
		time.Sleep(100 * time.Millisecond)
		wantRCU(t, c, "1")
		must(t, second.Freeze(t.Context(), in(5*time.Second)))
		if second.Report().Expedited {
			t.Error("the second run raised what the first had raised")
		}
		thawed, err := second.Thaw(t.Context())
		must(t, err)
		if !thawed.Held() {
			t.Errorf("Thaw = %+v, want it held", thawed)
		}
		wantRCU(t, c, "1")
		release()
		must(t, <-done)
		wantRCU(t, c, "0")
		if !first.Report().Expedited {
			t.Error("the first run does not say that it was expedited")
		}
		must(t, first.Close())
	}
}

func TestExpediteLeavesTheHostsValue(t *testing.T) {
	d := newDisk(t, "xfs", t.TempDir())
	c := config(t)
	must(t, os.WriteFile(c.RCUPath, []byte("1\n"), 0o600))
	g := arm(t, c, d)
	must(t, g.Freeze(t.Context(), in(5*time.Second)))
	wantRCU(t, c, "1")
	_, err := g.Thaw(t.Context())
	must(t, err)
	wantRCU(t, c, "1")
}

func TestExpediteIsNoCondition(t *testing.T) {
	d := newDisk(t, "xfs", t.TempDir())
	c := config(t)
	must(t, os.Remove(c.RCUPath))
	g := arm(t, c, d)
	if notes := g.Report().Notes; len(notes) == 0 || !strings.Contains(notes[0], "expedite") {
		t.Errorf("the report says %q, want why it is not expedited", notes)
	}
	must(t, g.Freeze(t.Context(), in(5*time.Second)))
}

// TestRescueBesideAStalledRecord: where the runtime directory is on a disk that
// stalls, what the worker has to note keeps nothing frozen.
func TestRescueBesideAStalledRecord(t *testing.T) {
	slow, release := stalledDisk(t, false)
	temp := t.TempDir()
	quick, holder := newDisk(t, "xfs", temp), newDisk(t, "ext4", temp)
	c := config(t)
	c.RuntimeDir = holder.path
	g := arm(t, c, slow, quick)
	t.Cleanup(func() { thawFS(holder.fd); release() })
	done := make(chan error, 1)
	go func() { done <- g.Freeze(t.Context(), in(time.Second)) }()
	// The other one's FIFREEZE, in flight, keeps rcu_expedited up.
	for limit := time.Now().Add(5 * time.Second); g.record.mark(0) != markFreezing || g.record.mark(1) != markFrozen; time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("they do not come to rest as they should")
		}
	}
	wantRCU(t, c, "1")
	holder.freezeForeign(t)
	must(t, unix.Kill(g.Report().Guardian, unix.SIGKILL))
	for limit := time.Now().Add(5 * time.Second); quick.isFrozen(t); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Error("it stays frozen while the record cannot be written")
			break
		}
	}
	wantRCU(t, c, "0")
	thawFS(holder.fd)
	release()
	if err := <-done; err == nil {
		t.Error("Freeze = nil, want that the guardian was lost")
	}
}
