package freeze

import (
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stillpoint/internal/snapshot"
)

func TestFreezeBlocksWritersUntilThaw(t *testing.T) {
	for _, kind := range []string{"xfs", "ext4"} {
		t.Run(kind, func(t *testing.T) {
			d := newDisk(t, kind, t.TempDir())
			w := d.startWriter(t)
			c := config(t)
			g := arm(t, c, d)
			must(t, g.Settle(t.Context()))
			must(t, g.Freeze(t.Context(), in(10*time.Second)))
			w.stopped(t, 100*time.Millisecond)
			if !d.isFrozen(t) {
				t.Error("the kernel says that it is not frozen")
			}
			wantRCU(t, c, "0")
			from := bootNow()
			thawed, err := g.Thaw(t.Context())
			took := time.Duration(bootNow() - from)
			must(t, err)
			if !thawed.Held() || thawed.Detail != "" {
				t.Errorf("Thaw = %+v, want it held", thawed)
			}
			if age := time.Since(thawed.At); age < 0 || age > time.Second {
				t.Errorf("thawed at %v, %v ago", thawed.At, age)
			}
			t.Logf("%s: frozen in %v, Thaw took %v, writer flowed %v after the command", kind, g.Report().FreezeTook, took, time.Duration(w.firstAfter(t, from)-from))
			if d.isFrozen(t) {
				t.Error("still frozen")
			}
			again, err := g.Thaw(t.Context())
			must(t, err)
			if again != thawed {
				t.Errorf("the second Thaw says %+v, the first said %+v", again, thawed)
			}
			if err := g.Freeze(t.Context(), in(time.Second)); err == nil {
				t.Error("a guard froze twice")
			}
			must(t, g.Close())
			must(t, g.Close())
			for _, note := range g.Report().Notes {
				t.Log(note)
			}
		})
	}
}

func TestThawWithoutFreeze(t *testing.T) {
	d := newDisk(t, "ext4", t.TempDir())
	g := arm(t, config(t), d)
	thawed, err := g.Thaw(t.Context())
	must(t, err)
	if thawed != (snapshot.Thawed{}) {
		t.Errorf("Thaw = %+v, want nothing", thawed)
	}
	must(t, g.Close())
	if err := g.Freeze(t.Context(), in(time.Second)); err == nil {
		t.Error("a closed guard froze")
	}
	if err := g.Settle(t.Context()); err == nil {
		t.Error("a closed guard flushed")
	}
}

func TestFreezeSeveral(t *testing.T) {
	dir := t.TempDir()
	disks := []*disk{newDisk(t, "xfs", dir), newDisk(t, "ext4", dir), newDisk(t, "xfs", dir)}
	var flows []*flow
	for _, d := range disks {
		flows = append(flows, d.startWriter(t))
	}
	g := arm(t, config(t), disks...)
	for _, target := range g.targets {
		if target.level != 0 {
			t.Errorf("%s has level %d, want all side by side", target.name, target.level)
		}
	}
	must(t, g.Freeze(t.Context(), in(10*time.Second)))
	for _, w := range flows {
		w.stopped(t, 30*time.Millisecond)
	}
	from := bootNow()
	thawed, err := g.Thaw(t.Context())
	must(t, err)
	if !thawed.Held() {
		t.Errorf("Thaw = %+v, want it held", thawed)
	}
	for _, w := range flows {
		w.firstAfter(t, from)
	}
	t.Logf("three file systems frozen in %v", g.Report().FreezeTook)
}

func TestFreezeNested(t *testing.T) {
	outer := newDisk(t, "xfs", t.TempDir())
	middle := newDisk(t, "ext4", outer.path)
	below := newDisk(t, "ext4", t.TempDir()) // to be mounted below middle
	over := middle.path + "/over"
	must(t, unix.Mkdir(over, 0o755))
	must(t, unix.Mount(below.path, over, "", unix.MS_BIND, ""))
	t.Cleanup(func() { _ = unix.Unmount(over, 0) })
	w := middle.startWriter(t)
	middle.dirty(t)

	guard, err := New(config(t)).Arm(t.Context(), []string{outer.path, middle.path, over})
	must(t, err)
	defer func() { must(t, guard.Close()) }()
	var order []string
	for _, target := range guard.(*Guard).targets {
		order = append(order, target.name)
	}
	if want := []string{over, middle.path, outer.path}; strings.Join(order, " ") != strings.Join(want, " ") {
		t.Fatalf("the order is %v, want %v", order, want)
	}
	must(t, guard.Freeze(bounded(t, 5*time.Second), in(10*time.Second)))
	w.stopped(t, 50*time.Millisecond)
	from := bootNow()
	thawed, err := guard.Thaw(bounded(t, 5*time.Second))
	must(t, err)
	if !thawed.Held() {
		t.Errorf("Thaw = %+v, want it held", thawed)
	}
	w.firstAfter(t, from)
}

func TestOneFileSystemTwice(t *testing.T) {
	d := newDisk(t, "xfs", t.TempDir())
	bind := t.TempDir()
	must(t, unix.Mount(d.path, bind, "", unix.MS_BIND, ""))
	t.Cleanup(func() { _ = unix.Unmount(bind, 0) })
	// The first is read-only, as ProtectSystem=strict shows it; the file system is not.
	must(t, unix.Mount("", bind, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""))
	guard, err := New(config(t)).Arm(t.Context(), []string{bind, d.path, d.path + "/"})
	must(t, err)
	defer func() { must(t, guard.Close()) }()
	if n := len(guard.(*Guard).targets); n != 1 {
		t.Fatalf("there are %d targets, want 1", n)
	}
	must(t, guard.Freeze(t.Context(), in(5*time.Second)))
	if !d.isFrozen(t) {
		t.Error("not frozen")
	}
	thawed, err := guard.Thaw(t.Context())
	must(t, err)
	if !thawed.Held() {
		t.Errorf("Thaw = %+v, want it held", thawed)
	}
}

func TestFrozenBySomeoneElse(t *testing.T) {
	dir := t.TempDir()
	ours, theirs := newDisk(t, "xfs", dir), newDisk(t, "xfs", dir)
	w := ours.startWriter(t)
	run(t, "fsfreeze", "--freeze", theirs.path)
	c := config(t)
	g := arm(t, c, ours, theirs)
	err := g.Freeze(t.Context(), in(5*time.Second))
	if !errors.Is(err, unix.EBUSY) || !strings.Contains(err.Error(), theirs.path) {
		t.Fatalf("Freeze = %v, want EBUSY for %s", err, theirs.path)
	}
	t.Log(err)
	w.firstAfter(t, bootNow())
	if ours.isFrozen(t) {
		t.Error("ours was not rolled back")
	}
	thawed, err := g.Thaw(t.Context())
	must(t, err)
	if thawed != (snapshot.Thawed{}) {
		t.Errorf("Thaw = %+v, want nothing", thawed)
	}
	must(t, g.Close())
	if !theirs.isFrozen(t) {
		t.Error("someone else's freeze was thawed")
	}
	wantRCU(t, c, "0")
}

func TestThawedBySomeoneElse(t *testing.T) {
	dir := t.TempDir()
	a, b := newDisk(t, "xfs", dir), newDisk(t, "ext4", dir)
	g := arm(t, config(t), a, b)
	must(t, g.Freeze(t.Context(), in(5*time.Second)))
	run(t, "fsfreeze", "--unfreeze", b.path)
	thawed, err := g.Thaw(t.Context())
	must(t, err)
	if thawed.Cause != snapshot.ThawForeign || !strings.Contains(thawed.Detail, b.path) {
		t.Errorf("Thaw = %+v, want someone else's at %s", thawed, b.path)
	}
	if a.isFrozen(t) || b.isFrozen(t) {
		t.Error("still frozen")
	}
}

func TestDeadline(t *testing.T) {
	d := newDisk(t, "xfs", t.TempDir())
	w := d.startWriter(t)
	c := config(t)
	g := arm(t, c, d)
	deadline := in(300 * time.Millisecond)
	at := bootTime(deadline)
	must(t, g.Freeze(t.Context(), deadline))
	w.stopped(t, 100*time.Millisecond)
	late := time.Duration(w.firstAfter(t, bootNow()) - at)
	t.Logf("writer flowed %v after the deadline", late)
	if late < 0 || late > 50*time.Millisecond {
		t.Errorf("the writer flowed %v after the deadline, want within 50 ms", late)
	}
	thawed, err := g.Thaw(t.Context())
	must(t, err)
	if off := thawed.At.Sub(deadline); thawed.Cause != snapshot.ThawDeadline || off < -time.Millisecond || off > 50*time.Millisecond {
		t.Errorf("Thaw = %+v, want the deadline, %v", thawed, deadline)
	}
	wantRCU(t, c, "0")
}

func TestDeadlinePassedBefore(t *testing.T) {
	d := newDisk(t, "ext4", t.TempDir())
	g := arm(t, config(t), d)
	if err := g.Freeze(t.Context(), in(-time.Second)); err == nil {
		t.Error("Freeze froze past its deadline")
	}
	if d.isFrozen(t) {
		t.Error("frozen")
	}
}
