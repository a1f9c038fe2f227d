package main

import (
	"context"

	"github.com/rs/zerolog"

	"stillpoint/internal/config"
)

// settleFreezes thaws what a dead worker's record says is frozen, before anything else is done.
func settleFreezes(ctx context.Context, f *config.File, log zerolog.Logger) error {
	settleFreeze(ctx, f, log)
	return nil
}
