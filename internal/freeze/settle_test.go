package freeze

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// settle settles a runtime directory, and fails the test where that fails.
func settle(t testing.TB, dir string) SettleReport {
	t.Helper()
	report, err := Settle(bounded(t, 20*time.Second), SettleOptions{RuntimeDir: dir})
	if err != nil {
		t.Errorf("Settle = %v", err)
	}
	for _, line := range report.Sentences() {
		t.Log(line)
	}
	return report
}

// wantNoRecord checks that the runtime directory is empty.
func wantNoRecord(t testing.TB, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		t.Errorf("%s was left behind", e.Name())
	}
}

// marked waits until the record says so of its first file system.
func marked(t testing.TB, dir string, want mark) {
	t.Helper()
	for limit := time.Now().Add(10 * time.Second); time.Now().Before(limit); time.Sleep(time.Millisecond) {
		r, err := openRecord(dir)
		must(t, err)
		if r == nil {
			continue
		}
		a, err := r.read()
		r.close()
		if err == nil && a.entries[0].marked() == want {
			return
		}
	}
	t.Fatalf("the record never says %s", want)
}

func TestSettleBothKilledFrozen(t *testing.T) {
	temp, dir := t.TempDir(), t.TempDir()
	disks := []*disk{newDisk(t, "xfs", temp), newDisk(t, "ext4", temp)}
	c := startCrew(t, dir, 20*time.Second, "", disks...)
	c.goOn(t)
	c.expect(t, "frozen")
	c.killBoth(t)
	for _, d := range disks {
		if !d.isFrozen(t) {
			t.Fatalf("%s is not frozen: the test shows nothing", d.path)
		}
	}
	report := settle(t, dir)
	for i, d := range disks {
		if d.isFrozen(t) {
			t.Errorf("%s is still frozen", d.path)
		}
		if !report.FileSystems[i].Thawed {
			t.Errorf("the report says %+v, want it thawed", report.FileSystems[i])
		}
	}
	wantNoRecord(t, dir)
}

// TestSettleWaitsForFIFREEZE: both are dead but for a thread in the kernel. The
// record stays locked until its FIFREEZE has returned; only then does EINVAL mean anything.
func TestSettleWaitsForFIFREEZE(t *testing.T) { bothStalls(t, settleWaitsForFIFREEZE) }

func settleWaitsForFIFREEZE(t *testing.T, d *disk, release func()) {
	dir := t.TempDir()
	rcu := config(t).RCUPath
	c := startCrew(t, dir, 300*time.Millisecond, rcu, d)
	c.goOn(t)
	marked(t, dir, markFreezing)
	time.Sleep(50 * time.Millisecond) // from the mark into the kernel
	c.killBoth(t)
	r, err := openRecord(dir)
	must(t, err)
	if r.lock() {
		t.Error("the record's lock is free while FIFREEZE is in flight")
	}
	r.close()
	if _, err := Settle(bounded(t, 2200*time.Millisecond), SettleOptions{RuntimeDir: dir}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Settle = %v, want it to wait", err)
	} else {
		t.Log(err)
	}
	released := make(chan struct{})
	time.AfterFunc(300*time.Millisecond, func() { release(); close(released) })
	settle(t, dir)
	select {
	case <-released:
	default:
		t.Error("Settle said that it was thawed while FIFREEZE was in flight")
	}
	if d.isFrozen(t) {
		t.Error("still frozen")
	}
	wantNoRecord(t, dir)
	wantRCU(t, Config{RCUPath: rcu}, "0")
}

// TestSettleLeavesWhatIsIntended: it is someone else's.
func TestSettleLeavesWhatIsIntended(t *testing.T) {
	d, dir := newDisk(t, "xfs", t.TempDir()), t.TempDir()
	c := startCrew(t, dir, time.Second, "", d)
	c.killBoth(t)
	d.freezeForeign(t)
	settle(t, dir)
	if !d.isFrozen(t) {
		t.Error("someone else's freeze was thawed")
	}
	wantNoRecord(t, dir)
}

// TestSettleLeavesWhatFailed: it was frozen by someone else before.
func TestSettleLeavesWhatFailed(t *testing.T) {
	temp, dir := t.TempDir(), t.TempDir()
	slow, release := stalledDisk(t, false)
	theirs := newDisk(t, "xfs", temp)
	theirs.freezeForeign(t)
	c := startCrew(t, dir, 10*time.Second, "", slow, theirs)
	c.goOn(t)
	for range 1000 {
		r, err := openRecord(dir)
		must(t, err)
		a, err := r.read()
		r.close()
		if err == nil && a.entries[1].marked() == markFailed {
			break
		}
		time.Sleep(time.Millisecond)
	}
	c.killBoth(t)
	release()
	settle(t, dir)
	if !theirs.isFrozen(t) {
		t.Error("someone else's freeze was thawed")
	}
	if slow.isFrozen(t) {
		t.Error("ours was not")
	}
	wantNoRecord(t, dir)
}

// TestRecordIsGone after every end that one of the two outlives.
func TestRecordIsGone(t *testing.T) {
	ends := map[string]func(t *testing.T, c *crew){
		"normal run": func(t *testing.T, c *crew) {
			c.goOn(t)
			c.expect(t, "thawed")
			c.goOn(t)
			must(t, c.Wait())
		},
		"worker killed": func(t *testing.T, c *crew) {
			must(t, c.Process.Kill())
			mustEnd(t, c.guardian)
		},
		"guardian killed": func(t *testing.T, c *crew) {
			must(t, unix.Kill(c.guardian, unix.SIGKILL))
			c.goOn(t)
			c.expect(t, "thawed")
			c.goOn(t)
			must(t, c.Wait())
		},
	}
	for name, end := range ends {
		t.Run(name, func(t *testing.T) {
			d, dir := newDisk(t, "xfs", t.TempDir()), t.TempDir()
			c := startCrew(t, dir, 20*time.Second, "", d)
			c.goOn(t)
			c.expect(t, "frozen")
			if _, err := os.Stat(filepath.Join(dir, RecordName)); err != nil {
				t.Error(err)
			}
			end(t, c)
			wantNoRecord(t, dir)
			d.freezeForeign(t) // nobody remembers that it was ours once
			settle(t, dir)
			if !d.isFrozen(t) {
				t.Error("someone else's freeze was thawed")
			}
		})
	}
}

func TestSettleNothing(t *testing.T) {
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "none")} {
		if report := settle(t, dir); report.Found {
			t.Errorf("Settle = %+v, want nothing found", report)
		}
	}
}

// TestArmSettles: a leftover is thawed before anything is armed; one whose owner lives is not touched.
func TestArmSettles(t *testing.T) {
	d, dir := newDisk(t, "xfs", t.TempDir()), t.TempDir()
	c := startCrew(t, dir, 20*time.Second, "", d)
	c.goOn(t)
	c.expect(t, "frozen")
	again := config(t)
	again.RuntimeDir = dir
	_, err := New(again).Arm(t.Context(), []string{d.path})
	if err == nil || !strings.Contains(err.Error(), "an older freeze of this host has not ended") {
		t.Errorf("Arm beside a freeze = %v, want it refused", err)
	}
	t.Log(err)
	if !d.isFrozen(t) {
		t.Error("Arm thawed a living worker's freeze")
	}
	c.killBoth(t)
	g := arm(t, again, d)
	if d.isFrozen(t) {
		t.Error("Arm left the old freeze")
	}
	if notes := strings.Join(g.Report().Notes, "\n"); !strings.Contains(notes, "left behind by an older run") {
		t.Errorf("notes are %q, want what was left behind", notes)
	}
	must(t, g.Freeze(t.Context(), in(5*time.Second)))
	thawed, err := g.Thaw(t.Context())
	must(t, err)
	if !thawed.Held() {
		t.Errorf("Thaw = %+v, want it held", thawed)
	}
	must(t, g.Close())
	wantNoRecord(t, dir)
}
