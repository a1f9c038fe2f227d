package localstack_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	ebtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/rs/zerolog"

	"stillpoint/localstack"
)

func TestDeliveryIsTriedAgainByTheClock(t *testing.T) {
	b := startBridge(t, localstack.Config{})
	queue, queueARN := b.open(t, "jobs")
	b.rule(t, matching("rule", ours), ebtypes.Target{Arn: &queueARN})
	b.SetFaults(localstack.Fault{Operation: "sqs:SendMessage", Code: "ServiceUnavailable", Times: 2})
	id := b.put(t, "{}")
	b.MoveClock(900 * time.Millisecond)
	if got := b.drain(t, queue); len(got) != 0 || len(failures(b.cloud, "sqs:SendMessage")) != 1 {
		t.Fatalf("got %s after %s", bodies(got), failures(b.cloud, "sqs:SendMessage"))
	}
	b.MoveClock(3 * time.Second)
	if got := envelopes(t, b.drain(t, queue)); len(got) != 1 || got[0].ID != id {
		t.Errorf("got %+v", got)
	}
	if got := failures(b.cloud, "sqs:SendMessage"); len(got) != 2 {
		t.Errorf("got the errors %s", got)
	}

	// An answer that is lost is no answer: what arrived is sent again.
	b.SetFaults(localstack.Fault{Operation: "sqs:SendMessage", After: true, Drop: true, Times: 1})
	id = b.put(t, "{}")
	b.MoveClock(time.Minute)
	if got := envelopes(t, b.drain(t, queue)); len(got) != 2 || got[0].ID != id || got[1].ID != id {
		t.Errorf("got %+v, want the same event twice", got)
	}
}

// failures are the errors and faults of the calls of an operation.
func failures(c *cloud, operation string) []string {
	var out []string
	for _, call := range c.Calls() {
		if call.Operation == operation && (call.Err != "" || call.Fault != "") {
			out = append(out, call.Err+call.Fault)
		}
	}
	return out
}

func TestDeadLettersOfRules(t *testing.T) {
	var log bytes.Buffer
	logger := zerolog.New(&log)
	b := startBridge(t, localstack.Config{Logger: &logger})
	_, queueARN := b.open(t, "jobs")
	dead, deadARN := b.open(t, "dead")
	missing := queueARN + "-gone"
	in := matching("rule", ours)
	arn := b.rule(t, in)
	config := &ebtypes.DeadLetterConfig{Arn: &deadARN}
	letter := func(what string) map[string]string {
		t.Helper()
		got := b.drain(t, dead)
		if len(got) != 1 {
			t.Fatalf("%s: %d dead letters", what, len(got))
		}
		out := map[string]string{"body": *got[0].Body}
		for name, a := range got[0].MessageAttributes {
			out[name] = *a.StringValue
		}
		return out
	}
	check := func(what string, got map[string]string, want map[string]string) {
		t.Helper()
		for name, value := range want {
			if got[name] != value {
				t.Errorf("%s: %s is %q, want %q", what, name, got[name], value)
			}
		}
		if got["ERROR_MESSAGE"] == "" {
			t.Errorf("%s: no ERROR_MESSAGE", what)
		}
	}

	b.target(t, in, ebtypes.Target{Arn: &missing, DeadLetterConfig: config})
	id := b.put(t, `{"a":1}`)
	got := letter("a queue that is gone") // at once
	check("a queue that is gone", got, map[string]string{
		"RULE_ARN": arn, "TARGET_ARN": missing, "ERROR_CODE": "NO_RESOURCE", "RETRY_ATTEMPTS": "0", "EXHAUSTED_RETRY_CONDITION": "",
	})
	if !strings.Contains(got["body"], `"id":"`+id+`"`) || !strings.Contains(got["body"], `"detail":{"a":1}`) {
		t.Errorf("got %s", got["body"])
	}

	fail := func(code string, times int) {
		b.SetFaults(localstack.Fault{Operation: "sqs:SendMessage", Code: code, Times: times})
	}
	b.target(t, in, ebtypes.Target{Arn: &queueARN, DeadLetterConfig: config})
	fail("AccessDenied", 1)
	b.put(t, `{}`)
	check("no permission", letter("no permission"), map[string]string{"ERROR_CODE": "NO_PERMISSIONS", "RETRY_ATTEMPTS": "0"})

	b.target(t, in, ebtypes.Target{Arn: &queueARN, DeadLetterConfig: config, RetryPolicy: &ebtypes.RetryPolicy{MaximumRetryAttempts: aws.Int32(2)}})
	fail("ThrottlingException", 3)
	b.put(t, `{}`)
	b.MoveClock(2900 * time.Millisecond)
	if got := b.drain(t, dead); len(got) != 0 {
		t.Fatalf("given up too early: %s", bodies(got))
	}
	b.MoveClock(time.Second)
	check("tries", letter("tries"), map[string]string{"ERROR_CODE": "THROTTLING", "RETRY_ATTEMPTS": "2", "EXHAUSTED_RETRY_CONDITION": "MaximumRetryAttempts"})

	b.target(t, in, ebtypes.Target{Arn: &queueARN, DeadLetterConfig: config, RetryPolicy: &ebtypes.RetryPolicy{MaximumEventAgeInSeconds: aws.Int32(60)}})
	fail("InternalError", 6) // at 0, 1, 3, 7, 15 and 31 seconds; the next would be at 63
	b.put(t, `{}`)
	b.MoveClock(59 * time.Second)
	if got := b.drain(t, dead); len(got) != 0 {
		t.Fatalf("given up too early: %s", bodies(got))
	}
	b.MoveClock(2 * time.Second)
	check("age", letter("age"), map[string]string{"ERROR_CODE": "ERROR_FROM_TARGET", "RETRY_ATTEMPTS": "5", "EXHAUSTED_RETRY_CONDITION": "MaximumEventAgeInSeconds"})

	b.target(t, in, ebtypes.Target{Arn: &missing})
	log.Reset()
	id = b.put(t, `{}`)
	if text := log.String(); !strings.Contains(text, "event lost") || !strings.Contains(text, id) || !strings.Contains(text, missing) {
		t.Errorf("the log says %s", text)
	}
}

// A rule may run more than once for the same time or event, and has to be told apart by that, not by the event's id.
func TestRuleFiresTwiceOnDemand(t *testing.T) {
	b := startBridge(t, localstack.Config{})
	queue, queueARN := b.open(t, "jobs")
	in := every("rule", "rate(1 hour)")
	in.EventPattern = aws.String(ours)
	b.rule(t, in, ebtypes.Target{Arn: &queueARN})
	var due time.Time
	for name, twice := range map[string]localstack.Fault{
		"at once":              {Operation: "events:Invoke", Wrong: "twice", Times: 1},
		"after an answer lost": {Operation: "events:Invoke", After: true, Drop: true, Times: 1},
	} {
		if err := b.SetFaults(twice); err != nil {
			t.Fatal(err)
		}
		b.MoveClock(time.Hour)
		b.MoveClock(2 * time.Second)
		got := envelopes(t, b.drain(t, queue))
		if len(got) != 2 || !got[0].Time.Equal(got[1].Time) || got[0].ID == got[1].ID {
			t.Fatalf("%s: got %+v, want one time with two ids", name, got)
		}
		due = got[0].Time
		if err := b.SetFaults(twice); err != nil {
			t.Fatal(err)
		}
		id := b.put(t, "{}")
		b.MoveClock(2 * time.Second)
		got = envelopes(t, b.drain(t, queue))
		if len(got) != 2 || got[0].ID != id || got[1].ID != id {
			t.Errorf("%s: got %+v, want one event twice", name, got)
		}
	}

	// One that fails fires later, for the time at which it was due.
	b.SetFaults(localstack.Fault{Operation: "events:Invoke", Code: "InternalException", Times: 5})
	b.MoveClock(time.Hour + time.Minute)
	messages := b.drain(t, queue)
	got := envelopes(t, messages)
	if len(got) != 1 || !got[0].Time.Equal(due.Add(time.Hour)) {
		t.Fatalf("got %+v", got)
	}
	var sent int64
	fmt.Sscan(messages[0].Attributes["SentTimestamp"], &sent)
	if late := time.UnixMilli(sent).Sub(got[0].Time); late < 31*time.Second || late > 34*time.Second { // 1+2+4+8+16
		t.Errorf("it came %s late", late)
	}
}

func TestRuleWithATopicForItsTarget(t *testing.T) {
	b := startBridge(t, localstack.Config{})
	queue, queueARN := b.open(t, "jobs")
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"` + queueARN + `"}]}`
	must(b.sqs.SetQueueAttributes(t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: &queue, Attributes: map[string]string{"Policy": policy}}))(t)
	topicARN := *must(b.sns.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String("topic"), Attributes: map[string]string{
		"Policy": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sns:Publish","Resource":"arn:aws:sns:eu-west-1:111122223333:topic"}]}`,
	}}))(t).TopicArn
	must(b.sns.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: &topicARN, Protocol: aws.String("sqs"), Endpoint: &queueARN}))(t)
	arn := b.rule(t, matching("rule", ours), ebtypes.Target{Arn: &topicARN})
	id := b.put(t, "{}")
	got := bodies(b.drain(t, queue))
	if len(got) != 1 || !strings.Contains(got[0], `"TopicArn":"`+topicARN+`"`) || !strings.Contains(got[0], id) {
		t.Fatalf("got %s", got)
	}
	for _, call := range b.Calls() {
		if call.Operation == "sns:Publish" && (call.Principal != "events.amazonaws.com" || call.Source != arn) {
			t.Errorf("published by %s for %s", call.Principal, call.Source)
		}
	}
}
