package rig

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Build makes the program under test at path. The flags are further ones of go build, such as "-race".
func Build(ctx context.Context, path string, flags ...string) error {
	args := append([]string{"build", "-buildvcs=false", "-o", path}, flags...)
	if out, err := exec.CommandContext(ctx, "go", append(args, "stillpoint/cmd/stillpoint")...).CombinedOutput(); err != nil {
		return fmt.Errorf("cannot build the program: %w\n%s", err, out)
	}
	return nil
}

// Main is what a TestMain does around its tests: the program is built once, at *program, and removed in the end. Where this machine
// lacks what the tests need nothing is built, as they say themselves what it is. The result is the exit code.
func Main(m interface{ Run() int }, program *string, flags ...string) int {
	if len(Missing()) > 0 {
		return m.Run()
	}
	dir, err := os.MkdirTemp("", "stillpoint-bin-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	*program = filepath.Join(dir, "stillpoint")
	// Built with the race detector, it and its children would each wait a second before they end.
	if _, set := os.LookupEnv("GORACE"); !set {
		_ = os.Setenv("GORACE", "atexit_sleep_ms=50")
	}
	if err := Build(context.Background(), *program, flags...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}
