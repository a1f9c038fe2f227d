package conformance

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	ebtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// eventsRows are all of EventBridge without Scheduler. Those that put events are alone: all rules of an account see them, and moto
// fails when rules are made meanwhile.
var eventsRows = slices.Concat(eventsPut, eventsRules, eventsSchedules, eventsTargets, eventsInput, eventsDelivery)

// reaction is a rule with one target, a queue that it may send to. It matches the events of a source that is nobody else's.
type reaction struct{ rule, arn, source, queue string }

// rule makes one that matches a source. The name is both.
func (c *check) rule() (name, arn string) {
	name = c.name()
	out := must(c.events.PutRule(c.ctx, &eventbridge.PutRuleInput{Name: &name, EventPattern: ptr(fmt.Sprintf(`{"source":[%q]}`, name))}))(c)
	return name, *out.RuleArn
}

// every makes a rule with a schedule and no pattern.
func (c *check) every(expression string) (name, arn string) {
	name = c.name()
	out := must(c.events.PutRule(c.ctx, &eventbridge.PutRuleInput{Name: &name, ScheduleExpression: &expression}))(c)
	return name, *out.RuleArn
}

// reaction makes a rule and its target, which change may change.
func (c *check) reaction(change func(*ebtypes.Target)) reaction {
	name, arn := c.rule()
	r := reaction{rule: name, arn: arn, source: name}
	r.queue = c.destination(name, arn, change)
	return r
}

// destination makes a queue that a rule may send to, and makes it a target of that.
func (c *check) destination(rule, arn string, change func(*ebtypes.Target)) (queue string) {
	queue = c.queue(nil)
	to := c.queueARN(queue)
	must(0, c.setQueue(queue, attributes{"Policy": allow(to, "events.amazonaws.com", arn)}))(c)
	t := ebtypes.Target{Id: ptr("1"), Arn: &to}
	if change != nil {
		change(&t)
	}
	must(0, c.targeting(rule, t))(c)
	return queue
}

// targeting is an attempt to give targets to a rule. One that is refused by its entry is an error without a status.
func (c *check) targeting(rule string, targets ...ebtypes.Target) error {
	out, err := c.events.PutTargets(c.ctx, &eventbridge.PutTargetsInput{Rule: &rule, Targets: targets})
	if err != nil {
		return err
	}
	if out.FailedEntryCount > 0 {
		return &wireError{status: 200, code: value(out.FailedEntries[0].ErrorCode), message: value(out.FailedEntries[0].ErrorMessage)}
	}
	return nil
}

// anEvent is an entry for PutEvents that is right.
func anEvent(source string) ebtypes.PutEventsRequestEntry {
	return ebtypes.PutEventsRequestEntry{Source: &source, DetailType: ptr("thing"), Detail: ptr(`{"a":{"b":1},"x":"y"}`)}
}

// put puts an event that has to be taken, and returns its id.
func (c *check) put(e ebtypes.PutEventsRequestEntry) string {
	out := must(c.events.PutEvents(c.ctx, &eventbridge.PutEventsInput{Entries: []ebtypes.PutEventsRequestEntry{e}}))(c)
	c.need("the event is taken", len(out.Entries) == 1 && value(out.Entries[0].EventId) != "", out.FailedEntryCount)
	return *out.Entries[0].EventId
}

// entry is what PutEvents says of one entry in a request with another one that is right.
func (c *check) entry(change func(*ebtypes.PutEventsRequestEntry)) ebtypes.PutEventsResultEntry {
	bad := anEvent(c.name())
	change(&bad)
	out := must(c.events.PutEvents(c.ctx, &eventbridge.PutEventsInput{Entries: []ebtypes.PutEventsRequestEntry{anEvent(c.name()), bad}}))(c)
	c.need("an answer for each entry", len(out.Entries) == 2, len(out.Entries))
	c.is("the other entry is taken", value(out.Entries[0].EventId) != "", value(out.Entries[0].ErrorCode))
	return out.Entries[1]
}

// entryRefused expects that of two entries the one that change made is refused with a code.
func (c *check) entryRefused(what, code string, change func(*ebtypes.PutEventsRequestEntry)) {
	got := c.entry(change)
	c.is(what, value(got.ErrorCode) == code && value(got.EventId) == "", value(got.ErrorCode), value(got.ErrorMessage))
}

// eventOf takes the event out of a message.
func (c *check) eventOf(m sqstypes.Message) map[string]any {
	out := map[string]any{}
	c.need("the message is an event", json.Unmarshal([]byte(*m.Body), &out) == nil, *m.Body)
	return out
}

// timeOf is the time of an event, which has to be in whole seconds of UTC.
func (c *check) timeOf(event map[string]any) time.Time {
	text, _ := event["time"].(string)
	at, err := time.Parse("2006-01-02T15:04:05Z", text)
	c.need("the time has whole seconds of UTC", err == nil, text)
	return at
}

// drain takes what is in a queue, in the order in which it was sent.
func (c *check) drain(queue string) (out []sqstypes.Message) {
	for {
		got := c.receive(queue, upTo(10), withAttributes(), withSystemAttributes())
		if len(got) == 0 {
			return out
		}
		for _, m := range got {
			must(0, c.delete(queue, m.ReceiptHandle))(c)
		}
		out = append(out, got...)
	}
}

// refusedExpressions expects that schedules are taken or refused as try does it.
func (c *check) refusedExpressions(try func(expression string) error, good, bad []string) {
	for _, e := range good {
		c.ok(e, try(e))
	}
	for _, e := range bad {
		c.refused(e, try(e), 400, "ValidationException")
	}
}

func contained(text string, parts ...string) bool {
	return !slices.ContainsFunc(parts, func(p string) bool { return !strings.Contains(text, p) })
}
