package freeze

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stillpoint/internal/snapshot"
)

// A rehearsal beside an armed run is in nobody's way: there is no second record,
// and the run's own is as it was. What Arm refuses it refuses.
func TestRehearse(t *testing.T) {
	d, dir := newDisk(t, "xfs", t.TempDir()), t.TempDir()
	c := config(t)
	c.RuntimeDir = dir
	g := arm(t, c, d)
	before, err := os.ReadFile(filepath.Join(dir, RecordName))
	must(t, err)
	if _, err := New(c).Rehearse(t.Context(), []string{d.path}); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(filepath.Join(dir, RecordName))
	if err != nil || string(after) != string(before) {
		t.Errorf("the record of the run has changed: %v", err)
	}
	if err := g.Ready(t.Context()); err != nil {
		t.Errorf("the run's guardian: %v", err)
	}
	if d.isFrozen(t) {
		t.Error("it is frozen")
	}
	plain := t.TempDir()
	c.RuntimeDir = filepath.Join(d.path, "run")
	mounts := []string{"/", d.path, plain, "/nowhere/at/all"}
	errs := New(c).Examine(mounts)
	for i, want := range []string{"root file system", "which the worker writes to", "is not a mount point", "does not exist"} {
		if !errors.As(errs[i], new(*snapshot.RefusedError)) || !strings.Contains(errs[i].Error(), want) {
			t.Errorf("%s: %v, want %q", mounts[i], errs[i], want)
		}
	}
	if _, err := New(c).Rehearse(t.Context(), []string{d.path}); err == nil || err.Error() != errs[1].Error() {
		t.Errorf("Rehearse and Examine disagree: %v", err)
	}
	if _, err := os.Stat(c.RuntimeDir); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a rehearsal made the runtime directory: %v", err)
	}
}

// Look tells the living from the dead, and a write tells whether it is frozen: on
// XFS and on ext4, by whomever, with nothing changed.
func TestLookAndWrites(t *testing.T) {
	for _, kind := range []string{"xfs", "ext4"} {
		t.Run(kind, func(t *testing.T) {
			d, dir := newDisk(t, kind, t.TempDir()), t.TempDir()
			if l, err := Look(dir); err != nil || l.Found {
				t.Errorf("without a record: %+v, %v", l, err)
			}
			writes := func() bool {
				t.Helper()
				ok, err := Writes(t.Context(), d.path, 3*time.Second, "write-probe")
				must(t, err)
				return ok
			}
			before, err := os.Stat(d.path)
			must(t, err)
			if !writes() {
				t.Error("it is not frozen, and no write gets on")
			}
			if after, err := os.Stat(d.path); err != nil || !after.ModTime().Equal(before.ModTime()) {
				t.Errorf("the probe has changed the directory: %v", err)
			}
			d.freezeForeign(t)
			if writes() {
				t.Error("somebody has frozen it, and a write gets on")
			}
			thawFS(d.fd)
			if !writes() {
				t.Error("it was thawed, and no write gets on")
			}

			c := startCrew(t, dir, 20*time.Second, "", d)
			if l, err := Look(dir); err != nil || !l.Found || l.Worker != c.Process.Pid || l.Guardian == 0 || len(l.Frozen) != 0 || FrozenBy(dir, d.path) != 0 {
				t.Errorf("armed: %+v, %v", l, err)
			}
			c.goOn(t)
			c.expect(t, "frozen")
			l, err := Look(dir)
			if err != nil || l.Worker != c.Process.Pid || len(l.Frozen) != 1 || l.Frozen[0] != d.path {
				t.Errorf("frozen: %+v, %v", l, err)
			}
			if by, other := FrozenBy(dir, d.path), FrozenBy(dir, t.TempDir()); by != c.Process.Pid || other != 0 {
				t.Errorf("frozen by %d, and what the run does not freeze by %d", by, other)
			}
			if on, err := On([]string{"/", d.path}, filepath.Join(d.path, "a/b")); err != nil || on != d.path {
				t.Errorf("a path on it is on %q, %v", on, err)
			}
			// What lies under a loop device counts: the image of d is on it.
			if on, err := On([]string{filepath.Dir(d.image)}, d.path); err != nil || on == "" {
				t.Errorf("its image is on %q, %v", on, err)
			}
		})
	}
}

// A runtime directory in which a run could write nothing is found, whether or not it is there yet.
func TestCheckRuntimeRoom(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{dir, dir + "/none/at/all", "/run/none"} {
		if err := CheckRuntimeRoom(path); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
	for options, says := range map[string]string{"mode=0700,size=4k": "KiB are free", "mode=0700,nr_inodes=2": "inodes are free", "mode=0700,size=0": ""} {
		must(t, unix.Mount("tmpfs", dir, "tmpfs", 0, options))
		for _, path := range []string{dir, dir + "/none/at/all"} {
			if err := CheckRuntimeRoom(path); (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
				t.Errorf("%s, %s: %v", options, path, err)
			}
		}
		must(t, unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, options))
		if err := CheckRuntimeRoom(dir); err == nil || !strings.Contains(err.Error(), "read-only") {
			t.Errorf("%s, read-only: %v", options, err)
		}
		must(t, unix.Unmount(dir, 0))
	}
}

// A runtime directory that others may write to is refused, and one that is not there is not.
func TestCheckRuntimeDir(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Chmod(dir, 0o777))
	if exists, err := CheckRuntimeDir(dir); !exists || err == nil {
		t.Errorf("%v %v", exists, err)
	}
	must(t, os.Chmod(dir, 0o755))
	if exists, err := CheckRuntimeDir(dir); !exists || err != nil {
		t.Errorf("%v %v", exists, err)
	}
	if exists, err := CheckRuntimeDir(dir + "/none"); exists || err != nil {
		t.Errorf("%v %v", exists, err)
	}
}
