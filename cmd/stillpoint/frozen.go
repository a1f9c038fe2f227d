package main

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"stillpoint/internal/freeze"
	"stillpoint/internal/snapshot"
)

// watchedFreezer tells a gauge whether something is frozen. set must not block.
type watchedFreezer struct {
	snapshot.Freezer
	set func(on bool)
	log zerolog.Logger
}

// noter is a guard that has noted what did not go as it should, without
// spoiling the set. It is read when the window is over.
type noter interface{ Report() freeze.Report }

// Close ends the guard, and logs what it noted.
func (g watchedGuard) Close() error {
	err := g.Guard.Close()
	if err == nil {
		g.set(false)
	}
	if n, ok := g.Guard.(noter); ok {
		if notes := n.Report().Notes; len(notes) > 0 {
			g.log.Info().Strs("notes", notes).Msg("the guardian could not do all that it wanted")
		}
	}
	return err
}

// Arm implements snapshot.Freezer.
func (f watchedFreezer) Arm(ctx context.Context, mounts []string) (snapshot.Guard, error) {
	g, err := f.Freezer.Arm(ctx, mounts)
	if err != nil {
		return nil, err
	}
	return watchedGuard{g, f.set, f.log}, nil
}

type watchedGuard struct {
	snapshot.Guard
	set func(on bool)
	log zerolog.Logger
}

func (g watchedGuard) Freeze(ctx context.Context, deadline time.Time) error {
	g.set(true) // and so it is taken to be until the thaw says otherwise
	return g.Guard.Freeze(ctx, deadline)
}

func (g watchedGuard) Thaw(ctx context.Context) (snapshot.Thawed, error) {
	t, err := g.Guard.Thaw(ctx)
	g.set(err != nil)
	return t, err
}
