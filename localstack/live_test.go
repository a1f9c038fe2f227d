package localstack_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"stillpoint/localstack"
)

// A writer puts rising numbers to two places of a device in turn, past the page cache. Whatever a snapshot shows must have been
// on the device at one time.
func TestSnapshotOfALiveDeviceIsOneInstant(t *testing.T) {
	needRoot(t)
	for name, dir := range map[string]func(*testing.T) string{
		"clone": reflinkDir, "clone of a clone": reflinkDir, "copy": func(t *testing.T) string { return t.TempDir() },
	} {
		t.Run(name, func(t *testing.T) {
			folder := dir(t)
			c := start(t, localstack.Config{Dir: folder, SnapshotTime: -1})
			instance, _ := c.launch(t, 0)
			id, path := c.disk(t, instance, "/dev/sdf", "")
			if name == "clone of a clone" { // its device has no direct I/O
				made := must(c.dataSnapshots(t, instance))(t)
				id, path = c.disk(t, instance, "/dev/sdg", made[id])
			}
			const first, second, block = 0, 256 << 20, 4096

			device := must(os.OpenFile(path, os.O_WRONLY|unix.O_DIRECT, 0))(t)
			defer device.Close()
			memory := must(unix.Mmap(-1, 0, block, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE))(t)
			defer unix.Munmap(memory)
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			wrote := make(chan struct{}, 1)
			var writer errgroup.Group
			writer.Go(func() error {
				for n := uint64(1); ctx.Err() == nil; n++ {
					binary.LittleEndian.PutUint64(memory, n)
					for _, at := range []int64{first, second} {
						if _, err := device.WriteAt(memory, at); err != nil {
							return err
						}
					}
					select {
					case wrote <- struct{}{}:
					default:
					}
				}
				return nil
			})
			defer func() { stop(); must(struct{}{}, writer.Wait())(t) }()

			var seen []uint64
			for range 20 {
				<-wrote
				before := must(filepath.Glob(filepath.Join(folder, "snap-*")))(t)
				made, err := c.dataSnapshots(t, instance)
				if note := c.last(t, createSnapshots).Note; strings.HasPrefix(note, "copy") && err != nil {
					// A copy that was written to meanwhile is not one instant, so it has to be
					// refused. One into which no write fell is checked like a clone.
					wantCode(t, err, "InternalError")
					if left := must(filepath.Glob(filepath.Join(folder, "snap-*")))(t); len(left) != len(before) {
						t.Errorf("it failed and left one of %v", left)
					}
					return
				}
				must(made, err)(t)
				f := must(os.Open(filepath.Join(folder, made[id]+".img")))(t)
				defer f.Close()
				var a, b [8]byte
				must(f.ReadAt(a[:], first))(t)
				must(f.ReadAt(b[:], second))(t)
				x, y := binary.LittleEndian.Uint64(a[:]), binary.LittleEndian.Uint64(b[:])
				if x != y && x != y+1 {
					t.Errorf("the snapshot shows %d and %d, which were never there together", x, y)
				}
				seen = append(seen, x)
			}
			if name == "copy" {
				t.Error("no write fell into any of 20 copies, or none was noticed")
			}
			t.Logf("20 snapshots of a device that is being written to, at the numbers %v", seen)
			if seen[0] == seen[len(seen)-1] {
				t.Error("the writer did not write meanwhile, so nothing was tested")
			}
		})
	}
}

// What only the page cache above the device holds is not on the disk, and EBS would not have it.
func TestSnapshotHasNoMoreThanTheDevice(t *testing.T) {
	needRoot(t)
	folder := reflinkDir(t)
	c := start(t, localstack.Config{Dir: folder})
	instance, _ := c.launch(t, 0)
	id, path := c.disk(t, instance, "/dev/sdf", "")
	device := must(os.OpenFile(path, os.O_RDWR, 0))(t)
	defer device.Close()
	flushed, cached := random(t, 4096), random(t, 4096)
	must(device.WriteAt(flushed, 0))(t)
	must(struct{}{}, device.Sync())(t)
	must(device.WriteAt(cached, 1<<20))(t)
	made := must(c.dataSnapshots(t, instance))(t)
	image := must(os.Open(filepath.Join(folder, made[id]+".img")))(t)
	defer image.Close()
	block := make([]byte, 4096)
	must(image.ReadAt(block, 0))(t)
	if !bytes.Equal(block, flushed) {
		t.Error("what was flushed to the device is not in the snapshot")
	}
	must(image.ReadAt(block, 1<<20))(t)
	if !bytes.Equal(block, make([]byte, 4096)) {
		t.Error("what was never written to the device is in the snapshot")
	}
}
