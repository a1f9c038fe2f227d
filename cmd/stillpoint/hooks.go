package main

import (
	"stillpoint/cmd/stillpoint/parts"
	"stillpoint/internal/config"
	"stillpoint/internal/snapshot"
)

// addHooks gives the pipeline the plan's commands. The error says which
// program cannot be trusted.
func addHooks(pl *snapshot.Pipeline, p *config.Plan) error {
	for _, c := range parts.Hooks(p) {
		if err := c.Check(); err != nil {
			return err
		}
		switch c.Stage {
		case parts.PreFreeze:
			pl.PreFreeze = c
		case parts.PostThaw:
			pl.PostThaw = c
		}
	}
	return nil
}
