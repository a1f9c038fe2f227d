package freeze

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"time"

	"golang.org/x/sys/unix"
)

// The exit codes of ProbeMain.
const (
	probeWrites   = 0
	probeReadOnly = 3
	probeFailed   = 1
)

// ProbeMain is the entry point of the child that Writes starts. Its descriptor 3 is
// a directory, of which it removes one that is not there: the kernel asks
// for the right to write to the mount (mnt_want_write), which waits while the file
// system is frozen, before it looks for the name (do_rmdir of fs/namei.c) [V].
// So it changes nothing, and hangs where a write would.
func ProbeMain() int {
	err := unix.Unlinkat(fdSocket, "stillpoint-probe-"+rand.Text(), unix.AT_REMOVEDIR)
	switch {
	case errors.Is(err, unix.ENOENT):
		return probeWrites
	case errors.Is(err, unix.EROFS):
		return probeReadOnly
	}
	fmt.Fprintln(os.Stderr, err)
	return probeFailed
}

// Writes says whether a write to a mounted file system gets on, or waits, as it
// does while the file system is frozen, by whomever. Nothing else shows that:
// neither the mount table nor sysfs has it, FIFREEZE would freeze, and FITHAW
// thaw. A child tries it, which is left behind where it waits: no signal
// reaches it there, and it ends as soon as the file system is thawed.
//
// args make this program run ProbeMain; within is how long a write may take. ok is
// false where it took longer. The error says that it could not be tried.
func Writes(ctx context.Context, mount string, within time.Duration, args ...string) (ok bool, err error) {
	dir, err := os.OpenFile(mount, unix.O_RDONLY|unix.O_DIRECTORY, 0)
	if err != nil {
		return false, fmt.Errorf("cannot open %s: %w", mount, err)
	}
	defer func() { _ = dir.Close() }()
	cmd := exec.Command(selfPath, args...) //nolint:noctx // where it hangs, nothing ends it
	cmd.Args[0], cmd.Dir, cmd.Env = "stillpoint", "/", environ()
	cmd.ExtraFiles = []*os.File{dir}
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return false, fmt.Errorf("cannot try a write to %s: %w", mount, err)
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // its exit code says all
		close(ended)
	}()
	late := time.NewTimer(within)
	defer late.Stop()
	select {
	case <-ended:
	case <-late.C:
		_ = cmd.Process.Kill() // for when it comes out
		return false, nil
	case <-ctx.Done():
		_ = cmd.Process.Kill()
		return false, fmt.Errorf("cannot try a write to %s: %w", mount, context.Cause(ctx))
	}
	switch code := cmd.ProcessState.ExitCode(); code {
	case probeWrites, probeReadOnly: // a read-only mount of a file system that others write to
		return true, nil
	default:
		return false, fmt.Errorf("cannot try a write to %s: the child ended with %d", mount, code)
	}
}
