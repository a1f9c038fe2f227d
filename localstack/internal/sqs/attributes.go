package sqs

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"stillpoint/localstack/internal/wire"
)

// redrivePolicy is JSON inside an attribute. The count may be a number or a string there.
type redrivePolicy struct {
	DeadLetterTargetARN string     `json:"deadLetterTargetArn"`
	MaxReceiveCount     looseCount `json:"maxReceiveCount"`
}

type looseCount int

func (c *looseCount) UnmarshalJSON(text []byte) error {
	n, err := strconv.Atoi(strings.Trim(string(text), `"`))
	*c = looseCount(n)
	return err
}

var queueName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)

type createQueueInput struct {
	QueueName  string
	Attributes map[string]string
	Tags       map[string]string `json:"tags"`
}

type queueURLOutput struct{ QueueUrl string }

func (s *Service) createQueue(_ context.Context, _ *wire.Call, in createQueueInput) (queueURLOutput, *wire.Error) {
	switch {
	case strings.HasSuffix(in.QueueName, ".fifo") || in.Attributes["FifoQueue"] != "":
		return queueURLOutput{}, wire.Errorf("InvalidParameterValue", "localstack has no FIFO queues: %q is refused", in.QueueName)
	case !queueName.MatchString(in.QueueName):
		return queueURLOutput{}, wire.Errorf("InvalidParameterValue", "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Clock.Now()
	q := &queue{
		name: in.QueueName, created: now, modified: now,
		visibility: 30 * time.Second, retention: 4 * 24 * time.Hour, maxSize: 1 << 20,
		attributes: map[string]string{}, tags: maps.Clone(in.Tags),
	}
	if q.tags == nil {
		q.tags = map[string]string{}
	}
	if apiErr := s.setAttributes(q, in.Attributes); apiErr != nil {
		return queueURLOutput{}, apiErr
	}
	if old, ok := s.queues[in.QueueName]; ok {
		have, want := s.allAttributes(old), s.allAttributes(q)
		for name := range in.Attributes {
			if have[name] != want[name] {
				return queueURLOutput{}, wire.Errorf("QueueAlreadyExists", "A queue already exists with the same name and a different value for attribute %s", name)
			}
		}
		return queueURLOutput{s.url(old)}, nil
	}
	s.queues[q.name] = q
	return queueURLOutput{s.url(q)}, nil
}

// setAttributes changes q only if all of the attributes are valid.
func (s *Service) setAttributes(q *queue, attributes map[string]string) *wire.Error {
	next := *q
	next.attributes = maps.Clone(q.attributes)
	seconds := func(name, text string, low, high int, to *time.Duration) *wire.Error {
		n, err := strconv.Atoi(text)
		if err != nil || n < low || n > high {
			return wire.Errorf("InvalidAttributeValue", "Invalid value for the parameter %s.", name)
		}
		*to = time.Duration(n) * time.Second
		return nil
	}
	for name, text := range attributes {
		var apiErr *wire.Error
		switch name {
		case "VisibilityTimeout":
			apiErr = seconds(name, text, 0, maxVisibility, &next.visibility)
		case "DelaySeconds":
			apiErr = seconds(name, text, 0, 900, &next.delay)
		case "ReceiveMessageWaitTimeSeconds":
			apiErr = seconds(name, text, 0, 20, &next.wait)
		case "MessageRetentionPeriod":
			apiErr = seconds(name, text, 60, 1_209_600, &next.retention)
		case "MaximumMessageSize":
			n, err := strconv.Atoi(text)
			if err != nil || n < 1024 || n > 1<<20 {
				apiErr = wire.Errorf("InvalidAttributeValue", "Invalid value for the parameter %s.", name)
			}
			next.maxSize = n
		case "RedrivePolicy":
			next.redrive = redrivePolicy{}
			if text != "" {
				err := json.Unmarshal([]byte(text), &next.redrive)
				if err != nil || next.redrive.MaxReceiveCount < 1 || next.redrive.MaxReceiveCount > 1000 {
					apiErr = wire.Errorf("InvalidParameterValue", "Value %s for parameter RedrivePolicy is invalid. Reason: Redrive policy is not a valid JSON map with deadLetterTargetArn and a maxReceiveCount from 1 to 1000.", text)
				} else if s.byARN(next.redrive.DeadLetterTargetARN) == nil {
					apiErr = wire.Errorf("InvalidParameterValue", "Value %s for parameter RedrivePolicy is invalid. Reason: Dead letter target does not exist.", text)
				}
			}
		case "Policy", "KmsMasterKeyId", "KmsDataKeyReusePeriodSeconds", "SqsManagedSseEnabled", "RedriveAllowPolicy":
			next.attributes[name] = text
		default:
			apiErr = wire.Errorf("InvalidAttributeName", "Unknown Attribute %s.", name)
		}
		if apiErr != nil {
			return apiErr
		}
	}
	next.modified = s.Clock.Now()
	*q = next
	return nil
}

func (s *Service) allAttributes(q *queue) map[string]string {
	seconds := func(d time.Duration) string { return strconv.Itoa(int(d / time.Second)) }
	now := s.Clock.Now()
	visible, hidden, delayed := 0, 0, 0
	for _, m := range q.messages {
		switch {
		case !m.visibleAt.After(now):
			visible++
		case m.receipt == "":
			delayed++
		default:
			hidden++
		}
	}
	out := map[string]string{
		"QueueArn":                              s.arn(q),
		"CreatedTimestamp":                      strconv.FormatInt(q.created.Unix(), 10),
		"LastModifiedTimestamp":                 strconv.FormatInt(q.modified.Unix(), 10),
		"VisibilityTimeout":                     seconds(q.visibility),
		"DelaySeconds":                          seconds(q.delay),
		"ReceiveMessageWaitTimeSeconds":         seconds(q.wait),
		"MessageRetentionPeriod":                seconds(q.retention),
		"MaximumMessageSize":                    strconv.Itoa(q.maxSize),
		"ApproximateNumberOfMessages":           strconv.Itoa(visible),
		"ApproximateNumberOfMessagesNotVisible": strconv.Itoa(hidden),
		"ApproximateNumberOfMessagesDelayed":    strconv.Itoa(delayed),
		"SqsManagedSseEnabled":                  "true",
	}
	if q.redrive.MaxReceiveCount > 0 {
		text, err := json.Marshal(q.redrive)
		if err == nil {
			out["RedrivePolicy"] = string(text)
		}
	}
	maps.Copy(out, q.attributes)
	return out
}

type queueInput struct {
	QueueUrl        string
	QueueName       string
	QueueNamePrefix string
	AttributeNames  []string
	Attributes      map[string]string
	Tags            map[string]string
	TagKeys         []string
	MaxResults      *int
	NextToken       string
}

func (s *Service) getQueueURL(_ context.Context, _ *wire.Call, in queueInput) (queueURLOutput, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, apiErr := s.find(in.QueueName)
	if apiErr != nil {
		return queueURLOutput{}, apiErr
	}
	return queueURLOutput{s.url(q)}, nil
}

type listQueuesOutput struct {
	QueueUrls []string `json:",omitempty"`
	NextToken string   `json:",omitempty"`
}

func (s *Service) listQueues(_ context.Context, _ *wire.Call, in queueInput) (listQueuesOutput, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	limit, apiErr := within("MaxResults", in.MaxResults, 1, 1000, 1000)
	if apiErr != nil {
		return listQueuesOutput{}, apiErr
	}
	var out listQueuesOutput
	for _, name := range slices.Sorted(maps.Keys(s.queues)) {
		if !strings.HasPrefix(name, in.QueueNamePrefix) || name <= in.NextToken {
			continue
		}
		if len(out.QueueUrls) == limit {
			out.NextToken = out.QueueUrls[limit-1][strings.LastIndexByte(out.QueueUrls[limit-1], '/')+1:]
			break
		}
		out.QueueUrls = append(out.QueueUrls, s.url(s.queues[name]))
	}
	return out, nil
}

// with does f on the queue that in names.
func (s *Service) with(in queueInput, f func(q *queue) *wire.Error) (struct{}, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, apiErr := s.find(in.QueueUrl)
	if apiErr != nil {
		return struct{}{}, apiErr
	}
	return struct{}{}, f(q)
}

func (s *Service) deleteQueue(_ context.Context, _ *wire.Call, in queueInput) (struct{}, *wire.Error) {
	return s.with(in, func(q *queue) *wire.Error {
		q.stopTimer()
		delete(s.queues, q.name)
		return nil
	})
}

func (s *Service) purgeQueue(_ context.Context, _ *wire.Call, in queueInput) (struct{}, *wire.Error) {
	return s.with(in, func(q *queue) *wire.Error { q.messages = nil; return nil })
}

func (s *Service) setQueueAttributes(_ context.Context, _ *wire.Call, in queueInput) (struct{}, *wire.Error) {
	return s.with(in, func(q *queue) *wire.Error { return s.setAttributes(q, in.Attributes) })
}

func (s *Service) tagQueue(_ context.Context, _ *wire.Call, in queueInput) (struct{}, *wire.Error) {
	return s.with(in, func(q *queue) *wire.Error { maps.Copy(q.tags, in.Tags); return nil })
}

func (s *Service) untagQueue(_ context.Context, _ *wire.Call, in queueInput) (struct{}, *wire.Error) {
	return s.with(in, func(q *queue) *wire.Error {
		for _, k := range in.TagKeys {
			delete(q.tags, k)
		}
		return nil
	})
}

type tagsOutput struct {
	Tags map[string]string `json:",omitempty"`
}

func (s *Service) listQueueTags(_ context.Context, _ *wire.Call, in queueInput) (out tagsOutput, _ *wire.Error) {
	_, apiErr := s.with(in, func(q *queue) *wire.Error { out.Tags = maps.Clone(q.tags); return nil })
	return out, apiErr
}

type attributesOutput struct {
	Attributes map[string]string `json:",omitempty"`
}

func (s *Service) getQueueAttributes(_ context.Context, _ *wire.Call, in queueInput) (out attributesOutput, _ *wire.Error) {
	_, apiErr := s.with(in, func(q *queue) *wire.Error {
		q.expire(s.Clock.Now())
		all := s.allAttributes(q)
		out.Attributes = map[string]string{}
		for _, name := range in.AttributeNames {
			if name == "All" {
				out.Attributes = all
				return nil
			}
			if v, ok := all[name]; ok {
				out.Attributes[name] = v
			}
		}
		return nil
	})
	return out, apiErr
}
