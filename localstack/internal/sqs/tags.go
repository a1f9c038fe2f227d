package sqs

import (
	"context"
	"maps"
	"regexp"
	"strings"
	"unicode/utf8"

	"stillpoint/localstack/internal/wire"
)

// maxTags is a quota that AWS "doesn't recommend" to exceed in one document and enforces by another:
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-queue-tags.html
const maxTags = 50

// tagText is what a key and a value of a tag may be made of.
var tagText = regexp.MustCompile(`^[\p{L}\p{Z}\p{N}_.:/=+\-@]*$`)

// checkTags goes by the limits that all of AWS's tags have; the wording of the errors but for the number is a guess.
func checkTags(queue string, tags map[string]string) *wire.Error {
	if len(tags) > maxTags {
		return wire.Errorf(invalidValue, "Too many tags added for queue %s.", queue)
	}
	for k, v := range tags {
		switch {
		case k == "" || utf8.RuneCountInString(k) > 128:
			return wire.Errorf(invalidValue, "Tag keys must be between 1 and 128 characters in length: %q", k)
		case utf8.RuneCountInString(v) > 256:
			return wire.Errorf(invalidValue, "Tag values must be between 0 and 256 characters in length; that of %q is longer.", k)
		case strings.HasPrefix(strings.ToLower(k), "aws:"):
			return wire.Errorf(invalidValue, "Tag keys beginning with aws: are reserved: %q", k)
		case !tagText.MatchString(k) || !tagText.MatchString(v):
			return wire.Errorf(invalidValue, "Tags can only include letters, digits, whitespace, and _ . : / = + - @: %q", k)
		}
	}
	return nil
}

func (s *Service) tagQueue(_ context.Context, c *wire.Call, in queueInput) (struct{}, *wire.Error) {
	return s.with(c, "TagQueue", in, func(q *queue) *wire.Error {
		if len(in.Tags) == 0 {
			return missingParameter("Tags")
		}
		next := maps.Clone(q.tags)
		maps.Copy(next, in.Tags)
		if apiErr := checkTags(q.name, next); apiErr != nil {
			return apiErr
		}
		q.tags = next
		return nil
	})
}

func (s *Service) untagQueue(_ context.Context, c *wire.Call, in queueInput) (struct{}, *wire.Error) {
	return s.with(c, "UntagQueue", in, func(q *queue) *wire.Error {
		if len(in.TagKeys) == 0 {
			return wire.Errorf(invalidValue, "Tag keys can't be empty or null.")
		}
		for _, k := range in.TagKeys {
			delete(q.tags, k)
		}
		return nil
	})
}

type tagsOutput struct {
	Tags map[string]string `json:",omitempty"`
}

func (s *Service) listQueueTags(_ context.Context, c *wire.Call, in queueInput) (out tagsOutput, _ *wire.Error) {
	_, apiErr := s.with(c, "ListQueueTags", in, func(q *queue) *wire.Error { out.Tags = maps.Clone(q.tags); return nil })
	return out, apiErr
}
