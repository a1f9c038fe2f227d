package main

import (
	"stillpoint/internal/config"
	"stillpoint/internal/hook"
	"stillpoint/internal/snapshot"
)

// addHooks gives the pipeline the plan's commands. The error says which
// program cannot be trusted.
func addHooks(pl *snapshot.Pipeline, p *config.Plan) error {
	for _, h := range []struct {
		stage string
		argv  []string
		to    *snapshot.Hook
	}{{"pre_freeze", p.PreFreeze, &pl.PreFreeze}, {"post_thaw", p.PostThaw, &pl.PostThaw}} {
		if len(h.argv) == 0 {
			continue
		}
		c := &hook.Command{Argv: h.argv, Timeout: p.HookTimeout, Plan: p.Name, Stage: h.stage}
		if err := c.Check(); err != nil {
			return err
		}
		*h.to = c
	}
	return nil
}
