package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Kind says whose rules an expression has to follow.
type Kind int

const (
	// Rule is the ScheduleExpression of an EventBridge rule: rate or cron, in UTC.
	Rule Kind = iota
	// Scheduler is the ScheduleExpression of EventBridge Scheduler: rate, cron or at, in a time zone, between two dates. Its
	// rate(1 minutes) is as good as rate(1 minute), and its cron may leave the year out.
	Scheduler
)

// maxLength is how long a ScheduleExpression may be, in characters: PutRule and CreateSchedule of the API references.
const maxLength = 256

// Schedule is an expression and what AWS keeps beside it. The zero Schedule never runs. It may be copied, and used by many
// goroutines as long as none of them changes it.
type Schedule struct {
	// Location is the time zone that cron and at are read in, for Scheduler alone. Nil is UTC.
	Location *time.Location
	// Created is when the rule or the schedule was made. A rate counts from it if there is no Start.
	Created time.Time
	// Start and End are Scheduler's StartDate and EndDate: nothing runs before the one or after the other, at them it may. Zero
	// is no such date. A one-time schedule ignores them:
	// https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html
	Start, End time.Time

	kind  Kind
	text  string
	times times
}

// times are the moments of an expression.
type times interface {
	// next is the first moment strictly after the given one, as s has it apart from Start and End.
	next(after time.Time, s *Schedule) (time.Time, bool)
}

// Parse reads an expression of the kind. The error says which part of it is wrong and what would be right; it is of no special
// type, as AWS has but one answer to all of them.
func Parse(expr string, kind Kind) (Schedule, error) {
	times, err := parse(expr, kind)
	if err != nil {
		return Schedule{}, fmt.Errorf("cannot read schedule expression %q: %w", expr, err)
	}
	return Schedule{kind: kind, text: expr, times: times}, nil
}

func parse(expr string, kind Kind) (times, error) {
	if len(expr) > maxLength {
		return nil, fmt.Errorf("it has %d characters, more than %d", len(expr), maxLength)
	}
	allowed := "rate(value unit) or cron(minutes hours day-of-month month day-of-week year)"
	if kind == Scheduler {
		allowed += " or at(yyyy-mm-ddThh:mm:ss)"
	}
	name, rest, _ := strings.Cut(expr, "(")
	body, ok := strings.CutSuffix(rest, ")")
	switch {
	case !ok:
		return nil, fmt.Errorf("it must be %s", allowed)
	case name == "rate":
		return parseRate(body, kind)
	case name == "cron":
		return parseCron(body, kind)
	case name == "at" && kind == Scheduler:
		return parseAt(body)
	case name == "at":
		return nil, errors.New("at(...) is for EventBridge Scheduler, a rule has rate(...) or cron(...)")
	}
	return nil, fmt.Errorf("it starts with %q, but must be %s", name, allowed)
}

// String is the expression as it was given.
func (s Schedule) String() string { return s.text }

// OneTime tells whether the expression is at(...), which runs once and ignores Start and End.
func (s Schedule) OneTime() bool {
	_, ok := s.times.(at)
	return ok
}

// Next is the first time that the schedule runs strictly after the given one, in its Location. False says that it never runs
// again. To have the first run of all, ask for the one after a moment before Created and Start: a rate of Scheduler runs at its
// very start.
//
// It is quick for any expression: it steps through fields, not through minutes.
func (s Schedule) Next(after time.Time) (time.Time, bool) {
	if s.times == nil {
		return time.Time{}, false
	}
	recurring := !s.OneTime()
	if recurring && !s.Start.IsZero() && after.Before(s.Start) {
		after = s.Start.Add(-1) // Start itself is not too early
	}
	t, ok := s.times.next(after, &s)
	if !ok || recurring && !s.End.IsZero() && t.After(s.End) {
		return time.Time{}, false
	}
	return t.In(s.location()), true
}

func (s *Schedule) location() *time.Location {
	if s.Location == nil {
		return time.UTC
	}
	return s.Location
}

// maxStartAge is how old a StartDate may be: "The StartDate you specify cannot be earlier than 5 minutes ago." is what AWS was
// seen to answer, https://github.com/getmoto/moto/pull/8172.
const maxStartAge = 5 * time.Minute

// CheckDates tells whether Scheduler takes Start and End in a request that is made now. A one-time schedule may have any. That
// End has to come after Start is not documented.
func (s Schedule) CheckDates(now time.Time) error {
	switch {
	case s.OneTime():
		return nil
	case !s.Start.IsZero() && s.Start.Before(now.Add(-maxStartAge)):
		return fmt.Errorf("the StartDate %s is earlier than %v before now, %s",
			s.Start.Format(time.RFC3339), maxStartAge, now.Format(time.RFC3339))
	case !s.Start.IsZero() && !s.End.IsZero() && !s.End.After(s.Start):
		return fmt.Errorf("the EndDate %s is not after the StartDate %s", s.End.Format(time.RFC3339), s.Start.Format(time.RFC3339))
	}
	return nil
}
