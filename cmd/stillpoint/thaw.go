package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"github.com/rs/zerolog"

	"stillpoint/internal/config"
	"stillpoint/internal/freeze"
	"stillpoint/internal/hook"
)

// defaultRuntimeDir is the contract's.
var defaultRuntimeDir = config.Default().RuntimeDir

type thawCommand struct {
	RuntimeDir string        `help:"Where the record of the freeze is (default: runtime_dir of the file where there is one, else ${runtimeDir})." placeholder:"DIR"`
	Wait       time.Duration `help:"How long to wait for a stalled volume, or for a living worker's window to end." default:"2m"`
}

// Help is what stillpoint thaw --help adds.
func (thawCommand) Help() string {
	return `Thaws what the record in the runtime directory says was frozen by a worker and a guardian that are both dead, or that
are stopped past their deadline, and runs post_thaw where that is still owed. It needs no configuration, is safe to run at any
time, also beside a living worker (whose window it waits for), and never thaws what someone else has frozen.

Exit 0: nothing of ours is frozen. 1: something could not be thawed, or post_thaw failed; it says what.`
}

// runHook runs a command that a dead run owes, as that run would have.
func runHook(ctx context.Context, o freeze.Owed) error {
	c := &hook.Command{Argv: o.Argv, Timeout: o.Timeout, Plan: o.Plan, Stage: "post_thaw"}
	if err := c.Check(); err != nil {
		return err
	}
	output, err := c.Run(ctx)
	if err != nil && output != "" {
		err = fmt.Errorf("%w; it said: %s", err, output)
	}
	return err
}

// Run settles the record once.
func (c thawCommand) Run(ctx context.Context, g *globals) error {
	dir := c.RuntimeDir
	if dir == "" {
		dir = defaultRuntimeDir
		f, err := config.Load(g.configPath())
		switch {
		case err == nil:
			dir = f.RuntimeDir
		case g.Config != "" || !errors.Is(err, fs.ErrNotExist):
			dir = orWord(runtimeDirLine(g.configPath()), dir)
			_, _ = fmt.Fprintf(g.err, "stillpoint: note: the file cannot be used, looking in %s: %v\n", dir, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	report, err := freeze.Settle(ctx, freeze.SettleOptions{
		RuntimeDir: dir, RunHook: runHook,
		Progress: func(sentence string) { _, _ = fmt.Fprintln(g.err, "stillpoint:", sentence) },
	})
	for _, line := range report.Sentences() {
		_, _ = fmt.Fprintln(g.out, line)
	}
	if damaged, _ := filepath.Glob(filepath.Join(dir, freeze.RecordName+".damaged-*")); len(damaged) > 0 && err == nil {
		_, _ = fmt.Fprintf(g.err, "stillpoint: note: a damaged record is kept in %s: what it names may hang; where all is well, remove it\n", damaged[0])
	}
	switch {
	case err != nil:
		return err
	case !report.Found:
		_, err = fmt.Fprintf(g.out, "nothing of stillpoint is frozen: there is no record in %s\n", dir)
	case report.Worker != 0:
	default:
		_, err = fmt.Fprintln(g.out, "nothing of stillpoint is frozen")
	}
	return err
}

var runtimeDirPattern = regexp.MustCompile(`(?m)^runtime_dir:[ \t]*["']?(/[^"'#\s]+)`)

// runtimeDirLine finds runtime_dir in a file that is broken elsewhere; "" where it does not.
func runtimeDirLine(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	if m := runtimeDirPattern.FindSubmatch(b); m != nil {
		return string(m[1])
	}
	return ""
}

// settleWithin bounds one settlement by a worker or a run. What has not thawed
// by then is a stalled volume.
const settleWithin = 30 * time.Second

// settleFreezes cleans up after a run that was killed, before anything else is
// done. What it cannot clean up is logged, and no reason not to start: Arm
// refuses to freeze beside it, and a worker goes on trying (keepSettling).
func settleFreezes(ctx context.Context, f *config.File, log zerolog.Logger) (settled bool) {
	ctx, cancel := context.WithTimeout(ctx, settleWithin)
	defer cancel()
	report, err := freeze.Settle(ctx, freeze.SettleOptions{
		RuntimeDir: f.RuntimeDir, RunHook: runHook,
		Progress: func(sentence string) { log.Warn().Str("note", sentence).Msg("settling an older freeze") },
	})
	if lines := report.Sentences(); len(lines) > 0 {
		log.Warn().Strs("notes", lines).Msg("an older freeze was settled")
	}
	if err != nil {
		log.Error().Err(err).Msg("cannot settle an older freeze: nothing will be frozen until that is done")
	}
	return err == nil
}

// settleAgain is how long after a settlement that failed the next one follows.
const settleAgain = 10 * time.Second

// keepSettling goes on until nothing of an older freeze is left, or ctx ends: a
// volume that was stalled at the start may answer later.
func keepSettling(ctx context.Context, f *config.File, log zerolog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(settleAgain):
		}
		if settleFreezes(ctx, f, log) {
			return
		}
	}
}
