package docpart

import (
	"os"
	"strings"
	"testing"
)

// Check holds a part of a document, between its comments "begin: name" and
// "end: name", against what the code says, or writes it anew.
func Check(tb testing.TB, path, name, want string, update bool) {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	begin, end := "<!-- begin: "+name+" -->\n", "<!-- end: "+name+" -->"
	before, rest, ok := strings.Cut(string(b), begin)
	now, after, closed := strings.Cut(rest, end)
	switch {
	case !ok || !closed:
		tb.Fatalf("%s has no part %q", path, name)
	case now == want:
	case !update:
		tb.Errorf("%s is out of date in %q: go test ./internal/mysql ./internal/mysql/access -run TestDocument -update", path, name)
	default:
		if err := os.WriteFile(path, []byte(before+begin+want+end+after), 0o644); err != nil {
			tb.Fatal(err)
		}
	}
}
