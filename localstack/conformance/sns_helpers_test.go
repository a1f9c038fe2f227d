package conformance

import (
	"encoding/json"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// topic makes a topic and returns its ARN.
func (c *check) topic(with attributes) string {
	return *must(c.sns.CreateTopic(c.ctx, &sns.CreateTopicInput{Name: aws.String(c.name()), Attributes: with}))(c).TopicArn
}

// listener makes a queue that the topic may send to.
func (c *check) listener(topic string) (queue, arn string) {
	queue = c.queue(nil)
	arn = c.queueARN(queue)
	must(0, c.setQueue(queue, attributes{"Policy": allow(arn, "sns.amazonaws.com", topic)}))(c)
	return queue, arn
}

// subscribed makes a queue that is subscribed to the topic, with attributes of the subscription.
func (c *check) subscribed(topic string, with attributes) (queue, subscription string) {
	queue, arn := c.listener(topic)
	out := must(c.sns.Subscribe(c.ctx, &sns.SubscribeInput{
		TopicArn: &topic, Protocol: ptr("sqs"), Endpoint: &arn, Attributes: with, ReturnSubscriptionArn: true,
	}))(c)
	return queue, *out.SubscriptionArn
}

// raw is a subscription that gets messages as they are.
var raw = attributes{"RawMessageDelivery": "true"}

// notes are message attributes of type String.
func notes(pairs ...string) map[string]snstypes.MessageAttributeValue {
	out := map[string]snstypes.MessageAttributeValue{}
	for pair := range slices.Chunk(pairs, 2) {
		out[pair[0]] = snstypes.MessageAttributeValue{DataType: ptr("String"), StringValue: ptr(pair[1])}
	}
	return out
}

// publishing is an attempt to publish to a topic.
func (c *check) publishing(topic, message string, with map[string]snstypes.MessageAttributeValue) error {
	_, err := c.sns.Publish(c.ctx, &sns.PublishInput{TopicArn: &topic, Message: &message, MessageAttributes: with})
	return err
}

// delivered receives a message that has to come, with its attributes.
func (c *check) delivered(what, queue string) sqstypes.Message {
	got := c.receive(queue, waiting(3), withAttributes(), withSystemAttributes())
	c.need(what, len(got) == 1, len(got))
	return got[0]
}

// bodies are those of all messages that come to a queue, sorted: as many as are expected, and what else is there then.
func (c *check) bodies(queue string, expected int) (out []string) {
	for range 20 {
		wait := int32(0)
		if len(out) < expected {
			wait = 2
		}
		got := c.receive(queue, upTo(10), waiting(wait))
		if len(got) == 0 {
			break
		}
		for _, m := range got {
			out = append(out, *m.Body)
			_ = c.delete(queue, m.ReceiptHandle) // they are hidden anyway
		}
	}
	slices.Sort(out)
	return out
}

// envelope is what a message has around it that is not delivered raw.
func (c *check) envelope(m sqstypes.Message) map[string]any {
	out := map[string]any{}
	err := json.Unmarshal([]byte(*m.Body), &out)
	c.need("the body is a JSON object", err == nil, *m.Body)
	return out
}
