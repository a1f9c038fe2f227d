package sqs

import (
	"context"

	"stillpoint/localstack/internal/wire"
)

// Message is what another service puts into a queue.
type Message struct {
	Body       string
	Attributes map[string]Attribute // at most ten
	Group      string               // its MessageGroupId; empty: none
}

// Deliver is the call by which another service sends m to the queue with that ARN: SendMessage, with its checks and its limits, and
// with the queue's policy, which has to allow it. SNS and rules of EventBridge call as services, EventBridge's Scheduler as a session
// of the role that a schedule names.
func (s *Service) Deliver(queueARN string, m Message) wire.Operation {
	params := map[string]string{"QueueArn": queueARN, "MessageBody": m.Body}
	return wire.Operation{
		Name: "sqs:SendMessage", Params: params, Fail: failSQS,
		Do: func(_ context.Context, c *wire.Call) (wire.Reply, *wire.Error) {
			in := sendInput{MessageBody: &m.Body, MessageAttributes: m.Attributes, MessageGroupId: m.Group}
			out, apiErr := s.wrongly(c.Wrong, "SendMessage", nil, func() (any, *wire.Error) { return s.deliver(c, queueARN, in) })
			if apiErr != nil {
				return wire.Reply{}, apiErr
			}
			return wire.JSON("1.0", out)
		},
	}
}

func (s *Service) deliver(c *wire.Call, queueARN string, in sendInput) (any, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.byARN(queueARN)
	if q == nil {
		c.About(queueARN)
		return nil, wire.Errorf(noSuchQueue, "The specified queue does not exist.")
	}
	if apiErr := s.authorize(c, "SendMessage", q); apiErr != nil {
		return nil, apiErr
	}
	return s.send(c, q, in)
}
