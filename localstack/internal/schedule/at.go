package schedule

import (
	"fmt"
	"time"
)

const atLayout = "2006-01-02T15:04:05"

// at is at(yyyy-mm-ddThh:mm:ss), a reading of the clock in the schedule's time zone:
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#one-time
type at struct{ clock time.Time }

// parseAt reads the inside of at(...). A moment in the past is valid: it never runs.
func parseAt(body string) (times, error) {
	t, err := time.Parse(atLayout, body)
	if err != nil || t.Format(atLayout) != body { // Parse takes fractions of a second and hours of one digit too
		return nil, fmt.Errorf("%q is no date and time in the form yyyy-mm-ddThh:mm:ss, as in at(2022-11-20T13:00:00)", body)
	}
	return at{t}, nil
}

// next treats a time that the clocks skip or repeat as cron does. For at that is not documented.
func (a at) next(after time.Time, s *Schedule) (time.Time, bool) {
	t, ok := firstInstant(a.clock, s.location())
	return t, ok && t.After(after)
}
