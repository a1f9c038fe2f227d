package parts

import (
	"context"
	"fmt"

	"stillpoint/internal/config"
	"stillpoint/internal/freeze"
	"stillpoint/internal/hook"
)

// The stages of Hooks, as the file calls them.
const (
	PreFreeze = "pre_freeze"
	PostThaw  = "post_thaw"
)

// Hooks are the plan's commands.
func Hooks(p *config.Plan) []*hook.Command {
	var list []*hook.Command
	for _, h := range []struct {
		stage string
		argv  []string
	}{{PreFreeze, p.PreFreeze}, {PostThaw, p.PostThaw}} {
		if len(h.argv) > 0 {
			list = append(list, &hook.Command{Argv: h.argv, Timeout: p.HookTimeout, Plan: p.Name, Stage: h.stage})
		}
	}
	return list
}

// RunHook runs a command that a dead run owes, as that run would have.
func RunHook(ctx context.Context, o freeze.Owed) error {
	c := &hook.Command{Argv: o.Argv, Timeout: o.Timeout, Plan: o.Plan, Stage: PostThaw}
	if err := c.Check(); err != nil {
		return err
	}
	output, err := c.Run(ctx)
	if err != nil && output != "" {
		err = fmt.Errorf("%w; it said: %s", err, output)
	}
	return err
}
