package schedule_test

import (
	"testing"
	"time"

	"stillpoint/localstack/internal/schedule"
)

func TestDays(t *testing.T) {
	for _, tc := range []struct {
		why   string
		expr  string
		after string
		want  []string
	}{
		{"leap days", "cron(0 0 29 2 ? *)", "2026-01-01T00:00", []string{"2028-02-29T00:00", "2032-02-29T00:00"}},
		{"no leap day in 2100", "cron(0 0 29 2 ? *)", "2096-02-29T00:00", []string{"2104-02-29T00:00"}},
		{"one in 2000", "cron(0 0 29 2 ? *)", "1996-02-29T00:00", []string{"2000-02-29T00:00"}},
		{"a leap day that is a Sunday", "cron(0 0 ? 2 1#5 *)", "2026-01-01T00:00", []string{"2032-02-29T00:00", "2060-02-29T00:00"}},
		{"the last leap day there is", "cron(0 0 29 2 ? *)", "2192-02-29T00:00", []string{"2196-02-29T00:00", "never"}},
		{"a day that no month has", "cron(0 0 31 2 ? *)", "1970-01-01T00:00", []string{"never"}},
		{"nor have these", "cron(0 0 31 4,6,9,11 ? *)", "1970-01-01T00:00", []string{"never"}},
		{"months without a 31st are left out", "cron(0 0 31 * ? *)", "2026-01-31T00:00", []string{"2026-03-31T00:00", "2026-05-31T00:00"}},
		{"fifth Fridays of February", "cron(0 0 ? 2 6#5 *)", "2026-01-01T00:00", []string{"2036-02-29T00:00"}},
		{"fifth Fridays", "cron(0 0 ? * 6#5 *)", "2026-01-01T00:00", []string{"2026-01-30T00:00", "2026-05-29T00:00", "2026-07-31T00:00"}},
		{"# at the month's first day", "cron(0 0 ? * THU#1 *)", "2025-12-31T00:00", []string{"2026-01-01T00:00", "2026-02-05T00:00"}},

		{"1W on a Saturday is the 3rd, not the Friday of the month before", "cron(0 0 1W * ? *)", "2026-07-31T00:00", []string{"2026-08-03T00:00"}},
		{"1W on a Sunday", "cron(0 0 1W * ? *)", "2026-01-31T00:00", []string{"2026-02-02T00:00"}},
		{"1W on a weekday", "cron(0 0 1W * ? *)", "2026-08-31T00:00", []string{"2026-09-01T00:00"}},
		{"31W on a Sunday is the 29th, not the Monday of the month after", "cron(0 0 31W * ? *)", "2026-05-01T00:00", []string{"2026-05-29T00:00"}},
		{"31W on a Saturday", "cron(0 0 31W * ? *)", "2026-01-01T00:00", []string{"2026-01-30T00:00", "2026-03-31T00:00"}},
		{"28W on a Sunday at the end of a February", "cron(0 0 28W 2 ? *)", "2027-01-01T00:00", []string{"2027-02-26T00:00"}},
		{"28W on a Saturday", "cron(0 0 28W 2 ? *)", "2026-01-01T00:00", []string{"2026-02-27T00:00"}},
		{"15W on a Sunday is Monday", "cron(0 0 15W * ? *)", "2026-02-01T00:00", []string{"2026-02-16T00:00"}},
		{"15W on a Saturday is Friday", "cron(0 0 15W * ? *)", "2026-08-01T00:00", []string{"2026-08-14T00:00"}},
		{"30W never in February", "cron(0 0 30W 2 ? *)", "1970-01-01T00:00", []string{"never"}},
		{"lower case", "cron(0 0 3w jan ? *)", "2026-01-01T00:00", []string{"2026-01-02T00:00"}},

		{"L in February", "cron(0 0 L 2 ? *)", "2026-01-01T00:00", []string{"2026-02-28T00:00", "2027-02-28T00:00", "2028-02-29T00:00"}},
		{"the last Saturday is the month's last day", "cron(0 0 ? * 7L *)", "2026-01-01T00:00", []string{"2026-01-31T00:00", "2026-02-28T00:00"}},
		{"the last Sunday is seven days before the end", "cron(0 0 ? * SUNL *)", "2026-01-01T00:00", []string{"2026-01-25T00:00"}},

		{"a range that wraps the week", "cron(0 0 ? * FRI-MON *)", "2026-01-01T00:00", []string{"2026-01-02T00:00", "2026-01-03T00:00",
			"2026-01-04T00:00", "2026-01-05T00:00", "2026-01-09T00:00"}},
		{"one that wraps the year", "cron(0 0 1 NOV-2 ? *)", "2026-01-15T00:00", []string{"2026-02-01T00:00", "2026-11-01T00:00", "2026-12-01T00:00", "2027-01-01T00:00"}},
		{"one that wraps the month", "cron(0 0 30-2 * ? *)", "2026-02-01T00:00", []string{"2026-02-02T00:00", "2026-03-01T00:00",
			"2026-03-02T00:00", "2026-03-30T00:00"}},
		{"one that wraps the hour", "cron(58-1 0 * * ? *)", "2026-01-01T00:00", []string{"2026-01-01T00:01", "2026-01-01T00:58", "2026-01-01T00:59",
			"2026-01-02T00:00"}},
		{"with a step, which goes on across the wrap", "cron(0 21-3/3 * * ? *)", "2026-01-01T00:00", []string{"2026-01-01T03:00", "2026-01-01T21:00", "2026-01-02T00:00"}},
		{"a step of a range", "cron(10-30/7 0 * * ? *)", "2026-01-01T00:00", []string{"2026-01-01T00:10", "2026-01-01T00:17", "2026-01-01T00:24", "2026-01-02T00:10"}},
		{"a step does not go on across fields", "cron(*/40 * * * ? *)", "2026-01-01T00:00", []string{"2026-01-01T00:40", "2026-01-01T01:00", "2026-01-01T01:40"}},
		{"steps of days start anew each month", "cron(0 0 */10 * ? *)", "2026-01-01T00:00", []string{"2026-01-11T00:00", "2026-01-21T00:00",
			"2026-01-31T00:00", "2026-02-01T00:00"}},
		{"steps of years", "cron(0 0 1 1 ? 2026/5)", "2026-01-01T00:00", []string{"2031-01-01T00:00", "2036-01-01T00:00"}},
		{"lists of all sorts, twice the same, out of order", "cron(50,5-7,6,0/30 3 1 1 ? 2027,2026)", "2026-01-01T03:00", []string{"2026-01-01T03:05",
			"2026-01-01T03:06", "2026-01-01T03:07", "2026-01-01T03:30", "2026-01-01T03:50", "2027-01-01T03:00"}},
		{"leading zeros and much white space", "cron( 05   08\t* *  ? * )", "2026-01-01T00:00", []string{"2026-01-01T08:05"}},

		{"the first minute there is", "cron(* * * * ? *)", "1900-01-01T00:00", []string{"1970-01-01T00:00", "1970-01-01T00:01"}},
		{"the last", "cron(* * * * ? *)", "2199-12-31T23:58:59", []string{"2199-12-31T23:59", "never"}},
		{"a year that is over", "cron(0 0 1 1 ? 2025)", "2025-01-01T00:00", []string{"never"}},
	} {
		s := parse(t, tc.expr, schedule.Rule)
		t.Run(tc.why, func(t *testing.T) { wantRuns(t, s, moment(t, tc.after, time.UTC), tc.want...) })
	}
}

// The worst that fields can do: as many readings as there are, none or hardly any of them on the clocks. Each has to look at all
// the years; by the minute that would be 120 million.
func TestNextIsQuick(t *testing.T) {
	for _, expr := range []string{
		"cron(0 0 31 2 ? *)", "cron(0 0 29 2 ? 2197/1)", "cron(* * 30W 2 ? *)", "cron(0 0 ? 2 6#5 2199)", "cron(* 2 ? 3 1#2 2007-2199)",
	} {
		s := parse(t, expr, schedule.Rule)
		s.Location = zone(t, "America/New_York")
		begin := time.Now()
		for range 10 {
			if next, ok := s.Next(time.Time{}); ok {
				t.Errorf("%s runs at %s", expr, next)
			}
		}
		if took := time.Since(begin) / 10; took > time.Second {
			t.Errorf("%s took %v to say never", expr, took)
		}
	}
}
