// Package notify publishes results to the SNS topic. It implements
// worker.Publisher; when and how often to publish is its caller's business.
package notify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/arn"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"stillpoint/messages"
	"stillpoint/worker"
)

// callTimeout bounds one call where the caller's context does not bound it more.
const callTimeout = 5 * time.Second

// API is what this package needs of *sns.Client.
type API interface {
	Publish(context.Context, *sns.PublishInput, ...func(*sns.Options)) (*sns.PublishOutput, error)
	GetTopicAttributes(context.Context, *sns.GetTopicAttributesInput, ...func(*sns.Options)) (*sns.GetTopicAttributesOutput, error)
}

// Topic implements worker.Publisher. It is safe for use by several goroutines.
type Topic struct {
	api API
	arn string
}

var _ worker.Publisher = (*Topic)(nil)

// New makes a Topic that calls SNS in the region of the topic's ARN.
func New(cfg aws.Config, topicARN string) (*Topic, error) {
	a, err := arn.Parse(topicARN)
	if err != nil || a.Service != "sns" || a.Region == "" {
		return nil, fmt.Errorf("cannot use the topic %q: it is not the ARN of an SNS topic", topicARN)
	}
	return NewFromAPI(sns.NewFromConfig(cfg, func(o *sns.Options) { o.Region = a.Region }), topicARN), nil
}

// NewFromAPI makes a Topic that calls api.
func NewFromAPI(api API, topicARN string) *Topic { return &Topic{api: api, arn: topicARN} }

// Publish implements worker.Publisher.
func (t *Topic) Publish(ctx context.Context, r *messages.Result) error {
	body, err := messages.MarshalResult(r)
	if err != nil {
		return fmt.Errorf("cannot write the result of %s as JSON: %w", r.RequestID, err)
	}
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err = t.api.Publish(ctx, &sns.PublishInput{
		TopicArn:          &t.arn,
		Subject:           aws.String(messages.Subject(r)),
		Message:           aws.String(string(body)),
		MessageAttributes: attributes(messages.Attributes(r)),
	})
	if err != nil {
		return fmt.Errorf("cannot publish to %s: %w%s", t.arn, err, advice(err))
	}
	return nil
}

// advice says what to do about an error that does not go away by itself.
func advice(err error) string {
	switch {
	case errors.As(err, new(*types.NotFoundException)):
		return ": check topic_arn in the file"
	case errors.As(err, new(*types.AuthorizationErrorException)):
		return ": allow the instance's role sns:Publish on it"
	}
	return ""
}

// attributes leaves out empty values, which SNS refuses.
func attributes(from map[string]string) map[string]types.MessageAttributeValue {
	to := make(map[string]types.MessageAttributeValue, len(from))
	for name, value := range from {
		if value != "" {
			to[name] = types.MessageAttributeValue{DataType: aws.String("String"), StringValue: aws.String(value)}
		}
	}
	return to
}
