package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"stillpoint/messages"
	"stillpoint/test/rig"
	"stillpoint/test/scene"
)

// hookScript stands for both hooks: what it does is said by a file, so that one worker
// sees them all. It writes to a frozen file system's mount, which would hang.
const hookScript = `#!/bin/sh
echo "$STILLPOINT_STAGE $STILLPOINT_PLAN $1" >> %[1]s/ran
: > "$(cat %[1]s/mount)/$STILLPOINT_STAGE" || exit 9
case "$(cat %[1]s/mode 2>/dev/null) $STILLPOINT_STAGE" in
"hang pre_freeze") sleep 600 & echo $! > %[1]s/child; wait; wait ;;
"fail pre_freeze") echo "no such queue" >&2; exit 3 ;;
"late post_thaw") echo "no such queue" >&2; exit 4 ;;
esac
`

// A real hook on both sides of the freeze: once each and in order; one that
// fails or hangs ends the attempt with nothing frozen, and writes flow.
func TestHooks(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program := filepath.Join(dir, "hook.sh")
	put := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Error(err)
		}
		return strings.TrimSpace(string(text))
	}
	put("hook.sh", fmt.Sprintf(hookScript, dir))
	ctx, s := set(t, scene.Config{Writers: 4, Pause: 50 * time.Millisecond, PlanYAML: fmt.Sprintf(
		"pre_freeze: [%[1]s, before]\npost_thaw: [%[1]s, after]\nhook_timeout: 2s", program)})
	put("mount", s.Volumes[0].Mount)
	w := work(t, ctx, s)
	for _, tc := range []struct {
		mode        string
		status      messages.Status
		reason      messages.Reason
		consistency messages.Consistency
		snapshots   int
		says, warns string
	}{
		{"well", messages.Succeeded, "", messages.ConsistencyApplication, 1, "", ""},
		{"fail", messages.Failed, messages.ReasonHookFailed, messages.ConsistencyNone, 0, "ended with exit status 3: no such queue", ""},
		{"hang", messages.Failed, messages.ReasonHookFailed, messages.ConsistencyNone, 0, "and its children were killed: not done in time (hook_timeout is 2s)", ""},
		{"late", messages.Succeeded, "", messages.ConsistencyApplication, 1, "", "post_thaw failed: " + program + " ended with exit status 4: no such queue"},
		{"well", messages.Succeeded, "", messages.ConsistencyApplication, 1, "", ""},
	} {
		t.Run(tc.mode, func(t *testing.T) {
			put("mode", tc.mode)
			put("ran", "")
			s.Load.ResetStalls()
			id := "hook/" + tc.mode + fmt.Sprint(time.Now().UnixNano())
			send(t, ctx, s, `{"requestId":"`+id+`"}`)
			r := next(t, ctx, s).Result
			wants(t, r, tc.status, tc.reason, tc.consistency)
			if !strings.Contains(r.Message, tc.says) || !strings.Contains(strings.Join(r.Warnings, "\n"), tc.warns) || tc.warns == "" && len(r.Warnings) > 0 {
				t.Errorf("it says %q and warns %q", r.Message, r.Warnings)
			}
			if got := read("ran"); got != "pre_freeze nightly before\npost_thaw nightly after" {
				t.Errorf("what ran:\n%s", got)
			}
			var names []string
			for _, st := range r.Stages {
				names = append(names, st.Name)
			}
			want := "coordinates pre-freeze post-thaw coordinates-after"
			if tc.snapshots > 0 {
				want = "coordinates pre-freeze freeze snapshot thaw post-thaw coordinates-after"
			}
			if got := strings.Join(names, " "); !strings.Contains(got, want) {
				t.Errorf("stages: %s", got)
			}
			if n := len(sets(t, ctx, s)[id]); n != tc.snapshots {
				t.Errorf("EC2 has %d snapshots", n)
			}
			if tc.mode == "hang" {
				child := read("child")
				await(t, ctx, "the end of the hook's child "+child, func() bool {
					stat, err := os.ReadFile("/proc/" + child + "/stat")
					return err != nil || strings.Contains(string(stat), ") Z")
				})
				if r.Timings.WritesBlocked < 2000 || r.Timings.WritesBlocked > 2000+4000 {
					t.Errorf("writes were blocked for %v ms", r.Timings.WritesBlocked)
				}
			}
			// Writes flow, and every one of the writers has seen it.
			before := s.Load.Stats()
			await(t, ctx, "a write", func() bool {
				now := s.Load.Stats()
				return !slices.ContainsFunc(now.Writers, func(w rig.WriterStats) bool { return w.Transactions <= before.Writers[w.Writer].Transactions })
			})
			t.Logf("%s: writes were blocked for %.0f ms, the longest stall was %s", tc.mode, r.Timings.WritesBlocked, s.Load.Stats().Longest.Duration)
		})
	}
	if log := w.Log(); !strings.Contains(log, "no such queue") {
		t.Error("the log does not have the hooks' output")
	}

	// A program that others may write is refused before anything is held, and at the next start.
	if err := os.Chmod(program, 0o722); err != nil {
		t.Fatal(err)
	}
	send(t, ctx, s, `{"requestId":"not-trusted"}`)
	r := next(t, ctx, s).Result
	wants(t, r, messages.Failed, messages.ReasonPreflightFailed, messages.ConsistencyNone)
	if !strings.Contains(r.Message, "chmod go-w "+program) {
		t.Errorf("it says %s", r.Message)
	}
	if _, errs, code := cli(t, ctx, s, "snapshot", "--config", s.ConfigPath); code != 78 || !strings.Contains(errs, "chmod go-w") {
		t.Errorf("exit %d: %s", code, errs)
	}
}
