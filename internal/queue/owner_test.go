package queue

import (
	"context"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"

	"stillpoint/localstack"
)

func TestWhoseTheQueueIs(t *testing.T) {
	l := start(t, "")
	q := New(l.cfg, Config{URL: l.url})
	owner := func(want string) {
		t.Helper()
		if got, err := q.Owner(t.Context()); err != nil || got != want {
			t.Errorf("owner %q, %v, want %q", got, err, want)
		}
	}
	owner("")
	if _, err := l.client.TagQueue(t.Context(), &sqs.TagQueueInput{QueueUrl: &l.url, Tags: map[string]string{TagInstanceID: "i-0a", "team": "db"}}); err != nil {
		t.Fatal(err)
	}
	owner("i-0a")
	gone := New(l.cfg, Config{URL: l.url + "-gone"})
	if got, err := gone.Owner(t.Context()); err == nil || errors.Is(err, ErrTagsHidden) || got != "" {
		t.Errorf("a queue that is not there: %q, %v", got, err)
	}
	for code, hidden := range map[string]bool{"AccessDenied": true, "InternalFailure": false} {
		l.server.SetFaults(localstack.Fault{Operation: "sqs:ListQueueTags", Code: code, Status: 403})
		if _, err := q.Owner(t.Context()); err == nil || errors.Is(err, ErrTagsHidden) != hidden {
			t.Errorf("%s: %v", code, err)
		}
	}
}

type mute struct{ API }

func (mute) ListQueueTags(context.Context, *sqs.ListQueueTagsInput, ...func(*sqs.Options)) (*sqs.ListQueueTagsOutput, error) {
	return nil, &smithy.GenericAPIError{Code: "UnknownOperationException"}
}

// A program that stands in for SQS and has no tags.
func TestAQueueWithoutTags(t *testing.T) {
	q := NewFromAPI(mute{}, Config{URL: *aws.String("http://127.0.0.1/q")})
	if _, err := q.Owner(t.Context()); !errors.Is(err, ErrTagsHidden) {
		t.Error(err)
	}
}
