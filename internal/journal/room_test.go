package journal

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

func TestAFullDiskIsFoundBeforeAnythingIsHeld(t *testing.T) {
	for _, kind := range SmallDisks {
		t.Run(kind, func(t *testing.T) {
			disk := SmallDisk(t, kind)
			j := open(t, filepath.Join(disk, "state"), Options{})
			ok(t, j.Check())
			free := Fill(t, disk)
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
	for _, kind := range SmallDisks {
		t.Run(kind, func(t *testing.T) {
			disk := SmallDisk(t, kind)
			dir := filepath.Join(disk, "state")
			j := open(t, dir, Options{})
			rec := j.Record(delivery("r", "nightly"), "m-1")
			ok(t, rec.Intend(ctx, "a-1", []string{"vol-1"}))
			Fill(t, disk)
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
			again := Fill(t, disk)
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

// The kernel makes a file system read-only when its device fails.
func TestADiskThatIsReadOnlyIsNotWell(t *testing.T) {
	disk := SmallDisk(t, "tmpfs")
	j := open(t, filepath.Join(disk, "state"), Options{})
	ok(t, j.Check())
	ok(t, unix.Mount("", disk, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""))
	if err := j.Check(); !errors.Is(err, unix.EROFS) {
		t.Errorf("a read-only disk is well: %v", err)
	}
	ok(t, unix.Mount("", disk, "", unix.MS_REMOUNT, ""))
	ok(t, j.Check())
}

func TestADirectoryThatIsGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	j := open(t, dir, Options{})
	ok(t, os.Rename(dir, dir+"-unmounted"))
	ok(t, os.Mkdir(dir, 0o700)) // the mount point
	if err := j.Check(); err == nil || !strings.Contains(err.Error(), "mounted?") {
		t.Errorf("%v", err)
	}
}
