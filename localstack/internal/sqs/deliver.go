package sqs

import (
	"context"

	"stillpoint/localstack/internal/wire"
)

// Message is what another service puts into a queue.
type Message struct {
	Body       string
	Attributes map[string]Attribute // at most ten
}

// Deliver is the call by which another service sends m to the queue with that ARN: SendMessage, with its checks and its limits.
func (s *Service) Deliver(queueARN string, m Message) wire.Operation {
	return wire.Operation{
		Name: "sqs:SendMessage", Params: map[string]string{"QueueArn": queueARN, "MessageBody": m.Body}, Fail: failSQS,
		Do: func(_ context.Context, c *wire.Call) (wire.Reply, *wire.Error) {
			c.About(queueARN)
			s.mu.Lock()
			defer s.mu.Unlock()
			q := s.byARN(queueARN)
			if q == nil {
				return wire.Reply{}, wire.Errorf("AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")
			}
			out, apiErr := s.send(q, sendInput{MessageBody: &m.Body, MessageAttributes: m.Attributes})
			if apiErr != nil {
				return wire.Reply{}, apiErr
			}
			return wire.JSON("1.0", out)
		},
	}
}
