package scene

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"stillpoint/messages"
)

// Send puts a body on the worker's queue.
func (s *Scene) Send(ctx context.Context, body string) (messageID string, err error) {
	out, err := s.SQS.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: aws.String(s.QueueURL), MessageBody: aws.String(body)})
	if err != nil {
		return "", fmt.Errorf("cannot send: %w", err)
	}
	return aws.ToString(out.MessageId), nil
}

// Event is what EventBridge sends for a tick of a scheduled rule.
func Event(id, rule, at string) string {
	return fmt.Sprintf(`{"version":"0","id":%q,"detail-type":"Scheduled Event","source":"aws.events","account":"111122223333","time":%q,"region":"eu-west-1","resources":["arn:aws:events:eu-west-1:111122223333:rule/%s"],"detail":{}}`,
		id, at, rule)
}

// Notification is what SNS sends to a queue that is subscribed without raw delivery.
func Notification(id, message, at string) string {
	body, _ := json.Marshal(map[string]any{
		"Type": "Notification", "MessageId": id, "TopicArn": "arn:aws:sns:eu-west-1:111122223333:requests", "Message": message, "Timestamp": at,
		"SignatureVersion": "1", "Signature": "EXAMPLE", "SigningCertURL": "https://sns.eu-west-1.amazonaws.com/x.pem", "UnsubscribeURL": "https://sns.eu-west-1.amazonaws.com/",
	})
	return string(body)
}

// Delivered is a result as a subscriber of the topic gets it.
type Delivered struct {
	Subject    string
	Attributes map[string]string
	Body       string
	Result     *messages.Result
}

// NextResult waits for the next result that SNS delivers, until ctx ends.
func (s *Scene) NextResult(ctx context.Context) (*Delivered, error) {
	m, err := s.take(ctx, s.ResultsURL)
	if err != nil {
		return nil, fmt.Errorf("cannot get a result: %w", err)
	}
	var n struct {
		Subject, Message  string
		MessageAttributes map[string]struct{ Type, Value string }
	}
	if err := json.Unmarshal([]byte(aws.ToString(m.Body)), &n); err != nil {
		return nil, fmt.Errorf("cannot read the notification: %w", err)
	}
	r, err := messages.UnmarshalResult([]byte(n.Message))
	if err != nil {
		return nil, err
	}
	d := &Delivered{Subject: n.Subject, Attributes: map[string]string{}, Body: n.Message, Result: r}
	for k, v := range n.MessageAttributes {
		d.Attributes[k] = v.Value
	}
	return d, nil
}

// DeadLetter is a message on the dead-letter queue.
type DeadLetter struct {
	Body       string
	Attributes map[string]string
}

// NextDeadLetter waits for the next message on the dead-letter queue, until ctx ends.
func (s *Scene) NextDeadLetter(ctx context.Context) (*DeadLetter, error) {
	m, err := s.take(ctx, s.DeadLetterURL)
	if err != nil {
		return nil, fmt.Errorf("cannot get a dead letter: %w", err)
	}
	d := &DeadLetter{Body: aws.ToString(m.Body), Attributes: map[string]string{}}
	for k, v := range m.MessageAttributes {
		d.Attributes[k] = aws.ToString(v.StringValue)
	}
	return d, nil
}

// take waits for a message and takes it off the queue.
func (s *Scene) take(ctx context.Context, url string) (*types.Message, error) {
	for {
		out, err := s.SQS.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{
			QueueUrl: aws.String(url), MaxNumberOfMessages: 1, WaitTimeSeconds: 20, MessageAttributeNames: []string{"All"},
		})
		if err != nil {
			return nil, err
		}
		if len(out.Messages) == 0 {
			continue
		}
		m := out.Messages[0]
		_, err = s.SQS.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: aws.String(url), ReceiptHandle: m.ReceiptHandle})
		return &m, err
	}
}

// Depth is how many messages a queue holds, visible and in flight.
func (s *Scene) Depth(ctx context.Context, url string) (visible, inFlight string, err error) {
	out, err := s.SQS.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: aws.String(url), AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll}})
	if err != nil {
		return "", "", err
	}
	return out.Attributes["ApproximateNumberOfMessages"], out.Attributes["ApproximateNumberOfMessagesNotVisible"], nil
}
