// Package sqs is SQS: standard queues, in memory, in the JSON protocol.
package sqs

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/url"
	"path"
	"sync"

	"github.com/go-json-experiment/json"

	"stillpoint/localstack/internal/host"
	"stillpoint/localstack/internal/wire"
)

// Service is SQS: standard queues, in memory. One lock covers all of them, because a message may move between two.
type Service struct {
	host.Host
	secret string // in every receipt handle, so that one from elsewhere is known as such

	mu     sync.Mutex
	queues map[string]*queue
	closed bool
}

// New makes a service without queues.
func New(h host.Host) *Service {
	var secret [8]byte
	_, _ = rand.Read(secret[:]) // never fails
	return &Service{Host: h, secret: hex.EncodeToString(secret[:]), queues: map[string]*queue{}}
}

// Close ends the timers. Polls end with the life of the server.
func (s *Service) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, q := range s.queues {
		q.stopTimer()
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
	"CreateQueue":                  op((*Service).createQueue),
	"GetQueueUrl":                  op((*Service).getQueueURL),
	"ListQueues":                   op((*Service).listQueues),
	"DeleteQueue":                  op((*Service).deleteQueue),
	"PurgeQueue":                   op((*Service).purgeQueue),
	"GetQueueAttributes":           op((*Service).getQueueAttributes),
	"SetQueueAttributes":           op((*Service).setQueueAttributes),
	"TagQueue":                     op((*Service).tagQueue),
	"UntagQueue":                   op((*Service).untagQueue),
	"ListQueueTags":                op((*Service).listQueueTags),
	"SendMessage":                  op((*Service).sendMessage),
	"SendMessageBatch":             op((*Service).sendMessageBatch),
	"ReceiveMessage":               op((*Service).receiveMessage),
	"DeleteMessage":                op((*Service).deleteMessage),
	"DeleteMessageBatch":           op((*Service).deleteMessageBatch),
	"ChangeMessageVisibility":      op((*Service).changeVisibility),
	"ChangeMessageVisibilityBatch": op((*Service).changeVisibilityBatch),
}

// Operation is the call of an action with its JSON.
func (s *Service) Operation(action string, body []byte) wire.Operation {
	return wire.Operation{
		Name: "sqs:" + action, Params: wire.JSONParams(body), Fail: failSQS,
		Do: func(ctx context.Context, c *wire.Call) (wire.Reply, *wire.Error) {
			call, ok := operations[action]
			if !ok {
				return wire.Reply{}, wire.Errorf("UnknownOperationException", "localstack has no SQS operation %q", action)
			}
			out, apiErr := call(s, ctx, c, body)
			if apiErr != nil {
				return wire.Reply{}, apiErr
			}
			return wire.JSON("1.0", out)
		},
	}
}

// sqsErrorTypes are the names of errors in the JSON protocol, where they differ from the code that older clients know.
var sqsErrorTypes = map[string]string{
	"AWS.SimpleQueueService.NonExistentQueue":             "QueueDoesNotExist",
	"QueueAlreadyExists":                                  "QueueNameExists",
	"AWS.SimpleQueueService.PurgeQueueInProgress":         "PurgeQueueInProgress",
	"AWS.SimpleQueueService.TooManyEntriesInBatchRequest": "TooManyEntriesInBatchRequest",
	"AWS.SimpleQueueService.EmptyBatchRequest":            "EmptyBatchRequest",
	"AWS.SimpleQueueService.BatchEntryIdsNotDistinct":     "BatchEntryIdsNotDistinct",
	"AWS.SimpleQueueService.MessageNotInflight":           "MessageNotInflight",
	"AWS.SimpleQueueService.UnsupportedOperation":         "UnsupportedOperation",
}

// failSQS answers an error in JSON 1.0. The header carries the code of the older query protocol, which SDKs prefer.
func failSQS(e *wire.Error) wire.Reply {
	typed, space := *e, "com.amazonaws.sqs#"
	switch e.Code {
	case "InvalidParameterValue", "MissingParameter":
		typed.Type, space = e.Code+"Exception", "com.amazon.coral.service#"
	}
	if t, ok := sqsErrorTypes[e.Code]; ok {
		typed.Type = t
	}
	reply := wire.FailJSON("1.0", space)(&typed)
	reply.Header = map[string]string{"x-amzn-query-error": e.Code + ";" + e.Fault()}
	return reply
}

// find returns the queue that a URL names. The host does not matter: the last element of the path is the queue's name.
func (s *Service) find(queueURL string) (*queue, *wire.Error) {
	if queueURL == "" {
		return nil, wire.Errorf("MissingParameter", "The request must contain the parameter QueueUrl.")
	}
	name := queueURL
	if u, err := url.Parse(queueURL); err == nil {
		name = u.Path
	}
	if q, ok := s.queues[path.Base(name)]; ok {
		return q, nil
	}
	return nil, wire.Errorf("AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")
}

// byARN returns the queue that an ARN names, or nil.
func (s *Service) byARN(arn string) *queue {
	for _, q := range s.queues {
		if s.arn(q) == arn {
			return q
		}
	}
	return nil
}

func (s *Service) arn(q *queue) string {
	return "arn:aws:sqs:" + s.Region + ":" + s.Account + ":" + q.name
}

func (s *Service) url(q *queue) string { return s.URL + "/" + s.Account + "/" + q.name }
