// Package locks tells who only looks whether a file is locked: to try the lock would
// be to have it for a moment, in which its owner finds it taken.
package locks

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Held says whether somebody has the lock of flock(2) on a file, by the kernel's list
// (proc(5), /proc/locks).
func Held(file fs.FileInfo) (bool, error) {
	st, ok := file.Sys().(*syscall.Stat_t)
	if !ok {
		return false, errors.New("cannot tell which file it is")
	}
	list, err := os.ReadFile("/proc/locks")
	if err != nil {
		return false, fmt.Errorf("cannot read the kernel's locks: %w", err)
	}
	return held(string(list), fmt.Sprintf("%02x:%02x:%d", unix.Major(st.Dev), unix.Minor(st.Dev), st.Ino)), nil
}

// held looks for the file that is called inode in the lines:
// "1: FLOCK  ADVISORY  WRITE 2218 00:2d:12 0 EOF". What waits for a lock has an arrow:
// "1: -> FLOCK ...".
func held(locks, inode string) bool {
	for line := range strings.Lines(locks) {
		f := strings.Fields(line)
		if len(f) >= 6 && f[1] == "FLOCK" && f[5] == inode {
			return true
		}
	}
	return false
}
