package journal

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// smallDisks are file systems of a few MiB, each on a loop device or in memory.
var smallDisks = []string{"tmpfs", "ext4", "xfs"}

// smallDisk mounts one, and takes it away when the test ends.
func smallDisk(t *testing.T, kind string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small disk: a full disk is not tested")
	}
	base := t.TempDir()
	dir := filepath.Join(base, "disk")
	ok(t, os.Mkdir(dir, 0o700))
	run := func(name string, args ...string) {
		t.Helper()
		if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
			t.Skipf("a full %s is not tested: %s: %v: %s", kind, name, err, out)
		}
	}
	if kind == "tmpfs" {
		run("mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", dir)
	} else {
		image := filepath.Join(base, "image")
		ok(t, os.WriteFile(image, nil, 0o600))
		size := int64(8 << 20)
		if kind == "xfs" {
			size = 300 << 20 // mkfs.xfs makes none smaller
		}
		ok(t, os.Truncate(image, size))
		run("mkfs."+kind, map[string][]string{"ext4": {"-q", "-m", "0", "-F", image}, "xfs": {"-q", "-f", image}}[kind]...)
		run("mount", "-o", "loop", image, dir)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir
}

// fill leaves no byte free. It returns what frees it all again.
func fill(t *testing.T, dir string) (free func()) {
	t.Helper()
	path := filepath.Join(dir, "ballast")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	ok(t, err)
	var at int64
	for size := int64(64 << 20); size >= 4<<10; {
		if err := unix.Fallocate(int(f.Fd()), 0, at, size); err != nil {
			size /= 2
			continue
		}
		at += size
	}
	ok(t, f.Close())
	// What is left in blocks that the call above does not reach.
	for i := range 64 {
		small := filepath.Join(dir, "ballast-"+string(rune('0'+i)))
		if err := os.WriteFile(small, make([]byte, 4<<10), 0o600); err != nil {
			_ = os.Remove(small)
			break
		}
	}
	return func() {
		paths, err := filepath.Glob(filepath.Join(dir, "ballast*"))
		ok(t, err)
		for _, p := range paths {
			ok(t, os.Remove(p))
		}
	}
}

func TestAFullDiskIsFoundBeforeAnythingIsHeld(t *testing.T) {
	for _, kind := range smallDisks {
		t.Run(kind, func(t *testing.T) {
			disk := smallDisk(t, kind)
			j := open(t, filepath.Join(disk, "state"), Options{})
			ok(t, j.Check())
			free := fill(t, disk)
			ok(t, j.Check()) // the room is kept
			err := j.Record(delivery("r", "nightly"), "m-1").Intend(ctx, "a-1", nil)
			if !full(err) {
				t.Fatalf("a run may begin that cannot be written down: %v", err)
			}
			free()
			ok(t, j.Record(delivery("r", "nightly"), "m-1").Intend(ctx, "a-1", nil))
		})
	}
}

// The disk fills up after the intent: what follows the window is written all
// the same, and the next run is refused.
func TestWhatFollowsTheWindowFindsRoom(t *testing.T) {
	for _, kind := range smallDisks {
		t.Run(kind, func(t *testing.T) {
			disk := smallDisk(t, kind)
			dir := filepath.Join(disk, "state")
			j := open(t, dir, Options{})
			rec := j.Record(delivery("r", "nightly"), "m-1")
			ok(t, rec.Intend(ctx, "a-1", []string{"vol-1"}))
			fill(t, disk)
			rec.Sending()
			r := result("r", "a-1", messages.Succeeded, time.Now())
			var owed []snapshot.PendingTags
			for i := range 20 {
				id := "snap-" + string(rune('a'+i))
				r.Snapshots = append(r.Snapshots, messages.Snapshot{SnapshotID: id, VolumeID: "vol-1"})
				owed = append(owed, snapshot.PendingTags{SnapshotID: id, Tags: map[string]string{"k": "v"}})
			}
			ok(t, rec.Settled(ctx, r))
			ok(t, j.Finish(r, owed))

			j = open(t, dir, Options{}) // and it is there after a crash
			e, err := j.Load("r")
			ok(t, err)
			if e.Result == nil || len(eventIDs(t, j)) != 1 {
				t.Fatalf("%+v", e)
			}
			if left, err := j.Owed(); err != nil || len(left) != len(owed) {
				t.Errorf("%d debts, %v", len(left), err)
			}
			again := fill(t, disk)
			err = j.Check()
			if !errors.As(err, new(*RoomError)) || !full(err) {
				t.Errorf("a full disk is well: %v", err)
			}
			if err := j.Record(delivery("s", "nightly"), "m-2").Intend(ctx, "a-2", nil); !errors.As(err, new(*RoomError)) {
				t.Errorf("%v", err)
			}
			ok(t, j.Published(r.EventID)) // removing needs no room
			again()
			ok(t, j.Check())
			ok(t, j.Record(delivery("s", "nightly"), "m-2").Intend(ctx, "a-2", nil))
		})
	}
}
