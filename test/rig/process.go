package rig

import (
	"context"
	"fmt"
	"os/exec"
	"runtime"

	"golang.org/x/sys/unix"
)

// process is a child that the kernel kills when this process ends, however it
// ends.
type process struct {
	cmd  *exec.Cmd
	done chan struct{}
	err  error // what Wait said; to be read once done is closed
}

// startProcess starts cmd and waits for it in a goroutine of its own.
func startProcess(cmd *exec.Cmd) (*process, error) {
	// The parent-death signal is sent when the THREAD that forked ends, not the
	// process (prctl(2), PR_SET_PDEATHSIG). The Go runtime ends threads as it
	// likes, so the goroutine that forks keeps its thread until the child is gone.
	cmd.SysProcAttr = &unix.SysProcAttr{
		Pdeathsig: unix.SIGKILL,
		// A Ctrl-C in the terminal is for the owner, which stops its children in order.
		Setpgid: true,
	}
	p := &process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		defer close(p.done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		<-p.done
		return nil, fmt.Errorf("cannot start %s: %w", cmd.Path, err)
	}
	return p, nil
}

// wait returns how the child ended, or ctx's error while it still runs.
func (p *process) wait(ctx context.Context) error {
	select {
	case <-p.done:
		return p.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// kill sends SIGKILL to the child. It does nothing when it has ended.
func (p *process) kill() error {
	select {
	case <-p.done:
		return nil
	default:
		return p.cmd.Process.Kill()
	}
}
