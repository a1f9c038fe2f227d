package schedule

import (
	"fmt"
	"time"
)

// Modes of a Window.
const (
	Off      = "OFF"
	Flexible = "FLEXIBLE"
)

// maxWindow is the longest window in minutes.
const maxWindow = 1440

// Window is Scheduler's FlexibleTimeWindow: how much later than its time a schedule may run.
// https://docs.aws.amazon.com/scheduler/latest/APIReference/API_FlexibleTimeWindow.html
type Window struct {
	Mode           string // Off or Flexible; empty is an error
	MaximumMinutes int    // MaximumWindowInMinutes, 1-1440; zero is none, which Off allows
}

// Check tells what is wrong with the window. That a length beside Off is ignored is not documented.
func (w Window) Check() error {
	switch {
	case w.Mode != Off && w.Mode != Flexible:
		return fmt.Errorf("the mode %q of the flexible time window is neither %s nor %s", w.Mode, Off, Flexible)
	case w.Mode == Flexible && w.MaximumMinutes == 0:
		return fmt.Errorf("a %s time window needs MaximumWindowInMinutes, 1-%d", Flexible, maxWindow)
	case w.MaximumMinutes < 0 || w.MaximumMinutes > maxWindow:
		return fmt.Errorf("MaximumWindowInMinutes %d is not in 1-%d", w.MaximumMinutes, maxWindow)
	}
	return nil
}

// Pick is the moment of a run that was scheduled for t: t itself if the window is Off, else as far into the window as fraction
// says, where 0 is its start and 1 its end. A fraction outside of 0-1 is taken for the nearer of the two.
func (w Window) Pick(t time.Time, fraction float64) time.Time {
	if w.Mode != Flexible || !(fraction > 0) { // not a number is 0 too
		return t
	}
	length := time.Duration(w.MaximumMinutes) * time.Minute
	return t.Add(time.Duration(min(fraction, 1) * float64(length)))
}
