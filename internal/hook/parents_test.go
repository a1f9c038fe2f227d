package hook

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Whoever may exchange a directory on the way to a hook, or on the way to what a
// link leads to, is named; one to which everybody may add something is none of these.
func TestCheckParents(t *testing.T) {
	base := t.TempDir()
	for dir, mode := range map[string]os.FileMode{"well": 0o755, "open": 0o777, "sticky": 0o777 | os.ModeSticky, "group": 0o775} {
		path := filepath.Join(base, dir)
		for _, err := range []error{os.Mkdir(path, 0o755), os.WriteFile(path+"/hook", nil, 0o755), os.Chmod(path, mode)} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := os.Symlink("../open/hook", filepath.Join(base, "well", "link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(base, "open", "deep"), 0o755); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"well/hook": "", "sticky/hook": "",
		"open/hook": "chmod go-w " + filepath.Join(base, "open"), "group/hook": "mode 0775", "open/deep/hook": "others than its owner", "well/link": "others than its owner",
	} {
		c := &Command{Argv: []string{filepath.Join(base, path)}}
		switch err := c.CheckParents(); {
		case want == "" && err != nil, want != "" && (err == nil || !strings.Contains(err.Error(), want)):
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}
