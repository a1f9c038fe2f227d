package sqs

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"stillpoint/localstack/internal/wire"
)

// redrivePolicy is JSON inside an attribute. The count may be a number or a string there. The zero value: no dead-letter queue.
type redrivePolicy struct {
	DeadLetterTargetARN string     `json:"deadLetterTargetArn"`
	MaxReceiveCount     looseCount `json:"maxReceiveCount"`
}

type looseCount int

// UnmarshalJSON is for the package json.
func (c *looseCount) UnmarshalJSON(text []byte) error {
	n, err := strconv.Atoi(strings.Trim(string(text), `"`))
	*c = looseCount(n)
	return err
}

// text is how GetQueueAttributes shows it: with the count as a number.
func (p redrivePolicy) text() string {
	if p.MaxReceiveCount == 0 {
		return ""
	}
	text, err := json.Marshal(p)
	if err != nil {
		return ""
	}
	return string(text)
}

// readRedrivePolicy checks the redrive policy of the queue named. Sentences that end in two stops are AWS's own.
func (s *Service) readRedrivePolicy(queueName, text string) (p redrivePolicy, _ *wire.Error) {
	if text == "" {
		return p, nil
	}
	bad := func(reason string) (redrivePolicy, *wire.Error) {
		return redrivePolicy{}, badParameter(text, "RedrivePolicy", reason)
	}
	var raw struct {
		DeadLetterTargetARN *string     `json:"deadLetterTargetArn"`
		MaxReceiveCount     *looseCount `json:"maxReceiveCount"`
	}
	if err := json.Unmarshal([]byte(text), &raw, json.RejectUnknownMembers(true)); err != nil {
		return bad("Redrive policy is not a valid JSON map.")
	}
	switch {
	case raw.MaxReceiveCount == nil:
		return bad("Redrive policy does not contain mandatory attribute: maxReceiveCount.")
	case raw.DeadLetterTargetARN == nil:
		return bad("Redrive policy does not contain mandatory attribute: deadLetterTargetArn.")
	}
	p = redrivePolicy{*raw.DeadLetterTargetARN, *raw.MaxReceiveCount}
	parts := strings.Split(p.DeadLetterTargetARN, ":")
	dead := s.byARN(p.DeadLetterTargetARN)
	switch {
	case p.MaxReceiveCount < 1 || p.MaxReceiveCount > 1000:
		return bad(fmt.Sprintf("Invalid value for maxReceiveCount: %d, valid values are from 1 to 1000 both inclusive.", p.MaxReceiveCount))
	case len(parts) != 6 || parts[0] != "arn" || parts[2] != "sqs":
		return bad("Invalid value for deadLetterTargetArn.")
	case strings.HasSuffix(p.DeadLetterTargetARN, ".fifo"):
		return bad("Dead-letter queue must be same type of queue as the source..")
	case parts[3] != s.Region || parts[4] != s.Account:
		return bad("Dead letter target owner should be same as the source.")
	case dead == nil:
		return bad("Dead letter target does not exist.")
	case !dead.allow.allows(s.arnOf(queueName)):
		// That it is refused is documented, the sentence is a guess.
		return bad("The redrive allow policy of the dead-letter queue does not allow this source queue.")
	}
	return p, nil
}

// redriveAllowPolicy says of a dead-letter queue who may use it as such. The zero value: all.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SetQueueAttributes.html
//
// It is asked when a source queue is told to use the queue. What is set later does not take the queue away from those that use it
// already, which is a guess.
type redriveAllowPolicy struct {
	Permission string   `json:"redrivePermission"`
	Sources    []string `json:"sourceQueueArns"`
}

func (p redriveAllowPolicy) allows(source string) bool {
	switch p.Permission {
	case "denyAll":
		return false
	case "byQueue":
		return slices.Contains(p.Sources, source)
	}
	return true
}

// readRedriveAllowPolicy: the rules are documented, the errors are a guess.
func readRedriveAllowPolicy(text string) (p redriveAllowPolicy, _ *wire.Error) {
	if text == "" {
		return p, nil
	}
	err := json.Unmarshal([]byte(text), &p, json.RejectUnknownMembers(true))
	reason := ""
	switch {
	case err != nil:
		reason = "Redrive allow policy is not a valid JSON map."
	case !slices.Contains([]string{"allowAll", "denyAll", "byQueue"}, p.Permission):
		reason = "redrivePermission must be one of allowAll, denyAll and byQueue."
	case p.Permission == "byQueue" && (len(p.Sources) == 0 || len(p.Sources) > 10):
		reason = "byQueue needs 1 to 10 sourceQueueArns."
	case p.Permission != "byQueue" && len(p.Sources) > 0:
		reason = "sourceQueueArns can be specified only when redrivePermission is byQueue."
	}
	if reason != "" {
		return redriveAllowPolicy{}, badParameter(text, "RedriveAllowPolicy", reason)
	}
	return p, nil
}

// deadLetterQueue is where a message goes now instead of being received once more: every receive counts, whatever came of it. It is
// nil while it may be received, and where the dead-letter queue was deleted: the message stays, and goes on being received (a guess).
func (s *Service) deadLetterQueue(q *queue, m *message) *queue {
	if q.redrive.MaxReceiveCount == 0 || m.receivedHere < int(q.redrive.MaxReceiveCount) {
		return nil
	}
	return s.byARN(q.redrive.DeadLetterTargetARN)
}

// bury moves a message to the dead-letter queue. It keeps its id, its counts and the time at which it was first sent, from which its
// retention counts there, too.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/setting-up-dead-letter-queue-retention.html
func (s *Service) bury(from, to *queue, m *message, now time.Time) {
	from.remove(m)
	m.visibleAt, m.deadSource = now, s.arn(from)
	s.put(to, m, now)
	s.Log.Debug().Str("queue", from.name).Str("dead_letter_queue", to.name).Str("message_id", m.id).Int("receives", m.receives).Msg("message moved to its dead-letter queue")
}

// sourceOf tells whether q uses the queue as its dead-letter queue.
func (s *Service) sourceOf(dead *queue) func(q *queue) bool {
	arn := s.arn(dead)
	return func(q *queue) bool { return q.redrive.MaxReceiveCount > 0 && q.redrive.DeadLetterTargetARN == arn }
}

type sourcesOutput struct {
	QueueUrls []string `json:"queueUrls"`
	NextToken string   `json:",omitempty"`
}

func (s *Service) listDeadLetterSources(_ context.Context, c *wire.Call, in queueInput) (out sourcesOutput, _ *wire.Error) {
	_, apiErr := s.with(c, "ListDeadLetterSourceQueues", in, func(q *queue) (apiErr *wire.Error) {
		out.QueueUrls, out.NextToken, apiErr = s.page(in, s.sourceOf(q))
		return apiErr
	})
	if out.QueueUrls == nil {
		out.QueueUrls = []string{}
	}
	return out, apiErr
}
