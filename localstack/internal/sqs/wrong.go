package sqs

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/google/uuid"

	"stillpoint/localstack/internal/wire"
)

// What a call can be told to do wrong. Each is something that SQS is documented to do now and then, or that a client is built to
// notice.
const (
	// BadMD5 is an answer in which the checksums of the messages' bodies are not theirs; SDKs compare them.
	BadMD5 = "bad-md5"

	// Twice has the messages that the call receives visible at once for another receive: "on rare occasions, you might receive a
	// message copy again". https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/standard-queues-at-least-once-delivery.html
	Twice = "twice"

	// Empty is an answer without messages, although there are some: short polling asks a part of the servers only.
	// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-short-and-long-polling.html
	Empty = "empty"

	// NotDeleted is a deletion that succeeds and deletes nothing: "it is possible to receive a message even after you delete it".
	// The message comes back when its visibility timeout ends.
	// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_DeleteMessage.html
	NotDeleted = "not-deleted"
)

// Wrongs are what each action can be told to do wrong.
func Wrongs() map[string][]string {
	return map[string][]string{
		"sqs:SendMessage":        {BadMD5},
		"sqs:SendMessageBatch":   {BadMD5},
		"sqs:ReceiveMessage":     {BadMD5, Empty, Twice},
		"sqs:DeleteMessage":      {NotDeleted},
		"sqs:DeleteMessageBatch": {NotDeleted},
	}
}

// wrongly does a call as it is told, and as it is where it is told nothing.
func (s *Service) wrongly(wrong, action string, body []byte, call func() (any, *wire.Error)) (any, *wire.Error) {
	if wrong == "" {
		return call()
	}
	if !slices.Contains(Wrongs()["sqs:"+action], wrong) {
		return nil, wire.Errorf("InternalFailure", "localstack cannot do sqs:%s wrong in the way %q; there is: %s", action, wrong, strings.Join(wrongList(), ", "))
	}
	switch wrong {
	case Empty:
		return receiveOutput{}, nil
	case NotDeleted:
		return notDeleted(body)
	}
	out, apiErr := call()
	if apiErr != nil {
		return nil, apiErr
	}
	if wrong == Twice {
		if got, ok := out.(receiveOutput); ok {
			s.again(body, got)
		}
		return out, nil
	}
	return CorruptMD5(out), nil
}

func wrongList() []string {
	var list []string
	for _, action := range slices.Sorted(maps.Keys(Wrongs())) {
		list = append(list, action+" "+strings.Join(Wrongs()[action], "|"))
	}
	return list
}

// notDeleted answers a deletion of one or of several as if all had gone well.
func notDeleted(body []byte) (any, *wire.Error) {
	var in batchInput[handleInput]
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, wire.Errorf("SerializationException", "cannot read the request: %v", err)
	}
	if len(in.Entries) == 0 {
		return struct{}{}, nil
	}
	out := batchOutput[batchID]{Failed: []batchError{}}
	for _, e := range in.Entries {
		out.Successful = append(out.Successful, batchID{e.Id})
	}
	return out, nil
}

// CorruptMD5 returns the answer of SendMessage, SendMessageBatch or ReceiveMessage with checksums of another body.
func CorruptMD5(answer any) any {
	switch out := answer.(type) {
	case sendOutput:
		out.MD5OfMessageBody = md5Text(uuid.NewString())
		return out
	case batchOutput[sendOutput]:
		out.Successful = slices.Clone(out.Successful)
		for i := range out.Successful {
			out.Successful[i].MD5OfMessageBody = md5Text(uuid.NewString())
		}
		return out
	case receiveOutput:
		out.Messages = slices.Clone(out.Messages)
		for i := range out.Messages {
			out.Messages[i].MD5OfBody = md5Text(uuid.NewString())
		}
		return out
	}
	return answer
}

// again lays copies of what was received into its queue.
func (s *Service) again(body []byte, got receiveOutput) {
	var in receiveInput
	if err := json.Unmarshal(body, &in); err != nil {
		return // it was read before
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	q, apiErr := s.find(in.QueueUrl)
	if apiErr != nil {
		return // it was deleted meanwhile
	}
	for _, m := range got.Messages {
		s.duplicate(q, m.MessageId)
	}
}

// Duplicate has a queue deliver a message once more: a copy with the same id and a handle of its own is visible at once, as if it came
// from a server that had missed what became of the message. The message may be there, received or not, or be one of the last sixteen
// that were deleted from the queue. The error names what is not there.
func (s *Service) Duplicate(queueName, messageID string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, ok := s.queues[queueName]
	if !ok {
		return fmt.Errorf("cannot deliver a message twice: there is no queue %q", queueName)
	}
	if !s.duplicate(q, messageID) {
		return fmt.Errorf("cannot deliver a message twice: queue %q neither holds message %q nor has just deleted it", queueName, messageID)
	}
	return nil
}

func (s *Service) duplicate(q *queue, messageID string) bool {
	var original *message
	for _, m := range q.gone {
		if m.id == messageID {
			original = m
		}
	}
	for _, m := range q.all {
		if m.id == messageID {
			original = m
		}
	}
	if original == nil {
		return false
	}
	now := s.pass(q)
	twin := *original
	twin.pile, twin.delayed, twin.visibleAt = nil, false, now
	s.put(q, &twin, now)
	s.pump(q)
	return true
}
