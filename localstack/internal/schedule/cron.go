package schedule

import (
	"fmt"
	"strings"
	"time"
)

// cron is cron(minutes hours day-of-month month day-of-week year): the readings of the clock at which a schedule runs. Its lists
// are sorted and not empty.
type cron struct {
	minutes, hours, months, years []int
	days                          days
}

// parseCron reads the inside of cron(...). Rules need all six fields; Scheduler's User Guide calls the year optional.
func parseCron(body string, kind Kind) (times, error) {
	if i := strings.IndexFunc(body, func(r rune) bool { return r > '~' }); i >= 0 {
		return nil, fmt.Errorf("%q is not ASCII", body[i:])
	}
	parts := split(strings.ToUpper(body)) // names in lower case are in AWS's workshop (mon-sun), not in its reference
	if len(parts) == 5 && kind == Scheduler {
		parts = append(parts, "*")
	}
	if len(parts) != 6 {
		return nil, fmt.Errorf("it has %d fields, not the six of cron(minutes hours day-of-month month day-of-week year)", len(parts))
	}
	var c cron
	for _, f := range []struct {
		field
		text string
		list *[]int
	}{
		{minutes, parts[0], &c.minutes}, {hours, parts[1], &c.hours}, {months, parts[3], &c.months}, {years, parts[5], &c.years},
	} {
		var err error
		if *f.list, err = f.field.list(f.text); err != nil {
			return nil, fmt.Errorf("%s %q: %w", f.name, f.text, err)
		}
	}
	var err error
	if c.days, err = parseDays(parts[2], parts[4]); err != nil {
		return nil, err
	}
	return &c, nil
}

// next tries readings until one is on the clocks and not over. It tries more than one only within an hour (or what else the
// clocks are put forward or back by) that is skipped or repeated.
func (c *cron) next(after time.Time, s *Schedule) (time.Time, bool) {
	loc := s.location()
	from := reading(after.In(loc))
	for {
		clock, ok := c.nextReading(from)
		if !ok {
			return time.Time{}, false
		}
		if t, ok := firstInstant(clock, loc); ok && t.After(after) {
			return t, true
		}
		from = clock.Add(time.Minute)
	}
}

// nextReading is the first reading that is not before from.
func (c *cron) nextReading(from time.Time) (time.Time, bool) {
	y, m, d := from.Date()
	for _, year := range atLeast(c.years, y) {
		for _, mon := range c.months {
			day := 1
			if year == y {
				if mon < int(m) {
					continue
				}
				if mon == int(m) {
					day = d
				}
			}
			for shape := newMonth(year, mon); day <= shape.last; day++ {
				if !c.days(day, shape) {
					continue
				}
				least := 0
				if year == y && mon == int(m) && day == d {
					least = from.Hour()*60 + from.Minute()
				}
				if minute, ok := c.minuteOfDay(least); ok {
					return time.Date(year, time.Month(mon), day, 0, minute, 0, 0, time.UTC), true
				}
			}
		}
	}
	return time.Time{}, false
}

// minuteOfDay is the first minute of a day to run at that is not below least, counted from midnight.
func (c *cron) minuteOfDay(least int) (int, bool) {
	for _, h := range atLeast(c.hours, least/60) {
		list := c.minutes
		if h == least/60 {
			list = atLeast(list, least%60)
		}
		if len(list) > 0 {
			return h*60 + list[0], true
		}
	}
	return 0, false
}
