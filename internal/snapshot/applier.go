package snapshot

import (
	"context"
	"fmt"
	"time"
)

// StartApplierWithin bounds the start of a replica's applier after a try. It waits for
// a stop that has not ended yet; what it does not come to is left to whoever settles
// the note.
const StartApplierWithin = 10 * time.Second

// stopApplier brings a replica's applier to rest before a try, where the plan
// wants that. It comes before what must be fresh when the lock is requested, since it
// may wait for a transaction; that one's dirty pages are few beside what the
// first flush has written.
func (a *attempt) stopApplier(ctx context.Context, try int) error {
	if a.session == nil || !a.Plan.StopApplier {
		return nil
	}
	a.applier = true
	return a.stage("stop-applier", func() error {
		stopped, err := a.session.StopApplier(ctx)
		switch {
		case err != nil || try > 1:
		case stopped == 0:
			a.warn("the plan says replica: stop_applier, and no applier was running: the server is not a replica, or its applier had been stopped before; nothing was stopped")
		default:
			a.progress("stop-applier", fmt.Sprintf("stopped %s", count(stopped, "applier")))
		}
		return err
	})
}

// startApplier starts again what stopApplier has stopped, when nothing is held
// any more, whatever became of the try and of ctx.
func (a *attempt) startApplier(ctx context.Context) {
	if !a.applier {
		return
	}
	a.applier = false
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), StartApplierWithin)
	defer cancel()
	a.startErr = a.stage("start-applier", func() error { return a.session.StartApplier(ctx) })
}

// tellApplier warns of an applier that the last start did not bring back. That of an
// earlier try is made up for by the next one.
func (a *attempt) tellApplier() {
	if a.startErr != nil {
		a.warn("the replica's applier is not known to run again: %v; it is started by the next run, the worker or stillpoint thaw", a.startErr)
	}
}
