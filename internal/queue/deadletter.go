package queue

import (
	"context"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"stillpoint/messages"
	"stillpoint/worker"
)

// Attributes of a copy on the dead-letter queue.
const (
	AttributeReason     = "stillpoint-reason"
	AttributeMessage    = "stillpoint-message" // the sentence, at most maxSentence bytes
	AttributeOriginalID = "stillpoint-original-message-id"
)

const (
	maxSentence = 1024
	// maxMessage is SQS's limit for body and attributes together.
	maxMessage = 1 << 20
	// redriveKept is for how long the redrive policy is not asked for again.
	redriveKept = 10 * time.Minute
)

// redrive is what a queue's redrive policy says; the zero value: it has none.
type redrive struct {
	target      arn.ARN
	url         string // of target; "" until it was needed
	maxReceives int
}

// DeadLetter implements worker.Queue.
func (q *Queue) DeadLetter(ctx context.Context, m worker.Message, reason messages.Reason, sentence string) error {
	to, region, err := q.deadLetterQueue(ctx)
	if err != nil {
		return err
	}
	in := &sqs.SendMessageInput{
		QueueUrl:          &to,
		MessageBody:       aws.String(string(m.Body)),
		MessageAttributes: map[string]types.MessageAttributeValue{},
	}
	// What does not fit beside the body is left out, the least important first.
	size := len(m.Body)
	for _, a := range []struct{ name, value string }{
		{AttributeReason, string(reason)},
		{AttributeOriginalID, m.ID},
		{AttributeMessage, sendable(sentence, maxSentence)},
	} {
		size += len(a.name) + len("String") + len(a.value)
		if a.value != "" && size <= maxMessage {
			in.MessageAttributes[a.name] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String(a.value)}
		}
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if _, err := q.api.SendMessage(ctx, in, inRegion(region)); err != nil {
		return fmt.Errorf("cannot send to the dead-letter queue %s: %w", to, err)
	}
	return nil
}

// deadLetterQueue returns the URL and the region ("": the client's own).
func (q *Queue) deadLetterQueue(ctx context.Context) (to, region string, err error) {
	if u := q.config.DeadLetterURL; u != "" {
		return u, regionOf(u), nil
	}
	r, err := q.redrivePolicy(ctx)
	if err != nil {
		return "", "", err
	}
	if r.target.Resource == "" {
		return "", "", worker.ErrNoDeadLetterQueue
	}
	q.mu.Lock()
	to = r.url
	q.mu.Unlock()
	if to != "" {
		return to, r.target.Region, nil
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := q.api.GetQueueUrl(ctx, &sqs.GetQueueUrlInput{
		QueueName: &r.target.Resource, QueueOwnerAWSAccountId: &r.target.AccountID,
	}, inRegion(r.target.Region))
	if err != nil {
		return "", "", fmt.Errorf("cannot find the dead-letter queue %s: %w", r.target, err)
	}
	q.mu.Lock()
	r.url = aws.ToString(out.QueueUrl)
	q.mu.Unlock()
	return aws.ToString(out.QueueUrl), r.target.Region, nil
}

// maxReceives is 0 where it cannot be learned: a message is never held up for it.
func (q *Queue) maxReceives(ctx context.Context) int {
	r, err := q.redrivePolicy(ctx)
	if err != nil {
		return 0
	}
	return r.maxReceives
}

func (q *Queue) redrivePolicy(ctx context.Context) (*redrive, error) {
	q.mu.Lock()
	r, age := q.redrive, time.Since(q.readAt)
	q.mu.Unlock()
	if r != nil && age < redriveKept {
		return r, nil
	}
	fresh, err := q.readRedrive(ctx)
	if err != nil && r != nil { // what it said last will do
		return r, nil
	}
	return fresh, err
}

func (q *Queue) readRedrive(ctx context.Context) (*redrive, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := q.api.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &q.config.URL, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameRedrivePolicy},
	})
	if err != nil {
		return nil, fmt.Errorf("cannot read the attributes of %s: %w", q.config.URL, err)
	}
	r, err := parseRedrive(out.Attributes[string(types.QueueAttributeNameRedrivePolicy)])
	if err != nil {
		return nil, fmt.Errorf("cannot understand the redrive policy of %s: %w", q.config.URL, err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if old := q.redrive; old != nil && old.target == r.target {
		r.url = old.url
	}
	q.redrive, q.readAt = r, time.Now()
	return r, nil
}

func parseRedrive(text string) (*redrive, error) {
	if text == "" {
		return &redrive{}, nil
	}
	var policy struct {
		Target      string         `json:"deadLetterTargetArn"`
		MaxReceives jsontext.Value `json:"maxReceiveCount"` // a number, or a string that holds one
	}
	if err := json.Unmarshal([]byte(text), &policy); err != nil {
		return nil, err
	}
	target, err := arn.Parse(policy.Target)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", policy.Target, err)
	}
	n, err := strconv.Atoi(strings.Trim(string(policy.MaxReceives), `"`))
	if err != nil {
		return nil, fmt.Errorf("maxReceiveCount: %w", err)
	}
	return &redrive{target: target, maxReceives: n}, nil
}

// regionOf is the region that a queue's URL names, in today's form
// (sqs.REGION.amazonaws.com), of a VPC endpoint or the old one
// (REGION.queue.amazonaws.com); "" for any other host.
func regionOf(queueURL string) string {
	u, err := url.Parse(queueURL)
	if err != nil {
		return ""
	}
	labels := strings.Split(u.Hostname(), ".")
	if len(labels) < 4 || !strings.Contains(u.Hostname(), ".amazonaws.com") {
		return ""
	}
	switch {
	case labels[0] == "sqs" || labels[0] == "sqs-fips":
		return labels[1]
	case labels[1] == "sqs": // a VPC endpoint
		return labels[2]
	case labels[1] == "queue":
		return labels[0]
	}
	return ""
}

func inRegion(region string) func(*sqs.Options) {
	return func(o *sqs.Options) {
		if region != "" {
			o.Region = region
		}
	}
}

// sendable is s without the characters that SQS refuses, at most n bytes long.
func sendable(s string, n int) string {
	s = strings.Map(func(r rune) rune {
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "\uFFFD"))
	if len(s) <= n {
		return s
	}
	cut := n
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut]
}
