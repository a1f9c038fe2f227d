package conformance

import (
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	ebtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"stillpoint/localstack"
)

// eventsTargets is what targets may be.
var eventsTargets = []behaviour{
	{
		ID: "eb-targets-five-per-rule", Service: theEventBridge,
		Says:   "A rule has up to five targets; a sixth is LimitExceededException.",
		Source: from(api("events", "PutTargets")),
		Run: func(c *check) {
			rule, _ := c.rule()
			arn := c.queueARN(c.queue(nil))
			var targets []ebtypes.Target
			for i := range 6 {
				targets = append(targets, ebtypes.Target{Id: ptr(fmt.Sprint(i)), Arn: &arn})
			}
			c.refused("six", c.targeting(rule, targets...), 400, "LimitExceededException")
			c.ok("five", c.targeting(rule, targets[:5]...))
			c.refused("one more", c.targeting(rule, targets[5]), 400, "LimitExceededException")
			c.ok("one of them again", c.targeting(rule, targets[0]))
		},
	},
	{
		ID: "eb-target-arn-invalid", Service: theEventBridge,
		Says:   "What is not an ARN cannot be a target: ValidationException, HTTP 400.",
		Source: from(api("events", "PutTargets")),
		Run: func(c *check) {
			rule, _ := c.rule()
			c.refused("refused", c.targeting(rule, ebtypes.Target{Id: ptr("1"), Arn: ptr("abc")}), 400, "ValidationException")
		},
	},
	{
		ID: "eb-input-exclusive", Service: theEventBridge,
		Says:   "Input, InputPath and InputTransformer exclude each other, and Input has to be JSON: ValidationException, HTTP 400.",
		Source: from(api("events", "PutTargets")),
		Run: func(c *check) {
			rule, _ := c.rule()
			arn := c.queueARN(c.queue(nil))
			try := func(what string, change func(*ebtypes.Target)) {
				t := ebtypes.Target{Id: ptr("1"), Arn: &arn}
				change(&t)
				c.refused(what, c.targeting(rule, t), 400, "ValidationException")
			}
			try("Input and InputPath", func(t *ebtypes.Target) { t.Input, t.InputPath = ptr("{}"), ptr("$.detail") })
			try("Input and InputTransformer", func(t *ebtypes.Target) {
				t.Input, t.InputTransformer = ptr("{}"), &ebtypes.InputTransformer{InputTemplate: ptr(`"x"`)}
			})
			try("an Input that is not JSON", func(t *ebtypes.Target) { t.Input = ptr("nojson") })
		},
	},
	{
		ID: "eb-input-size-8192", Service: theEventBridge,
		Says:   "Input and InputTemplate have at most 8,192 characters: ValidationException, HTTP 400.",
		Source: from(api("events", "Target"), api("events", "InputTransformer")),
		Run: func(c *check) {
			rule, _ := c.rule()
			arn := c.queueARN(c.queue(nil))
			text := func(n int) *string { return ptr(`"` + strings.Repeat("x", n-2) + `"`) }
			c.refused("an Input of 8,193", c.targeting(rule, ebtypes.Target{Id: ptr("1"), Arn: &arn, Input: text(8193)}), 400, "ValidationException")
			c.ok("an Input of 8,192", c.targeting(rule, ebtypes.Target{Id: ptr("1"), Arn: &arn, Input: text(8192)}))
			long := &ebtypes.InputTransformer{InputTemplate: text(8193)}
			c.refused("an InputTemplate of 8,193", c.targeting(rule, ebtypes.Target{Id: ptr("1"), Arn: &arn, InputTransformer: long}), 400, "ValidationException")
		},
	},
	{
		ID: "eb-retry-policy-range", Service: theEventBridge,
		Says:   "MaximumEventAgeInSeconds goes from 60 to 86,400 and MaximumRetryAttempts from 0 to 185: ValidationException, HTTP 400.",
		Source: from(api("events", "RetryPolicy")),
		Run: func(c *check) {
			rule, _ := c.rule()
			arn := c.queueARN(c.queue(nil))
			with := func(age, retries int32) error {
				return c.targeting(rule, ebtypes.Target{Id: ptr("1"), Arn: &arn, RetryPolicy: &ebtypes.RetryPolicy{MaximumEventAgeInSeconds: &age, MaximumRetryAttempts: &retries}})
			}
			c.ok("60 and 0", with(60, 0))
			c.ok("86,400 and 185", with(86_400, 185))
			c.refused("an age of 59", with(59, 1), 400, "ValidationException")
			c.refused("an age of 86,401", with(86_401, 1), 400, "ValidationException")
			c.refused("186 retries", with(60, 186), 400, "ValidationException")
		},
	},
	{
		ID: "eb-remove-targets", Service: theEventBridge, Needs: alone,
		Says:   "A target that was removed gets no more events.",
		Source: from(api("events", "RemoveTargets")),
		Run: func(c *check) {
			r := c.reaction(nil)
			out, err := c.events.RemoveTargets(c.ctx, &eventbridge.RemoveTargetsInput{Rule: &r.rule, Ids: []string{"1"}})
			if c.ok("removed", err) {
				c.equal("failed", out.FailedEntryCount, int32(0))
			}
			left := must(c.events.ListTargetsByRule(c.ctx, &eventbridge.ListTargetsByRuleInput{Rule: &r.rule}))(c)
			c.equal("targets", len(left.Targets), 0)
			c.put(anEvent(r.source))
			c.empty("nothing is delivered", r.queue)
		},
	},
}

// buried expects one message in a dead-letter queue, with the rule, the target and an error in its attributes.
func (c *check) buried(dead, rule, target, event string) {
	m := c.delivered("it is in the dead-letter queue", dead)
	c.is("the body is the event", contained(*m.Body, event), *m.Body)
	of := func(name string) string { return value(m.MessageAttributes[name].StringValue) }
	c.equal("RULE_ARN is the rule", of("RULE_ARN") == rule, true)
	c.equal("TARGET_ARN is the target", of("TARGET_ARN") == target, true)
	c.is("ERROR_CODE", of("ERROR_CODE") != "")
}

// eventsDelivery is what happens where a target cannot be reached.
var eventsDelivery = []behaviour{
	{
		ID: "eb-needs-queue-policy", Service: theEventBridge, Needs: alone,
		Says: "A rule can send to a queue whose policy allows events.amazonaws.com with that rule as aws:SourceArn, and to no other; PutEvents " +
			"succeeds all the same.",
		Source: from(in("events", "eb-use-resource-based", guide)),
		Run: func(c *check) {
			rule, arn := c.rule()
			right, none, other := c.destination(rule, arn, nil), c.queue(nil), c.queue(nil)
			must(0, c.setQueue(other, attributes{"Policy": allow(c.queueARN(other), "events.amazonaws.com", arn+"-other")}))(c)
			must(0, c.targeting(rule, ebtypes.Target{Id: ptr("2"), Arn: ptr(c.queueARN(none))}, ebtypes.Target{Id: ptr("3"), Arn: ptr(c.queueARN(other))}))(c)
			c.put(anEvent(rule))
			c.delivered("with the policy it is delivered", right)
			c.empty("not without one", none)
			c.empty("not with that of another rule", other)
		},
	},
	{
		ID: "eb-target-retry", Service: theEventBridge, Needs: clock | faults,
		Says:   "An event that its target refuses with an error of the server is sent again, and arrives late, with the same id.",
		Source: from(in("events", "eb-rule-dlq", guide)),
		Run: func(c *check) {
			r := c.reaction(nil)
			must(0, c.ours.SetFaults(localstack.Fault{Operation: "sqs:SendMessage", Code: "InternalError", Status: 500, Times: 3}))(c)
			id := c.put(anEvent(r.source))
			c.equal("at first", len(c.drain(r.queue)), 0)
			c.move(10 * time.Minute)
			got := c.drain(r.queue)
			c.need("later", len(got) == 1, len(got))
			c.equal("the same event", c.eventOf(got[0])["id"] == id, true)
		},
	},
	{
		ID: "eb-retry-exhausted", Service: theEventBridge, Needs: clock | faults,
		Says:   "When a target has failed as often as its retry policy says the event goes to the target's dead-letter queue.",
		Source: from(in("events", "eb-rule-dlq", guide)),
		Run: func(c *check) {
			dead := c.queue(nil)
			rule, arn := c.rule()
			must(0, c.setQueue(dead, attributes{"Policy": allow(c.queueARN(dead), "events.amazonaws.com", arn)}))(c)
			queue := c.destination(rule, arn, func(t *ebtypes.Target) {
				t.RetryPolicy = &ebtypes.RetryPolicy{MaximumRetryAttempts: ptr(int32(2)), MaximumEventAgeInSeconds: ptr(int32(3600))}
				t.DeadLetterConfig = &ebtypes.DeadLetterConfig{Arn: ptr(c.queueARN(dead))}
			})
			must(0, c.ours.SetFaults(localstack.Fault{Operation: "sqs:SendMessage", Code: "InternalError", Status: 500, Times: 3}))(c)
			id := c.put(anEvent(rule))
			c.move(30 * time.Minute)
			c.buried(dead, arn, c.queueARN(queue), id)
			c.equal("for the target", len(c.drain(queue)), 0)
		},
	},
	{
		ID: "eb-dlq-immediately", Service: theEventBridge, Needs: alone,
		Says: "An event for a target that is gone is not sent again but goes to the target's dead-letter queue at once, with RULE_ARN, TARGET_ARN and " +
			"ERROR_CODE in its attributes; PutEvents succeeds.",
		Source: from(in("events", "eb-rule-dlq", guide), in("events", "rule-dlq", page), seen("events", "test_put_events_with_target_delivery_failure")),
		Run: func(c *check) {
			dead := c.queue(nil)
			rule, arn := c.rule()
			must(0, c.setQueue(dead, attributes{"Policy": allow(c.queueARN(dead), "events.amazonaws.com", arn)}))(c)
			queue := c.destination(rule, arn, func(t *ebtypes.Target) { t.DeadLetterConfig = &ebtypes.DeadLetterConfig{Arn: ptr(c.queueARN(dead))} })
			target := c.queueARN(queue)
			must(c.sqs.DeleteQueue(c.ctx, &sqs.DeleteQueueInput{QueueUrl: &queue}))(c)
			out, err := c.events.PutEvents(c.ctx, &eventbridge.PutEventsInput{Entries: []ebtypes.PutEventsRequestEntry{anEvent(rule)}})
			if c.ok("put", err) {
				c.buried(dead, arn, target, value(out.Entries[0].EventId))
			}
		},
	},
}
