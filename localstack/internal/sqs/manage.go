package sqs

import (
	"context"
	"encoding/base64"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"stillpoint/localstack/internal/wire"
)

// aMinute is how long a name cannot be used again after its queue was deleted, and how long after a purge there can be no other.
const aMinute = time.Minute

// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html
var queueName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)

type createQueueInput struct {
	QueueName  string
	Attributes map[string]string
	Tags       map[string]string `json:"tags"`
}

type queueURLOutput struct{ QueueUrl string }

func (s *Service) createQueue(_ context.Context, c *wire.Call, in createQueueInput) (out queueURLOutput, apiErr *wire.Error) {
	switch {
	case strings.HasSuffix(in.QueueName, ".fifo"), in.Attributes["FifoQueue"] == "true":
		return out, wire.Errorf(invalidValue, "localstack has no FIFO queues: %q is refused", in.QueueName)
	case !queueName.MatchString(in.QueueName):
		return out, wire.Errorf(invalidValue, "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	case c.Service() || c.Account != s.Account || c.Principal == wire.Anonymous:
		return out, wire.Errorf(accessDenied, "localstack makes queues for account %s only; %s is not of it", s.Account, c.Principal)
	}
	c.About(s.arnOf(in.QueueName))
	if apiErr := checkTags(in.QueueName, in.Tags); apiErr != nil {
		return out, apiErr
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	wanted, apiErr := s.set(in.QueueName, defaults, in.Attributes)
	if apiErr != nil {
		return out, apiErr
	}
	if old, ok := s.queues[in.QueueName]; ok {
		if name := old.differing(wanted, slices.Collect(maps.Keys(in.Attributes))); name != "" {
			return out, wire.Errorf("QueueAlreadyExists", "A queue already exists with the same name and a different value for attribute %s", name)
		}
		return queueURLOutput{s.url(old)}, nil
	}
	now := s.Clock.Now()
	maps.DeleteFunc(s.deleted, func(_ string, at time.Time) bool { return now.Sub(at) >= aMinute })
	if _, ok := s.deleted[in.QueueName]; ok {
		return out, wire.Errorf(prefix+"QueueDeletedRecently", "You must wait 60 seconds after deleting a queue before you can create another with the same name.")
	}
	q := s.newQueue(in.QueueName)
	q.settings = wanted
	maps.Copy(q.tags, in.Tags)
	s.queues[q.name] = q
	return queueURLOutput{s.url(q)}, nil
}

type queueInput struct {
	QueueUrl               string
	QueueName              string
	QueueOwnerAWSAccountId string
	QueueNamePrefix        string
	AttributeNames         []string
	Attributes             map[string]string
	Tags                   map[string]string
	TagKeys                []string
	MaxResults             *int
	NextToken              string
}

func (s *Service) getQueueURL(_ context.Context, c *wire.Call, in queueInput) (queueURLOutput, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if in.QueueName == "" {
		return queueURLOutput{}, missingParameter("QueueName")
	}
	owner := in.QueueOwnerAWSAccountId
	if owner == "" {
		owner = c.Account
	}
	q, apiErr := s.named(owner, in.QueueName)
	if apiErr == nil {
		apiErr = s.authorize(c, "GetQueueUrl", q)
	}
	if apiErr != nil {
		return queueURLOutput{}, apiErr
	}
	return queueURLOutput{s.url(q)}, nil
}

type listQueuesOutput struct {
	QueueUrls []string `json:",omitempty"`
	NextToken string   `json:",omitempty"`
}

func (s *Service) listQueues(_ context.Context, c *wire.Call, in queueInput) (out listQueuesOutput, apiErr *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c.Account != s.Account || c.Principal == wire.Anonymous {
		return out, nil // there are none of that account
	}
	out.QueueUrls, out.NextToken, apiErr = s.page(in, func(q *queue) bool { return strings.HasPrefix(q.name, in.QueueNamePrefix) })
	return out, apiErr
}

// page lists the URLs of queues, by name. There is a token for the rest if the request has MaxResults; without it a list ends at a
// thousand. (The error for a token that is none is a guess.)
func (s *Service) page(in queueInput, listed func(q *queue) bool) (urls []string, token string, apiErr *wire.Error) {
	limit, apiErr := within("MaxResults", in.MaxResults, 1, 1000, 1000)
	if apiErr != nil {
		return nil, "", apiErr
	}
	after, err := base64.StdEncoding.DecodeString(in.NextToken)
	if err != nil {
		return nil, "", wire.Errorf(invalidValue, "Invalid or expired next token.")
	}
	last := ""
	for _, name := range slices.Sorted(maps.Keys(s.queues)) {
		if q := s.queues[name]; name <= string(after) || !listed(q) {
			continue
		} else if len(urls) < limit {
			urls, last = append(urls, s.url(q)), name
			continue
		}
		if in.MaxResults != nil {
			token = base64.StdEncoding.EncodeToString([]byte(last))
		}
		break
	}
	return urls, token, nil
}

// with does f on the queue that in names, if the caller may do the action.
func (s *Service) with(c *wire.Call, action string, in queueInput, f func(q *queue) *wire.Error) (struct{}, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, apiErr := s.open(c, action, in.QueueUrl)
	if apiErr != nil {
		return struct{}{}, apiErr
	}
	return struct{}{}, f(q)
}

// deleteQueue deletes at once; AWS takes up to a minute, in which the queue may answer. Polls that wait end empty, which is a guess.
func (s *Service) deleteQueue(_ context.Context, c *wire.Call, in queueInput) (struct{}, *wire.Error) {
	return s.with(c, "DeleteQueue", in, func(q *queue) *wire.Error {
		q.stopTimer()
		delete(s.queues, q.name)
		s.deleted[q.name] = s.Clock.Now()
		for _, p := range q.polls {
			p.got <- nil
		}
		q.polls = nil
		return nil
	})
}

// purgeQueue deletes at once, too, what is in flight included.
func (s *Service) purgeQueue(_ context.Context, c *wire.Call, in queueInput) (struct{}, *wire.Error) {
	return s.with(c, "PurgeQueue", in, func(q *queue) *wire.Error {
		now := s.Clock.Now()
		if !q.purged.IsZero() && now.Sub(q.purged) < aMinute {
			return wire.Errorf(prefix+"PurgeQueueInProgress", "Only one PurgeQueue operation on %s is allowed every 60 seconds.", q.name)
		}
		q.purged = now
		q.empty()
		return nil
	})
}

func (s *Service) setQueueAttributes(_ context.Context, c *wire.Call, in queueInput) (struct{}, *wire.Error) {
	return s.with(c, "SetQueueAttributes", in, func(q *queue) *wire.Error {
		if len(in.Attributes) == 0 {
			return missingParameter("Attribute.Name")
		}
		next, apiErr := s.set(q.name, q.settings, in.Attributes)
		if apiErr != nil {
			return apiErr
		}
		q.settings, q.modified = next, s.Clock.Now()
		s.pump(q)
		return nil
	})
}

type attributesOutput struct {
	Attributes map[string]string `json:",omitempty"`
}

func (s *Service) getQueueAttributes(_ context.Context, c *wire.Call, in queueInput) (out attributesOutput, _ *wire.Error) {
	_, apiErr := s.with(c, "GetQueueAttributes", in, func(q *queue) *wire.Error {
		for _, name := range in.AttributeNames {
			if !slices.Contains(attributeNames, name) {
				return unknownAttribute(name)
			}
		}
		all := s.attributes(q)
		if !slices.Contains(in.AttributeNames, "All") {
			maps.DeleteFunc(all, func(name, _ string) bool { return !slices.Contains(in.AttributeNames, name) })
		}
		out.Attributes = all
		return nil
	})
	return out, apiErr
}
