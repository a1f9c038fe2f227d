package applier

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A note that cannot be understood says that something is owed, whatever it was: it
// stays, and a person is told.
func TestDamagedNote(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "half": `{"defaultsFile":"/etc/my`, "nothing in it": `{}`, "null": `null`,
		"no boot":     `{"channels":[""],"phase":"stopped ","pid":1}`,
		"no channels": `{"phase":"stopped ","pid":1,"bootId":"of another boot"}`,
	} {
		dir := t.TempDir()
		if err := os.Chmod(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, NoteName), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		did, err := Settle(t.Context(), dir)
		_, statErr := os.Lstat(filepath.Join(dir, NoteName))
		if statErr != nil || len(did) > 0 || err == nil || !strings.Contains(err.Error(), "look whether the replica's applier runs") {
			t.Errorf("%s: %q, %v", name, did, err)
		}
	}
}
