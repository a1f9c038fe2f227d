package rig

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Stack undoes things in the reverse order of their making. The zero Stack is
// ready for use, by several goroutines at once.
type Stack struct {
	// Timeout bounds each step. Zero means one minute.
	Timeout time.Duration

	closing sync.Mutex // held for a whole Close, so that a second one waits for the first
	mu      sync.Mutex
	steps   []step
}

type step struct {
	name string
	undo func(context.Context) error
}

// Add puts a step on top of the stack. The name stands in the error when undo fails.
func (s *Stack) Add(name string, undo func(context.Context) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.steps = append(s.steps, step{name, undo})
}

// Close runs every step, the last added first and each on a fresh context, also
// when some of them fail, and joins their errors. A step runs once however often
// Close is called; a second Close returns only after the first. A step that
// panics or exits the goroutine does not keep the others from running.
func (s *Stack) Close() error {
	s.closing.Lock()
	defer s.closing.Unlock()
	var failures []error
	for {
		top, ok := s.pop()
		if !ok {
			return errors.Join(failures...)
		}
		if err := s.run(top); err != nil {
			failures = append(failures, fmt.Errorf("cannot clean up %s: %w", top.name, err))
		}
	}
}

func (s *Stack) pop() (step, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := len(s.steps) - 1
	if last < 0 {
		return step{}, false
	}
	top := s.steps[last]
	s.steps = s.steps[:last]
	return top, true
}

// run executes one step in a goroutine that it waits for.
func (s *Stack) run(top step) error {
	timeout := s.Timeout
	if timeout <= 0 {
		timeout = time.Minute
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	// The step may end its goroutine, as a test's FailNow does, before it answers.
	err := errors.New("the step ended without an answer")
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if cause := recover(); cause != nil {
				err = fmt.Errorf("the step panicked: %v", cause)
			}
		}()
		err = top.undo(ctx)
	}()
	<-done
	return err
}
