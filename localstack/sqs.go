package localstack

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"net/url"
	"path"
	"sync"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/rs/zerolog"
)

// sqsService is SQS: standard queues, in memory. One lock covers all of them, because a message may move between two.
type sqsService struct {
	base, region, account string
	log                   zerolog.Logger
	secret                string // in every receipt handle, so that one from elsewhere is known as such

	mu     sync.Mutex
	queues map[string]*queue
	closed bool
}

func newSQS(base, region, account string, log zerolog.Logger) *sqsService {
	var secret [8]byte
	_, _ = rand.Read(secret[:]) // never fails
	return &sqsService{
		base: base, region: region, account: account, log: log,
		secret: hex.EncodeToString(secret[:]), queues: map[string]*queue{},
	}
}

// close ends the timers. Polls end with the life of the server.
func (s *sqsService) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, q := range s.queues {
		q.stopTimer()
	}
}

// sqsCall does one operation on its JSON input.
type sqsCall func(s *sqsService, ctx context.Context, rec *record, body []byte) (any, *apiError)

// sqsOp makes a call of a method that takes and returns the structures of the API.
func sqsOp[In, Out any](f func(s *sqsService, ctx context.Context, rec *record, in In) (Out, *apiError)) sqsCall {
	return func(s *sqsService, ctx context.Context, rec *record, body []byte) (any, *apiError) {
		var in In
		if len(body) > 0 {
			if err := json.Unmarshal(body, &in); err != nil {
				return nil, errf("SerializationException", "cannot read the request: %v", err)
			}
		}
		return f(s, ctx, rec, in)
	}
}

var sqsCalls = map[string]sqsCall{
	"CreateQueue":                  sqsOp((*sqsService).createQueue),
	"GetQueueUrl":                  sqsOp((*sqsService).getQueueURL),
	"ListQueues":                   sqsOp((*sqsService).listQueues),
	"DeleteQueue":                  sqsOp((*sqsService).deleteQueue),
	"PurgeQueue":                   sqsOp((*sqsService).purgeQueue),
	"GetQueueAttributes":           sqsOp((*sqsService).getQueueAttributes),
	"SetQueueAttributes":           sqsOp((*sqsService).setQueueAttributes),
	"TagQueue":                     sqsOp((*sqsService).tagQueue),
	"UntagQueue":                   sqsOp((*sqsService).untagQueue),
	"ListQueueTags":                sqsOp((*sqsService).listQueueTags),
	"SendMessage":                  sqsOp((*sqsService).sendMessage),
	"SendMessageBatch":             sqsOp((*sqsService).sendMessageBatch),
	"ReceiveMessage":               sqsOp((*sqsService).receiveMessage),
	"DeleteMessage":                sqsOp((*sqsService).deleteMessage),
	"DeleteMessageBatch":           sqsOp((*sqsService).deleteMessageBatch),
	"ChangeMessageVisibility":      sqsOp((*sqsService).changeVisibility),
	"ChangeMessageVisibilityBatch": sqsOp((*sqsService).changeVisibilityBatch),
}

func (s *sqsService) operation(action string, body []byte) operation {
	return operation{
		name: "sqs:" + action, params: jsonParams(body), fail: failSQS,
		do: func(ctx context.Context, rec *record) (reply, *apiError) {
			call, ok := sqsCalls[action]
			if !ok {
				return reply{}, errf("UnknownOperationException", "localstack has no SQS operation %q", action)
			}
			out, apiErr := call(s, ctx, rec, body)
			if apiErr != nil {
				return reply{}, apiErr
			}
			text, err := json.Marshal(out, json.Deterministic(true))
			if err != nil {
				return reply{}, errf("InternalFailure", "cannot write the answer: %v", err)
			}
			return reply{status: http.StatusOK, contentType: "application/x-amz-json-1.0", body: text}, nil
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
func failSQS(e *apiError) reply {
	kind, space := e.Type, "com.amazonaws.sqs#"
	switch e.Code {
	case "InvalidParameterValue", "MissingParameter":
		kind, space = e.Code+"Exception", "com.amazon.coral.service#"
	}
	if t, ok := sqsErrorTypes[e.Code]; ok {
		kind = t
	}
	if kind == "" {
		kind = e.Code
	}
	who := ";Sender"
	if e.receiver() {
		who = ";Receiver"
	}
	text, err := json.Marshal(struct {
		Type    string `json:"__type"`
		Message string `json:"message"`
	}{space + kind, e.Message})
	if err != nil {
		text = []byte("{}")
	}
	return reply{
		status: e.status(), contentType: "application/x-amz-json-1.0", body: text,
		header: map[string]string{"x-amzn-query-error": e.Code + who},
	}
}

// jsonParams flattens the members of a JSON object for the log of calls.
func jsonParams(body []byte) map[string]string {
	var members map[string]jsontext.Value
	if json.Unmarshal(body, &members) != nil {
		return nil
	}
	out := make(map[string]string, len(members))
	for k, v := range members {
		if v.Kind() == '"' {
			var text string
			if json.Unmarshal(v, &text) == nil {
				out[k] = text
				continue
			}
		}
		out[k] = string(v)
	}
	return out
}

// find returns the queue that a URL names. The host does not matter: the last element of the path is the queue's name.
func (s *sqsService) find(queueURL string) (*queue, *apiError) {
	if queueURL == "" {
		return nil, errf("MissingParameter", "The request must contain the parameter QueueUrl.")
	}
	name := queueURL
	if u, err := url.Parse(queueURL); err == nil {
		name = u.Path
	}
	if q, ok := s.queues[path.Base(name)]; ok {
		return q, nil
	}
	return nil, errf("AWS.SimpleQueueService.NonExistentQueue", "The specified queue does not exist.")
}

// byARN returns the queue that an ARN names, or nil.
func (s *sqsService) byARN(arn string) *queue {
	for _, q := range s.queues {
		if s.arn(q) == arn {
			return q
		}
	}
	return nil
}

func (s *sqsService) arn(q *queue) string {
	return "arn:aws:sqs:" + s.region + ":" + s.account + ":" + q.name
}

func (s *sqsService) url(q *queue) string { return s.base + "/" + s.account + "/" + q.name }
