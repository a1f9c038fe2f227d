package snapshottest

import (
	"context"

	"stillpoint/internal/snapshot"
)

// Hook fakes snapshot.Hook: a command that does nothing, unless a Func says otherwise.
type Hook struct {
	CheckFunc func() error
	RunFunc   func(ctx context.Context) (string, error)

	rig  *Rig
	name string
}

var _ snapshot.Hook = (*Hook)(nil)

// AddHooks gives the host both hooks; Pipeline uses them from then on.
func (r *Rig) AddHooks() {
	r.PreFreeze, r.PostThaw = &Hook{rig: r, name: "PreFreeze"}, &Hook{rig: r, name: "PostThaw"}
}

// Check implements snapshot.Hook.
func (h *Hook) Check() error {
	h.rig.note(h.name + ".Check")
	if h.CheckFunc != nil {
		return h.CheckFunc()
	}
	return nil
}

// Run implements snapshot.Hook.
func (h *Hook) Run(ctx context.Context) (string, error) {
	h.rig.note(h.name + ".Run")
	h.rig.bounded(ctx, h.name+".Run")
	if h.RunFunc != nil {
		return h.RunFunc(ctx)
	}
	return h.name + " was here", ctx.Err()
}
