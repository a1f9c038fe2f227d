package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// maxZone is how long a ScheduleExpressionTimezone may be: CreateSchedule of Scheduler's API reference.
const maxZone = 50

// LoadZone finds Scheduler's ScheduleExpressionTimezone, a name of the IANA time zone database. Empty is UTC. Unlike the rest of
// the package it reads files: a machine without a zone database knows UTC alone and has an error for all else, unless the program
// imports time/tzdata, which is for the command to decide.
func LoadZone(name string) (*time.Location, error) {
	err := errors.New("it must be the name of a time zone in the IANA database, such as Europe/Berlin")
	if strings.HasPrefix(name, "right/") || strings.HasPrefix(name, "posix/") || len(name) > maxZone {
		return nil, fmt.Errorf("cannot find time zone %q: %w", name, err)
	}
	switch name {
	case "Local", "localtime", "posixrules": // Go and the files know these, the IANA does not
		return nil, fmt.Errorf("cannot find time zone %q: %w", name, err)
	}
	loc, cause := time.LoadLocation(name)
	if cause != nil {
		if _, none := time.LoadLocation("Europe/Berlin"); none != nil {
			err = errors.New("this machine has no zone database, only UTC works")
		}
		return nil, fmt.Errorf("cannot find time zone %q: %w (%w)", name, err, cause)
	}
	return loc, nil
}

// reading is what the clocks show at t, as if they were in UTC.
func reading(t time.Time) time.Time {
	y, mo, d := t.Date()
	h, mi, s := t.Clock()
	return time.Date(y, mo, d, h, mi, s, 0, time.UTC)
}

// firstInstant is when the clocks of loc first show the reading: never if they skip it when they go forward, and the earlier of
// two if they go back, so that a schedule is skipped or runs once:
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#daylist-savings-time
func firstInstant(clock time.Time, loc *time.Location) (time.Time, bool) {
	y, mo, d := clock.Date()
	h, mi, s := clock.Clock()
	t := time.Date(y, mo, d, h, mi, s, 0, loc)
	if !reading(t).Equal(clock) {
		return time.Time{}, false
	}
	// time.Date does not say which of two it returns. If it is the later, the clocks went back at start, less long ago than by.
	start, _ := t.ZoneBounds()
	if start.IsZero() {
		return t, true
	}
	_, offset := t.Zone()
	_, before := start.Add(-time.Second).Zone()
	by := time.Duration(before-offset) * time.Second
	if by > 0 && t.Sub(start) < by {
		return t.Add(-by), true
	}
	return t, true
}
