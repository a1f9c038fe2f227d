package rig

import (
	"context"
	"errors"
	"os"
	"os/exec"
)

// Child is a program that this process started, and which the kernel kills
// when this process ends, however it ends.
type Child struct{ process *process }

// StartChild starts cmd, in a process group of its own.
func StartChild(cmd *exec.Cmd) (*Child, error) {
	p, err := startProcess(cmd)
	if err != nil {
		return nil, err
	}
	return &Child{p}, nil
}

// PID is the child's process id.
func (c *Child) PID() int { return c.process.cmd.Process.Pid }

// Signal sends a signal; it does nothing when the child has ended.
func (c *Child) Signal(sig os.Signal) error {
	select {
	case <-c.process.done:
		return nil
	default:
	}
	err := c.process.cmd.Process.Signal(sig)
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// Kill sends SIGKILL; it does not wait.
func (c *Child) Kill() error { return c.process.kill() }

// Exited is closed when the child has ended and was reaped.
func (c *Child) Exited() <-chan struct{} { return c.process.done }

// Wait returns how the child ended (as exec.Cmd.Wait does), or ctx's error while it still runs.
func (c *Child) Wait(ctx context.Context) error { return c.process.wait(ctx) }
