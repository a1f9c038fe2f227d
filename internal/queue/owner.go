package queue

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"
)

// TagInstanceID is the tag that says which instance a queue is for.
const TagInstanceID = "stillpoint:instance-id"

// ErrTagsHidden says that the queue's tags may not be read.
var ErrTagsHidden = errors.New("its tags may not be read")

// hiding are the codes by which SQS, IAM and programs that stand in for SQS say
// that ListQueueTags is not for us (Amazon SQS API reference, common errors).
var hiding = map[string]bool{
	"AccessDenied": true, "AccessDeniedException": true, "AuthorizationError": true, "AuthorizationErrorException": true,
	"UnsupportedOperation": true, "InvalidAction": true, "UnknownOperationException": true, "NotImplemented": true,
	"AWS.SimpleQueueService.UnsupportedOperation": true,
}

// Owner is the instance that the queue's tag names; "": it has no such tag. The
// error is ErrTagsHidden where they may not be read, and any other where SQS
// did not say.
func (q *Queue) Owner(ctx context.Context) (instanceID string, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := q.api.ListQueueTags(ctx, &sqs.ListQueueTagsInput{QueueUrl: &q.config.URL})
	if err == nil {
		return out.Tags[TagInstanceID], nil
	}
	var api smithy.APIError
	if errors.As(err, &api) && hiding[api.ErrorCode()] {
		err = errors.Join(ErrTagsHidden, err)
	}
	return "", fmt.Errorf("cannot read the tags of %s: %w", q.config.URL, err)
}
