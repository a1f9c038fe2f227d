package conformance

import (
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	ebtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
)

func (c *check) ruling(in eventbridge.PutRuleInput) error {
	_, err := c.events.PutRule(c.ctx, &in)
	return err
}

// eventsRules is what rules are made of.
var eventsRules = []behaviour{
	{
		ID: "eb-rule-needs-pattern-or-schedule", Service: theEventBridge,
		Says:   "A rule needs an EventPattern or a ScheduleExpression: ValidationException, HTTP 400.",
		Source: from(api("events", "PutRule")),
		Run: func(c *check) {
			c.refused("refused", c.ruling(eventbridge.PutRuleInput{Name: ptr(c.name())}), 400, "ValidationException")
		},
	},
	{
		ID: "eb-rule-bad-pattern", Service: theEventBridge,
		Says:   "A pattern that is not JSON, or with a value that is not in an array, is InvalidEventPatternException, HTTP 400.",
		Source: from(api("events", "PutRule")),
		Run: func(c *check) {
			for _, pattern := range []string{"nojson", `{"source":"app"}`} {
				c.refused(pattern, c.ruling(eventbridge.PutRuleInput{Name: ptr(c.name()), EventPattern: &pattern}), 400, "InvalidEventPatternException")
			}
		},
	},
	{
		ID: "eb-rule-name", Service: theEventBridge,
		Says:   "The name of a rule has 1 to 64 letters, digits, dots, hyphens and underscores: ValidationException, HTTP 400.",
		Source: from(api("events", "PutRule")),
		Run: func(c *check) {
			put := func(name string) error {
				return c.ruling(eventbridge.PutRuleInput{Name: &name, EventPattern: ptr(`{"source":["nobody"]}`)})
			}
			c.refused("65 characters", put(strings.Repeat("n", 65)), 400, "ValidationException")
			c.refused("a blank", put("a b"), 400, "ValidationException")
			c.ok("64 characters", put((c.name() + "._" + strings.Repeat("n", 64))[:64]))
		},
	},
	{
		ID: "eb-putrule-replaces", Service: theEventBridge, Needs: alone,
		Says:   "PutRule of a name that there is replaces the rule: what is left out is not kept. Its targets stay.",
		Source: from(api("events", "PutRule")),
		Run: func(c *check) {
			name := c.name()
			first := must(c.events.PutRule(c.ctx, &eventbridge.PutRuleInput{Name: &name, EventPattern: ptr(`{"source":["` + name + `"]}`), Description: ptr("one")}))(c)
			queue := c.destination(name, *first.RuleArn, nil)
			must(0, c.ruling(eventbridge.PutRuleInput{Name: &name, EventPattern: ptr(`{"source":["` + name + `","x"]}`)}))(c)
			got := must(c.events.DescribeRule(c.ctx, &eventbridge.DescribeRuleInput{Name: &name}))(c)
			c.equal("description", value(got.Description), "")
			c.equal("pattern", value(got.EventPattern), `{"source":["`+name+`","x"]}`)
			c.put(anEvent(name))
			c.equal("events for the target", len(c.bodies(queue, 1)), 1)
		},
	},
	{
		ID: "eb-rule-missing", Service: theEventBridge,
		Says:   "A rule that is not there is ResourceNotFoundException, HTTP 400, for DescribeRule and PutTargets.",
		Source: from(api("events", "DescribeRule"), api("events", "PutTargets")),
		Run: func(c *check) {
			name := c.name()
			_, err := c.events.DescribeRule(c.ctx, &eventbridge.DescribeRuleInput{Name: &name})
			c.refused("described", err, 400, "ResourceNotFoundException")
			arn := "arn:aws:sqs:" + region + ":" + c.account + ":nobody"
			c.refused("given a target", c.targeting(name, ebtypes.Target{Id: ptr("1"), Arn: &arn}), 400, "ResourceNotFoundException")
		},
	},
	{
		ID: "eb-delete-rule", Service: theEventBridge,
		Says:   "DeleteRule fails while the rule has targets; of one that is not there it succeeds.",
		Source: from(api("events", "DeleteRule")),
		Run: func(c *check) {
			r := c.reaction(nil)
			remove := func() error {
				_, err := c.events.DeleteRule(c.ctx, &eventbridge.DeleteRuleInput{Name: &r.rule})
				return err
			}
			c.refused("with a target", remove(), 400, "ValidationException")
			must(c.events.RemoveTargets(c.ctx, &eventbridge.RemoveTargetsInput{Rule: &r.rule, Ids: []string{"1"}}))(c)
			c.ok("without", remove())
			c.ok("again", remove())
		},
	},
	{
		ID: "eb-disable-rule", Service: theEventBridge, Needs: alone,
		Says:   "A disabled rule matches no events; enabled again it does.",
		Source: from(api("events", "DisableRule"), api("events", "EnableRule")),
		Run: func(c *check) {
			r := c.reaction(nil)
			must(c.events.DisableRule(c.ctx, &eventbridge.DisableRuleInput{Name: &r.rule}))(c)
			got := must(c.events.DescribeRule(c.ctx, &eventbridge.DescribeRuleInput{Name: &r.rule}))(c)
			c.equal("state", got.State, ebtypes.RuleStateDisabled)
			c.put(anEvent(r.source))
			c.empty("nothing is delivered", r.queue)
			must(c.events.EnableRule(c.ctx, &eventbridge.EnableRuleInput{Name: &r.rule}))(c)
			id := c.put(anEvent(r.source))
			c.equal("enabled, it delivers", c.eventOf(c.delivered("enabled, it delivers something", r.queue))["id"] == id, true)
		},
	},
}

// eventsSchedules are rules with a schedule.
var eventsSchedules = []behaviour{
	{
		ID: "eb-rate-singular-plural", Service: theEventBridge,
		Says:   "A rate is a positive number with minute, hour or day for 1, and minutes, hours or days for more: ValidationException, HTTP 400.",
		Source: from(in("events", "eb-create-rule-schedule", guide)),
		Run: func(c *check) {
			name := c.name()
			c.refusedExpressions(func(e string) error { return c.ruling(eventbridge.PutRuleInput{Name: &name, ScheduleExpression: &e}) },
				[]string{"rate(1 minute)", "rate(5 minutes)", "rate(1 hour)", "rate(12 hours)", "rate(1 day)", "rate(2 days)"},
				[]string{"rate(1 minutes)", "rate(5 minute)", "rate(1 hours)", "rate(0 minutes)", "rate(2 fortnights)", "rate(10 seconds)", "nonsense"})
		},
	},
	{
		ID: "eb-cron-six-fields", Service: theEventBridge,
		Says:   "cron has six fields; one of day-of-month and day-of-week has to be a question mark: ValidationException, HTTP 400.",
		Source: from(in("events", "eb-create-rule-schedule", guide)),
		Run: func(c *check) {
			name := c.name()
			c.refusedExpressions(func(e string) error { return c.ruling(eventbridge.PutRuleInput{Name: &name, ScheduleExpression: &e}) },
				[]string{"cron(0 2 * * ? *)", "cron(0/5 * ? * MON-FRI *)"},
				[]string{"cron(0 2 * * *)", "cron(0 2 * * * *)", "cron(0 2 * * MON-FRI *)", "cron(0 2 1 * 2 *)"})
		},
	},
	{
		ID: "eb-cron-ranges", Service: theEventBridge,
		Says: "The fields of cron are bounded: minutes to 59, hours to 23, days 1 to 31, months 1 to 12 or names, days of the week 1 to 7 or " +
			"names, years 1970 to 2199; L, W and one # are allowed.",
		Source: from(in("events", "eb-create-rule-schedule", guide)),
		Run: func(c *check) {
			name := c.name()
			c.refusedExpressions(func(e string) error { return c.ruling(eventbridge.PutRuleInput{Name: &name, ScheduleExpression: &e}) },
				[]string{"cron(0 2 L * ? *)", "cron(0 2 3W * ? *)", "cron(0 2 ? * 6L *)", "cron(0 2 ? * 2#1 *)", "cron(15,45 0-4 1 JAN,JUL ? 2199)"},
				[]string{"cron(60 2 * * ? *)", "cron(0 24 * * ? *)", "cron(0 2 32 * ? *)", "cron(0 2 * 13 ? *)", "cron(0 2 ? * 8 *)", "cron(0 2 ? * 3#1,6#3 *)", "cron(0 2 * * ? 2200)"})
		},
	},
	{
		ID: "eb-no-at-in-rules", Service: theEventBridge,
		Says:   "Rules have cron and rate only: at(...) is ValidationException, HTTP 400.",
		Source: from(in("events", "eb-create-rule-schedule", guide)),
		Run: func(c *check) {
			c.refused("refused", c.ruling(eventbridge.PutRuleInput{Name: ptr(c.name()), ScheduleExpression: ptr("at(2099-01-01T00:00:00)")}), 400, "ValidationException")
		},
	},
	{
		ID: "eb-schedule-default-bus-only", Service: theEventBridge,
		Says:   "Only rules on the default event bus can have a schedule: ValidationException, HTTP 400.",
		Source: from(in("events", "eb-create-rule-schedule", guide)),
		Run: func(c *check) {
			bus := c.name()
			must(c.events.CreateEventBus(c.ctx, &eventbridge.CreateEventBusInput{Name: &bus}))(c)
			in := eventbridge.PutRuleInput{Name: ptr(c.name()), EventBusName: &bus, ScheduleExpression: ptr("rate(1 minute)")}
			c.refused("with a schedule", c.ruling(in), 400, "ValidationException")
			in.ScheduleExpression, in.EventPattern = nil, ptr(`{"source":["nobody"]}`)
			c.ok("with a pattern", c.ruling(in))
		},
	},
	{
		ID: "eb-scheduled-rule-ignores-putevents", Service: theEventBridge, Needs: alone,
		Says:   "A rule with a schedule and no pattern is not triggered by events.",
		Source: from(api("events", "PutRule")),
		Run: func(c *check) {
			name, arn := c.every("rate(1 day)")
			queue := c.destination(name, arn, nil)
			c.put(anEvent(name))
			c.empty("nothing is delivered", queue)
		},
	},
	{
		ID: "eb-scheduled-event-envelope", Service: theEventBridge, Needs: clock,
		Says:   "A schedule sends an event with the detail-type Scheduled Event, the source aws.events, the rule's ARN for its resource and an empty detail.",
		Source: from(at("https://docs.amazonaws.cn/en_us/eventbridge/latest/userguide/event-reference.html", page)),
		Run: func(c *check) {
			name, arn := c.every("rate(1 minute)")
			queue := c.destination(name, arn, nil)
			c.move(time.Minute + time.Second)
			got := c.drain(queue)
			c.need("one event", len(got) == 1, len(got))
			e := c.eventOf(got[0])
			c.timeOf(e)
			delete(e, "time")
			id, _ := e["id"].(string)
			c.is("the id is a UUID", uuidPattern.MatchString(id), id)
			delete(e, "id")
			c.equal("the rest", e, map[string]any{
				"version": "0", "detail-type": "Scheduled Event", "source": "aws.events", "account": c.account, "region": region,
				"resources": []any{arn}, "detail": map[string]any{},
			})
		},
	},
	{
		ID: "eb-rate-from-creation", Service: theEventBridge, Needs: clock,
		Says:   "A rate counts from when the rule was made: the first event comes one interval later, and the others one interval apart.",
		Source: from(in("events", "eb-create-rule-schedule", guide)),
		Run: func(c *check) {
			made := c.ours.Now()
			name, arn := c.every("rate(5 minutes)")
			queue := c.destination(name, arn, nil)
			c.move(4*time.Minute + 50*time.Second)
			c.equal("before the interval is over", len(c.drain(queue)), 0)
			c.move(10*time.Minute + 30*time.Second)
			got := c.drain(queue)
			c.need("in 15 minutes", len(got) == 3, len(got))
			for i, m := range got {
				late := c.timeOf(c.eventOf(m)).Sub(made.Add(time.Duration(i+1) * 5 * time.Minute))
				c.is("each in its minute", late.Abs() < time.Minute, late)
			}
		},
	},
	{
		ID: "eb-cron-utc", Service: theEventBridge, Needs: clock,
		Says:   "cron is in UTC, and fires within its minute.",
		Source: from(in("events", "eb-create-rule-schedule", guide)),
		Run: func(c *check) {
			due := c.ours.Now().UTC().Add(90 * time.Minute).Truncate(time.Minute)
			name, arn := c.every(due.Format("cron(4 15 * * ? *)"))
			queue := c.destination(name, arn, nil)
			c.move(due.Sub(c.ours.Now()) - time.Second)
			c.equal("before", len(c.drain(queue)), 0)
			c.move(time.Minute + time.Second)
			got := c.drain(queue)
			c.need("at its time", len(got) == 1, len(got))
			c.equal("the minute", c.timeOf(c.eventOf(got[0])).Truncate(time.Minute), due)
			c.move(23 * time.Hour)
			c.equal("in the 23 hours after it", len(c.drain(queue)), 0)
			c.move(time.Hour)
			c.equal("on the next day", len(c.drain(queue)), 1)
		},
	},
	{
		ID: "eb-rule-both", Service: theEventBridge, Needs: clock,
		Says:   "A rule with a pattern and a schedule is triggered by both.",
		Source: from(api("events", "PutRule")),
		Run: func(c *check) {
			name := c.name()
			out := must(c.events.PutRule(c.ctx, &eventbridge.PutRuleInput{
				Name: &name, EventPattern: ptr(`{"source":["` + name + `"]}`), ScheduleExpression: ptr("rate(1 minute)"),
			}))(c)
			queue := c.destination(name, *out.RuleArn, nil)
			c.put(anEvent(name))
			c.equal("by an event", len(c.bodies(queue, 1)), 1)
			c.move(time.Minute + time.Second)
			c.equal("by the schedule", len(c.drain(queue)), 1)
		},
	},
	{
		ID: "eb-disabled-schedule", Service: theEventBridge, Needs: clock,
		Says:   "A disabled rule does not fire by its schedule either.",
		Source: from(api("events", "DisableRule")),
		Run: func(c *check) {
			name, arn := c.every("rate(1 minute)")
			queue := c.destination(name, arn, nil)
			must(c.events.DisableRule(c.ctx, &eventbridge.DisableRuleInput{Name: &name}))(c)
			c.move(3 * time.Minute)
			c.equal("disabled", len(c.drain(queue)), 0)
			must(c.events.EnableRule(c.ctx, &eventbridge.EnableRuleInput{Name: &name}))(c)
			c.move(time.Minute + time.Second)
			c.equal("enabled", len(c.drain(queue)), 1)
		},
	},
}
