package journal

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestOneRunAtATime(t *testing.T) {
	if path := os.Getenv("LOCKRUN_CHILD"); path != "" { // the other process
		l, err := LockRun(path)
		if err != nil {
			os.Exit(3)
		}
		if err := l.For("r-1", "nightly"); err != nil {
			os.Exit(4)
		}
		_, _ = os.Stdout.WriteString("locked\n")
		_, _ = os.Stdin.Read(make([]byte, 1)) // until it is killed
		_ = l.Unlock()
		return
	}
	path := filepath.Join(t.TempDir(), "run.lock")
	child := exec.Command(os.Args[0], "-test.run", "^TestOneRunAtATime$")
	child.Env = append(os.Environ(), "LOCKRUN_CHILD="+path)
	in, err := child.StdinPipe()
	ok(t, err)
	defer in.Close()
	out, err := child.StdoutPipe()
	ok(t, err)
	ok(t, child.Start())
	if _, err := out.Read(make([]byte, 7)); err != nil {
		t.Fatal(err)
	}
	_, err = LockRun(path)
	var busy *BusyError
	if !errors.As(err, &busy) || busy.Holder.PID != child.Process.Pid || busy.Holder.RequestID != "r-1" || busy.Holder.Plan != "nightly" || time.Since(busy.Holder.Since) > time.Minute {
		t.Fatalf("%v, and the other process is %d", err, child.Process.Pid)
	}
	for _, word := range []string{"process " + fmt.Sprint(child.Process.Pid), path, "r-1", "nightly", "since 2"} {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q does not say %q", err, word)
		}
	}
	ok(t, child.Process.Kill()) // SIGKILL
	_ = child.Wait()
	l, err := LockRun(path)
	ok(t, err)
	ok(t, l.Unlock())
	ok(t, l.Unlock())
	l, err = LockRun(path)
	ok(t, err)
	ok(t, l.Unlock())
}

// What another version wrote, or is writing just now, is no reason to fail.
func TestAHolderThatCannotBeRead(t *testing.T) {
	for text, pid := range map[string]int{"": 0, "12\n": 12, "12": 12, "12\n{\"reque": 12, "x\n{}": 0, "12\n{\"pid\":3,\"news\":1}": 12} {
		if h := parseHolder(text); h.PID != pid || h.RequestID != "" {
			t.Errorf("%q: %+v", text, h)
		}
	}
}
