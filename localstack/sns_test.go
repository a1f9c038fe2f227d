package localstack_test

import (
	"encoding/json"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"stillpoint/localstack"
)

// topic makes a topic with a queue under it, and returns the topic's ARN and the queue's URL.
func (c *cloud) topic(t *testing.T, name string, attributes map[string]string) (arn, url string) {
	t.Helper()
	url = c.queue(t, name, nil)
	arn = *must(c.sns.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: &name}))(t).TopicArn
	c.allow(t, url, "sns.amazonaws.com", arn)
	out := must(c.sns.Subscribe(t.Context(), &sns.SubscribeInput{
		TopicArn: &arn, Protocol: aws.String("sqs"), Endpoint: aws.String(c.attribute(t, url, "QueueArn")), Attributes: attributes,
		ReturnSubscriptionArn: true,
	}))(t)
	if !strings.HasPrefix(*out.SubscriptionArn, arn+":") {
		t.Errorf("the subscription is %s", *out.SubscriptionArn)
	}
	return arn, url
}

var status = map[string]types.MessageAttributeValue{"status": {DataType: aws.String("String"), StringValue: aws.String("failed & <more>")}}

func TestPublishInAnEnvelope(t *testing.T) {
	c := start(t, localstack.Config{})
	arn, url := c.topic(t, "results", nil)
	id := *must(c.sns.Publish(t.Context(), &sns.PublishInput{
		TopicArn: &arn, Subject: aws.String("[FAILED] snapshot"), Message: aws.String(`{"a":"<b>&"}`), MessageAttributes: status,
	}))(t).MessageId
	got := c.receive(t, url)
	if len(got) != 1 || len(got[0].MessageAttributes) != 0 {
		t.Fatalf("received %v", got)
	}
	var envelope struct {
		Type, MessageId, TopicArn, Subject, Message, Timestamp, SignatureVersion, Signature, SigningCertURL, UnsubscribeURL string
		MessageAttributes                                                                                                   map[string]struct{ Type, Value string }
	}
	if err := json.Unmarshal([]byte(*got[0].Body), &envelope); err != nil {
		t.Fatal(err)
	}
	if envelope.Type != "Notification" || envelope.MessageId != id || envelope.TopicArn != arn || envelope.Subject != "[FAILED] snapshot" ||
		envelope.Message != `{"a":"<b>&"}` || envelope.Timestamp == "" || envelope.SignatureVersion != "1" || envelope.Signature == "" ||
		envelope.SigningCertURL == "" || envelope.UnsubscribeURL == "" || envelope.MessageAttributes["status"].Value != "failed & <more>" {
		t.Errorf("the envelope is %s", *got[0].Body)
	}
}

func TestPublishRaw(t *testing.T) {
	c := start(t, localstack.Config{})
	arn, url := c.topic(t, "results", map[string]string{"RawMessageDelivery": "true"})
	must(c.sns.Publish(t.Context(), &sns.PublishInput{TopicArn: &arn, Message: aws.String("plain"), MessageAttributes: status}))(t)
	got := c.receive(t, url)
	if len(got) != 1 || *got[0].Body != "plain" || *got[0].MessageAttributes["status"].StringValue != "failed & <more>" {
		t.Fatalf("received %v", got)
	}
	many := map[string]types.MessageAttributeValue{}
	for i := range 11 {
		many["a"+strconv.Itoa(i)] = status["status"]
	}
	must(c.sns.Publish(t.Context(), &sns.PublishInput{TopicArn: &arn, Message: aws.String("too many"), MessageAttributes: many}))(t)
	must(c.sns.Publish(t.Context(), &sns.PublishInput{TopicArn: &arn, Message: aws.String(`{"default":"d","sqs":"s"}`), MessageStructure: aws.String("json")}))(t)
	if got := c.receive(t, url); len(got) != 1 || *got[0].Body != "s" {
		t.Errorf("after a message with eleven attributes and one with a structure: %v", got)
	}
}

func TestPublishRefuses(t *testing.T) {
	c := start(t, localstack.Config{})
	arn, url := c.topic(t, "results", nil)
	for name, in := range map[string]sns.PublishInput{
		"empty":           {Message: aws.String("")},
		"too long":        {Message: aws.String(strings.Repeat("x", 256<<10+1))},
		"empty subject":   {Message: aws.String("x"), Subject: aws.String("")},
		"long subject":    {Message: aws.String("x"), Subject: aws.String(strings.Repeat("x", 100))},
		"newline":         {Message: aws.String("x"), Subject: aws.String("a\nb")},
		"not ASCII":       {Message: aws.String("x"), Subject: aws.String("grüße")},
		"no such default": {Message: aws.String(`{"sqs":"x"}`), MessageStructure: aws.String("json")},
	} {
		t.Run(name, func(t *testing.T) {
			in.TopicArn = &arn
			_, err := c.sns.Publish(t.Context(), &in)
			wantCode(t, err, "InvalidParameter")
		})
	}
	_, err := c.sns.Publish(t.Context(), &sns.PublishInput{TopicArn: aws.String(arn + "s"), Message: aws.String("x")})
	wantCode(t, err, "NotFound")
	if got := c.attribute(t, url, "ApproximateNumberOfMessages"); got != "0" {
		t.Errorf("%s refused messages arrived", got)
	}
	must(c.sns.Publish(t.Context(), &sns.PublishInput{TopicArn: &arn, Message: aws.String(strings.Repeat("x", 256<<10)), Subject: aws.String(strings.Repeat("x", 99))}))(t)
	if got := c.attribute(t, url, "ApproximateNumberOfMessages"); got != "1" {
		t.Errorf("%s messages, want the one that is just short enough", got)
	}
}

func TestSubscriptions(t *testing.T) {
	c := start(t, localstack.Config{})
	arn, url := c.topic(t, "results", nil)
	subs := must(c.sns.ListSubscriptionsByTopic(t.Context(), &sns.ListSubscriptionsByTopicInput{TopicArn: &arn}))(t).Subscriptions
	if len(subs) != 1 || *subs[0].Endpoint != c.attribute(t, url, "QueueArn") || *subs[0].Protocol != "sqs" {
		t.Fatalf("subscriptions: %v", subs)
	}
	must(c.sns.SetSubscriptionAttributes(t.Context(), &sns.SetSubscriptionAttributesInput{
		SubscriptionArn: subs[0].SubscriptionArn, AttributeName: aws.String("RawMessageDelivery"), AttributeValue: aws.String("true"),
	}))(t)
	must(c.sns.Publish(t.Context(), &sns.PublishInput{TopicArn: &arn, Message: aws.String("raw now")}))(t)
	if got := c.receive(t, url); len(got) != 1 || *got[0].Body != "raw now" {
		t.Errorf("received %v", got)
	}
	_, err := c.sns.SetSubscriptionAttributes(t.Context(), &sns.SetSubscriptionAttributesInput{
		SubscriptionArn: subs[0].SubscriptionArn, AttributeName: aws.String("FilterPolicy"), AttributeValue: aws.String("{}"),
	})
	wantCode(t, err, "InvalidParameter")
	if got := must(c.sns.GetTopicAttributes(t.Context(), &sns.GetTopicAttributesInput{TopicArn: &arn}))(t).Attributes; got["SubscriptionsConfirmed"] != "1" {
		t.Errorf("topic attributes: %v", got)
	}
	must(c.sns.Unsubscribe(t.Context(), &sns.UnsubscribeInput{SubscriptionArn: subs[0].SubscriptionArn}))(t)
	must(c.sns.Publish(t.Context(), &sns.PublishInput{TopicArn: &arn, Message: aws.String("nobody listens")}))(t)
	if got := c.receive(t, url); len(got) != 0 {
		t.Errorf("received %v after the subscription ended", got)
	}
	if got := must(c.sns.ListTopics(t.Context(), &sns.ListTopicsInput{}))(t).Topics; len(got) != 1 || *got[0].TopicArn != arn {
		t.Errorf("topics: %v", got)
	}
	must(c.sns.DeleteTopic(t.Context(), &sns.DeleteTopicInput{TopicArn: &arn}))(t)
	_, err = c.sns.GetTopicAttributes(t.Context(), &sns.GetTopicAttributesInput{TopicArn: &arn})
	wantCode(t, err, "NotFound")
}
