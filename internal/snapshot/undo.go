package snapshot

import (
	"errors"
)

// undo is a stack of what was acquired. unwind releases in reverse, on success
// and on error alike; a step that fails never stops the others.
type undo struct {
	steps []func() error
}

func (u *undo) push(step func() error) { u.steps = append(u.steps, step) }

// unwind runs and forgets every step, the last one first, and joins their errors.
func (u *undo) unwind() error {
	var errs []error
	for len(u.steps) > 0 {
		last := len(u.steps) - 1
		step := u.steps[last]
		u.steps = u.steps[:last]
		if err := step(); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
