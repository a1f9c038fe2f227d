package lunch

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"stillpoint/messages"
	"stillpoint/test/guest"
	"stillpoint/test/rig"
)

// needs leaves a test out where this machine cannot do it; with CI=true that is an error.
func needs(t *testing.T) {
	t.Helper()
	missing := rig.Missing()
	if lacks := guest.Missing(); lacks != "" {
		missing = append(missing, lacks)
	}
	if len(missing) == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("this machine lacks %s", strings.Join(missing, ", "))
	}
	t.Skipf("this machine lacks %s", strings.Join(missing, ", "))
}

// Installed before lunch: the package, three lines, and the first snapshot.
func TestLunch(t *testing.T) {
	needs(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	// Another database on this machine is not in the way; that it could not be started now says that there is one.
	var lc net.ListenConfig
	if other, err := lc.Listen(ctx, "tcp", "127.0.0.1:3306"); err == nil {
		defer other.Close()
	}
	deb, err := Package(ctx, t.TempDir(), "v0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	h, err := Set(ctx, Config{Deb: deb, Say: func(step, command, said string) { t.Logf("%s\n# %s\n%s", step, command, said) }})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
		if left, err := rig.LeftUnder(h.Scene.Dir); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v %v", left, err)
		}
	}()
	if n := strings.Count(h.Lines(), "\n"); n != 3 {
		t.Fatalf("the file has %d lines", n)
	}
	r, err := h.Run(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if f := r.First.Result; f.Status != messages.Succeeded || f.Consistency != messages.ConsistencyApplication || len(f.Snapshots) != 1 {
		t.Fatalf("got %s/%s/%s: %s\nwarnings: %v", f.Status, f.Reason, f.Consistency, f.Message, f.Warnings)
	}
	for _, seen := range []string{"ok    host.unit ", "ok    queue.permissions ", "ok    nightly: ec2.create ", "ok    nightly: database.location ", "ok    nightly: freeze.mounts "} {
		if !strings.Contains(r.Doctor, seen) {
			t.Errorf("the doctor does not say %q:\n%s", seen, r.Doctor)
		}
	}
	t.Logf("installed, configured with three lines, first snapshot done: %s\n%s", r.Took.Round(100*time.Millisecond), r.First.Subject)
	for _, name := range []string{"worker.lock", "run.lock"} {
		if _, err := os.Stat(h.Guest.Path(filepath.Join("/run/stillpoint", name))); err != nil {
			t.Error(err)
		}
	}
}

// One that is interrupted while it makes the package leaves none of it behind.
func TestPackageInterrupted(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := Package(ctx, t.TempDir(), "v0.0.1")
		ended <- err
	}()
	const begun = "*/stillpoint-0.0.1-linux-*"
	await(t, t.Context(), "the beginning", func() bool {
		found, err := filepath.Glob(filepath.Join(dir, begun))
		return err != nil || len(found) > 0
	})
	cancel()
	if err := <-ended; err == nil {
		t.Error("the package was made all the same")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v %v", left, err)
	}
}
