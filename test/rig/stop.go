package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Stop shuts the server down cleanly and waits for its end. When ctx ends first
// the server is killed and the error says so. A server that has ended is no error.
func (s *Server) Stop(ctx context.Context) error {
	select {
	case <-s.process.done:
		s.closeDB()
		return nil
	default:
	}
	if err := s.process.cmd.Process.Signal(unix.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("cannot stop %s: %w", s, err)
	}
	err := s.Wait(ctx)
	if err != nil && ctx.Err() != nil {
		// A server whose volume is frozen ignores the kill until the thaw.
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		err = errors.Join(err, s.Kill())
		_ = s.process.wait(last)
		if last.Err() != nil {
			err = errors.Join(err, fmt.Errorf("cannot kill %s: process %d is still there", s, s.PID()))
		}
	}
	if err != nil {
		s.closeDB()
		return fmt.Errorf("cannot stop %s cleanly: %w", s, err)
	}
	return nil
}

// Kill sends SIGKILL and returns at once; Wait waits for the end, which a frozen
// volume can put off until its thaw.
func (s *Server) Kill() error {
	if err := s.process.kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("cannot kill %s: %w", s, err)
	}
	return nil
}

// Discard kills the server and waits for its end, for one whose data nobody
// wants any more: a clean end takes MySQL 1.5 s and more. A server that has
// ended is no error.
func (s *Server) Discard(ctx context.Context) error {
	if err := s.Kill(); err != nil {
		return err
	}
	_ = s.Wait(ctx) // says that it was killed
	select {
	case <-s.process.done:
		return nil
	default:
		return fmt.Errorf("cannot kill %s: process %d is still there: %w", s, s.PID(), context.Cause(ctx))
	}
}

// Wait waits for the server's end. The error tells of an end that was not clean,
// such as a signal, or that ctx ended before.
func (s *Server) Wait(ctx context.Context) error {
	err := s.process.wait(ctx)
	select {
	case <-s.process.done:
		s.closeDB()
	default:
	}
	if err != nil {
		return fmt.Errorf("cannot see a clean end of %s: %w", s, err)
	}
	return nil
}

// closeDB gives up the connections to a server that has ended.
func (s *Server) closeDB() {
	// The driver takes leave of the server, which is gone, and says that it cannot.
	_ = s.db.Close()
}
