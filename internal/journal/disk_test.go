package journal

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

// memoryDir is a folder in memory where there is one: for tests of thousands of
// steps, which wait for syncs otherwise.
func memoryDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "stillpoint-journal-")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { ok(t, os.RemoveAll(dir)) })
	return dir
}

// SmallDisks are file systems of a few MiB, each on a loop device or in memory.
var SmallDisks = []string{"tmpfs", "ext4", "xfs"}

// SmallDisk mounts one, and takes it away when the test ends.
func SmallDisk(t *testing.T, kind string) string {
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

// Fill leaves no byte free. It returns what frees it all again.
func Fill(t *testing.T, dir string) (free func()) {
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
