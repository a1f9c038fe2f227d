package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"stillpoint/internal/hook"
)

// TestWhatAHookInherits: signals as a shell would give them, and no descriptor of whoever started us.
func TestWhatAHookInherits(t *testing.T) {
	script := filepath.Join(t.TempDir(), "hook.sh")
	if err := os.WriteFile(script, []byte("#!/bin/sh\ngrep SigIgn /proc/$$/status\nls /proc/$$/fd\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Dup(2) // without O_CLOEXEC
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	survive()
	keepDescriptors()
	c := &hook.Command{Argv: []string{script}, Timeout: time.Minute}
	out, err := c.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(out)
	ignored, err := strconv.ParseUint(fields[1], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range []syscall.Signal{syscall.SIGPIPE, syscall.SIGHUP} {
		if ignored&(1<<(s-1)) != 0 {
			t.Errorf("the hook ignores %s", s)
		}
	}
	for _, n := range fields[2:] {
		if n == strconv.Itoa(fd) {
			t.Errorf("the hook has descriptor %s of whoever started us", n)
		}
	}
}
