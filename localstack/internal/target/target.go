// Package target is what rules of EventBridge and schedules of Scheduler have in common: where they send to, and how they try
// again.
package target

import (
	"regexp"
	"strings"

	"stillpoint/localstack/internal/host"
	"stillpoint/localstack/internal/sqs"
	"stillpoint/localstack/internal/wire"
)

// Twice is the wrong answer that a fault can want of "events:Invoke" and "scheduler:Invoke": to do at once twice what should be done
// once.
const Twice = "twice"

// Targets sends to the queues and topics of this server.
type Targets struct {
	host.Host

	// Queue is the call that puts a message into the queue with that ARN.
	Queue func(arn string, m sqs.Message) wire.Operation

	// Topic is the call that publishes a text to the topic with that ARN. Nil: topics are refused as targets.
	Topic func(arn, text string) wire.Operation
}

var (
	anARN    = regexp.MustCompile(`^arn:[\w-]+:[a-zA-Z0-9-]+:[a-zA-Z0-9-]*:[a-zA-Z0-9-]*:.+$`)
	queueARN = regexp.MustCompile(`^arn:aws(-[a-z]+)*:sqs:[a-z0-9-]+:\d{12}:[a-zA-Z0-9_-]+$`)
	fifoARN  = regexp.MustCompile(`^arn:aws(-[a-z]+)*:s[qn]s:[a-z0-9-]+:\d{12}:[a-zA-Z0-9_-]+\.fifo$`)
	topicARN = regexp.MustCompile(`^arn:aws(-[a-z]+)*:sns:[a-z0-9-]+:\d{12}:[a-zA-Z0-9_-]+$`)
)

// IsARN tells whether the text has the form of an ARN.
func IsARN(arn string) bool { return anARN.MatchString(arn) }

// IsQueue tells whether the ARN is that of a standard queue, as dead-letter queues of both services have to be.
func IsQueue(arn string) bool { return queueARN.MatchString(arn) }

// Refuse says why an ARN cannot be a target here, although AWS might take it. Empty: it can. Whether the queue or topic exists
// is not looked at, as on AWS, where a target that is missing is found out by the first delivery.
func (t *Targets) Refuse(arn string) string {
	switch {
	case queueARN.MatchString(arn), topicARN.MatchString(arn) && t.Topic != nil:
		return ""
	case fifoARN.MatchString(arn):
		return "localstack has no FIFO queues or topics: " + arn + " cannot be a target"
	case strings.HasPrefix(arn, "arn:aws:scheduler:::aws-sdk:"):
		return "localstack has no universal targets: use the ARN of a queue or topic instead of " + arn
	default:
		return "localstack has standard SQS queues and SNS topics for targets, not " + arn
	}
}

// Call is the operation that gives text to a target that Refuse does not refuse.
func (t *Targets) Call(arn, text string) wire.Operation {
	if topicARN.MatchString(arn) {
		return t.Topic(arn, text)
	}
	return t.Queue(arn, sqs.Message{Body: text})
}

// Bury puts m into a dead-letter queue. It says whether that worked: if not, the message is lost, as on AWS, where no more than
// the metric InvocationsFailedToBeSentToDLQ tells of it.
func (t *Targets) Bury(caller wire.Caller, queue string, m sqs.Message) *wire.Error {
	_, apiErr := t.Invoke(t.Life, caller, t.Queue(queue, m))
	return apiErr
}

// Text is an attribute of a message in a dead-letter queue. SQS has no empty ones: empty is "-".
func Text(value string) sqs.Attribute {
	if value == "" {
		value = "-"
	}
	return sqs.Attribute{DataType: "String", StringValue: &value}
}
