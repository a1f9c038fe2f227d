package e2e

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"stillpoint/messages"
	"stillpoint/test/scene"
)

// SIGHUP reads the file again between requests, and keeps the old one where the new one is wrong.
func TestSIGHUP(t *testing.T) {
	t.Parallel()
	ctx, s := set(t, scene.Config{})
	w := work(t, ctx, s)
	await(t, ctx, "the start", func() bool { return strings.Contains(w.Log(), "worker started") })
	good, err := os.ReadFile(s.ConfigPath)
	if err != nil {
		t.Fatal(err)
	}
	// A message may overtake a signal that was sent before it.
	write := func(text, says string) {
		t.Helper()
		if err := os.WriteFile(s.ConfigPath, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		kill(t, w.PID(), syscall.SIGHUP)
		await(t, ctx, "the signal's effect", func() bool { return strings.Contains(w.Log(), says) })
	}

	write(string(good)+"    freeeze: [/x]\n", "the old one stays in force")
	send(t, ctx, s, `{"plan":"nightly"}`)
	wants(t, next(t, ctx, s).Result, messages.Succeeded, "", messages.ConsistencyApplication)
	if !strings.Contains(w.Log(), "freeeze") {
		t.Errorf("the log does not say what was wrong:\n%s", w.Log())
	}

	write(strings.ReplaceAll(string(good), "nightly", "weekly"), "configuration read again")
	send(t, ctx, s, `{"plan":"weekly"}`)
	wants(t, next(t, ctx, s).Result, messages.Succeeded, "", messages.ConsistencyApplication)
	send(t, ctx, s, `{"plan":"nightly"}`)
	wants(t, next(t, ctx, s).Result, messages.Rejected, messages.ReasonUnknownPlan, messages.ConsistencyNone)
}
