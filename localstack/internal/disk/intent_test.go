package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

// What is about to be made or deleted is noted before it is, and each time anew.
func TestIntents(t *testing.T) {
	d := &Store{Dir: t.TempDir()}
	noted := func() []string {
		t.Helper()
		ids, err := (&Store{Dir: d.Dir}).Intended()
		if err != nil {
			t.Fatal(err)
		}
		return ids
	}
	for _, step := range []struct {
		what string
		do   func() error
		want []string
	}{
		{"make two", func() error { return errors.Join(d.Create("a", 1<<20), d.Create("b", 1<<20)) }, []string{"a", "b"}},
		{"settle", d.Settled, nil},
		{"clone", func() error { _, err := d.Clone("a", "c", 2<<20, nil); return err }, []string{"c"}},
		{"settle again", d.Settled, nil},
		{"delete one that was made before", func() error { return d.Remove("a") }, []string{"a"}},
		{"note two, one of them again", func() error { return d.Intend("a", "d") }, []string{"a", "d"}},
		{"settle for good", d.Settled, nil},
		{"settle what is settled", d.Settled, nil},
	} {
		if err := step.do(); err != nil {
			t.Fatalf("%s: %v", step.what, err)
		}
		if got := noted(); !slices.Equal(got, step.want) {
			t.Errorf("%s: noted are %v, want %v", step.what, got, step.want)
		}
	}
	files, err := d.Files()
	if err != nil || !slices.Equal(files, []string{"b", "c"}) {
		t.Errorf("the files are %v, %v", files, err)
	}
	if n, err := d.Size("c"); err != nil || n != 2<<20 {
		t.Errorf("the clone has %d bytes, %v", n, err)
	}
	left := filepath.Join(d.Dir, intentName+aside)
	if err := errors.Join(os.WriteFile(left, nil, 0o600), d.Tidy()); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a killed Replace left its file: %v", err)
	}
}
