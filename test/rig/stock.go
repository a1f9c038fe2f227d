package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// LeftUnder names the mounts, loop devices and processes of this machine that
// lie under a folder or name it in their arguments, and the folder itself: what
// a run with that folder has left behind.
func LeftUnder(dir string) ([]string, error) {
	var left []string
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("cannot look for what was left: %w", err)
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 4 && strings.HasPrefix(f[4], dir) {
			left = append(left, "mount "+f[4])
		}
	}
	files, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return nil, fmt.Errorf("cannot look for what was left: %w", err)
	}
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && strings.HasPrefix(string(b), dir) {
			left = append(left, strings.Split(f, "/")[3]+" on "+strings.TrimSpace(string(b)))
		}
	}
	processes, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		return nil, fmt.Errorf("cannot look for what was left: %w", err)
	}
	for _, p := range processes {
		if b, err := os.ReadFile(p); err == nil && strings.Contains(string(b), dir) {
			left = append(left, "process "+strings.Split(p, "/")[2])
		}
	}
	if _, err := os.Lstat(dir); err == nil {
		left = append(left, dir)
	}
	return left, nil
}

// Expedited is what stands in rcu_expedited; "" where that cannot be read.
func Expedited() string {
	b, err := os.ReadFile("/sys/kernel/rcu_expedited")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
