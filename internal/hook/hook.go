package hook

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"stillpoint/internal/snapshot"
)

// Command is one hook of a plan. It may be run several times, one at a time.
type Command struct {
	// Argv is the program's absolute path and its arguments; no shell sees them.
	Argv []string
	// Timeout is when the command and all of its process group are killed.
	Timeout time.Duration
	// Plan and Stage are what STILLPOINT_PLAN and STILLPOINT_STAGE say.
	Plan, Stage string
}

var _ snapshot.Hook = (*Command)(nil)

// environment is all that a command sees beside Plan and Stage.
var environment = []string{
	"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"LANG=C.UTF-8",
}

const (
	// dieWithin is how long a killed command may take to be gone. One that
	// hangs in the kernel (a stalled volume) is left to it.
	dieWithin = 250 * time.Millisecond
	// restWithin is how long output may still arrive when the command has
	// ended: a child that it left behind may keep the pipe open for ever.
	restWithin = 50 * time.Millisecond
)

// Check says whether the program may be run: a regular file that the kernel would
// start, belongs to root or to the user who runs this, and that nobody else
// may write. The error is a *snapshot.RefusedError that names the fix.
func (c *Command) Check() error {
	if err := trusted(c.Argv[0]); err != nil {
		return &snapshot.RefusedError{Sentence: fmt.Sprintf("cannot run %s", c.Stage), Err: err}
	}
	return nil
}

// trusted says whether a file may be run as a hook.
func trusted(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	uid, mode := os.Geteuid(), info.Mode()
	switch {
	case !mode.IsRegular():
		return fmt.Errorf("%s is not a regular file", path)
	case !ok:
		return fmt.Errorf("the owner of %s is unknown", path)
	case st.Uid != 0 && int(st.Uid) != uid:
		return fmt.Errorf("%s belongs to user %d, not to root or user %d: chown root %s", path, st.Uid, uid, path)
	case mode.Perm()&0o022 != 0:
		return fmt.Errorf("others than its owner may write %s (mode %04o): chmod go-w %s", path, mode.Perm(), path)
	case mode.Perm()&0o111 == 0:
		return fmt.Errorf("%s cannot be executed (mode %04o): chmod u+x %s", path, mode.Perm(), path)
	}
	return runnable(path)
}

// Run runs the command to its end, to Timeout or to that of ctx, whichever
// comes first, and returns within a few hundred milliseconds of that. output
// is what it wrote, shortened in the middle; the error says how it ended.
// Children that outlive a command which ended in time are left alone: a hook
// may start what the other one ends.
func (c *Command) Run(ctx context.Context) (output string, err error) {
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return "", &snapshot.HookNotStartedError{Err: fmt.Errorf("cannot start %s: there was no time left: %w", c.Argv[0], err)}
	}
	read, write, err := os.Pipe()
	if err != nil {
		return "", fmt.Errorf("cannot start %s: %w", c.Argv[0], err)
	}
	var said excerpt
	drained := make(chan struct{})
	go func() {
		defer close(drained)
		said.readFrom(read)
	}()
	defer func() {
		// A deadline that has passed ends a Read; Close alone would, too, but
		// what is in the pipe by now is to be read first.
		_ = read.SetReadDeadline(time.Now().Add(restWithin))
		<-drained
		_ = read.Close()
		output = said.String()
		if err != nil && said.last() != "" {
			err = fmt.Errorf("%w: %s", err, said.last())
		}
	}()
	started, ended := c.start(write)
	var pid int
	select {
	case s := <-started:
		pid, err = s.pid, s.err
	case <-ctx.Done():
		// The program lies on a file system that does not answer. Should it
		// start after all, it is killed at once.
		go func() {
			if s := <-started; s.err == nil {
				kill(s.pid)
				<-ended
			}
		}()
		return "", &snapshot.HookNotStartedError{Err: fmt.Errorf("%s did not start in time: %w", c.Argv[0], context.Cause(ctx))}
	}
	if err != nil {
		return "", fmt.Errorf("cannot start %s: %w", c.Argv[0], err)
	}
	select {
	case e := <-ended:
		return "", c.verdict(e.err)
	case <-ctx.Done():
	}
	select {
	case e := <-ended: // in the same moment; its group's number may be another one's by now
		return "", c.verdict(e.err)
	default:
	}
	kill(pid)
	late := fmt.Errorf("%s and its children were killed: %w", c.Argv[0], errTimeout(ctx, c.Timeout))
	select {
	case <-ended:
		return "", late
	case <-time.After(dieWithin):
		return "", fmt.Errorf("%w, but it hangs in the kernel (process %d)", late, pid)
	}
}

type start struct {
	pid int
	err error
}

type end struct{ err error }

// start starts the command on a thread of its own, which waits for its end:
// the kernel kills the command where that thread ends, as it does when the
// worker is killed (PR_SET_PDEATHSIG), so that no pre_freeze is still at work
// when post_thaw is made up for. It takes over write.
func (c *Command) start(write *os.File) (started <-chan start, ended <-chan end) {
	begun, done := make(chan start, 1), make(chan end, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		cmd := &exec.Cmd{
			Path: c.Argv[0], Args: c.Argv, Dir: "/", Stdout: write, Stderr: write,
			Env:         append(environment[:len(environment):len(environment)], "STILLPOINT_PLAN="+c.Plan, "STILLPOINT_STAGE="+c.Stage),
			SysProcAttr: &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL},
		}
		err := cmd.Start()
		_ = write.Close()
		if err != nil {
			begun <- start{err: err}
			return
		}
		begun <- start{pid: cmd.Process.Pid}
		done <- end{cmd.Wait()}
	}()
	return begun, done
}

// kill ends the whole process group.
func kill(pid int) { _ = syscall.Kill(-pid, syscall.SIGKILL) }

// verdict says how the command ended by itself.
func (c *Command) verdict(err error) error {
	if err == nil {
		return nil
	}
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			return fmt.Errorf("%s was ended by signal %d (%s)", c.Argv[0], int(ws.Signal()), ws.Signal())
		}
		return fmt.Errorf("%s ended with exit status %d", c.Argv[0], exit.ExitCode())
	}
	return fmt.Errorf("cannot tell how %s ended: %w", c.Argv[0], err)
}

// errTimeout says which bound was passed.
func errTimeout(ctx context.Context, timeout time.Duration) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("not done in time (hook_timeout is %s): %w", timeout, ctx.Err())
	}
	return context.Cause(ctx)
}
