package conformance

import (
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	schedtypes "github.com/aws/aws-sdk-go-v2/service/scheduler/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"stillpoint/localstack"
)

// The context attributes of an Input.
const (
	itsTime      = "<aws.scheduler.scheduled-time>"
	itsARN       = "<aws.scheduler.schedule-arn>"
	itsExecution = "<aws.scheduler.execution-id>"
	itsAttempt   = "<aws.scheduler.attempt-number>"
)

// context is a page on them.
var contextPage = in("scheduler", "managing-schedule-context-attributes", page)

// schedulerRuns is what schedules do when their time comes.
var schedulerRuns = []behaviour{
	{
		ID: "scheduler-sqs-body-is-input", Service: theScheduler, Needs: clock,
		Says:   "A queue gets Input as the body of a message, as it is: it need not be JSON.",
		Source: from(api("scheduler", "Target")),
		Run: func(c *check) {
			queue := c.queue(nil)
			expression, _ := c.once(time.Minute)
			in := c.schedule(expression, queue)
			in.Target.Input = ptr("plain text, {")
			must(0, c.scheduling(in))(c)
			c.equal("before", len(c.runs(queue)), 0)
			c.move(time.Minute)
			c.equal("bodies", c.runs(queue), []string{"plain text, {"})
		},
	},
	{
		ID: "scheduler-context-attributes", Service: theScheduler, Needs: clock,
		Says: "In Input the keywords of schedule-arn, scheduled-time, execution-id and attempt-number are replaced by what they are; " +
			"the first attempt is 1.",
		Source: from(contextPage),
		Run: func(c *check) {
			queue := c.queue(nil)
			expression, due := c.once(time.Minute)
			in := c.schedule(expression, queue)
			in.Target.Input = ptr(strings.Join([]string{itsARN, itsTime, itsExecution, itsAttempt}, " "))
			arn := *must(c.scheduler.CreateSchedule(c.ctx, &in))(c).ScheduleArn
			c.move(time.Minute)
			runs := c.runs(queue)
			c.need("one run", len(runs) == 1, len(runs))
			got := strings.Fields(runs[0])
			c.need("four words", len(got) == 4, runs[0])
			c.equal("schedule-arn", got[0] == arn, true)
			c.equal("scheduled-time", got[1] == due.Format("2006-01-02T15:04:05Z"), true)
			c.is("execution-id", regexp.MustCompile(`^[0-9a-z-]+$`).MatchString(got[2]), got[2])
			c.equal("attempt-number", got[3], "1")
		},
	},
	{
		ID: "scheduler-attempts", Service: theScheduler, Needs: clock | faults,
		Says:   "An attempt after one that failed has the next attempt-number and the same scheduled-time.",
		Source: from(contextPage, api("scheduler", "RetryPolicy")),
		Run: func(c *check) {
			queue := c.queue(nil)
			expression, due := c.once(time.Minute)
			in := c.schedule(expression, queue)
			in.Target.Input = ptr(itsTime + " " + itsAttempt)
			must(0, c.scheduling(in))(c)
			must(0, c.ours.SetFaults(localstack.Fault{Operation: "sqs:SendMessage", Code: "InternalError", Status: 500, Times: 1}))(c)
			c.move(30 * time.Minute)
			want := due.Format("2006-01-02T15:04:05Z") + " 2"
			runs := c.runs(queue)
			c.is("the second attempt arrives", slices.Equal(runs, []string{want}), runs, want)
		},
	},
	{
		ID: "scheduler-role-not-policy", Service: theScheduler, Needs: clock,
		Says:   "The schedule's role sends: a queue without a policy gets the message. A schedule needs a role.",
		Source: from(api("scheduler", "Target")),
		Run: func(c *check) {
			queue := c.queue(nil)
			expression, _ := c.once(time.Minute)
			must(0, c.scheduling(c.schedule(expression, queue)))(c)
			c.equal("the queue has no policy", c.queueAttributes(queue)["Policy"], "")
			c.move(time.Minute)
			c.equal("delivered", c.runs(queue), []string{"run"})
			in := c.schedule(expression, queue)
			in.Target.RoleArn = ptr("")
			c.refused("without a role", c.scheduling(in), 400, "ValidationException")
		},
	},
	{
		ID: "scheduler-rate-begins-at-once", Service: theScheduler, Needs: clock,
		Says:   "A rate without a StartDate runs at once, and then with its interval in between.",
		Source: from(in("scheduler", "schedule-types#rate-based", page)),
		Run: func(c *check) {
			queue := c.queue(nil)
			in := c.schedule("rate(5 minutes)", queue)
			in.Target.Input = ptr(itsTime)
			must(0, c.scheduling(in))(c)
			c.move(time.Minute)
			first := c.runs(queue)
			c.need("within the first minute", len(first) == 1, len(first))
			c.move(10 * time.Minute)
			c.equal("in the next ten", len(c.runs(queue)), 2)
		},
	},
	{
		ID: "scheduler-at-once", Service: theScheduler, Needs: clock,
		Says:   "at(...) runs once; with ActionAfterCompletion DELETE the schedule is gone then, with NONE it stays and does not run again.",
		Source: from(api("scheduler", "CreateSchedule")),
		Run: func(c *check) {
			queue := c.queue(nil)
			expression, _ := c.once(time.Minute)
			keep, drop := c.schedule(expression, queue), c.schedule(expression, queue)
			keep.ActionAfterCompletion, drop.ActionAfterCompletion = schedtypes.ActionAfterCompletionNone, schedtypes.ActionAfterCompletionDelete
			keep.Target.Input, drop.Target.Input = ptr("keep"), ptr("drop")
			must(0, c.scheduling(keep))(c)
			must(0, c.scheduling(drop))(c)
			c.move(time.Minute)
			c.equal("runs", sorted(c.runs(queue)...), []string{"drop", "keep"})
			_, err := c.getSchedule(keep.Name)
			c.ok("the one is kept", err)
			_, err = c.getSchedule(drop.Name)
			c.refused("the other is gone", err, 404, "ResourceNotFoundException")
			c.move(48 * time.Hour)
			c.equal("later runs", len(c.runs(queue)), 0)
		},
	},
	{
		ID: "scheduler-start-end", Service: theScheduler, Needs: clock,
		Says:   "A schedule that recurs does not run before its StartDate and not after its EndDate.",
		Source: from(api("scheduler", "CreateSchedule")),
		Run: func(c *check) {
			queue := c.queue(nil)
			begin := c.ours.Now().Add(10 * time.Minute).Truncate(time.Second)
			in := c.schedule("rate(5 minutes)", queue)
			in.StartDate, in.EndDate = &begin, ptr(begin.Add(12*time.Minute))
			in.Target.Input = ptr(itsTime)
			must(0, c.scheduling(in))(c)
			c.move(9 * time.Minute)
			c.equal("before", len(c.runs(queue)), 0)
			c.move(time.Hour)
			runs := c.runs(queue)
			c.is("there are two or three", len(runs) == 2 || len(runs) == 3, len(runs))
			for _, run := range runs {
				at, err := time.Parse("2006-01-02T15:04:05Z", run)
				c.is("each is between them", err == nil && !at.Before(begin) && !at.After(*in.EndDate), run)
			}
		},
	},
	{
		ID: "scheduler-disabled", Service: theScheduler, Needs: clock,
		Says:   "A schedule whose State is DISABLED does not run; enabled by UpdateSchedule it does.",
		Source: from(api("scheduler", "CreateSchedule"), api("scheduler", "UpdateSchedule")),
		Run: func(c *check) {
			queue := c.queue(nil)
			in := c.schedule("rate(1 minute)", queue)
			in.State = schedtypes.ScheduleStateDisabled
			must(0, c.scheduling(in))(c)
			c.move(5 * time.Minute)
			c.equal("disabled", len(c.runs(queue)), 0)
			must(c.scheduler.UpdateSchedule(c.ctx, updateOf(in)))(c)
			c.move(5 * time.Minute)
			c.is("enabled", len(c.runs(queue)) >= 4)
		},
	},
	{
		ID: "scheduler-timezone", Service: theScheduler, Needs: clock,
		Says:   "cron is evaluated in the ScheduleExpressionTimezone; scheduled-time is in UTC.",
		Source: from(api("scheduler", "CreateSchedule"), contextPage),
		Run: func(c *check) {
			queue := c.queue(nil)
			in := c.schedule("cron(0 12 * * ? *)", queue)
			in.ScheduleExpressionTimezone, in.Target.Input = ptr("Asia/Tokyo"), ptr(itsTime) // nine hours ahead of UTC, the whole year
			must(0, c.scheduling(in))(c)
			c.move(24 * time.Hour)
			runs := c.runs(queue)
			c.is("at noon in Tokyo", len(runs) == 1 && strings.HasSuffix(runs[0], "T03:00:00Z"), runs)
		},
	},
	{
		ID: "scheduler-daylight-saving", Service: theScheduler, Needs: clock,
		Says:   "A time that a change to daylight saving leaves out is skipped; one that comes twice in autumn runs once.",
		Source: from(at("https://repost.aws/knowledge-center/eventbridge-scheduler-adjust-dst", page), in("scheduler", "schedule-types#daylist-savings-time", unread)),
		Run: func(c *check) {
			queue := c.queue(nil)
			berlin := must(time.LoadLocation("Europe/Berlin"))(c)
			in := c.schedule("cron(30 2 * * ? *)", queue)
			in.ScheduleExpressionTimezone, in.Target.Input = ptr("Europe/Berlin"), ptr(itsTime)
			must(0, c.scheduling(in))(c)
			now := c.ours.Now()
			for what, month := range map[string]time.Month{"spring": time.March, "autumn": time.October} {
				sunday := changeOfClocks(now, month, berlin)
				seen := 0
				// Three days around it: the day before, that day, the day after.
				if wait := sunday.Add(-36 * time.Hour).Sub(c.ours.Now()); wait > 0 {
					c.move(wait)
				} else {
					sunday = changeOfClocks(c.ours.Now().Add(72*time.Hour), month, berlin)
					c.move(sunday.Add(-36 * time.Hour).Sub(c.ours.Now()))
				}
				c.drain(queue)
				c.move(72 * time.Hour)
				for _, run := range c.runs(queue) {
					at := must(time.Parse("2006-01-02T15:04:05Z", run))(c).In(berlin)
					if at.Day() == sunday.Day() {
						seen++
					}
				}
				c.equal("runs on the day in "+what, seen, map[string]int{"spring": 0, "autumn": 1}[what])
			}
		},
	},
	{
		ID: "scheduler-dlq", Service: theScheduler, Needs: clock,
		Says:   "What cannot be delivered goes to the queue in DeadLetterConfig.",
		Source: from(api("scheduler", "DeadLetterConfig"), api("scheduler", "Target")),
		Run: func(c *check) {
			queue, dead := c.queue(nil), c.queue(nil)
			expression, _ := c.once(time.Minute)
			in := c.schedule(expression, queue)
			in.Target.Input = ptr("what is lost")
			in.Target.DeadLetterConfig = &schedtypes.DeadLetterConfig{Arn: ptr(c.queueARN(dead))}
			in.Target.RetryPolicy = &schedtypes.RetryPolicy{MaximumRetryAttempts: ptr(int32(1)), MaximumEventAgeInSeconds: ptr(int32(60))}
			must(0, c.scheduling(in))(c)
			must(c.sqs.DeleteQueue(c.ctx, &sqs.DeleteQueueInput{QueueUrl: &queue}))(c)
			c.move(time.Hour)
			c.equal("dead letters", len(c.drain(dead)), 1)
		},
	},
	{
		ID: "scheduler-delete-stops", Service: theScheduler, Needs: clock,
		Says:   "A schedule that was deleted does not run.",
		Source: from(api("scheduler", "DeleteSchedule")),
		Run: func(c *check) {
			queue := c.queue(nil)
			expression, _ := c.once(10 * time.Minute)
			in := c.schedule(expression, queue)
			must(0, c.scheduling(in))(c)
			must(c.scheduler.DeleteSchedule(c.ctx, &scheduler.DeleteScheduleInput{Name: in.Name}))(c)
			c.move(time.Hour)
			c.equal("runs", len(c.runs(queue)), 0)
		},
	},
}

// changeOfClocks is noon, in a place of the European Union, of the next last Sunday of a month after a time.
func changeOfClocks(after time.Time, month time.Month, in *time.Location) time.Time {
	for year := after.Year(); ; year++ {
		last := time.Date(year, month+1, 0, 12, 0, 0, 0, in)
		last = last.AddDate(0, 0, -int(last.Weekday()))
		if last.After(after) {
			return last
		}
	}
}
