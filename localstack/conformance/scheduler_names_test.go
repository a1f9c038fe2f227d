package conformance

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	schedtypes "github.com/aws/aws-sdk-go-v2/service/scheduler/types"
)

const daily = "rate(1 day)"

// schedulerNames is how schedules and groups are made, found and changed.
var schedulerNames = []behaviour{
	{
		ID: "scheduler-create-arn", Service: theScheduler,
		Says:   "CreateSchedule answers the ARN, with group and name; without a group it is in the group default.",
		Source: from(api("scheduler", "CreateSchedule"), seen("scheduler", "test_create_schedule")),
		Run: func(c *check) {
			in := c.schedule(daily, c.queue(nil))
			out, err := c.scheduler.CreateSchedule(c.ctx, &in)
			if c.ok("made", err) {
				want := "arn:aws:scheduler:" + region + ":" + c.account + ":schedule/default/" + *in.Name
				c.is("ARN", value(out.ScheduleArn) == want, value(out.ScheduleArn), want)
			}
		},
	},
	{
		ID: "scheduler-create-conflict-409", Service: theScheduler,
		Says:   "CreateSchedule of a name that is taken is ConflictException, HTTP 409.",
		Source: from(api("scheduler", "CreateSchedule")),
		Run: func(c *check) {
			in := c.schedule(daily, c.queue(nil))
			must(0, c.scheduling(in))(c)
			c.refused("again", c.scheduling(in), 409, "ConflictException")
		},
	},
	{
		ID: "scheduler-create-client-token", Service: theScheduler,
		Says:   "CreateSchedule repeated with its ClientToken answers what it answered before.",
		Source: from(api("scheduler", "CreateSchedule")),
		Run: func(c *check) {
			in := c.schedule(daily, c.queue(nil))
			in.ClientToken = ptr(c.name())
			first := must(c.scheduler.CreateSchedule(c.ctx, &in))(c)
			again, err := c.scheduler.CreateSchedule(c.ctx, &in)
			if c.ok("again", err) {
				c.equal("the same ARN", *again.ScheduleArn == *first.ScheduleArn, true)
			}
			in.ClientToken = ptr(c.name())
			c.refused("with another token", c.scheduling(in), 0, "ConflictException")
		},
	},
	{
		ID: "scheduler-missing-404", Service: theScheduler,
		Says:   "A schedule or a group that is not there is ResourceNotFoundException, HTTP 404.",
		Source: from(api("scheduler", "GetSchedule"), api("scheduler", "CreateSchedule")),
		Run: func(c *check) {
			in := c.schedule(daily, c.queue(nil))
			_, err := c.getSchedule(in.Name)
			c.refused("GetSchedule", err, 404, "ResourceNotFoundException")
			_, err = c.scheduler.DeleteSchedule(c.ctx, &scheduler.DeleteScheduleInput{Name: in.Name})
			c.refused("DeleteSchedule", err, 404, "ResourceNotFoundException")
			_, err = c.scheduler.UpdateSchedule(c.ctx, updateOf(in))
			c.refused("UpdateSchedule", err, 404, "ResourceNotFoundException")
			in.GroupName = ptr(c.name())
			c.refused("CreateSchedule in a group that is not there", c.scheduling(in), 404, "ResourceNotFoundException")
		},
	},
	{
		ID: "scheduler-update-replaces", Service: theScheduler,
		Says:   "UpdateSchedule sets everything that it does not name to its default.",
		Source: from(api("scheduler", "UpdateSchedule"), seen("scheduler", "test_update_schedule")),
		Run: func(c *check) {
			in := c.schedule(daily, c.queue(nil))
			in.Description, in.ScheduleExpressionTimezone, in.State = ptr("one"), ptr("Europe/Berlin"), schedtypes.ScheduleStateDisabled
			must(0, c.scheduling(in))(c)
			must(c.scheduler.UpdateSchedule(c.ctx, updateOf(in)))(c)
			got := must(c.getSchedule(in.Name))(c)
			c.equal("description", value(got.Description), "")
			c.equal("state", got.State, schedtypes.ScheduleStateEnabled)
			c.equal("time zone", value(got.ScheduleExpressionTimezone), "UTC")
		},
	},
	{
		ID: "scheduler-name-rule", Service: theScheduler,
		Says:   "The name of a schedule has 1 to 64 letters, digits, dots, hyphens and underscores: ValidationException, HTTP 400.",
		Source: from(api("scheduler", "CreateSchedule")),
		Run: func(c *check) {
			in := c.schedule(daily, c.queue(nil))
			for what, name := range map[string]string{"65 characters": strings.Repeat("n", 65), "a blank": "a b"} {
				in.Name = &name
				c.refused(what, c.scheduling(in), 400, "ValidationException")
			}
		},
	},
	{
		ID: "scheduler-retry-default", Service: theScheduler,
		Says: "MaximumEventAgeInSeconds goes from 60 to 86,400 and MaximumRetryAttempts from 0 to 185: ValidationException, HTTP 400. " +
			"Without a policy they are 86,400 and 185.",
		Source: from(api("scheduler", "RetryPolicy"), seen("scheduler", "test_update_schedule")),
		Run: func(c *check) {
			queue := c.queue(nil)
			in := c.schedule(daily, queue)
			must(0, c.scheduling(in))(c)
			got := must(c.getSchedule(in.Name))(c).Target.RetryPolicy
			c.need("there is a policy", got != nil)
			c.equal("age", value(got.MaximumEventAgeInSeconds), int32(86_400))
			c.equal("retries", value(got.MaximumRetryAttempts), int32(185))
			for what, p := range map[string]schedtypes.RetryPolicy{
				"an age of 59":     {MaximumEventAgeInSeconds: ptr(int32(59))},
				"an age of 86,401": {MaximumEventAgeInSeconds: ptr(int32(86_401))},
				"186 retries":      {MaximumRetryAttempts: ptr(int32(186))},
			} {
				in := c.schedule(daily, queue)
				in.Target.RetryPolicy = &p
				c.refused(what, c.scheduling(in), 400, "ValidationException")
			}
		},
	},
	{
		ID: "scheduler-group-delete-cascades", Service: theScheduler, Needs: pauses,
		Says:   "DeleteScheduleGroup deletes the schedules of the group.",
		Source: from(api("scheduler", "DeleteScheduleGroup")),
		Run: func(c *check) {
			group := ptr(c.name())
			must(c.scheduler.CreateScheduleGroup(c.ctx, &scheduler.CreateScheduleGroupInput{Name: group}))(c)
			in := c.schedule(daily, c.queue(nil))
			in.GroupName = group
			must(0, c.scheduling(in))(c)
			_, err := c.scheduler.DeleteScheduleGroup(c.ctx, &scheduler.DeleteScheduleGroupInput{Name: group})
			c.ok("deleted", err)
			c.pause(2)
			_, err = c.scheduler.GetSchedule(c.ctx, &scheduler.GetScheduleInput{Name: in.Name, GroupName: group})
			c.refused("the schedule", err, 404, "ResourceNotFoundException")
		},
	},
	{
		ID: "scheduler-group-conflict", Service: theScheduler,
		Says:   "CreateScheduleGroup of a name that is taken is ConflictException, HTTP 409.",
		Source: from(api("scheduler", "CreateScheduleGroup")),
		Run: func(c *check) {
			name := ptr(c.name())
			must(c.scheduler.CreateScheduleGroup(c.ctx, &scheduler.CreateScheduleGroupInput{Name: name}))(c)
			// Another input: the SDK leaves the token that it makes up in the first.
			_, err := c.scheduler.CreateScheduleGroup(c.ctx, &scheduler.CreateScheduleGroupInput{Name: name})
			c.refused("again", err, 409, "ConflictException")
		},
	},
	{
		ID: "scheduler-list-pages", Service: theScheduler,
		Says:   "ListSchedules goes by group, prefix of the name and state, and in pages of MaxResults.",
		Source: from(api("scheduler", "ListSchedules")),
		Run: func(c *check) {
			queue, prefix := c.queue(nil), c.name()
			for i, state := range []schedtypes.ScheduleState{schedtypes.ScheduleStateEnabled, schedtypes.ScheduleStateDisabled, schedtypes.ScheduleStateEnabled} {
				in := c.schedule(daily, queue)
				in.Name, in.State = ptr(prefix+string(rune('a'+i))), state
				must(0, c.scheduling(in))(c)
			}
			list := func(in scheduler.ListSchedulesInput) (names []string, pages int) {
				in.NamePrefix = &prefix
				for pages = 1; pages < 10; pages++ {
					out := must(c.scheduler.ListSchedules(c.ctx, &in))(c)
					for _, s := range out.Schedules {
						names = append(names, strings.TrimPrefix(*s.Name, prefix))
					}
					if value(out.NextToken) == "" {
						break
					}
					in.NextToken = out.NextToken
				}
				return names, pages
			}
			names, pages := list(scheduler.ListSchedulesInput{MaxResults: ptr(int32(1))})
			c.equal("by prefix", sorted(names...), []string{"a", "b", "c"})
			c.is("in pages", pages >= 3, pages)
			names, _ = list(scheduler.ListSchedulesInput{State: schedtypes.ScheduleStateDisabled})
			c.equal("by state", names, []string{"b"})
			names, _ = list(scheduler.ListSchedulesInput{GroupName: ptr("default")})
			c.equal("by group", sorted(names...), []string{"a", "b", "c"})
		},
	},
}

// schedulerExpressions is when schedules can run.
var schedulerExpressions = []behaviour{
	{
		ID: "scheduler-expression-invalid", Service: theScheduler,
		Says: "An expression is at(yyyy-mm-ddThh:mm:ss), rate(VALUE UNIT) in minutes, hours or days, or cron of six fields: " +
			"ValidationException, HTTP 400, with the expression in the message. Singular and plural of the unit are as good.",
		Source: from(seen("scheduler", "tests_create_schedule_with_invalid_schedule_expression, test_update_schedule"), api("scheduler", "CreateSchedule")),
		Run: func(c *check) {
			queue := c.queue(nil)
			try := func(e string) error { return c.scheduling(c.schedule(e, queue)) }
			c.refusedExpressions(try, []string{"rate(1 minute)", "rate(2 minute)", "rate(5 days)", "cron(0 2 * * ? *)", "at(2099-01-01T00:00:00)"},
				[]string{"nonsense", "cron(0 1 * * * *)", "cron(0 2 * * *)", "rate(10 seconds)", "rate(10 years)", "rate(0 minutes)", "rate( 10 minutes )", "at(2021-12-31)", "at(2021-12-31T23:59:59Z)"})
			c.refusedSaying("its message", try("cron(0 1 * * * *)"), 400, "ValidationException", "Invalid Schedule Expression cron(0 1 * * * *).")
		},
	},
	{
		ID: "scheduler-timezone-invalid", Service: theScheduler,
		Says:   "A ScheduleExpressionTimezone that there is not is ValidationException, HTTP 400; names such as Europe/Berlin are good.",
		Source: from(in("scheduler", "schedule-types#time-zones", unread), api("scheduler", "CreateSchedule")),
		Run: func(c *check) {
			queue := c.queue(nil)
			within := func(zone string) error {
				in := c.schedule(daily, queue)
				in.ScheduleExpressionTimezone = &zone
				return c.scheduling(in)
			}
			c.refused("Mars/X", within("Mars/X"), 400, "ValidationException")
			c.ok("Europe/Berlin", within("Europe/Berlin"))
		},
	},
	{
		ID: "scheduler-flexible-window", Service: theScheduler,
		Says:   "A flexible time window has a Mode; MaximumWindowInMinutes goes from 1 to 1,440: ValidationException, HTTP 400.",
		Source: from(api("scheduler", "FlexibleTimeWindow")),
		Run: func(c *check) {
			queue := c.queue(nil)
			with := func(minutes int32) error {
				in := c.schedule(daily, queue)
				in.FlexibleTimeWindow = &schedtypes.FlexibleTimeWindow{Mode: schedtypes.FlexibleTimeWindowModeFlexible, MaximumWindowInMinutes: &minutes}
				return c.scheduling(in)
			}
			c.ok("1 minute", with(1))
			c.ok("1,440 minutes", with(1440))
			c.refused("0 minutes", with(0), 400, "ValidationException")
			c.refused("1,441 minutes", with(1441), 400, "ValidationException")
		},
	},
}
