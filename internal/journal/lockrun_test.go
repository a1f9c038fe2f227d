package journal

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestOneRunAtATime(t *testing.T) {
	if path := os.Getenv("LOCKRUN_CHILD"); path != "" { // the other process
		l, err := LockRun(path)
		if err != nil {
			os.Exit(3)
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
	if !errors.As(err, &busy) || busy.PID != child.Process.Pid {
		t.Fatalf("%v, and the other process is %d", err, child.Process.Pid)
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
