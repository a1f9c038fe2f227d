package localstack_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	ebtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"stillpoint/localstack"
)

// bridge is a server with the client of EventBridge.
type bridge struct {
	*cloud
	eb *eventbridge.Client
}

func startBridge(t *testing.T, c localstack.Config) *bridge {
	t.Helper()
	cloud := start(t, c)
	return &bridge{cloud, eventbridge.NewFromConfig(cloud.config)}
}

// open makes a queue that EventBridge may send to for any of its rules, and returns its URL and its ARN.
func (c *cloud) open(t *testing.T, name string) (url, arn string) {
	t.Helper()
	arn = "arn:aws:sqs:eu-west-1:111122223333:" + name
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},` +
		`"Action":"sqs:SendMessage","Resource":"` + arn + `","Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:events:eu-west-1:111122223333:rule/*"}}}]}`
	return c.queue(t, name, map[string]string{"Policy": policy}), arn
}

// drain takes all messages that are in a queue, in the order in which they were sent.
func (c *cloud) drain(t *testing.T, queue string) []sqstypes.Message {
	t.Helper()
	var all []sqstypes.Message
	for {
		got := must(c.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
			QueueUrl: &queue, MaxNumberOfMessages: 10, VisibilityTimeout: 43_000, MessageAttributeNames: []string{"All"},
			MessageSystemAttributeNames: []sqstypes.MessageSystemAttributeName{"All"},
		}))(t).Messages
		if len(got) == 0 {
			return all
		}
		all = append(all, got...)
	}
}

func bodies(messages []sqstypes.Message) []string {
	out := []string{}
	for _, m := range messages {
		out = append(out, *m.Body)
	}
	return out
}

type envelope struct {
	Version    string          `json:"version"`
	ID         string          `json:"id"`
	DetailType string          `json:"detail-type"`
	Source     string          `json:"source"`
	Account    string          `json:"account"`
	Time       time.Time       `json:"time"`
	Region     string          `json:"region"`
	Resources  []string        `json:"resources"`
	Detail     json.RawMessage `json:"detail"`
}

func envelopes(t *testing.T, messages []sqstypes.Message) []envelope {
	t.Helper()
	var out []envelope
	for _, m := range messages {
		var e envelope
		d := json.NewDecoder(strings.NewReader(*m.Body))
		d.DisallowUnknownFields()
		if err := d.Decode(&e); err != nil {
			t.Fatalf("%s: %v", *m.Body, err)
		}
		out = append(out, e)
	}
	return out
}

// rule makes one on the default bus, with the queue with that ARN for its target, and returns its ARN.
func (b *bridge) rule(t *testing.T, in eventbridge.PutRuleInput, targets ...ebtypes.Target) string {
	t.Helper()
	arn := *must(b.eb.PutRule(t.Context(), &in))(t).RuleArn
	if len(targets) > 0 {
		b.target(t, in, targets...)
	}
	return arn
}

func (b *bridge) target(t *testing.T, rule eventbridge.PutRuleInput, targets ...ebtypes.Target) {
	t.Helper()
	for i := range targets {
		if targets[i].Id == nil {
			targets[i].Id = aws.String(fmt.Sprint(i))
		}
	}
	out := must(b.eb.PutTargets(t.Context(), &eventbridge.PutTargetsInput{Rule: rule.Name, EventBusName: rule.EventBusName, Targets: targets}))(t)
	if out.FailedEntryCount != 0 {
		t.Fatalf("failed entries: %+v", out.FailedEntries)
	}
}

func every(name, expression string) eventbridge.PutRuleInput {
	return eventbridge.PutRuleInput{Name: &name, ScheduleExpression: &expression}
}

func matching(name, pattern string) eventbridge.PutRuleInput {
	return eventbridge.PutRuleInput{Name: &name, EventPattern: &pattern}
}

const ours = `{"source":["app"]}`

// put puts one event and returns its id.
func (b *bridge) put(t *testing.T, detail string) string {
	t.Helper()
	out := must(b.eb.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []ebtypes.PutEventsRequestEntry{
		{Source: aws.String("app"), DetailType: aws.String("thing"), Detail: &detail},
	}}))(t)
	if out.FailedEntryCount != 0 {
		t.Fatalf("failed: %+v", out.Entries)
	}
	return *out.Entries[0].EventId
}
