package e2e

import (
	"context"
	"os/exec"
)

func shell(ctx context.Context, script string) *exec.Cmd {
	return exec.CommandContext(context.WithoutCancel(ctx), "sh", "-c", script)
}
