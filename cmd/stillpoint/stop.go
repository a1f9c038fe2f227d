package main

import (
	"context"
	"errors"
	"time"

	"stillpoint/internal/config"
	"stillpoint/internal/snapshot"
)

// stopCalls is what a stop may wait for beside the window: the extension under
// way (5 s), the unlock and the farewells of guardian and sessions (15 s), the
// verdict tags (10 s), the one try to publish (5 s), and three tries to delete the
// message (16.5 s). Everything else that a request waits for ends with the
// stop: the tries, the flush, the look-ups, the waits. It also covers a stop
// between requests, which waits for a poll (30 s and 5 s) that must not be
// cancelled, and for the release of what it brought (5 s).
const stopCalls = time.Minute

// stopBudget is the longest that a stop takes. What has not ended by then is
// left behind: what is durable stays so, what is frozen the guardian thaws, and
// the database's sessions end with the process.
func stopBudget(f *config.File) time.Duration {
	longest, _ := longestWindow(f)
	for _, p := range f.Plans {
		if p.MySQL != nil && p.MySQL.Replica == config.ReplicaStopApplier {
			return longest + stopCalls + snapshot.StartApplierWithin + applierWithin
		}
	}
	return longest + stopCalls
}

// timeoutStopSec is the unit's TimeoutStopSec for it, in seconds.
func timeoutStopSec(f *config.File) int {
	return int(roundUp(stopBudget(f)+logFlushWait+10*time.Second, 10*time.Second) / time.Second)
}

var errOverdue = errors.New("cannot stop in time")

// endInTime does its work, which ends with ctx, and returns what that says.
// When ctx ends it asks stopping how long the end may take, and after that
// returns errOverdue, with the work left behind.
func endInTime(ctx context.Context, stopping func() time.Duration, work func() error) error {
	done := make(chan error, 1)
	go func() { done <- work() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	late := time.NewTimer(stopping())
	defer late.Stop()
	select {
	case err := <-done:
		return err
	case <-late.C:
		return errOverdue
	}
}
