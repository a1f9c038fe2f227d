// Package sqs is SQS: standard queues, in memory, in the JSON protocol.
//
// There are no FIFO queues and there is no query protocol; both are refused by name. Queues have no encryption, whatever they say
// of it, except that AWS's own key keeps other services out of a queue, as it does there. What AWS does a while later ("up to 60
// seconds") happens at once here, except where it is what a program has to reckon with.
package sqs

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"stillpoint/localstack/internal/host"
	"stillpoint/localstack/internal/wire"
)

// maxInFlight is how many messages of a standard queue may have been received and not been deleted, approximately.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-queues.html
const maxInFlight = 120_000

// Service is SQS: standard queues, in memory. One lock covers all of them, because a message may move between two.
type Service struct {
	host.Host
	secret      string // in every receipt handle, so that one from elsewhere is known as such
	maxInFlight int

	mu      sync.Mutex
	serial  uint64 // of the last message that was put into a queue
	queues  map[string]*queue
	deleted map[string]time.Time // when a queue of that name was deleted, for a minute
	tasks   []*task              // message movement tasks, the oldest first
	closed  bool
}

// New makes a service without queues.
func New(h host.Host) *Service {
	var secret [8]byte
	_, _ = rand.Read(secret[:]) // never fails
	return &Service{
		Host: h, secret: hex.EncodeToString(secret[:]), maxInFlight: maxInFlight,
		queues: map[string]*queue{}, deleted: map[string]time.Time{},
	}
}

// Close ends the timers. Polls end with the life of the server.
func (s *Service) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, q := range s.queues {
		q.stopTimer()
	}
	for _, t := range s.tasks {
		t.stopTimer()
	}
}

// operation does one operation on its JSON input.
type operation func(s *Service, ctx context.Context, c *wire.Call, body []byte) (any, *wire.Error)

// op makes a call of a method that takes and returns the structures of the API.
func op[In, Out any](f func(s *Service, ctx context.Context, c *wire.Call, in In) (Out, *wire.Error)) operation {
	return func(s *Service, ctx context.Context, c *wire.Call, body []byte) (any, *wire.Error) {
		var in In
		if len(body) > 0 {
			if err := json.Unmarshal(body, &in); err != nil {
				return nil, wire.Errorf("SerializationException", "cannot read the request: %v", err)
			}
		}
		return f(s, ctx, c, in)
	}
}

var operations = map[string]operation{
	"AddPermission":                op((*Service).addPermission),
	"CancelMessageMoveTask":        op((*Service).cancelMoveTask),
	"ChangeMessageVisibility":      op((*Service).changeVisibility),
	"ChangeMessageVisibilityBatch": op((*Service).changeVisibilityBatch),
	"CreateQueue":                  op((*Service).createQueue),
	"DeleteMessage":                op((*Service).deleteMessage),
	"DeleteMessageBatch":           op((*Service).deleteMessageBatch),
	"DeleteQueue":                  op((*Service).deleteQueue),
	"GetQueueAttributes":           op((*Service).getQueueAttributes),
	"GetQueueUrl":                  op((*Service).getQueueURL),
	"ListDeadLetterSourceQueues":   op((*Service).listDeadLetterSources),
	"ListMessageMoveTasks":         op((*Service).listMoveTasks),
	"ListQueueTags":                op((*Service).listQueueTags),
	"ListQueues":                   op((*Service).listQueues),
	"PurgeQueue":                   op((*Service).purgeQueue),
	"ReceiveMessage":               op((*Service).receiveMessage),
	"RemovePermission":             op((*Service).removePermission),
	"SendMessage":                  op((*Service).sendMessage),
	"SendMessageBatch":             op((*Service).sendMessageBatch),
	"SetQueueAttributes":           op((*Service).setQueueAttributes),
	"StartMessageMoveTask":         op((*Service).startMoveTask),
	"TagQueue":                     op((*Service).tagQueue),
	"UntagQueue":                   op((*Service).untagQueue),
}

// Actions are the names of all operations, in order.
func Actions() []string { return slices.Sorted(maps.Keys(operations)) }

// Operation is the call of an action with its JSON.
func (s *Service) Operation(action string, body []byte) wire.Operation {
	return wire.Operation{
		Name: "sqs:" + action, Params: wire.JSONParams(body), Fail: failSQS,
		Do: func(ctx context.Context, c *wire.Call) (wire.Reply, *wire.Error) {
			call, ok := operations[action]
			if !ok {
				return wire.Reply{}, wire.Errorf("UnknownOperationException", "localstack has no SQS operation %q", action)
			}
			out, apiErr := s.wrongly(c.Wrong, action, body, func() (any, *wire.Error) { return call(s, ctx, c, body) })
			if apiErr != nil {
				return wire.Reply{}, apiErr
			}
			return wire.JSON("1.0", out)
		},
	}
}
