package rig

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
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

// expeditedPatience is how long another test on this host may have rcu_expedited
// raised: for a millisecond, or where it kills worker and guardian until it has cleaned up.
const expeditedPatience = 20 * time.Second

var expeditedForGood atomic.Bool

// Expedited is what stands in rcu_expedited when nobody is freezing; "" where
// that cannot be read. It is the host's, so it waits for a 0; where it has once
// waited in vain, the host has another value for good, and it waits no more.
func Expedited() string {
	for until := time.Now().Add(expeditedPatience); ; time.Sleep(5 * time.Millisecond) {
		b, err := os.ReadFile("/sys/kernel/rcu_expedited")
		if err != nil {
			return ""
		}
		value := strings.TrimSpace(string(b))
		if value == "0" || expeditedForGood.Load() {
			return value
		}
		if time.Now().After(until) {
			expeditedForGood.Store(true)
			return value
		}
	}
}
