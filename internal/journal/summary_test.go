package journal

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"stillpoint/messages"
)

// files is everything under a directory, with what it holds and when it was changed.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text := info.ModTime().String()
		if !d.IsDir() {
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text += string(b)
		}
		all[path] = text
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return all
}

// A look sees what the journal says, and leaves everything as it is: a directory
// that is not there, and a file that cannot be understood, too.
func TestSummarizeChangesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state")
	seen, err := Summarize(dir, []string{"nightly"})
	if err != nil || seen.Outbox != 0 || len(seen.LastSuccess) != 0 {
		t.Errorf("no directory: %+v, %v", seen, err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Error("a look made the directory")
	}
	j := open(t, dir, Options{})
	at := time.Now().UTC().Truncate(time.Second)
	ok(t, j.Finish(result("r-1", "", messages.Succeeded, at), nil))
	ok(t, j.Finish(result("r-2", "", messages.Failed, at), nil))
	before := files(t, dir)
	seen, err = Summarize(dir, []string{"nightly", "weekly"})
	ok(t, err)
	if seen.Requests != 2 || seen.Outbox != 2 || time.Since(seen.Oldest) > time.Minute || len(seen.LastSuccess) != 1 || seen.LastSuccess["nightly"].IsZero() {
		t.Errorf("%+v", seen)
	}
	if d := cmp.Diff(before, files(t, dir)); d != "" {
		t.Error(d)
	}
	ok(t, os.WriteFile(j.planPath("nightly"), []byte("garbage\n"), 0o600))
	before = files(t, dir)
	if _, err := Summarize(dir, []string{"nightly"}); err == nil || !strings.Contains(err.Error(), "cannot understand") {
		t.Errorf("a damaged file: %v", err)
	}
	if d := cmp.Diff(before, files(t, dir)); d != "" {
		t.Error(d)
	}
}

// Whether somebody has a lock is seen without taking it.
func TestHeldBy(t *testing.T) {
	path := filepath.Join(t.TempDir(), "worker.lock")
	held := func(want bool) Holder {
		t.Helper()
		h, got, err := HeldBy(path)
		if err != nil || got != want {
			t.Fatalf("held is %v (%v), want %v", got, err, want)
		}
		return h
	}
	held(false)
	l, err := LockRun(path)
	ok(t, err)
	if h := held(true); h.PID != os.Getpid() {
		t.Errorf("held by %+v", h)
	}
	ok(t, l.Unlock())
	held(false) // although its file is there
}
