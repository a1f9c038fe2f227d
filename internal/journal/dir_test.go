package journal

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// A look makes nothing, repairs nothing and sets nothing aside.
func TestLookAtDir(t *testing.T) {
	base := t.TempDir()
	dir := filepath.Join(base, "a", "state")
	look := func() State {
		t.Helper()
		s, err := LookAtDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if s := look(); s.Exists || s.Problem != nil || s.Free == 0 || s.ReadOnly != nil {
		t.Errorf("before it is made: %+v", s)
	}
	if names, err := os.ReadDir(base); err != nil || len(names) != 0 {
		t.Fatalf("a look made %v, %v", names, err)
	}
	j, err := Open(dir, Options{InstanceID: "i-1"})
	if err != nil {
		t.Fatal(err)
	}
	if s := look(); !s.Exists || s.Problem != nil || s.Bound != "i-1" || s.Reserved {
		t.Errorf("open: %+v", s)
	}
	if err := j.Check(); err != nil {
		t.Fatal(err)
	}
	if s := look(); !s.Reserved {
		t.Errorf("with the room kept: %+v", s)
	}
	if err := j.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(dir, Options{InstanceID: "i-2"}); !errors.As(err, new(*UnclaimedError)) {
		t.Fatalf("another instance: %v", err)
	}
	if s := look(); s.SetAsideOwner != "i-1" || s.SetAside == "" {
		t.Errorf("set aside: %+v", s)
	}

	damaged := filepath.Join(dir, instanceFile)
	if err := os.WriteFile(damaged, []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	before, err := filepath.Glob(dir + "/*")
	if err != nil {
		t.Fatal(err)
	}
	if s := look(); s.Unreadable == nil {
		t.Errorf("damaged: %+v", s)
	}
	if after, err := filepath.Glob(dir + "/*"); err != nil || !cmp.Equal(before, after) {
		t.Errorf("a look has moved what it could not understand: %v, %v", after, err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if s := look(); !errors.As(s.Problem, new(*DirError)) {
		t.Errorf("everybody's: %+v", s)
	}
}
