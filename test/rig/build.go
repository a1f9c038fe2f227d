package rig

import (
	"context"
	"fmt"
	"os/exec"
)

// Build makes the program under test at path. The flags are further ones of go build, such as "-race".
func Build(ctx context.Context, path string, flags ...string) error {
	args := append([]string{"build", "-buildvcs=false", "-o", path}, flags...)
	if out, err := exec.CommandContext(ctx, "go", append(args, "stillpoint/cmd/stillpoint")...).CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build the program: %w\n%s", err, out)
	}
	return nil
}
