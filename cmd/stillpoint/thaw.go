package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"stillpoint/cmd/stillpoint/parts"
	"stillpoint/internal/config"
	"stillpoint/internal/freeze"
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
are stopped past their deadline, runs post_thaw where that is still owed, and starts a replica's applier again that a dead
worker has stopped (replica: stop_applier). It needs no configuration, is safe to run at any
time, also beside a living worker (whose window it waits for), and never thaws what someone else has frozen, nor starts what someone else has stopped.

Exit 0: nothing of ours is frozen or stopped. 1: something could not be thawed or started, or post_thaw failed; it says what.`
}

// Run settles the record once.
func (c thawCommand) Run(ctx context.Context, g *globals) error {
	dir := c.RuntimeDir
	if dir != "" {
		if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
			return coded(exitUsage, fmt.Errorf("there is no %s: name the runtime_dir of the worker", dir))
		}
	} else {
		dir = defaultRuntimeDir
		f, err := config.Load(g.configPath())
		switch {
		case err == nil:
			dir = f.RuntimeDir
		case g.Config != "" && errors.Is(err, fs.ErrNotExist):
			return coded(exitConfig, fmt.Errorf("%w; name the worker's runtime_dir by --runtime-dir", err))
		case g.Config != "" || !errors.Is(err, fs.ErrNotExist):
			dir = cmp.Or(runtimeDirLine(g.configPath()), dir)
			_, _ = fmt.Fprintf(g.err, "stillpoint: note: the file cannot be used, looking in %s: %v\n", dir, err)
		}
	}
	ctx, cancel := context.WithTimeout(ctx, c.Wait)
	defer cancel()
	// First what is frozen: a server on it may not answer before.
	return errors.Join(c.thaw(ctx, g, dir), thawApplier(ctx, dir, func(sentence string) { _, _ = fmt.Fprintln(g.out, sentence) }))
}

// thaw settles the record of the freeze.
func (thawCommand) thaw(ctx context.Context, g *globals, dir string) error {
	report, err := freeze.Settle(ctx, freeze.SettleOptions{
		RuntimeDir: dir, RunHook: parts.RunHook,
		Progress: func(sentence string) { _, _ = fmt.Fprintln(g.err, "stillpoint:", sentence) },
	})
	for _, line := range report.Sentences() {
		_, _ = fmt.Fprintln(g.out, line)
	}
	if damaged, _ := filepath.Glob(filepath.Join(dir, freeze.RecordName+".damaged-*")); len(damaged) > 0 && err == nil {
		return fmt.Errorf("a damaged record is kept in %s: what it names may be frozen, so look whether it hangs (fsfreeze --unfreeze MOUNT), and remove the file when all is well", strings.Join(damaged, ", "))
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

// settleWithin is how long a worker or a run waits for the settlement when it
// starts. What has not thawed by then is a stalled volume: Arm refuses to
// freeze beside it, and the results say so.
const settleWithin = 30 * time.Second

// settleAgain is how long after a settlement that failed the next one follows.
const settleAgain = 10 * time.Second

// settleFreezes cleans up after a run that was killed, before anything else is
// done. What it cannot clean up is logged, and no reason not to start. It goes
// on beside the rest, without a bound of its own (a volume may answer much
// later, and post_thaw has its own), until nothing is left or stop is called.
func settleFreezes(ctx context.Context, f *config.File, within time.Duration, log zerolog.Logger) (stop func()) {
	on, cancel := context.WithCancel(context.WithoutCancel(ctx))
	late, looked, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	progress := func(sentence string) {
		select {
		case <-late: // it was said often enough
		default:
			log.Warn().Str("note", sentence).Msg("settling an older freeze")
		}
	}
	settle := func(tell bool) error {
		report, err := freeze.Settle(on, freeze.SettleOptions{RuntimeDir: f.RuntimeDir, RunHook: parts.RunHook, Progress: progress})
		if lines := report.Sentences(); len(lines) > 0 && (tell || err == nil) {
			log.Warn().Strs("notes", lines).Msg("an older freeze was settled")
		}
		return err
	}
	go func() {
		defer close(done)
		err := settle(true)
		if err != nil {
			log.Error().Err(err).Msg("cannot settle an older freeze: nothing will be frozen until that is done")
		}
		close(looked)
		for ; err != nil; err = settle(false) {
			select {
			case <-on.Done():
				return
			case <-time.After(settleAgain):
			}
		}
	}()
	select {
	case <-looked:
	case <-ctx.Done():
	case <-time.After(within):
		close(late)
		log.Error().Str("waited", within.String()).Msg("an older freeze has not ended: nothing will be frozen until it has, which is waited for")
	}
	return func() {
		cancel()
		<-done
	}
}
