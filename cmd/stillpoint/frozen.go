package main

import (
	"context"
	"time"

	"stillpoint/internal/snapshot"
)

// watchedFreezer tells a gauge whether something is frozen. set must not block.
type watchedFreezer struct {
	snapshot.Freezer
	set func(on bool)
}

// Arm implements snapshot.Freezer.
func (f watchedFreezer) Arm(ctx context.Context, mounts []string) (snapshot.Guard, error) {
	g, err := f.Freezer.Arm(ctx, mounts)
	if err != nil {
		return nil, err
	}
	return watchedGuard{g, f.set}, nil
}

type watchedGuard struct {
	snapshot.Guard
	set func(on bool)
}

func (g watchedGuard) Freeze(ctx context.Context, deadline time.Time) error {
	g.set(true)
	err := g.Guard.Freeze(ctx, deadline)
	if err != nil {
		g.set(false)
	}
	return err
}

func (g watchedGuard) Thaw(ctx context.Context) (snapshot.Thawed, error) {
	t, err := g.Guard.Thaw(ctx)
	g.set(err != nil)
	return t, err
}
