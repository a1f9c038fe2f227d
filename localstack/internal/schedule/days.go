package schedule

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// month is the shape of a month: how many days, and which weekday the first of them is.
type month struct {
	last  int
	first time.Weekday
}

func newMonth(year, m int) month {
	return month{
		last:  time.Date(year, time.Month(m)+1, 0, 0, 0, 0, 0, time.UTC).Day(),
		first: time.Date(year, time.Month(m), 1, 0, 0, 0, 0, time.UTC).Weekday(),
	}
}

// weekday is AWS's number of a day: 1 is SUN, 7 is SAT.
func (m month) weekday(day int) int { return (int(m.first)+day-1)%7 + 1 }

// AWS's numbers of the days that are no working days.
const (
	sunday   = 1
	saturday = 7
)

// nearestWeekday is the Monday to Friday that is nearest to a day, within the month; 0 if the month has no such day.
// That it stays within the month is not documented; it is so in Quartz, whose syntax this is:
// https://www.quartz-scheduler.org/documentation/quartz-2.3.0/tutorials/crontrigger.html
func (m month) nearestWeekday(day int) int {
	switch {
	case day > m.last:
		return 0
	case m.weekday(day) == saturday && day == 1:
		return 3
	case m.weekday(day) == saturday:
		return day - 1
	case m.weekday(day) == sunday && day == m.last:
		return day - 2
	case m.weekday(day) == sunday:
		return day + 1
	}
	return day
}

// days tells whether a schedule runs on a day of a month.
type days func(day int, m month) bool

// parseDays reads the two fields of days, in upper case. One of them has to be ?, and only one: with two, nothing says when.
func parseDays(ofMonth, ofWeek string) (days, error) {
	var d days
	var err error
	switch {
	case ofMonth == "?" && ofWeek == "?":
		return nil, errors.New("day-of-month and day-of-week are both ?, and only one of them may be")
	case ofMonth == "?":
		if d, err = parseDaysOfWeek(ofWeek); err != nil {
			return nil, fmt.Errorf("%s %q: %w", daysOfWeek.name, ofWeek, err)
		}
	case ofWeek == "?":
		if d, err = parseDaysOfMonth(ofMonth); err != nil {
			return nil, fmt.Errorf("%s %q: %w", daysOfMonth.name, ofMonth, err)
		}
	default:
		return nil, fmt.Errorf("day-of-month %q and day-of-week %q are both set; one of them must be ?", ofMonth, ofWeek)
	}
	return d, nil
}

// parseDaysOfMonth reads L, nW or a list.
func parseDaysOfMonth(text string) (days, error) {
	if text == "L" {
		return func(day int, m month) bool { return day == m.last }, nil
	}
	if of, ok := strings.CutSuffix(text, "W"); ok {
		n, err := daysOfMonth.value(of)
		if err != nil {
			return nil, errors.New("a W goes after one day of the month, as in 3W")
		}
		return func(day int, m month) bool { return day == m.nearestWeekday(n) }, nil
	}
	if strings.ContainsAny(text, "LW") {
		return nil, errors.New("an L stands alone, and a W goes after one day of the month, as in 3W")
	}
	list, err := daysOfMonth.list(text)
	if err != nil {
		return nil, err
	}
	return func(day int, _ month) bool { return slices.Contains(list, day) }, nil
}

// parseDaysOfWeek reads L, nL, n#i or a list. L alone is "the last day of the week", Saturday.
func parseDaysOfWeek(text string) (days, error) {
	if of, nth, ok := strings.Cut(text, "#"); ok {
		n, err := daysOfWeek.value(of)
		i, notNumber := number(nth)
		if err != nil || notNumber != nil || i < 1 || i > 5 {
			return nil, errors.New("# goes between one day of the week and 1-5, as in 3#2 for the second Tuesday")
		}
		return func(day int, m month) bool { return m.weekday(day) == n && (day+6)/7 == i }, nil
	}
	if of, ok := strings.CutSuffix(text, "L"); ok && of != "" {
		n, err := daysOfWeek.value(of)
		if err != nil {
			return nil, errors.New("an L stands alone or after one day of the week, as in 6L for the last Friday")
		}
		return func(day int, m month) bool { return m.weekday(day) == n && day+7 > m.last }, nil
	}
	if text == "L" {
		text = "SAT"
	}
	list, err := daysOfWeek.list(text)
	if err != nil {
		return nil, err
	}
	return func(day int, m month) bool { return slices.Contains(list, m.weekday(day)) }, nil
}
