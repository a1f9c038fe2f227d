package lunch

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"
	"time"
)

// Package makes the .deb for this machine in dir, and returns where it is. The version is like v1.2.3.
func Package(ctx context.Context, dir, version string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "stillpoint").Output()
	if err != nil {
		return "", fmt.Errorf("cannot find the sources: %w", err)
	}
	cmd := exec.CommandContext(ctx, "scripts/package.sh", "package")
	cmd.Dir = string(root[:len(root)-1])
	// A group of its own, which is told as a terminal tells: so it removes what it has begun.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Env = append(os.Environ(), "VERSION="+version, "SOURCE_DATE_EPOCH=1767225600", "ARCHES="+runtime.GOARCH, "FORMATS=deb", "DIST="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot make the package: %w: %s", err, out)
	}
	found, err := filepath.Glob(filepath.Join(dir, "stillpoint_"+version[1:]+"-1_*.deb"))
	if err != nil || len(found) != 1 {
		return "", fmt.Errorf("cannot find the package in %s: %v %w", dir, found, err)
	}
	return found[0], nil
}
