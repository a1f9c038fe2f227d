package hook

import (
	"bufio"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"stillpoint/test/rig"
)

// A command that hangs in the kernel, on a frozen file system, cannot be
// killed: Run comes back all the same and says so.
func TestHangsInTheKernel(t *testing.T) {
	if missing := rig.Missing(); len(missing) > 0 {
		t.Skipf("this machine lacks %s", strings.Join(missing, ", "))
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	store, err := rig.NewStore(ctx, t.TempDir(), 400)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
	pid := filepath.Join(t.TempDir(), "pid")
	c := command(t, `echo $$ > "$2"; exec touch "$1/stuck"`, store.Dir(), pid)
	c.Timeout = time.Second
	if out, err := exec.CommandContext(ctx, "fsfreeze", "-f", store.Dir()).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	start := time.Now()
	_, err = c.Run(ctx)
	took := time.Since(start)
	if out, err := exec.Command("fsfreeze", "-u", store.Dir()).CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if err == nil || !strings.Contains(err.Error(), "hangs in the kernel (process "+strconv.Itoa(number(t, pid))+")") {
		t.Errorf("it ended with %v", err)
	}
	if took < time.Second || took > 6*time.Second {
		t.Errorf("it took %s", took)
	}
	if !gone(t, number(t, pid)) {
		t.Error("the command was not killed when the kernel let it")
	}
}

// The command dies with the worker: no pre_freeze is at work any more when
// post_thaw is made up for.
func TestDiesWithTheWorker(t *testing.T) {
	if path := os.Getenv("HOOK_TEST_WORKER"); path != "" {
		c := &Command{Argv: []string{path}, Timeout: time.Minute, Plan: "nightly", Stage: "pre_freeze"}
		_, _ = c.Run(context.Background())
		return
	}
	mark := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(mark, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	worker := exec.CommandContext(ctx, os.Args[0], "-test.run=^TestDiesWithTheWorker$")
	worker.Env = append(os.Environ(), "HOOK_TEST_WORKER="+script(t, "echo $$ > "+mark+"; exec sleep 600"))
	if err := worker.Start(); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(mark, os.O_RDWR, 0) // not only to read: that would wait for ever where it never starts
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	_ = f.SetReadDeadline(time.Now().Add(30 * time.Second))
	line, err := bufio.NewReader(f).ReadString('\n')
	pid, nerr := strconv.Atoi(strings.TrimSpace(line))
	if err != nil || nerr != nil {
		t.Fatal(err, nerr)
	}
	if err := worker.Process.Kill(); err != nil {
		t.Error(err)
	}
	_ = worker.Wait()
	if !gone(t, pid) {
		t.Error("the command outlived the worker")
	}
}
