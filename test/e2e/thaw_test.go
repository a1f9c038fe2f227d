package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"stillpoint/internal/freeze"
	"stillpoint/messages"
	"stillpoint/test/scene"
)

// bothKilled leaves behind what a worker and a guardian leave that are killed
// inside the window. The worker is stopped first, so that it cannot react to the guardian's death.
func bothKilled(t *testing.T, w *scene.Worker) {
	t.Helper()
	g := guardian(t, w)
	kill(t, w.PID(), syscall.SIGSTOP)
	kill(t, g, syscall.SIGKILL)
	kill(t, w.PID(), syscall.SIGKILL)
	<-w.Exited()
}

// Worker and guardian killed inside the window: the file system stays frozen
// until `stillpoint thaw`, which needs no configuration, runs what is owed, and
// has nothing to do when it is run once more; the next worker says what became of it.
func TestBothKilledInsideTheWindow(t *testing.T) {
	dir := t.TempDir()
	hook, ran := filepath.Join(dir, "hook.sh"), filepath.Join(dir, "ran")
	if err := os.WriteFile(hook, []byte("#!/bin/sh\necho $1 $STILLPOINT_PLAN >>"+ran+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, by := range []string{"stillpoint thaw", "the next start"} {
		t.Run(by, func(t *testing.T) {
			_ = os.Remove(ran)
			ctx, s := set(t, scene.Config{Writers: 4, Pause: 10 * time.Millisecond, PlanYAML: fmt.Sprintf(
				"max_hold: 60s\npre_freeze: [%[1]s, before]\npost_thaw: [%[1]s, after]", hook)})
			w := work(t, ctx, s)
			loaded(t, ctx, s)
			p := startProbe(t, ctx, s)
			await(t, ctx, "the probe's first line", func() bool { return p.lines.Load() > 0 })
			inWindow(t, ctx, s, "both", 3*time.Second)
			bothKilled(t, w)
			stuck := p.lines.Load()
			time.Sleep(100 * time.Millisecond) // nothing announces that nothing happens
			if now := p.lines.Load(); now > stuck+1 {
				t.Fatalf("the file system was not frozen: %d lines", now-stuck)
			}
			at := time.Now()
			if by == "stillpoint thaw" {
				out, errs, code := cli(t, ctx, s, "thaw", "--runtime-dir", s.RuntimeDir)
				if code != 0 || !strings.Contains(out, s.Volumes[0].Mount) || !strings.Contains(out, "it was frozen: thawed") || !strings.Contains(out, "nothing of stillpoint is frozen") {
					t.Errorf("exit %d\n%s%s", code, out, errs)
				}
				t.Logf("it says:\n%s", out)
			} else {
				work(t, ctx, s)
			}
			await(t, ctx, "the probe's next line", func() bool { return p.lines.Load() > stuck+1 })
			t.Logf("a plain writer got on %s after %s was begun", time.Since(at), by)
			flows(t, ctx, s, at)
			await(t, ctx, "post_thaw", func() bool {
				text, _ := os.ReadFile(ran)
				return string(text) == "before nightly\nafter nightly\n"
			})
			if by == "stillpoint thaw" {
				out, _, code := cli(t, ctx, s, "thaw", "--runtime-dir", s.RuntimeDir)
				if code != 0 || !strings.Contains(out, "there is no record") {
					t.Errorf("once more: exit %d, %s", code, out)
				}
				work(t, ctx, s)
			}
			await(t, ctx, "the late set", func() bool { return len(sets(t, ctx, s)["both"]) == 1 })
			// No redelivery is waited for: the start settles it.
			wants(t, next(t, ctx, s).Result, messages.Inconsistent, messages.ReasonInterrupted, messages.ConsistencyCrash)
			if _, err := os.Stat(filepath.Join(s.RuntimeDir, freeze.RecordName)); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("the record: %v", err)
			}
		})
	}
}

// Beside a living worker's window thaw waits for its end, and the set is as good as without it.
func TestThawBesideALivingWorker(t *testing.T) {
	ctx, s := set(t, scene.Config{Writers: 2, Pause: 10 * time.Millisecond})
	work(t, ctx, s)
	loaded(t, ctx, s)
	inWindow(t, ctx, s, "beside", 1500*time.Millisecond)
	out, errs, code := cli(t, ctx, s, "thaw", "--runtime-dir", s.RuntimeDir)
	if code != 0 || !strings.Contains(errs, "waiting for it") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
	t.Logf("it says:\n%s%s", errs, out)
	wants(t, next(t, ctx, s).Result, messages.Succeeded, "", messages.ConsistencyApplication)
}
