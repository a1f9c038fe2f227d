package conformance

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// attributes of a queue, of a topic and the like.
type attributes = map[string]string

// all is every attribute of a queue.
var all = []sqstypes.QueueAttributeName{"All"}

// queue makes a queue and returns its address.
func (c *check) queue(with attributes) string {
	return *must(c.sqs.CreateQueue(c.ctx, &sqs.CreateQueueInput{QueueName: aws.String(c.name()), Attributes: with}))(c).QueueUrl
}

// queueAttributes are all of them.
func (c *check) queueAttributes(queue string) attributes {
	return must(c.sqs.GetQueueAttributes(c.ctx, &sqs.GetQueueAttributesInput{QueueUrl: &queue, AttributeNames: all}))(c).Attributes
}

func (c *check) queueARN(queue string) string { return c.queueAttributes(queue)["QueueArn"] }

// setQueue sets attributes of a queue.
func (c *check) setQueue(queue string, to attributes) error {
	_, err := c.sqs.SetQueueAttributes(c.ctx, &sqs.SetQueueAttributesInput{QueueUrl: &queue, Attributes: to})
	return err
}

// send puts a message into a queue and returns its id.
func (c *check) send(queue, body string) string {
	return *must(c.sqs.SendMessage(c.ctx, &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: &body}))(c).MessageId
}

// option changes a receive.
type option func(*sqs.ReceiveMessageInput)

func upTo(n int32) option      { return func(in *sqs.ReceiveMessageInput) { in.MaxNumberOfMessages = n } }
func waiting(s int32) option   { return func(in *sqs.ReceiveMessageInput) { in.WaitTimeSeconds = s } }
func hiddenFor(s int32) option { return func(in *sqs.ReceiveMessageInput) { in.VisibilityTimeout = s } }
func withAttributes() option   { return named("All") }
func named(names ...string) option {
	return func(in *sqs.ReceiveMessageInput) { in.MessageAttributeNames = names }
}

func withSystemAttributes() option {
	return func(in *sqs.ReceiveMessageInput) {
		in.MessageSystemAttributeNames = []sqstypes.MessageSystemAttributeName{"All"}
	}
}

// receive takes messages from a queue, at once and one unless an option says otherwise.
func (c *check) receive(queue string, options ...option) []sqstypes.Message {
	in := &sqs.ReceiveMessageInput{QueueUrl: &queue}
	for _, o := range options {
		o(in)
	}
	return must(c.sqs.ReceiveMessage(c.ctx, in))(c).Messages
}

// one receives a message that has to be there.
func (c *check) one(queue string, options ...option) sqstypes.Message {
	got := c.receive(queue, options...)
	c.need("there is one message to receive", len(got) == 1, len(got))
	return got[0]
}

// empty expects that there is nothing to receive.
func (c *check) empty(what, queue string) {
	if got := c.receive(queue, upTo(10)); len(got) > 0 {
		c.miss(what, "%d messages, the first %q", len(got), *got[0].Body)
	}
}

// change sets the visibility timeout of a message.
func (c *check) change(queue string, handle *string, seconds int32) error {
	_, err := c.sqs.ChangeMessageVisibility(c.ctx, &sqs.ChangeMessageVisibilityInput{
		QueueUrl: &queue, ReceiptHandle: handle, VisibilityTimeout: seconds,
	})
	return err
}

func (c *check) delete(queue string, handle *string) error {
	_, err := c.sqs.DeleteMessage(c.ctx, &sqs.DeleteMessageInput{QueueUrl: &queue, ReceiptHandle: handle})
	return err
}

// release makes a message receivable at once.
func (c *check) release(queue string, handle *string) { must(0, c.change(queue, handle, 0))(c) }

type queueAttribute = sqstypes.QueueAttributeName
