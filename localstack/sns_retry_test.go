package localstack_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"stillpoint/localstack"
)

const sendMessage = "sqs:SendMessage"

// deadLetters gives a subscription a dead-letter queue.
func (c *cloud) deadLetters(t *testing.T, sub string) (url string) {
	t.Helper()
	url, arn := c.mailbox(t, "dead")
	must(struct{}{}, c.setSub(t, sub, "RedrivePolicy", `{"deadLetterTargetArn":"`+arn+`"}`))(t)
	return url
}

// only is the subscription of a topic.
func (c *cloud) only(t *testing.T, topic string) string {
	t.Helper()
	return *must(c.sns.ListSubscriptionsByTopic(t.Context(), &sns.ListSubscriptionsByTopicInput{TopicArn: &topic}))(t).Subscriptions[0].SubscriptionArn
}

func (c *cloud) faults(t *testing.T, f ...localstack.Fault) {
	t.Helper()
	must(struct{}{}, c.SetFaults(f...))(t)
}

// attempts are the calls by which SNS put messages into queues, or into web hooks.
func (c *cloud) attempts(operation string) (out []localstack.Call) {
	for _, call := range c.Calls() {
		if call.Operation == operation && call.Principal == "sns.amazonaws.com" {
			out = append(out, call)
		}
	}
	return out
}

func TestQueueIsTriedAgain(t *testing.T) {
	c := start(t, localstack.Config{})
	arn, url := c.topic(t, "results", map[string]string{"RawMessageDelivery": "true"})
	c.faults(t, localstack.Fault{Operation: sendMessage, Code: "InternalError", Times: 3})
	c.publish(t, arn, "at once")
	if got := c.receive(t, url); len(got) != 1 || len(c.attempts(sendMessage)) != 4 {
		t.Fatalf("after three errors and as many retries without delay: %v, %d attempts", got, len(c.attempts(sendMessage)))
	}
	if call := c.attempts(sendMessage)[0]; call.Source != arn || call.Err != "InternalError" {
		t.Errorf("the record is %+v", call)
	}

	// Three at once, two a second apart, ten from 1 s to 20 s, and then every 20 s.
	c.faults(t, localstack.Fault{Operation: sendMessage, Code: "ServiceUnavailable"})
	began := c.Now()
	c.publish(t, arn, "later")
	var waits []time.Duration
	at := began
	for len(waits) < 16 {
		d := c.waits(t, 4+len(waits))
		waits = append(waits, d.Next.Sub(at).Round(10*time.Millisecond))
		at = d.Next
		c.MoveClock(d.Next.Sub(c.Now()))
	}
	if waits[0] != time.Second || waits[1] != time.Second || waits[2] != time.Second || waits[11] != 20*time.Second || waits[15] != 20*time.Second || !slices.IsSorted(waits) {
		t.Errorf("it waited %v", waits)
	}
	c.faults(t)
	c.MoveClock(20 * time.Second)
	got := c.receive(t, url)
	if len(got) != 2 || *got[0].Body != "at once" || *got[1].Body != "later" { // nobody has deleted the first
		t.Errorf("received %v", got)
	}
	c.idle(t)
}

// A message whose answer was lost is in the queue twice.
func TestLostAnswerMakesTwo(t *testing.T) {
	c := start(t, localstack.Config{})
	arn, url := c.topic(t, "results", nil)
	c.faults(t, localstack.Fault{Operation: sendMessage, Drop: true, After: true, Times: 1})
	id := c.publish(t, arn, "x")
	got := c.receive(t, url)
	if len(got) != 2 || open(t, *got[0].Body).MessageId != id || *got[0].Body != *got[1].Body || *got[0].MessageId == *got[1].MessageId {
		t.Errorf("received %v", got)
	}
}

func TestClientErrorsAreNotTriedAgain(t *testing.T) {
	for name, breaks := range map[string]func(t *testing.T, c *cloud, queue string){
		"queue deleted": func(t *testing.T, c *cloud, queue string) {
			must(c.sqs.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: &queue}))(t)
		},
		"access denied": func(t *testing.T, c *cloud, queue string) {
			c.allow(t, queue, "sns.amazonaws.com", "arn:aws:sns:eu-west-1:111122223333:another")
		},
	} {
		for _, raw := range []string{"true", "false"} {
			t.Run(name+" raw "+raw, func(t *testing.T) {
				c := start(t, localstack.Config{})
				arn, url := c.topic(t, "results", map[string]string{"RawMessageDelivery": raw})
				dead := c.deadLetters(t, c.only(t, arn))
				breaks(t, c, url)
				id := *must(c.sns.Publish(t.Context(), &sns.PublishInput{TopicArn: &arn, Message: aws.String("x"), MessageAttributes: status}))(t).MessageId
				got := c.receive(t, dead)
				if len(got) != 1 || len(c.attempts(sendMessage)) != 2 {
					t.Fatalf("%d attempts, and the dead-letter queue has %v", len(c.attempts(sendMessage)), got)
				}
				if raw == "true" {
					if *got[0].Body != "x" || *got[0].MessageAttributes["status"].StringValue != "failed & <more>" {
						t.Errorf("the message is %v", got[0])
					}
				} else if l := open(t, *got[0].Body); l.MessageId != id || l.MessageAttributes["status"].Value != "failed & <more>" {
					t.Errorf("the message is %s", *got[0].Body)
				}
			})
		}
	}
}

func TestTooManyAttributesGoToTheDeadLetters(t *testing.T) {
	c := start(t, localstack.Config{})
	arn, url := c.topic(t, "results", map[string]string{"RawMessageDelivery": "true"})
	dead := c.deadLetters(t, c.only(t, arn))
	many := map[string]types.MessageAttributeValue{}
	for _, name := range strings.Split("abcdefghijk", "") {
		many[name] = status["status"]
	}
	must(c.sns.Publish(t.Context(), &sns.PublishInput{TopicArn: &arn, Message: aws.String("x"), MessageAttributes: many}))(t)
	if got := c.receive(t, url); len(got) != 0 {
		t.Errorf("received %v", got)
	}
	if got := c.receive(t, dead); len(got) != 1 || len(open(t, *got[0].Body).MessageAttributes) != 11 {
		t.Errorf("the dead-letter queue has %v", got)
	}
}

// Without a dead-letter queue, or with one that is not there, the message is lost; other subscribers get theirs.
func TestUndeliverableIsLost(t *testing.T) {
	c := start(t, localstack.Config{})
	arn, url := c.topic(t, "results", nil)
	must(c.subscribe(t, arn, "sqs", "arn:aws:sqs:eu-west-1:111122223333:none", map[string]string{"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:111122223333:none-either"}`}))(t)
	must(c.subscribe(t, arn, "sqs", "arn:aws:sqs:eu-west-1:111122223333:none-at-all", nil))(t)
	c.publish(t, arn, "x")
	c.idle(t)
	if got := c.receive(t, url); len(got) != 1 || len(c.attempts(sendMessage)) != 4 {
		t.Errorf("%d attempts, received %v", len(c.attempts(sendMessage)), got)
	}
}

// What is being tried again ends with its subscription, and goes where the subscription says by then.
func TestRetriesGoByTheSubscriptionAsItIs(t *testing.T) {
	c := start(t, localstack.Config{})
	arn, url := c.topic(t, "results", nil)
	c.faults(t, localstack.Fault{Operation: sendMessage, Code: "InternalError", Times: 4})
	c.publish(t, arn, "x")
	c.waits(t, 4)
	dead := c.deadLetters(t, c.only(t, arn))
	must(c.sqs.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: &url}))(t)
	c.MoveClock(time.Second)
	c.idle(t)
	if got := c.receive(t, dead); len(got) != 1 {
		t.Errorf("the dead-letter queue has %v", got)
	}
	c.faults(t, localstack.Fault{Operation: sendMessage, Code: "InternalError", Times: 4})
	c.publish(t, arn, "y")
	c.waits(t, 4)
	must(c.sns.Unsubscribe(t.Context(), &sns.UnsubscribeInput{SubscriptionArn: aws.String(c.only(t, arn))}))(t)
	before := len(c.attempts(sendMessage))
	c.MoveClock(time.Hour)
	c.idle(t)
	if got := len(c.attempts(sendMessage)) - before; got != 0 {
		t.Errorf("%d attempts for a subscription that has ended", got)
	}
}
