package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"golang.org/x/sys/unix"

	"stillpoint/internal/config"
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
	dir := t.TempDir()
	code, said := runThaw(t, "--runtime-dir", dir)
	wantThaw(t, code, said, 0, "nothing of stillpoint is frozen", dir)
	code, said = runThaw(t, "--runtime-dir", dir+"/typo") // which proves nothing
	wantThaw(t, code, said, exitUsage, "there is no "+dir+"/typo")
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
	wantThaw(t, code, said, exitConfig, "--runtime-dir")
}

func TestThawDamaged(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, freeze.RecordName), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, said := runThaw(t, "--runtime-dir", dir)
	wantThaw(t, code, said, 1, "damaged", "fsfreeze --unfreeze")
	code, said = runThaw(t, "--runtime-dir", dir)
	wantThaw(t, code, said, 1, "damaged", "fsfreeze --unfreeze") // as long as it is there, nobody knows
}

// TestSettleFreezesGoesOn: a start does not wait for ever, and what was in the
// way then is not given up on. The record here is locked by this test, as by a
// thread of a killed guardian that a stalled volume keeps in the kernel.
func TestSettleFreezesGoesOn(t *testing.T) {
	dir := t.TempDir()
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, freeze.RecordName)
	text := `{
  "bootId": "` + strings.TrimSpace(string(boot)) + `",
  "worker": {"pid": 0, "startTime": 0},
  "guardian": {"pid": 0, "startTime": 0},
  "deadline": {"bootNanoseconds": 1, "time": ""},
  "rcuExpedited": {"raised": false, "was": 0, "path": "", "lock": ""},
  "postThaw": {"owed": false, "plan": "", "timeout": "", "command": []},
  "fileSystems": [
    {"state": "thawed"  , "mount": "/none", "level": 0, "device": "7:0"}
  ]
}
`
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	stop := settleFreezes(t.Context(), &config.File{RuntimeDir: dir}, 50*time.Millisecond, zerolog.Nop())
	defer stop()
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("the record is gone while it is locked: %v", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	for limit := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(path); os.IsNotExist(err) {
			break
		}
		if time.Now().After(limit) {
			t.Fatal("the record was given up on")
		}
	}
	stop()
}
