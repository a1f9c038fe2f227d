package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"stillpoint/internal/freeze"
)

// runThaw runs the command and returns what it says.
func runThaw(t *testing.T, args ...string) (code int, said string) {
	t.Helper()
	var out bytes.Buffer
	err := run(t.Context(), append([]string{"thaw"}, args...), &out, &out)
	if err != nil {
		out.WriteString(err.Error())
	}
	t.Logf("%s", out.String())
	return exitCode(err), out.String()
}

func wantThaw(t *testing.T, code int, said string, wantCode int, words ...string) {
	t.Helper()
	if code != wantCode {
		t.Errorf("exit code %d, want %d", code, wantCode)
	}
	for _, w := range words {
		if !strings.Contains(said, w) {
			t.Errorf("it says %q, want %q in it", said, w)
		}
	}
}

func TestThawNothing(t *testing.T) {
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "none")} {
		code, said := runThaw(t, "--runtime-dir", dir)
		wantThaw(t, code, said, 0, "nothing of stillpoint is frozen", dir)
	}
}

// TestThawReadsTheFile: where it can be read its runtime_dir counts, also where
// the rest of it is wrong, which is a note.
func TestThawReadsTheFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "stillpoint.yaml")
	for text, note := range map[string]bool{
		"runtime_dir: " + dir + "/run # ours\n":             false,
		"runtime_dir: \"" + dir + "/run\"\nnonsense: [\n":   true,
		"nonsense: 1\nruntime_dir: '" + dir + "/run'\n":     true,
		"runtime_dir: " + dir + "/run\nqueue_url: [1, 2]\n": true,
	} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		code, said := runThaw(t, "--config", file)
		wantThaw(t, code, said, 0, "in "+dir+"/run")
		if strings.Contains(said, "note:") != note {
			t.Errorf("it says %q, want a note: %v", said, note)
		}
	}
	code, said := runThaw(t, "--config", file+".none")
	wantThaw(t, code, said, 0, "note:", defaultRuntimeDir)
}

func TestThawDamaged(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, freeze.RecordName), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, said := runThaw(t, "--runtime-dir", dir)
	wantThaw(t, code, said, 1, "damaged", "fsfreeze --unfreeze")
	code, said = runThaw(t, "--runtime-dir", dir)
	wantThaw(t, code, said, 0, "note:", "damaged", "nothing of stillpoint is frozen")
}
