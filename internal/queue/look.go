package queue

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// Attributes are what SQS says of a queue, as far as a person who sets one up
// can get it wrong.
type Attributes struct {
	ARN                          string
	Visibility, Retention, Delay time.Duration
	MaxBytes                     int
	Visible, InFlight            int
	Key                          string // of KMS; "": none
	Encrypted                    bool
	Policy                       string
	DeadLetters                  string // the ARN; "": none
	MaxReceives                  int
}

// Look reads the queue's attributes.
func (q *Queue) Look(ctx context.Context) (Attributes, error) {
	return q.look(ctx, q.config.URL, "")
}

// LookAtDeadLetters reads those of the dead-letter queue. url is which that is,
// "" where it could not be found; the error is worker.ErrNoDeadLetterQueue where
// there is none.
func (q *Queue) LookAtDeadLetters(ctx context.Context) (url string, a Attributes, err error) {
	url, region, err := q.deadLetterQueue(ctx)
	if err != nil {
		return "", a, err
	}
	a, err = q.look(ctx, url, region)
	return url, a, err
}

func (q *Queue) look(ctx context.Context, url, region string) (Attributes, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := q.api.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{
		QueueUrl: &url, AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameAll},
	}, inRegion(region))
	if err != nil {
		return Attributes{}, fmt.Errorf("cannot read the attributes of %s: %w", url, err)
	}
	r, err := parseRedrive(out.Attributes[string(types.QueueAttributeNameRedrivePolicy)])
	if err != nil {
		return Attributes{}, fmt.Errorf("cannot understand the redrive policy of %s: %w", url, err)
	}
	text := func(name types.QueueAttributeName) string { return out.Attributes[string(name)] }
	number := func(name types.QueueAttributeName) int {
		n, _ := strconv.Atoi(text(name)) // SQS writes nothing else; what is left out is 0
		return n
	}
	second := func(name types.QueueAttributeName) time.Duration { return time.Duration(number(name)) * time.Second }
	a := Attributes{
		ARN:        text(types.QueueAttributeNameQueueArn),
		Visibility: second(types.QueueAttributeNameVisibilityTimeout), Retention: second(types.QueueAttributeNameMessageRetentionPeriod),
		Delay: second(types.QueueAttributeNameDelaySeconds), MaxBytes: number(types.QueueAttributeNameMaximumMessageSize),
		Visible: number(types.QueueAttributeNameApproximateNumberOfMessages), InFlight: number(types.QueueAttributeNameApproximateNumberOfMessagesNotVisible),
		Key: text(types.QueueAttributeNameKmsMasterKeyId), Policy: text(types.QueueAttributeNamePolicy), MaxReceives: r.maxReceives,
	}
	a.Encrypted = a.Key != "" || text(types.QueueAttributeNameSqsManagedSseEnabled) == "true"
	if r.target != (arn.ARN{}) {
		a.DeadLetters = r.target.String()
	}
	return a, nil
}

// NoMessage is a receipt handle that SQS never gave out.
const NoMessage = "stillpoint-doctor-asks-whether-it-may"

// TryExtend and TryDelete ask for something that cannot be done, with the handle
// of no message: AWS answers that with ReceiptHandleIsInvalid (softwaremill/elasticmq#324),
// which is a *snapshot.LeaseLostError here, and whoever may not do it is denied. A
// request is authorized before it is carried out (IAM User Guide, how IAM works);
// that SQS looks at the handle later than that is written nowhere. Nothing changes.
func (q *Queue) TryExtend(ctx context.Context) error { return q.Extend(ctx, NoMessage, 0) }

// TryDelete is described with TryExtend.
func (q *Queue) TryDelete(ctx context.Context) error { return q.Delete(ctx, NoMessage) }
