package locks

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

func TestHeld(t *testing.T) {
	const list = "1: POSIX  ADVISORY  WRITE 10 00:2d:12 0 EOF\n2: -> FLOCK  ADVISORY  WRITE 11 00:2d:13 0 EOF\n3: FLOCK  ADVISORY  WRITE 12 00:2d:14 0 EOF\n"
	for inode, want := range map[string]bool{"00:2d:12": false, "00:2d:13": false, "00:2d:14": true, "00:2d:1": false} {
		if got := held(list, inode); got != want {
			t.Errorf("%s: %v", inode, got)
		}
	}
}

// What the kernel says of a real one.
func TestKernel(t *testing.T) {
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	for _, lock := range []int{unix.LOCK_EX, unix.LOCK_SH, unix.LOCK_UN} {
		if err := unix.Flock(int(f.Fd()), lock); err != nil {
			t.Fatal(err)
		}
		if got, err := Held(info); err != nil || got != (lock != unix.LOCK_UN) {
			t.Errorf("after %d: %v, %v", lock, got, err)
		}
	}
}
