package applier

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A note is read without a lock on it: the process that has it does not notice.
func TestLook(t *testing.T) {
	dir := t.TempDir()
	if a, err := Look(dir); err != nil || a.Found {
		t.Errorf("%+v, %v", a, err)
	}
	boot, _, err := now()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, NoteName)
	text := `{"channels":["c"],"phase":"stopped ","pid":7,"bootId":"` + boot + `"}`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if a, err := Look(dir); err != nil || !a.Found || a.Living || a.EarlierBoot || a.PID != 7 || len(a.Channels) != 1 {
		t.Errorf("of the dead: %+v, %v", a, err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if a, err := Look(dir); err != nil || !a.Living {
		t.Errorf("of the living: %+v, %v", a, err)
	}
	// A run that ends while it is looked at leaves nothing of a dead one.
	n := &note{file: f, path: path}
	if err := n.remove(); err != nil {
		t.Fatal(err)
	}
	if a, err := Look(dir); err != nil || a.Found {
		t.Errorf("removed: %+v, %v", a, err)
	}
	if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, boot, "another")), 0o600); err != nil {
		t.Fatal(err)
	}
	if a, err := Look(dir); err != nil || !a.EarlierBoot {
		t.Errorf("of another boot: %+v, %v", a, err)
	}
}
