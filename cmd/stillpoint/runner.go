package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"stillpoint/cmd/stillpoint/parts"
	"stillpoint/internal/config"
	"stillpoint/internal/ebs"
	"stillpoint/internal/journal"
	"stillpoint/internal/mysql"
	"stillpoint/internal/mysql/locate"
	"stillpoint/internal/snapshot"
	"stillpoint/internal/volume"
	"stillpoint/messages"
	"stillpoint/worker"
)

// runner carries out requests by the pipelines of the file's plans.
type runner struct {
	file      *config.File
	pipelines map[string]*snapshot.Pipeline
	log       zerolog.Logger
	// locked says that the caller holds the run lock already.
	locked bool
	// monitor is told what a run waits for; nil: nobody is.
	monitor *worker.Monitor
	// lock is the turn's, between Turn and its end.
	lock *journal.RunLock
}

var _ worker.Runner = (*runner)(nil)

// newRunner builds a pipeline for every plan. frozen is told whether something
// is frozen, and must not block. The error is one of the configuration.
func newRunner(f *config.File, id messages.Identity, client *ebs.Client, frozen func(bool), log zerolog.Logger) (*runner, error) {
	r := &runner{file: f, pipelines: map[string]*snapshot.Pipeline{}, log: log}
	var errs []error
	for name, p := range f.Plans {
		pipeline, err := newPipeline(f, p, id, client, frozen, log.With().Str("plan", name).Logger())
		if err != nil {
			errs = append(errs, fmt.Errorf("plan %s: %w", name, err))
			continue
		}
		r.pipelines[name] = pipeline
	}
	return r, coded(exitConfig, errors.Join(errs...))
}

// fit says which of the plans, of all where none is named, would be refused for what
// they lead to: see parts.Fit. A run looks again. The error is one of the configuration.
func (r *runner) fit(plans ...string) error {
	if len(plans) == 0 {
		plans = slices.Sorted(maps.Keys(r.file.Plans))
	}
	var errs []error
	for _, name := range plans {
		if p := r.file.Plans[name]; p != nil {
			if err := parts.Fit(r.file, p); err != nil {
				errs = append(errs, fmt.Errorf("plan %s: %w", name, err))
			}
		}
	}
	return coded(exitConfig, errors.Join(errs...))
}

func newPipeline(f *config.File, p *config.Plan, id messages.Identity, client *ebs.Client, frozen func(bool), log zerolog.Logger) (*snapshot.Pipeline, error) {
	plan := parts.Plan(p, id, log)
	plan.HookTimeout = p.HookTimeout
	pl := &snapshot.Pipeline{
		Identity: id, EBS: client, Volumes: &volume.Resolver{}, Now: clock(),
		Freezer: watchedFreezer{parts.Freezer(f, p, agent().Version), frozen, log},
		Progress: func(stage, note string) {
			e := log.Info().Str("stage", stage)
			if note != "" {
				e = e.Str("note", note)
			}
			e.Msg("progress")
		},
	}
	pl.Trace, pl.LookupDelays = tracing()
	pl.Servers = func() ([]snapshot.Neighbour, error) { return locate.Neighbours(0) }
	for _, c := range parts.Hooks(p) {
		switch c.Stage {
		case parts.PreFreeze:
			pl.PreFreeze = c
		case parts.PostThaw:
			pl.PostThaw = c
		}
	}
	if m := p.MySQL; m != nil {
		plan.LockTimeout, plan.LockTries, plan.LockSleep = m.LockTimeout, m.LockTries, m.LockSleep
		c := parts.Database(f, p)
		c.Killed = func(s messages.Statement) {
			log.Warn().Uint64("session", s.ID).Str("user", s.User).Float64("age", s.AgeSeconds).Str("state", s.State).Str("digest", s.Digest).
				Msg("ended a statement that blocked the database lock")
		}
		if m.LogStatements {
			c.Statements = func(id uint64, user, text string) {
				log.Warn().Uint64("session", id).Str("user", user).Str("statement", text).Msg("in the way of the database lock")
			}
		}
		db, err := mysql.New(c)
		if err != nil {
			return nil, err
		}
		pl.Database = db
		plan.StopApplier = c.StopApplier
		if m.CoordinatesFile != "" {
			pl.Sheet = parts.CoordinatesFile(p)
		}
	}
	pl.Plan = plan
	return pl, nil
}

// DefaultPlan is the file's.
func (r *runner) DefaultPlan() string { return r.file.DefaultPlan }

// Permit holds the request against the plan.
func (r *runner) Permit(req messages.Request) error {
	p, ok := r.file.Plans[req.Plan]
	if !ok {
		return &worker.RejectedError{Reason: messages.ReasonUnknownPlan, Sentence: fmt.Sprintf(
			"there is no plan %q in the worker's file: it has %s", req.Plan, cmp.Or(strings.Join(slices.Sorted(maps.Keys(r.file.Plans)), ", "), "none"))}
	}
	if err := p.Permit(req); err != nil {
		return &worker.RejectedError{Reason: messages.ReasonNotPermitted, Sentence: err.Error()}
	}
	return nil
}

// busyRetry is how often a worker looks whether another run has ended.
const busyRetry = 250 * time.Millisecond

// Run goes through the plan's pipeline.
func (r *runner) Run(ctx context.Context, job snapshot.Job) snapshot.Outcome {
	if r.lock != nil { // for whoever finds it busy
		if err := r.lock.For(job.Delivery.Request.RequestID, job.Delivery.Request.Plan); err != nil {
			r.log.Debug().Err(err).Msg("cannot note in the run lock what it is for")
		}
	}
	return r.pipelines[job.Delivery.Request.Plan].Run(ctx, job)
}

func runLock(f *config.File) string { return filepath.Join(f.RuntimeDir, "run.lock") }

// Turn waits for a `stillpoint snapshot` that is under way: one run at a time on this host.
func (r *runner) Turn(ctx context.Context) (end func(), err error) {
	if r.locked {
		return func() {}, nil
	}
	if err := os.MkdirAll(r.file.RuntimeDir, 0o755); err != nil {
		return nil, fmt.Errorf("cannot make the runtime directory: %w", err)
	}
	for waited := false; ; waited = true {
		lock, err := journal.LockRun(runLock(r.file))
		var busy *journal.BusyError
		if !errors.As(err, &busy) {
			if err != nil {
				return nil, err
			}
			r.lock = lock
			return func() {
				r.lock = nil
				_ = lock.Unlock()
			}, nil
		}
		if !waited {
			r.log.Info().Err(err).Msg("waiting for the other run to end")
		}
		r.monitor.Expect(worker.LoopRequests, "waiting for another run on this host", time.Minute)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(busyRetry):
		}
	}
}
