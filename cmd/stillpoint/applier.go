package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"time"

	"github.com/rs/zerolog"

	"stillpoint/cmd/stillpoint/parts"
	"stillpoint/internal/mysql"
)

// applierEvery is how often it is looked whether a replica's applier is owed its start.
const applierEvery = 10 * time.Second

// settleAppliers starts replicas' appliers again that a run has left stopped: one
// that was killed, and one that could not start them in its time. It looks at once,
// beside the rest, and goes on to look, since a server may be out of reach or in the
// middle of something long; and once more, in vain or not, when stop is called.
func settleAppliers(ctx context.Context, dir string, log zerolog.Logger) (stop func()) {
	on, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	said := ""
	settle := func(ctx context.Context) {
		if _, err := os.Lstat(filepath.Join(dir, mysql.NoteName)); err != nil {
			return
		}
		ctx, cancel := context.WithTimeout(ctx, parts.ApplierWithin)
		defer cancel()
		did, err := mysql.SettleApplier(ctx, dir)
		switch {
		case len(did) > 0 && err == nil:
			log.Warn().Strs("notes", did).Msg("a replica's applier was settled")
		case errors.Is(err, mysql.ErrApplierBusy), on.Err() != nil && errors.Is(err, context.Canceled):
		case err != nil && err.Error() != said:
			said = err.Error()
			log.Error().Err(err).Msg("a replica's applier is stopped and cannot be started yet: trying again")
		}
	}
	go func() {
		defer close(done)
		for {
			settle(on)
			select {
			case <-on.Done():
				settle(context.WithoutCancel(ctx))
				return
			case <-time.After(applierEvery):
			}
		}
	}()
	return func() {
		cancel()
		<-done
	}
}

// thawApplier is what stillpoint thaw does about a replica's applier. A living
// run that has stopped it is waited for, and no error.
func thawApplier(ctx context.Context, dir string, tell func(sentence string)) error {
	did, err := mysql.SettleApplier(ctx, dir)
	for _, sentence := range did {
		tell(sentence)
	}
	if errors.Is(err, mysql.ErrApplierBusy) {
		tell("a living stillpoint has stopped a replica's applier, and starts it again when its run is over")
		return nil
	}
	return err
}
