package freeze

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSettleBesideALivingWorker: its window is its own.
func TestSettleBesideALivingWorker(t *testing.T) {
	d, dir := newDisk(t, "xfs", t.TempDir()), t.TempDir()
	c := startCrew(t, dir, 20*time.Second, "", d)
	if report := settle(t, dir); report.Worker != c.Process.Pid || len(report.FileSystems) != 0 {
		t.Errorf("Settle beside an armed worker = %+v, want it named and nothing done", report)
	}
	c.goOn(t)
	c.expect(t, "frozen")
	var said []string
	var mu sync.Mutex
	done := make(chan SettleReport)
	go func() {
		report, err := Settle(bounded(t, 15*time.Second), SettleOptions{RuntimeDir: dir, Progress: func(s string) {
			mu.Lock()
			defer mu.Unlock()
			said = append(said, s)
		}})
		if err != nil {
			t.Error(err)
		}
		done <- report
	}()
	select {
	case <-done:
		t.Error("Settle returned inside the window")
	case <-time.After(300 * time.Millisecond):
	}
	if !d.isFrozen(t) {
		t.Error("Settle thawed a living worker's freeze")
	}
	c.goOn(t)
	c.expect(t, "thawed")
	c.goOn(t)
	must(t, c.Wait())
	<-done
	mu.Lock()
	defer mu.Unlock()
	t.Log(said)
	if len(said) == 0 || !strings.Contains(said[0], d.path) || !strings.Contains(said[0], "waiting") {
		t.Errorf("it said %q, want that it waits for the window of %s", said, d.path)
	}
	wantNoRecord(t, dir)
}

// TestSettleBesideADyingWorker: the guardian thaws, and removes the record.
func TestSettleBesideADyingWorker(t *testing.T) {
	d, dir := newDisk(t, "xfs", t.TempDir()), t.TempDir()
	c := startCrew(t, dir, 20*time.Second, "", d)
	c.goOn(t)
	c.expect(t, "frozen")
	must(t, c.Process.Kill())
	settle(t, dir)
	if d.isFrozen(t) {
		t.Error("still frozen")
	}
	wantNoRecord(t, dir)
}

// TestSettleBothStopped: neither is dead, and neither thaws. The worker that
// goes on later leaves alone what someone else has frozen by then.
func TestSettleBothStopped(t *testing.T) {
	d, dir := newDisk(t, "xfs", t.TempDir()), t.TempDir()
	rcu := config(t).RCUPath
	c := startCrew(t, dir, time.Second, rcu, d)
	c.goOn(t)
	c.expect(t, "frozen")
	c.signal(t, unix.SIGSTOP)
	from := time.Now()
	report := settle(t, dir)
	took := time.Since(from)
	t.Logf("thawed %v after both were stopped, a second before the deadline", took)
	if took < settleMargin || !report.FileSystems[0].Thawed || report.Worker != c.Process.Pid {
		t.Errorf("Settle = %+v after %v, want it thawed after the deadline and %v", report, took, settleMargin)
	}
	if d.isFrozen(t) {
		t.Error("still frozen")
	}
	wantRCU(t, Config{RCUPath: rcu}, "0")
	d.freezeForeign(t)
	must(t, c.Process.Signal(unix.SIGCONT))
	// It reaps its guardian after it has made sure that nothing of its own is frozen.
	for limit := time.Now().Add(5 * time.Second); unix.Kill(c.guardian, 0) != unix.ESRCH; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatal("the worker does not notice its guardian's end")
		}
	}
	if !d.isFrozen(t) {
		t.Error("the worker thawed someone else's freeze")
	}
	c.goOn(t)
	c.expect(t, "thawed")
	c.goOn(t)
	must(t, c.Wait())
	wantNoRecord(t, dir)
}

// TestSettleStoppedAndKilled: the worker is dead, its guardian stopped.
func TestSettleStoppedAndKilled(t *testing.T) {
	d, dir := newDisk(t, "xfs", t.TempDir()), t.TempDir()
	c := startCrew(t, dir, 20*time.Second, "", d)
	c.goOn(t)
	c.expect(t, "frozen")
	must(t, unix.Kill(c.guardian, unix.SIGSTOP))
	must(t, c.Process.Kill())
	report := settle(t, dir)
	if d.isFrozen(t) || !report.FileSystems[0].Thawed {
		t.Errorf("Settle = %+v, want it thawed", report)
	}
	mustEnd(t, c.guardian)
	wantNoRecord(t, dir)
}

// TestSettleOneStalled: the stalled one does not keep the other one frozen.
func TestSettleOneStalled(t *testing.T) {
	slow, release := stalledDisk(t, true)
	dir := t.TempDir()
	quick := newDisk(t, "xfs", t.TempDir())
	w := quick.startWriter(t)
	c := startCrew(t, dir, 20*time.Second, "", slow, quick)
	c.goOn(t)
	for range 2000 { // until one is frozen, and the other's FIFREEZE in flight
		if r, err := openRecord(dir); err == nil && r != nil {
			a, err := r.read()
			r.close()
			if err == nil && strings.Contains(states(a), "frozen") && strings.Contains(states(a), "freezing") {
				break
			}
		}
		time.Sleep(time.Millisecond)
	}
	c.killBoth(t)
	if !quick.isFrozen(t) {
		t.Fatal("it is not frozen: the test shows nothing")
	}
	from := bootNow()
	report, err := Settle(bounded(t, 2500*time.Millisecond), SettleOptions{RuntimeDir: dir})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), slow.path) || strings.Contains(err.Error(), quick.path+",") {
		t.Errorf("Settle = %+v, %v, want an error that names %s alone", report, err, slow.path)
	}
	t.Logf("the other one's writer flowed after %v", time.Duration(w.firstAfter(t, from)-from))
	release()
	settle(t, dir)
	if slow.isFrozen(t) || quick.isFrozen(t) {
		t.Error("still frozen")
	}
	wantNoRecord(t, dir)
}

func states(a *account) string {
	var s []string
	for _, e := range a.entries {
		s = append(s, e.State)
	}
	return strings.Join(s, " ")
}

// TestSettleOwes runs what a dead run owes, once.
func TestSettleOwes(t *testing.T) {
	d, dir := newDisk(t, "xfs", t.TempDir()), t.TempDir()
	t.Setenv("TEST_OWE", "1")
	leave := func(kill func(c *crew)) {
		c := startCrew(t, dir, 20*time.Second, "", d)
		c.goOn(t)
		c.expect(t, "frozen")
		kill(c)
	}
	leave(func(c *crew) { c.killBoth(t) })
	if _, err := Settle(t.Context(), SettleOptions{RuntimeDir: dir}); err == nil || !strings.Contains(err.Error(), "post thaw") {
		t.Errorf("Settle without a way to run it = %v, want the command that is owed", err)
	}
	if d.isFrozen(t) {
		t.Error("still frozen")
	}
	for _, failure := range []error{nil, errors.New("no")} {
		if failure != nil {
			// The guardian thaws, but leaves the record, since something is owed.
			leave(func(c *crew) { must(t, c.Process.Kill()); mustEnd(t, c.guardian) })
		}
		var ran [][]string
		o := SettleOptions{RuntimeDir: dir, RunHook: func(_ context.Context, o Owed) error {
			if d.isFrozen(t) {
				t.Error("it was run before the thaw")
			}
			if o.Timeout != time.Second || o.Plan != "nightly" {
				t.Errorf("it is %+v, want 1 s of plan nightly", o)
			}
			ran = append(ran, o.Argv)
			return failure
		}}
		if _, err := Settle(t.Context(), o); !errors.Is(err, failure) {
			t.Errorf("Settle = %v, want %v", err, failure)
		}
		if _, err := Settle(t.Context(), o); err != nil {
			t.Errorf("Settle again = %v", err)
		}
		if len(ran) != 1 || !slices.Equal(ran[0], []string{"/bin/echo", "post thaw"}) {
			t.Errorf("%q was run, want it once", ran)
		}
		wantNoRecord(t, dir)
	}
}

// edit changes the text of a record of dead processes.
func edit(t *testing.T, dir string, change func(text string) string) {
	t.Helper()
	path := filepath.Join(dir, RecordName)
	text, err := os.ReadFile(path)
	must(t, err)
	must(t, os.WriteFile(path, []byte(change(string(text))), 0o600))
}

// TestSettleAnotherBoot: whatever is frozen now was not by this record.
func TestSettleAnotherBoot(t *testing.T) {
	d, dir := newDisk(t, "xfs", t.TempDir()), t.TempDir()
	c := startCrew(t, dir, 20*time.Second, "", d)
	c.goOn(t)
	c.expect(t, "frozen")
	c.killBoth(t)
	boot, err := bootID()
	must(t, err)
	edit(t, dir, func(text string) string {
		return strings.Replace(text, boot, "00000000-0000-4000-8000-000000000000", 1)
	})
	report := settle(t, dir)
	if !d.isFrozen(t) {
		t.Error("it was thawed by the record of another boot")
	}
	if !strings.Contains(strings.Join(report.Notes, ""), "earlier boot") {
		t.Errorf("the report says %q, want the earlier boot", report.Notes)
	}
	wantNoRecord(t, dir)
}

// TestSettleDamaged: what can be understood is thawed, the rest is set aside.
func TestSettleDamaged(t *testing.T) {
	temp, dir := t.TempDir(), t.TempDir()
	disks := []*disk{newDisk(t, "xfs", temp), newDisk(t, "ext4", temp)}
	c := startCrew(t, dir, 20*time.Second, "", disks...)
	c.goOn(t)
	c.expect(t, "frozen")
	c.killBoth(t)
	edit(t, dir, func(text string) string { return text[:strings.LastIndex(text, `"uuid"`)] })
	report, err := Settle(bounded(t, 5*time.Second), SettleOptions{RuntimeDir: dir})
	if err == nil || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("Settle = %v, want that it was damaged", err)
	}
	t.Log(err)
	frozen := 0
	for _, d := range disks {
		if d.isFrozen(t) {
			frozen++
			thawFS(d.fd)
		}
	}
	if frozen != 1 || len(report.FileSystems) != 1 || !report.FileSystems[0].Thawed {
		t.Errorf("%d are frozen, and Settle = %+v, want the whole entry thawed, and the other one not", frozen, report)
	}
	for _, text := range []string{"", "{", "nonsense\n"} {
		must(t, os.WriteFile(filepath.Join(dir, RecordName), []byte(text), 0o600))
		if _, err := Settle(t.Context(), SettleOptions{RuntimeDir: dir}); err == nil || !strings.Contains(err.Error(), "damaged") {
			t.Errorf("Settle of %q = %v, want that it is damaged", text, err)
		}
	}
	aside, err := filepath.Glob(filepath.Join(dir, RecordName+".damaged-*"))
	must(t, err)
	if len(aside) == 0 {
		t.Error("the damaged record was not kept")
	}
	if r := settle(t, dir); r.Found {
		t.Error("a damaged record stands in the way")
	}
}

// TestSettleTrustsNobody: a record that others can write to may name any command.
func TestSettleTrustsNobody(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, RecordName)
	must(t, os.WriteFile(path, []byte("{}"), 0o600))
	needRoot(t)
	check := func(name string, err error) {
		t.Helper()
		must(t, err)
		if _, err := Settle(t.Context(), SettleOptions{RuntimeDir: dir}); err == nil || strings.Contains(err.Error(), "damaged") {
			t.Errorf("%s: Settle = %v, want it refused", name, err)
		}
	}
	check("mode", os.Chmod(path, 0o602))
	check("owner", errors.Join(os.Chmod(path, 0o600), os.Chown(path, 65534, 0)))
	check("link", errors.Join(os.Chown(path, 0, 0), os.Rename(path, path+"2"), os.Symlink(path+"2", path)))
	check("directory", errors.Join(os.Remove(path), os.Rename(path+"2", path), os.Chmod(dir, 0o777)))
}

// TestSettleRestoresRCU: both were killed while it was raised. Where someone
// else has raised it since, it is theirs.
func TestSettleRestoresRCU(t *testing.T) {
	for _, theirs := range []bool{false, true} {
		d, release := stalledDisk(t, false)
		dir := t.TempDir()
		setting := config(t)
		c := startCrew(t, dir, 20*time.Second, setting.RCUPath, d)
		c.goOn(t)
		marked(t, dir, markFreezing)
		c.killBoth(t)
		release()
		mustEnd(t, c.guardian)
		wantRCU(t, setting, "1")
		if theirs {
			fd, err := unix.Open(setting.RCUPath, unix.O_RDWR|unix.O_CLOEXEC, 0)
			must(t, err)
			defer unix.Close(fd)
			for unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) != nil {
				time.Sleep(time.Millisecond) // until the last thread of the guardian has ended
			}
		}
		settle(t, dir)
		wantRCU(t, setting, map[bool]string{false: "0", true: "1"}[theirs])
		if d.isFrozen(t) {
			t.Error("still frozen")
		}
		wantNoRecord(t, dir)
	}
}
