package snapshot

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// The stages of the hooks.
const (
	stagePreFreeze = "pre-freeze"
	stagePostThaw  = "post-thaw"
)

// hookRun is what is to be told of one run of a hook when the window is over.
type hookRun struct {
	stage, output string
	err           error
}

// hookState is how far post_thaw has come in this window.
type hookState struct {
	owed bool // it is to run before the window is left
	runs int
	err  error // of the last run
}

// checkHooks looks at the plan's commands while nothing is held.
func (a *attempt) checkHooks() error {
	for _, h := range []Hook{a.PreFreeze, a.PostThaw} {
		if h == nil {
			continue
		}
		if len(a.Plan.Freeze) == 0 {
			return &RefusedError{Sentence: "pre_freeze and post_thaw need something under freeze: leave them out, or name a mount point"}
		}
		if err := h.Check(); err != nil {
			return err
		}
	}
	return nil
}

// preFreeze runs pre_freeze, and makes sure that post_thaw follows the thaw
// however the window ends from here on.
func (a *attempt) preFreeze(held context.Context, holds *undo, free context.Context) error {
	w := &a.win
	if a.PostThaw != nil {
		a.guard.Owe(true)
		w.postThaw.owed = true
		holds.push(func() error { return a.postThaw(free) })
	}
	if a.PreFreeze == nil {
		return nil
	}
	w.hookErr = a.runHook(held, stagePreFreeze, a.PreFreeze, a.Plan.HookTimeout)
	return w.hookErr
}

// postThawTime is what is to be left of max_hold for post_thaw.
func (a *attempt) postThawTime() time.Duration {
	if a.PostThaw == nil {
		return 0
	}
	return a.Plan.HookTimeout
}

// postThaw runs post_thaw between thaw and unlock. It has its hook_timeout,
// but no more than max_hold leaves: where that cuts it short, or it could not
// be started in its time, it is run (again) after the unlock.
func (a *attempt) postThaw(free context.Context) error {
	w := &a.win
	within := min(a.Plan.HookTimeout, w.deadline.Sub(a.now())-letGo)
	if within <= 0 {
		return nil
	}
	w.postThaw.err = a.runHook(free, stagePostThaw, a.PostThaw, within)
	w.postThaw.runs++
	if w.postThaw.err == nil || within == a.Plan.HookTimeout && !errors.As(w.postThaw.err, new(*HookNotStartedError)) {
		a.postThawDone()
	}
	return w.postThaw.err
}

// postThawLate runs post_thaw where it is still owed after the unlock.
func (a *attempt) postThawLate(free context.Context) error {
	w := &a.win
	if !w.postThaw.owed {
		return nil
	}
	w.postThaw.err = a.runHook(free, stagePostThaw, a.PostThaw, a.Plan.HookTimeout)
	w.postThaw.runs++
	a.postThawDone()
	return w.postThaw.err
}

func (a *attempt) postThawDone() {
	a.win.postThaw.owed = false
	a.guard.Owe(false)
}

func (a *attempt) runHook(ctx context.Context, stage string, h Hook, within time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	run := hookRun{stage: stage}
	run.err = a.stage(stage, func() (err error) {
		run.output, err = h.Run(ctx)
		return err
	})
	a.win.hooks = append(a.win.hooks, run)
	return run.err
}

// tellHooks tells of what the hooks wrote, now that nothing is held.
func (a *attempt) tellHooks() {
	for _, run := range a.win.hooks {
		note := run.output
		if run.err != nil {
			note = fmt.Sprintf("%v\n%s", run.err, run.output)
		}
		if note != "" {
			a.progress(run.stage, note)
		}
	}
	a.win.hooks = nil
}

// judgePostThaw warns where post_thaw failed. What EC2 made was made while
// everything was held, so that the set is as good as without that.
func (a *attempt) judgePostThaw() {
	s := &a.win.postThaw
	switch {
	case s.err != nil:
		a.warn("post_thaw failed: %v; what pre_freeze did may not be undone; its output is in the log", s.err)
	case s.runs > 1:
		a.warn("post_thaw was cut short by max_hold (%s) and run again after the unlock", a.Plan.MaxHold)
	}
}
