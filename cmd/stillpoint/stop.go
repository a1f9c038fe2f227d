package main

import (
	"context"
	"errors"
	"time"

	"stillpoint/cmd/stillpoint/parts"
	"stillpoint/internal/config"
)

// timeoutStopSec is the unit's TimeoutStopSec for it, in seconds.
func timeoutStopSec(f *config.File) int {
	return int(roundUp(parts.StopBudget(f)+logFlushWait+10*time.Second, 10*time.Second) / time.Second)
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
