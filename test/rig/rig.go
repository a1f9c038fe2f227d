// Package rig holds the real parts that the end-to-end tests, the demo and the
// benchmark run against: file systems on loop devices, MariaDB servers, a load
// that writes to them, and the means to prove that a restored server holds
// exactly what the original held at a binlog position. Nothing here is a fake
// and nothing here knows the product: the package imports no other package of
// this module, takes a context and returns errors, so that it serves a test and
// a main alike.
//
// Servers and mounts do not outlive the process that made them, not even when
// it is killed with SIGKILL: servers carry a parent-death signal, and mounts are
// known to a small shell that undoes them once its owner is gone.
package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Missing returns what this machine lacks for the rig, as short human names
// such as "root" or "mkfs.xfs". It is empty when everything is there.
func Missing() []string {
	var missing []string
	if os.Geteuid() != 0 {
		missing = append(missing, "root")
	}
	for _, tool := range []string{
		"mkfs.xfs", "mkfs.ext4", "mariadbd", "mariadb-install-db", "mariadb", "mariadb-binlog",
		"mount", "umount", "mountpoint", "losetup", "fsfreeze",
	} {
		if _, err := lookTool(tool); err != nil {
			missing = append(missing, tool)
		}
	}
	if fd, err := unix.Open("/dev/loop-control", unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
		missing = append(missing, "loop devices")
	} else {
		_ = unix.Close(fd)
	}
	return missing
}

// lookTool finds a program in PATH or, as an ordinary user's PATH often lacks
// them, in the system's directories for administrators.
func lookTool(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/libexec"} {
		if found, dirErr := exec.LookPath(filepath.Join(dir, name)); dirErr == nil {
			return found, nil
		}
	}
	return "", fmt.Errorf("cannot find the program %s: %w", name, err)
}

// runTool runs a program to its end. Its process group is killed when ctx ends;
// what it wrote is part of the error.
func runTool(ctx context.Context, name string, args ...string) error {
	path, err := lookTool(name)
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, path, args...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	cmd.SysProcAttr = &unix.SysProcAttr{Setpgid: true}
	// A script such as mariadb-install-db has children of its own.
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("cannot run %s: %w%s", name, errors.Join(err, context.Cause(ctx)), quoteOutput(output.String()))
	}
	return nil
}

// quoteOutput gives the last lines of a program's output as the tail of an
// error, or nothing when it was silent.
func quoteOutput(output string) string {
	lines := strings.Split(strings.TrimSpace(output), "\n")
	if len(lines) == 1 && lines[0] == "" {
		return ""
	}
	return ": " + strings.Join(lines[max(0, len(lines)-8):], "; ")
}
