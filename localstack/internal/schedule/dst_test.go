package schedule_test

import (
	"testing"

	"stillpoint/localstack/internal/schedule"
)

// https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#daylist-savings-time: what falls on a time that does
// not exist is skipped, what falls on one that is there twice runs before the shift and not after it.
func TestDaylightSaving(t *testing.T) {
	for _, tc := range []struct {
		why, expr, zone, after string
		want                   []string
	}{
		// the document's own example
		{"spring", "cron(30 2 * * ? *)", "America/Los_Angeles", "2026-03-07T00:00", []string{"2026-03-07T02:30:00-08:00", "2026-03-09T02:30:00-07:00"}},
		{"fall", "cron(30 2 * * ? *)", "America/Los_Angeles", "2026-10-31T12:00", []string{"2026-11-01T02:30:00-08:00", "2026-11-02T02:30:00-08:00"}},

		{"spring", "cron(30 2 * * ? *)", "America/New_York", "2026-03-07T12:00", []string{"2026-03-09T02:30:00-04:00"}},
		{"either side of the gap", "cron(59,0 1-3 * * ? *)", "America/New_York", "2026-03-08T01:30", []string{"2026-03-08T01:59:00-05:00",
			"2026-03-08T03:00:00-04:00", "2026-03-08T03:59:00-04:00", "2026-03-09T01:00:00-04:00"}},
		{"only in the gap", "cron(30 2 8 3 ? 2026)", "America/New_York", "2026-01-01T00:00", []string{"never"}},
		{"every minute", "cron(* * * * ? *)", "America/New_York", "2026-03-08T01:58", []string{"2026-03-08T01:59:00-05:00", "2026-03-08T03:00:00-04:00"}},
		{"fall", "cron(30 1 * * ? *)", "America/New_York", "2026-10-31T12:00", []string{"2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"}},
		{"asked between the two", "cron(30 1 * * ? *)", "America/New_York", "2026-11-01T01:10:00-05:00", []string{"2026-11-02T01:30:00-05:00"}},
		{"the repeated hour is one hour without runs", "cron(0/20 * * * ? *)", "America/New_York", "2026-11-01T00:50", []string{
			"2026-11-01T01:00:00-04:00", "2026-11-01T01:20:00-04:00", "2026-11-01T01:40:00-04:00", "2026-11-01T02:00:00-05:00"}},
		{"asked in the repeated hour", "cron(* * * * ? *)", "America/New_York", "2026-11-01T01:15:30-05:00", []string{"2026-11-01T02:00:00-05:00"}},

		{"spring", "cron(30 2 * * ? *)", "Europe/Berlin", "2026-03-28T00:00", []string{"2026-03-28T02:30:00+01:00", "2026-03-30T02:30:00+02:00"}},
		{"fall", "cron(30 2 * * ? *)", "Europe/Berlin", "2026-10-24T12:00", []string{"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"}},
		{"the first that is repeated", "cron(0 2 * * ? *)", "Europe/Berlin", "2026-10-24T12:00", []string{"2026-10-25T02:00:00+02:00", "2026-10-26T02:00:00+01:00"}},
		{"the last that is repeated", "cron(59 2 * * ? *)", "Europe/Berlin", "2026-10-24T12:00", []string{"2026-10-25T02:59:00+02:00", "2026-10-26T02:59:00+01:00"}},
		{"the first that is not", "cron(0 3 * * ? *)", "Europe/Berlin", "2026-10-24T12:00", []string{"2026-10-25T03:00:00+01:00"}},
		{"weekdays are those of the zone", "cron(30 0 ? * MON *)", "Europe/Berlin", "2026-01-01T00:00", []string{"2026-01-04T23:30:00Z"}},
		{"and so is the year", "cron(0 0 1 1 ? 2027)", "Europe/Berlin", "2026-01-01T00:00", []string{"2026-12-31T23:00:00Z", "never"}},

		{"half an hour", "cron(15,45 1,2 * * ? *)", "Australia/Lord_Howe", "2026-04-05T00:00", []string{"2026-04-05T01:15:00+11:00", "2026-04-05T01:45:00+11:00",
			"2026-04-05T02:15:00+10:30", "2026-04-05T02:45:00+10:30"}},
		{"half an hour", "cron(15,45 2 * * ? *)", "Australia/Lord_Howe", "2026-10-03T12:00", []string{"2026-10-04T02:45:00+11:00", "2026-10-05T02:15:00+11:00"}},
		{"a midnight that is not there", "cron(0 0 * * ? *)", "America/Sao_Paulo", "2018-11-03T00:00", []string{"2018-11-05T00:00:00-02:00"}},
		{"a day that is not there", "cron(0 12 * * ? *)", "Pacific/Apia", "2011-12-29T12:00", []string{"2011-12-31T12:00:00+14:00"}},
		{"no such thing in UTC", "cron(30 2 * * ? *)", "", "2026-03-07T12:00", []string{"2026-03-08T02:30", "2026-03-09T02:30"}},

		{"at in a gap never runs", "at(2026-03-08T02:30:00)", "America/New_York", "2026-01-01T00:00", []string{"never"}},
		{"at before a gap", "at(2026-03-08T01:59:59)", "America/New_York", "2026-01-01T00:00", []string{"2026-03-08T06:59:59Z", "never"}},
		{"at a repeated time", "at(2026-11-01T01:30:15)", "America/New_York", "2026-01-01T00:00", []string{"2026-11-01T05:30:15Z", "never"}},
		{"a rate does not care", "rate(12 hours)", "America/New_York", "2026-03-07T20:00", []string{"2026-03-08T09:00", "2026-03-08T21:00"}},
	} {
		t.Run(tc.why+" "+tc.expr, func(t *testing.T) {
			s := parse(t, tc.expr, schedule.Scheduler)
			s.Location = zone(t, tc.zone)
			after := moment(t, tc.after, s.Location)
			s.Created = after
			wantRuns(t, s, after, tc.want...)
			if next, ok := s.Next(after); ok && next.Location() != s.Location {
				t.Errorf("the answer is in %s", next.Location())
			}
		})
	}
}
