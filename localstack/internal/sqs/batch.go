package sqs

import (
	"context"
	"regexp"

	"stillpoint/localstack/internal/wire"
)

type batchInput[T any] struct {
	QueueUrl string
	Entries  []T
}

type batchOutput[T any] struct {
	Successful []T
	Failed     []batchError
}

type batchError struct {
	Id          string
	SenderFault bool
	Code        string
	Message     string
}

type batchID struct{ Id string }

func (s *Service) sendMessageBatch(_ context.Context, c *wire.Call, in batchInput[sendInput]) (batchOutput[sendOutput], *wire.Error) {
	return batch(s, c, "SendMessage", in, func(e sendInput) string { return e.Id }, tooLong, func(q *queue, e sendInput) (sendOutput, *wire.Error) {
		out, apiErr := s.send(c, q, e)
		out.Id = e.Id
		return out, apiErr
	})
}

// tooLong goes by the limit of all queues, not by the queue's own, which holds for each message.
func tooLong(entries []sendInput) *wire.Error {
	total := 0
	for _, e := range entries {
		if e.MessageBody != nil {
			total += MessageSize(*e.MessageBody, e.MessageAttributes)
		}
	}
	if total > maxSize {
		return wire.Errorf(prefix+"BatchRequestTooLong", "Batch requests cannot be longer than %d bytes. You have sent %d bytes.", maxSize, total)
	}
	return nil
}

func (s *Service) deleteMessageBatch(_ context.Context, c *wire.Call, in batchInput[handleInput]) (batchOutput[batchID], *wire.Error) {
	return batch(s, c, "DeleteMessage", in, func(e handleInput) string { return e.Id }, nil, func(q *queue, e handleInput) (batchID, *wire.Error) {
		return batchID{e.Id}, s.remove(q, e)
	})
}

func (s *Service) changeVisibilityBatch(_ context.Context, c *wire.Call, in batchInput[handleInput]) (batchOutput[batchID], *wire.Error) {
	return batch(s, c, "ChangeMessageVisibility", in, func(e handleInput) string { return e.Id }, nil, func(q *queue, e handleInput) (batchID, *wire.Error) {
		return batchID{e.Id}, s.hide(q, e)
	})
}

var batchEntryID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)

// batch checks the entries, each for itself and all by check, and does f for each; an entry that fails does not stop the rest. The
// permission for a batch is that of the action for one: there are no others.
func batch[In, Out any](s *Service, c *wire.Call, action string, in batchInput[In], id func(In) string,
	check func([]In) *wire.Error, f func(*queue, In) (Out, *wire.Error),
) (batchOutput[Out], *wire.Error) {
	out := batchOutput[Out]{Successful: []Out{}, Failed: []batchError{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	q, apiErr := s.open(c, action, in.QueueUrl)
	if apiErr != nil {
		return out, apiErr
	}
	switch {
	case len(in.Entries) == 0:
		return out, wire.Errorf(prefix+"EmptyBatchRequest", "There should be at least one entry in the request.")
	case len(in.Entries) > 10:
		return out, wire.Errorf(prefix+"TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10. You have sent %d.", len(in.Entries))
	}
	seen := map[string]bool{}
	for _, e := range in.Entries {
		if !batchEntryID.MatchString(id(e)) {
			return out, wire.Errorf(prefix+"InvalidBatchEntryId", "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long.")
		}
		if seen[id(e)] {
			return out, wire.Errorf(prefix+"BatchEntryIdsNotDistinct", "Id %s repeated.", id(e))
		}
		seen[id(e)] = true
	}
	if check != nil {
		if apiErr := check(in.Entries); apiErr != nil {
			return out, apiErr
		}
	}
	for _, e := range in.Entries {
		done, apiErr := f(q, e)
		if apiErr != nil {
			out.Failed = append(out.Failed, batchError{Id: id(e), SenderFault: !apiErr.Receiver(), Code: apiErr.Code, Message: apiErr.Message})
			continue
		}
		out.Successful = append(out.Successful, done)
	}
	return out, nil
}
