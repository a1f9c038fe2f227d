package sqs

import (
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"stillpoint/localstack/internal/wire"
)

// maxVisibility is twelve hours, in seconds. They run from the receive, and no extension makes them more.
const maxVisibility = 43_200

type handleInput struct {
	QueueUrl          string
	Id                string // in batches
	ReceiptHandle     string
	VisibilityTimeout *int
}

// newReceipt makes a handle. It is opaque to clients; to us it names the queue and the message, so that one that is merely out
// of date can be told from one that never was.
func (s *Service) newReceipt(q *queue, m *message) string {
	return base64.StdEncoding.EncodeToString(fmt.Appendf(nil, "%s %s %d %d %s", s.secret, q.name, m.serial, m.receives, uuid.NewString()))
}

// receipt finds the message of a handle. The message is nil if it is gone; current tells whether the handle is from its last
// receive.
func (s *Service) receipt(q *queue, handle string) (m *message, current bool, apiErr *wire.Error) {
	if handle == "" {
		return nil, false, missingParameter("ReceiptHandle")
	}
	raw, err := base64.StdEncoding.DecodeString(handle)
	parts := strings.Fields(string(raw))
	if err != nil || len(parts) != 5 || parts[0] != s.secret || parts[1] != q.name {
		return nil, false, wire.Errorf(invalidHandle, "The input receipt handle %q is not a valid receipt handle.", handle)
	}
	serial, err := strconv.ParseUint(parts[2], 10, 64)
	if err != nil {
		return nil, false, wire.Errorf(invalidHandle, "The input receipt handle %q is not a valid receipt handle.", handle)
	}
	m = q.all[serial]
	return m, m != nil && m.receipt == handle, nil
}

func (s *Service) deleteMessage(_ context.Context, c *wire.Call, in handleInput) (struct{}, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, apiErr := s.open(c, "DeleteMessage", in.QueueUrl)
	if apiErr != nil {
		return struct{}{}, apiErr
	}
	return struct{}{}, s.remove(q, in)
}

// remove deletes the message of a handle. A handle from before the last receive succeeds and deletes nothing, as the documentation
// of DeleteMessage warns; one whose visibility timeout has passed still deletes, while nobody has received the message again.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessage.html
func (s *Service) remove(q *queue, in handleInput) *wire.Error {
	s.pass(q)
	m, current, apiErr := s.receipt(q, in.ReceiptHandle)
	if apiErr == nil && current {
		q.remove(m)
		q.remember(m)
		s.pump(q) // a poll may have waited because too many were in flight
	}
	return apiErr
}

func (s *Service) changeVisibility(_ context.Context, c *wire.Call, in handleInput) (struct{}, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, apiErr := s.open(c, "ChangeMessageVisibility", in.QueueUrl)
	if apiErr != nil {
		return struct{}{}, apiErr
	}
	return struct{}{}, s.hide(q, in)
}

// hide sets the visibility timeout of a message, from now. A handle that was superseded by a later receive, or whose message was
// deleted, is an error (mapbox/ecs-watchbot#135, vmihailenco/taskq#29).
//
// What AWS does with a handle whose timeout has passed while nobody has received the message again is not certain. For "success,
// and no effect", which is what happens here: a test of LocalStack's that was recorded against AWS on 2023-11-14 got status 200
// (test_change_message_visibility_after_visibility_timeout_expiration in
// https://github.com/localstack/localstack/blob/main/tests/aws/services/sqs/test_sqs.snapshot.json), and its pull request 9632 says
// that AWS "simply sends back an OK and does nothing". For an error: the API has MessageNotInflight, "The specified message isn't in
// flight", and says that such an attempt "might result in an error"; users of other emulators report that AWS answers it
// (floci-io/floci#902). Nobody has shown a recording of it. That nothing is hidden agrees with both; that the call is answered with
// success is the worse of the two for a program that takes it for a lease, so a program that copes with it copes with both.
func (s *Service) hide(q *queue, in handleInput) *wire.Error {
	if in.VisibilityTimeout == nil {
		return missingParameter("VisibilityTimeout")
	}
	if n := *in.VisibilityTimeout; n < 0 || n > maxVisibility {
		return badParameter(n, "VisibilityTimeout", fmt.Sprintf("VisibilityTimeout must be an integer between 0 and %d.", maxVisibility))
	}
	now := s.pass(q)
	m, current, apiErr := s.receipt(q, in.ReceiptHandle)
	if apiErr != nil {
		return apiErr
	}
	if !current {
		return badParameter(in.ReceiptHandle, "ReceiptHandle", "Message does not exist or is not available for visibility timeout change.")
	}
	if !m.visibleAt.After(now) {
		return nil
	}
	until := now.Add(time.Duration(*in.VisibilityTimeout) * time.Second)
	if until.Sub(m.lastReceive) > maxVisibility*time.Second {
		return badParameter(*in.VisibilityTimeout, "VisibilityTimeout", fmt.Sprintf("Total VisibilityTimeout for the message is beyond the limit [%d seconds].", maxVisibility))
	}
	q.lift(m)
	m.visibleAt = until
	q.settle(m, now)
	s.pump(q)
	return nil
}
