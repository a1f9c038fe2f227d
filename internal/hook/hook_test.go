package hook

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"stillpoint/internal/snapshot"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// script makes a program of a shell script.
func script(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "hook.sh")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func command(t *testing.T, text string, args ...string) *Command {
	return &Command{Argv: append([]string{script(t, text)}, args...), Timeout: 30 * time.Second, Plan: "nightly", Stage: "pre_freeze"}
}

// What a command sees: its arguments as they are, a few constants, and nothing else of ours.
func TestWhatACommandSees(t *testing.T) {
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	f, err := os.Create(filepath.Join(t.TempDir(), "ours"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	c := command(t, `printf '<%s>' "$@"; echo; pwd; env | sort | grep -v '^_=\|^PWD=\|^SHLVL=\|^OLDPWD='; readlink /proc/self/fd/0; ls -l /proc/self/fd | grep -c /ours; [ "$(cut -d' ' -f5 /proc/$$/stat)" = $$ ] && echo own group`,
		"a b", "$(id)", "*", "")
	out, err := c.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := `<a b><$(id)><*><>
/
LANG=C.UTF-8
PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
STILLPOINT_PLAN=nightly
STILLPOINT_STAGE=pre_freeze
/dev/null
0
own group`
	if d := cmp.Diff(want, out); d != "" {
		t.Error(d)
	}
}

func TestHowACommandEnds(t *testing.T) {
	for name, tc := range map[string]struct {
		text, says, output string
	}{
		"well":               {"echo fine", "", "fine"},
		"exit status":        {"echo one; echo 'no such queue' >&2; exit 3", "ended with exit status 3: no such queue", "one\nno such queue"},
		"silent":             {"exit 4", "ended with exit status 4", ""},
		"signal":             {"kill -TERM $$", "ended by signal 15 (terminated)", ""},
		"not printable":      {`printf 'a\033[31mb\000c\377'; exit 1`, "exit status 1: a [31mb c\uFFFD", "a [31mb c\uFFFD"},
		"a long last line":   {`printf '%0500d' 7; exit 1`, ": " + strings.Repeat("0", 200) + "...", fmt.Sprintf("%0500d", 7)},
		"not started at all": {"", "cannot start", ""},
	} {
		t.Run(name, func(t *testing.T) {
			c := command(t, tc.text)
			if tc.says == "cannot start" {
				c.Argv[0] += ".gone"
			}
			out, err := c.Run(t.Context())
			if (err == nil) != (tc.says == "") || err != nil && !strings.HasSuffix(err.Error(), tc.says) && !strings.HasPrefix(err.Error(), tc.says) {
				t.Errorf("it ended with %v", err)
			}
			if out != tc.output {
				t.Errorf("the output is %q", out)
			}
		})
	}
}

// A command that writes more than is kept neither waits nor fills the memory.
func TestTalkative(t *testing.T) {
	out, err := command(t, "echo begin; head -c 5000000 /dev/zero | tr '\\0' x; echo; echo end").Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(out) > 2*keepEach+100 || !strings.HasPrefix(out, "begin\nxxx") || !strings.HasSuffix(out, "xxx\nend") || !strings.Contains(out, "bytes left out ...]") {
		t.Errorf("%d bytes: %.20q ... %.40q", len(out), out, out[max(0, len(out)-40):])
	}
}

// alive says whether the process runs (and is no zombie).
func alive(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}

func gone(t *testing.T, pid int) bool {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if !alive(pid) {
			return true
		}
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
	return false
}

func number(t *testing.T, path string) int {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A command that hangs is killed at its time, its children with it, though it
// hears no SIGTERM and they keep the output open.
func TestHangs(t *testing.T) {
	for name, end := range map[string]func(c *Command) (context.Context, context.CancelFunc){
		"hook_timeout": func(c *Command) (context.Context, context.CancelFunc) {
			c.Timeout = 500 * time.Millisecond
			return context.WithCancel(context.Background())
		},
		"what is left of max_hold": func(*Command) (context.Context, context.CancelFunc) {
			return context.WithTimeout(context.Background(), 500*time.Millisecond)
		},
	} {
		t.Run(name, func(t *testing.T) {
			child := filepath.Join(t.TempDir(), "child")
			c := command(t, `trap '' TERM INT HUP; sleep 600 & echo $! > "$1"; echo waiting; wait; wait; sleep 600`, child)
			ctx, cancel := end(c)
			defer cancel()
			start := time.Now()
			out, err := c.Run(ctx)
			took := time.Since(start)
			if !errors.Is(err, context.DeadlineExceeded) || !strings.HasSuffix(err.Error(), ": waiting") || out != "waiting" {
				t.Errorf("%q, %v", out, err)
			}
			if took < 500*time.Millisecond || took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
			if pid := number(t, child); !gone(t, pid) {
				t.Errorf("its child %d lives on", pid)
			}
		})
	}
}

// A child that outlives a command which ended in time is left alone, and not
// waited for though it keeps the output open.
func TestLeavesAChild(t *testing.T) {
	child := filepath.Join(t.TempDir(), "child")
	c := command(t, `sleep 600 & echo $! > "$1"; echo done`, child)
	start := time.Now()
	out, err := c.Run(t.Context())
	if err != nil || out != "done" || time.Since(start) > 20*time.Second {
		t.Errorf("%q, %v after %s", out, err, time.Since(start))
	}
	pid := number(t, child)
	if !alive(pid) {
		t.Error("the child was killed")
	}
	_ = syscall.Kill(pid, syscall.SIGKILL)
}

// With no time left nothing is started.
func TestNoTimeLeft(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	mark := filepath.Join(t.TempDir(), "mark")
	if _, err := command(t, `: > "$1"`, mark).Run(ctx); !errors.As(err, new(*snapshot.HookNotStartedError)) {
		t.Errorf("it ran: %v", err)
	}
	if _, err := os.Stat(mark); err == nil {
		t.Error("it was started")
	}
}

// A program of someone else's is refused while nothing is held.
func TestCheck(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: another user's program is made")
	}
	for name, tc := range map[string]struct {
		spoil func(path string) error
		says  string
	}{
		"good":           {func(string) error { return nil }, ""},
		"by its group":   {func(p string) error { return os.Chmod(p, 0o770) }, "others than its owner may write"},
		"by all":         {func(p string) error { return os.Chmod(p, 0o702) }, "chmod go-w"},
		"another user's": {func(p string) error { return os.Chown(p, 12345, 0) }, "belongs to user 12345"},
		"not executable": {func(p string) error { return os.Chmod(p, 0o600) }, "chmod u+x"},
		"gone":           {os.Remove, "no such file"},
		"a directory":    {func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o700)) }, "not a regular file"},
		"a link to good": {func(p string) error { return errors.Join(os.Rename(p, p+"2"), os.Symlink(p+"2", p)) }, ""},
		"a link to a bad": {func(p string) error {
			return errors.Join(os.Rename(p, p+"2"), os.Chmod(p+"2", 0o777), os.Symlink(p+"2", p))
		}, "chmod go-w"},
	} {
		t.Run(name, func(t *testing.T) {
			c := command(t, "true")
			if err := tc.spoil(c.Argv[0]); err != nil {
				t.Fatal(err)
			}
			err := c.Check()
			if tc.says == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			var refused *snapshot.RefusedError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), c.Argv[0]) {
				t.Errorf("%v", err)
			}
		})
	}
}
