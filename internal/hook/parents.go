package hook

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// CheckParents looks at the directories on the way to the program, by the name
// that the plan has and by the one that links lead to. Whoever may write to one of
// them can put another program in its place, and that would be run as root. The
// error names each of them, and the fix.
func (c *Command) CheckParents() error {
	path := filepath.Clean(c.Argv[0])
	names := []string{path}
	if real, err := filepath.EvalSymlinks(path); err == nil && real != path {
		names = append(names, real)
	}
	var errs []error
	seen := map[string]bool{}
	for _, name := range names {
		for dir := filepath.Dir(name); !seen[dir]; dir = filepath.Dir(dir) {
			seen[dir] = true
			errs = append(errs, trustedDirectory(dir))
		}
	}
	return errors.Join(errs...)
}

// trustedDirectory says whether only root, or the user who runs this, can
// exchange what is in a directory. In one with the sticky bit everybody may add
// something, and nobody can exchange what is root's.
func trustedDirectory(dir string) error {
	info, err := os.Stat(dir)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return fmt.Errorf("the owner of %s is unknown", dir)
	case st.Uid != 0 && int(st.Uid) != os.Geteuid():
		return fmt.Errorf("%s belongs to user %d: chown root %s, or put the program elsewhere", dir, st.Uid, dir)
	case info.Mode().Perm()&0o022 != 0 && info.Mode()&os.ModeSticky == 0:
		return fmt.Errorf("others than its owner may write to %s (mode %04o): chmod go-w %s, or put the program elsewhere", dir, info.Mode().Perm(), dir)
	}
	return nil
}
