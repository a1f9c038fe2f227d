package main

import (
	"stillpoint/internal/config"
	"stillpoint/internal/hook"
	"stillpoint/internal/snapshot"
)

// addHooks gives the pipeline the plan's commands. The error says which
// program cannot be trusted.
func addHooks(pl *snapshot.Pipeline, p *config.Plan) error {
	for _, c := range hooks(p) {
		if err := c.Check(); err != nil {
			return err
		}
		switch c.Stage {
		case preFreeze:
			pl.PreFreeze = c
		case postThaw:
			pl.PostThaw = c
		}
	}
	return nil
}

// The stages of hooks, as the file calls them.
const (
	preFreeze = "pre_freeze"
	postThaw  = "post_thaw"
)

// hooks are the plan's commands.
func hooks(p *config.Plan) []*hook.Command {
	var list []*hook.Command
	for _, h := range []struct {
		stage string
		argv  []string
	}{{preFreeze, p.PreFreeze}, {postThaw, p.PostThaw}} {
		if len(h.argv) > 0 {
			list = append(list, &hook.Command{Argv: h.argv, Timeout: p.HookTimeout, Plan: p.Name, Stage: h.stage})
		}
	}
	return list
}
