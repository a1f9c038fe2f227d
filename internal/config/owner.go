package config

import (
	"fmt"
	"os"
	"syscall"
)

// checkOwner says whether a file can be trusted: a regular file that belongs to
// root or to the user who runs this, and that no one else may write. The error
// names the fix.
func checkOwner(path string, info os.FileInfo) error {
	if !info.Mode().IsRegular() {
		return fmt.Errorf("cannot use %s: it is not a regular file", path)
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("cannot use %s: its owner is unknown", path)
	}
	if uid := os.Geteuid(); st.Uid != 0 && int(st.Uid) != uid {
		return fmt.Errorf("cannot use %s: it belongs to user %d, not to root or user %d: chown root %s", path, st.Uid, uid, path)
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return fmt.Errorf("cannot use %s: others than its owner may write it (mode %04o): chmod go-w %s", path, mode, path)
	}
	return nil
}
