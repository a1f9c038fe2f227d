package freeze

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"stillpoint/internal/snapshot"
)

// armPatience is how long Arm waits for the end of a guardian whose worker is dead.
const armPatience = time.Second

// settleLeftover cleans up after a run that was killed. It refuses to go on
// while an older freeze has not ended.
func (f *Freezer) settleLeftover(ctx context.Context) (notes []string, err error) {
	if f.config.RuntimeDir == "" {
		return nil, nil
	}
	report, err := Settle(ctx, SettleOptions{RuntimeDir: f.config.RuntimeDir, RunHook: f.config.RunHook, patience: armPatience})
	var active *activeError
	switch {
	case errors.As(err, &active):
		return nil, refuse("%s: wait for its end, or run stillpoint thaw", active.Error())
	case errors.As(err, new(*hookFailedError)): // no reason to do without this run's set
		notes = append(notes, "left behind by an older run: "+err.Error())
	case err != nil:
		return nil, &snapshot.RefusedError{Sentence: "what an older run has left behind cannot be cleaned up: run stillpoint thaw", Err: err}
	}
	for _, line := range report.Sentences() {
		notes = append(notes, "left behind by an older run: "+line)
	}
	return notes, nil
}

// newRecord makes the record of a freeze that is to come.
func (f *Freezer) newRecord(targets []*target) (*record, error) {
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	self, err := processOf(os.Getpid())
	if err != nil {
		return nil, err
	}
	a := &account{BootID: boot, Worker: self, Program: f.config.Program, Made: isoNow()}
	a.RCU.Path, a.RCU.Lock = f.config.RCUPath, f.config.LockFile
	a.PostThaw.Plan = f.config.Plan
	a.PostThaw.Command, a.PostThaw.Timeout = f.config.PostThaw, f.config.PostThawTimeout.String()
	for _, t := range targets {
		a.entries = append(a.entries, entry{Mount: t.name, Level: t.level, identity: identify(t.fd(), t.place)})
	}
	r, err := newRecord(f.config.RuntimeDir, a)
	if errors.Is(err, fs.ErrExist) {
		return nil, refuse("another run has begun in this moment: wait for its end")
	}
	if err != nil {
		return nil, fmt.Errorf("cannot arm: %w", err)
	}
	return r, nil
}
