package schedule_test

import (
	"testing"

	"stillpoint/localstack/internal/schedule"
)

type example struct {
	expr  string
	zone  string
	after string
	want  []string
}

func (e example) check(t *testing.T, kind schedule.Kind) {
	t.Helper()
	s := parse(t, e.expr, kind)
	s.Location = zone(t, e.zone)
	s.Created = moment(t, e.after, s.Location)
	wantRuns(t, s, s.Created, e.want...)
}

// What the documents show, word by word. 2026-01-01 is a Thursday.
func TestExamplesOfRules(t *testing.T) {
	for _, e := range []example{
		// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cron-expressions.html, "Examples"
		{"cron(0 10 * * ? *)", "", "2026-01-01T10:00", []string{"2026-01-02T10:00", "2026-01-03T10:00"}},
		{"cron(15 12 * * ? *)", "", "2026-01-01T12:14:59", []string{"2026-01-01T12:15", "2026-01-02T12:15"}},
		{"cron(0 18 ? * MON-FRI *)", "", "2026-01-01T18:00", []string{"2026-01-02T18:00", "2026-01-05T18:00"}},
		{"cron(0 8 1 * ? *)", "", "2026-01-01T08:00", []string{"2026-02-01T08:00", "2026-03-01T08:00"}},
		{"cron(0/15 * * * ? *)", "", "2026-01-01T23:20", []string{"2026-01-01T23:30", "2026-01-01T23:45", "2026-01-02T00:00", "2026-01-02T00:15"}},
		{"cron(0/10 * ? * MON-FRI *)", "", "2026-01-02T23:45", []string{"2026-01-02T23:50", "2026-01-05T00:00", "2026-01-05T00:10"}},
		{"cron(0/5 8-17 ? * MON-FRI *)", "", "2026-01-02T17:50", []string{"2026-01-02T17:55", "2026-01-05T08:00", "2026-01-05T08:05"}},
		// The hours wrap. They are those of each Monday to Friday: it is Monday that has a 00:00, not Saturday.
		{"cron(0/30 20-2 ? * MON-FRI *)", "", "2026-01-02T23:00", []string{"2026-01-02T23:30", "2026-01-05T00:00", "2026-01-05T00:30",
			"2026-01-05T01:00", "2026-01-05T01:30", "2026-01-05T02:00", "2026-01-05T02:30", "2026-01-05T20:00"}},
		{"cron(0 12 * * ? *)", "", "2026-12-31T12:00", []string{"2027-01-01T12:00"}},
		{"cron(5,35 14 * * ? *)", "", "2026-01-01T00:00", []string{"2026-01-01T14:05", "2026-01-01T14:35", "2026-01-02T14:05"}},
		{"cron(15 10 ? * 6L 2019-2022)", "", "2018-06-01T00:00", []string{"2019-01-25T10:15", "2019-02-22T10:15"}},
		{"cron(15 10 ? * 6L 2019-2022)", "", "2022-11-30T00:00", []string{"2022-12-30T10:15", "never"}},
		// the same page, "Wildcards"
		{"cron(0 0 1 JAN,FEB,MAR ? *)", "", "2026-02-01T00:00", []string{"2026-03-01T00:00", "2027-01-01T00:00"}},
		{"cron(0 0 1-15 * ? *)", "", "2026-01-14T00:00", []string{"2026-01-15T00:00", "2026-02-01T00:00"}},
		{"cron(0 * * * ? *)", "", "2026-01-01T22:00", []string{"2026-01-01T23:00", "2026-01-02T00:00"}},
		{"cron(1/10 * * * ? *)", "", "2026-01-01T00:01", []string{"2026-01-01T00:11", "2026-01-01T00:21", "2026-01-01T00:31",
			"2026-01-01T00:41", "2026-01-01T00:51", "2026-01-01T01:01"}},
		{"cron(0 0 7 * ? *)", "", "2026-01-01T00:00", []string{"2026-01-07T00:00", "2026-02-07T00:00"}},
		{"cron(0 0 L * ? *)", "", "2026-01-31T00:00", []string{"2026-02-28T00:00", "2026-03-31T00:00", "2026-04-30T00:00"}},
		{"cron(0 0 ? * L *)", "", "2026-01-01T00:00", []string{"2026-01-03T00:00", "2026-01-10T00:00"}}, // Saturdays
		{"cron(0 0 3W * ? *)", "", "2026-01-01T00:00", []string{"2026-01-02T00:00", "2026-02-03T00:00", "2026-03-03T00:00"}},
		{"cron(0 0 ? * 3#2 *)", "", "2026-01-01T00:00", []string{"2026-01-13T00:00", "2026-02-10T00:00"}},
		// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rate-expressions.html
		{"rate(1 minute)", "", "2026-01-01T00:00:07", []string{"2026-01-01T00:01:07", "2026-01-01T00:02:07"}},
		{"rate(5 minutes)", "", "2026-01-01T00:00", []string{"2026-01-01T00:05", "2026-01-01T00:10"}},
		{"rate(1 hour)", "", "2026-01-01T23:30", []string{"2026-01-02T00:30"}},
		{"rate(5 hours)", "", "2026-01-01T00:00", []string{"2026-01-01T05:00"}},
		{"rate(1 day)", "", "2026-02-28T09:00", []string{"2026-03-01T09:00"}},
		// https://docs.aws.amazon.com/eventbridge/latest/APIReference/API_PutRule.html
		{"cron(0 20 * * ? *)", "", "2026-01-01T00:00", []string{"2026-01-01T20:00"}},
		// https://docs.aws.amazon.com/lambda/latest/dg/tutorial-scheduled-events-schedule-expressions.html
		{"rate(7 days)", "", "2026-01-01T00:00", []string{"2026-01-08T00:00"}},
		{"cron(15 10 * * ? *)", "", "2026-01-01T00:00", []string{"2026-01-01T10:15"}},
		{"cron(0 9 ? * 2#1 *)", "", "2026-01-01T00:00", []string{"2026-01-05T09:00", "2026-02-02T09:00"}},
		// https://event-driven-architecture.workshop.aws/2-event-bridge/3-integrations/scheduled_expressions.html
		{"cron(* * ? * mon-sun *)", "", "2026-01-03T23:59", []string{"2026-01-04T00:00", "2026-01-04T00:01"}},
		// tried at AWS: https://github.com/localstack/localstack/issues/13572
		{"cron(0-15/1 8-8 ? * 2,3,4,5,6,7 *)", "", "2026-01-03T08:14", []string{"2026-01-03T08:15", "2026-01-05T08:00"}},
		{"cron(30-30 13-13 ? * 2,4,6 *)", "", "2026-01-01T00:00", []string{"2026-01-02T13:30", "2026-01-05T13:30"}},
		{"cron(1-31/30 1-1 ? * 1,7 *)", "", "2026-01-01T00:00", []string{"2026-01-03T01:01", "2026-01-03T01:31", "2026-01-04T01:01"}},
	} {
		e.check(t, schedule.Rule)
		e.check(t, schedule.Scheduler) // takes all that a rule takes
	}
}

func TestExamplesOfScheduler(t *testing.T) {
	for _, e := range []example{
		// https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
		{"rate(5 minutes)", "", "2026-01-01T00:00", []string{"2026-01-01T00:05"}},
		{"cron(15 10 ? * 6L 2022-2023)", "", "2022-01-01T00:00", []string{"2022-01-28T10:15", "2022-02-25T10:15"}},
		{"cron(15 10 ? * 6L 2022-2023)", "", "2023-12-29T10:14", []string{"2023-12-29T10:15", "never"}},
		{"at(2022-11-20T13:00:00)", "America/Los_Angeles", "2022-01-01T00:00", []string{"2022-11-20T21:00:00Z", "never"}}, // 1pm UTC-8
		{"at(2022-11-20T13:00:00)", "", "2022-01-01T00:00", []string{"2022-11-20T13:00:00Z", "never"}},
		{"cron(30 8 * * ? *)", "America/New_York", "2026-03-07T00:00", []string{"2026-03-07T13:30:00Z", "2026-03-08T12:30:00Z"}},
		{"cron(0 8 ? * 2#1 *)", "America/Los_Angeles", "2026-01-01T00:00", []string{"2026-01-05T16:00:00Z"}}, // "8:00 a.m. PST on the first Monday"
		{"rate(1 days)", "America/New_York", "2026-03-07T12:00", []string{"2026-03-08T13:00", "2026-03-09T13:00"}},
		{"rate(1 days)", "America/New_York", "2026-10-31T12:00", []string{"2026-11-01T11:00"}},
		// the same page: "five required fields ... and one optional field, year"
		{"cron(0 10 * * ?)", "", "2026-01-01T10:00", []string{"2026-01-02T10:00"}},
		// https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-flexible-time-windows.html
		{"rate(1 hour)", "", "2026-01-01T00:00", []string{"2026-01-01T01:00"}},
		// https://docs.aws.amazon.com/scheduler/latest/APIReference/API_CreateSchedule.html lists six units
		{"rate(1 minute)", "", "2026-01-01T00:00", []string{"2026-01-01T00:01"}},
		{"rate(1 minutes)", "", "2026-01-01T00:00", []string{"2026-01-01T00:01"}},
		{"rate(1 hours)", "", "2026-01-01T00:00", []string{"2026-01-01T01:00"}},
		{"rate(2 minute)", "", "2026-01-01T00:00", []string{"2026-01-01T00:02"}}, // recorded, see parseRate
		{"rate(1 day)", "", "2026-01-01T00:00", []string{"2026-01-02T00:00"}},
	} {
		e.check(t, schedule.Scheduler)
	}
}
