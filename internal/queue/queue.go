// Package queue is the SQS queue that requests come from, and its dead-letter
// queue. It implements worker.Queue; every call is bounded in time, and what
// SQS says about a lost message becomes a *snapshot.LeaseLostError.
package queue

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"stillpoint/worker"
)

const (
	longPoll       = 20 * time.Second // SQS's longest
	receiveTimeout = 30 * time.Second
	callTimeout    = 5 * time.Second
)

// API is what this package needs of *sqs.Client.
type API interface {
	ReceiveMessage(context.Context, *sqs.ReceiveMessageInput, ...func(*sqs.Options)) (*sqs.ReceiveMessageOutput, error)
	ChangeMessageVisibility(context.Context, *sqs.ChangeMessageVisibilityInput, ...func(*sqs.Options)) (*sqs.ChangeMessageVisibilityOutput, error)
	DeleteMessage(context.Context, *sqs.DeleteMessageInput, ...func(*sqs.Options)) (*sqs.DeleteMessageOutput, error)
	SendMessage(context.Context, *sqs.SendMessageInput, ...func(*sqs.Options)) (*sqs.SendMessageOutput, error)
	GetQueueAttributes(context.Context, *sqs.GetQueueAttributesInput, ...func(*sqs.Options)) (*sqs.GetQueueAttributesOutput, error)
	ListQueueTags(context.Context, *sqs.ListQueueTagsInput, ...func(*sqs.Options)) (*sqs.ListQueueTagsOutput, error)
	GetQueueUrl(context.Context, *sqs.GetQueueUrlInput, ...func(*sqs.Options)) (*sqs.GetQueueUrlOutput, error)
}

// Config names the queues.
type Config struct {
	URL string
	// DeadLetterURL is the dead-letter queue; "": the one in the queue's redrive policy.
	DeadLetterURL string
}

// Queue implements worker.Queue. It is safe for use by several goroutines.
type Queue struct {
	api    API
	config Config

	mu      sync.Mutex
	redrive *redrive // nil: not read yet, or to be read again
	readAt  time.Time
}

var _ worker.Queue = (*Queue)(nil)

// New makes a Queue that calls SQS in the region of the queue's URL, where the
// URL names one, else in the region of cfg.
func New(cfg aws.Config, c Config) *Queue {
	return NewFromAPI(sqs.NewFromConfig(cfg, inRegion(regionOf(c.URL))), c)
}

// NewFromAPI makes a Queue that calls api.
func NewFromAPI(api API, c Config) *Queue { return &Queue{api: api, config: c} }

// Receive implements worker.Queue.
func (q *Queue) Receive(ctx context.Context, visibility time.Duration) (*worker.Message, error) {
	call, cancel := context.WithTimeout(ctx, receiveTimeout)
	defer cancel()
	out, err := q.api.ReceiveMessage(call, &sqs.ReceiveMessageInput{
		QueueUrl:            &q.config.URL,
		MaxNumberOfMessages: 1,
		WaitTimeSeconds:     int32(longPoll / time.Second),
		VisibilityTimeout:   seconds(visibility),
		MessageSystemAttributeNames: []types.MessageSystemAttributeName{
			types.MessageSystemAttributeNameSentTimestamp,
			types.MessageSystemAttributeNameApproximateReceiveCount,
		},
	})
	if err != nil {
		return nil, fmt.Errorf("cannot receive from %s: %w", q.config.URL, err)
	}
	if len(out.Messages) == 0 {
		return nil, nil
	}
	m := out.Messages[0]
	return &worker.Message{
		ID:            aws.ToString(m.MessageId),
		ReceiptHandle: aws.ToString(m.ReceiptHandle),
		Body:          []byte(aws.ToString(m.Body)),
		SentAt:        sentAt(m.Attributes[string(types.MessageSystemAttributeNameSentTimestamp)]),
		ReceiveCount:  receiveCount(m.Attributes[string(types.MessageSystemAttributeNameApproximateReceiveCount)]),
		MaxReceives:   q.maxReceives(ctx),
	}, nil
}

// Extend implements worker.Queue.
func (q *Queue) Extend(ctx context.Context, receiptHandle string, d time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := q.api.ChangeMessageVisibility(ctx, &sqs.ChangeMessageVisibilityInput{
		QueueUrl: &q.config.URL, ReceiptHandle: &receiptHandle, VisibilityTimeout: seconds(d),
	})
	if err != nil {
		return asLost(fmt.Errorf("cannot change the message's visibility: %w", err))
	}
	return nil
}

// Delete implements worker.Queue.
func (q *Queue) Delete(ctx context.Context, receiptHandle string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := q.api.DeleteMessage(ctx, &sqs.DeleteMessageInput{QueueUrl: &q.config.URL, ReceiptHandle: &receiptHandle})
	if err != nil {
		return asLost(fmt.Errorf("cannot delete the message: %w", err))
	}
	return nil
}

// Send puts a request on the queue and returns the id of its message.
func (q *Queue) Send(ctx context.Context, body []byte) (messageID string, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := q.api.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &q.config.URL, MessageBody: aws.String(string(body))})
	if err != nil {
		if errors.As(err, new(*types.QueueDoesNotExist)) {
			return "", fmt.Errorf("cannot send to %s: there is no such queue: correct queue_url, or make it again: %w", q.config.URL, err)
		}
		return "", fmt.Errorf("cannot send to %s: %w", q.config.URL, err)
	}
	return aws.ToString(out.MessageId), nil
}

// Check asks SQS for the queue: it is there, and we may look at it.
func (q *Queue) Check(ctx context.Context) error {
	_, err := q.readRedrive(ctx)
	return err
}

// seconds rounds up: what is promised to be hidden is hidden for as long.
func seconds(d time.Duration) int32 {
	return int32((d + time.Second - 1) / time.Second)
}

func sentAt(millis string) time.Time {
	n, err := strconv.ParseInt(millis, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.UnixMilli(n).UTC()
}

func receiveCount(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil || n < 1 {
		return 1
	}
	return n
}
