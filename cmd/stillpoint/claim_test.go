package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stillpoint/internal/journal"
)

// A run at the terminal waits for a worker that looks at something, and not for
// one that runs a request: it names that at once.
func TestTheRunLockIsHadSoonOrNotAtAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run.lock")
	other, err := journal.LockRun(path)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		time.Sleep(busyWait / 10)
		_ = other.Unlock()
	}()
	ours, err := lockSoon(t.Context(), path)
	if err != nil {
		t.Fatalf("not had although it came free: %v", err)
	}
	if err := ours.For("r-1", "nightly"); err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	_, err = lockSoon(t.Context(), path)
	if !errors.As(err, new(*journal.BusyError)) || !strings.Contains(err.Error(), "request r-1 of plan nightly") || exitCode(hostError(err)) != 75 {
		t.Errorf("%v", err)
	}
	if d := time.Since(begun); d >= busyWait {
		t.Errorf("it took %s to say so", d)
	}
	if err := ours.Unlock(); err != nil {
		t.Fatal(err)
	}
}
