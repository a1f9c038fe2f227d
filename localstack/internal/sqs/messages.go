package sqs

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"stillpoint/localstack/internal/wire"
)

const maxVisibility = 43_200 // seconds

type sendInput struct {
	QueueUrl                string
	Id                      string // in batches
	MessageBody             *string
	DelaySeconds            *int
	MessageAttributes       map[string]Attribute
	MessageSystemAttributes map[string]Attribute
	MessageGroupId          string
	MessageDeduplicationId  string
}

type sendOutput struct {
	Id                           string `json:",omitempty"`
	MessageId                    string
	MD5OfMessageBody             string
	MD5OfMessageAttributes       string `json:",omitempty"`
	MD5OfMessageSystemAttributes string `json:",omitempty"`
}

func (s *Service) sendMessage(_ context.Context, _ *wire.Call, in sendInput) (sendOutput, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, apiErr := s.find(in.QueueUrl)
	if apiErr != nil {
		return sendOutput{}, apiErr
	}
	return s.send(q, in)
}

func (s *Service) send(q *queue, in sendInput) (sendOutput, *wire.Error) {
	switch {
	case in.MessageBody == nil:
		return sendOutput{}, wire.Errorf("MissingParameter", "The request must contain the parameter MessageBody.")
	case *in.MessageBody == "":
		return sendOutput{}, wire.Errorf("InvalidParameterValue", "The request must contain the parameter MessageBody.")
	case in.MessageDeduplicationId != "":
		return sendOutput{}, wire.Errorf("InvalidParameterValue", "The request include parameter that is not valid for this queue type: MessageDeduplicationId")
	case in.MessageGroupId != "":
		return sendOutput{}, wire.Errorf("AWS.SimpleQueueService.UnsupportedOperation", "localstack has no fair queues: MessageGroupId is refused")
	case !validText(*in.MessageBody):
		return sendOutput{}, wire.Errorf("InvalidMessageContents", "Invalid characters found in the message body.")
	}
	if apiErr := checkAttributes(in.MessageAttributes); apiErr != nil {
		return sendOutput{}, apiErr
	}
	if size := MessageSize(*in.MessageBody, in.MessageAttributes); size > q.maxSize {
		return sendOutput{}, wire.Errorf("InvalidParameterValue", "One or more parameters are invalid. Reason: Message must be shorter than %d bytes.", q.maxSize)
	}
	delay := q.delay
	if in.DelaySeconds != nil {
		if *in.DelaySeconds < 0 || *in.DelaySeconds > 900 {
			return sendOutput{}, wire.Errorf("InvalidParameterValue", "Value %d for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900.", *in.DelaySeconds)
		}
		delay = time.Duration(*in.DelaySeconds) * time.Second
	}
	system := map[string]string{}
	for name, a := range in.MessageSystemAttributes {
		if name != "AWSTraceHeader" || a.StringValue == nil {
			return sendOutput{}, wire.Errorf("InvalidParameterValue", "Message system attribute name '%s' is invalid.", name)
		}
		system[name] = *a.StringValue
	}
	m := s.add(q, *in.MessageBody, in.MessageAttributes, system, delay)
	return sendOutput{
		MessageId: m.id, MD5OfMessageBody: md5Text(m.body), MD5OfMessageAttributes: md5Attributes(m.attributes),
		MD5OfMessageSystemAttributes: md5Attributes(in.MessageSystemAttributes),
	}, nil
}

// validText tells whether SQS takes the text: XML 1.0 characters only.
func validText(s string) bool {
	if !utf8.ValidString(s) {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return r < 0x20 && r != '\t' && r != '\n' && r != '\r' || r == 0xFFFE || r == 0xFFFF
	})
}

type receiveInput struct {
	QueueUrl                    string
	AttributeNames              []string
	MessageSystemAttributeNames []string
	MessageAttributeNames       []string
	MaxNumberOfMessages         *int
	VisibilityTimeout           *int
	WaitTimeSeconds             *int
}

type receivedMessage struct {
	MessageId              string
	ReceiptHandle          string
	MD5OfBody              string
	Body                   string
	Attributes             map[string]string    `json:",omitempty"`
	MessageAttributes      map[string]Attribute `json:",omitempty"`
	MD5OfMessageAttributes string               `json:",omitempty"`
}

type receiveOutput struct {
	Messages []receivedMessage `json:",omitempty"`
}

// within checks a number that may be missing.
func within(name string, value *int, low, high, missing int) (int, *wire.Error) {
	if value == nil {
		return missing, nil
	}
	if *value < low || *value > high {
		return 0, wire.Errorf("InvalidParameterValue", "Value %d for parameter %s is invalid. Reason: Must be between %d and %d, if provided.", *value, name, low, high)
	}
	return *value, nil
}

func (s *Service) receiveMessage(ctx context.Context, c *wire.Call, in receiveInput) (receiveOutput, *wire.Error) {
	s.mu.Lock()
	q, apiErr := s.find(in.QueueUrl)
	if apiErr != nil {
		s.mu.Unlock()
		return receiveOutput{}, apiErr
	}
	limit, err1 := within("MaxNumberOfMessages", in.MaxNumberOfMessages, 1, 10, 1)
	hidden, err2 := within("VisibilityTimeout", in.VisibilityTimeout, 0, maxVisibility, int(q.visibility/time.Second))
	wait, err3 := within("WaitTimeSeconds", in.WaitTimeSeconds, 0, 20, int(q.wait/time.Second))
	for _, e := range []*wire.Error{err1, err2, err3} {
		if e != nil {
			s.mu.Unlock()
			return receiveOutput{}, e
		}
	}
	p := &poll{max: limit, visibility: time.Duration(hidden) * time.Second, got: make(chan []delivery, 1)}
	q.polls = append(q.polls, p)
	s.pump(q)
	if wait == 0 {
		q.leave(p)
	}
	waits := slices.Contains(q.polls, p)
	s.mu.Unlock()

	if waits {
		c.Waiting()
		timer := time.NewTimer(time.Duration(wait) * time.Second)
		defer timer.Stop()
		select {
		case got := <-p.got:
			return in.output(s, got), nil
		case <-timer.C:
		case <-ctx.Done():
		}
		s.mu.Lock()
		q.leave(p)
		s.mu.Unlock()
	}
	select {
	case got := <-p.got:
		return in.output(s, got), nil
	default:
		return receiveOutput{}, nil
	}
}

func (q *queue) leave(p *poll) {
	q.polls = slices.DeleteFunc(q.polls, func(x *poll) bool { return x == p })
}

// output shows of the messages what was asked for.
func (in receiveInput) output(s *Service, got []delivery) receiveOutput {
	var out receiveOutput
	asked := append(slices.Clone(in.AttributeNames), in.MessageSystemAttributeNames...)
	for _, d := range got {
		system := map[string]string{
			"SenderId":                         s.Account,
			"SentTimestamp":                    millis(d.sentAt),
			"ApproximateReceiveCount":          strconv.Itoa(d.receives),
			"ApproximateFirstReceiveTimestamp": millis(d.firstReceive),
		}
		if d.deadSource != "" {
			system["DeadLetterQueueSourceArn"] = d.deadSource
		}
		maps.Copy(system, d.system)
		if !slices.Contains(asked, "All") {
			maps.DeleteFunc(system, func(name, _ string) bool { return !slices.Contains(asked, name) })
		}
		attributes := maps.Clone(d.attributes)
		maps.DeleteFunc(attributes, func(name string, _ Attribute) bool { return !wanted(name, in.MessageAttributeNames) })
		out.Messages = append(out.Messages, receivedMessage{
			MessageId: d.id, ReceiptHandle: d.handle, MD5OfBody: md5Text(d.body), Body: d.body,
			Attributes: system, MessageAttributes: attributes, MD5OfMessageAttributes: md5Attributes(attributes),
		})
	}
	return out
}

// wanted knows "All", ".*" and "prefix.*".
func wanted(name string, asked []string) bool {
	for _, a := range asked {
		if prefix, ok := strings.CutSuffix(a, ".*"); a == "All" || a == name || ok && strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func millis(t time.Time) string { return strconv.FormatInt(t.UnixMilli(), 10) }

type handleInput struct {
	QueueUrl          string
	Id                string
	ReceiptHandle     string
	VisibilityTimeout *int
}

func (s *Service) deleteMessage(_ context.Context, _ *wire.Call, in handleInput) (struct{}, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, apiErr := s.find(in.QueueUrl)
	if apiErr != nil {
		return struct{}{}, apiErr
	}
	return struct{}{}, s.remove(q, in)
}

// remove deletes the message of a handle. A handle from before the last receive succeeds and deletes nothing, as the
// documentation of DeleteMessage warns; one whose visibility timeout has passed still deletes.
func (s *Service) remove(q *queue, in handleInput) *wire.Error {
	m, current, apiErr := s.receipt(q, in.ReceiptHandle)
	if apiErr == nil && m != nil && current {
		q.remove(m)
	}
	return apiErr
}

func (s *Service) changeVisibility(_ context.Context, _ *wire.Call, in handleInput) (struct{}, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, apiErr := s.find(in.QueueUrl)
	if apiErr != nil {
		return struct{}{}, apiErr
	}
	return struct{}{}, s.hide(q, in)
}

// hide sets the visibility timeout of a message, from now. A handle that was superseded by a later receive, or whose message was
// deleted, is an error. One whose timeout has passed while nobody received the message again is answered with success and has no
// effect: LocalStack's pull request 9632 validated this against AWS.
func (s *Service) hide(q *queue, in handleInput) *wire.Error {
	if in.VisibilityTimeout == nil {
		return wire.Errorf("MissingParameter", "The request must contain the parameter VisibilityTimeout.")
	}
	if n := *in.VisibilityTimeout; n < 0 || n > maxVisibility {
		return wire.Errorf("InvalidParameterValue", "Value %d for parameter VisibilityTimeout is invalid. Reason: VisibilityTimeout must be an integer between 0 and %d.", n, maxVisibility)
	}
	m, current, apiErr := s.receipt(q, in.ReceiptHandle)
	if apiErr != nil {
		return apiErr
	}
	if m == nil || !current {
		return wire.Errorf("InvalidParameterValue", "Value %s for parameter ReceiptHandle is invalid. Reason: Message does not exist or is not available for visibility timeout change.", in.ReceiptHandle)
	}
	now := s.Clock.Now()
	if !m.visibleAt.After(now) {
		return nil
	}
	until := now.Add(time.Duration(*in.VisibilityTimeout) * time.Second)
	if until.Sub(m.lastReceive) > maxVisibility*time.Second {
		return wire.Errorf("InvalidParameterValue", "Value %d for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is beyond the limit [%d seconds].", *in.VisibilityTimeout, maxVisibility)
	}
	m.visibleAt = until
	s.pump(q)
	return nil
}

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

func (s *Service) sendMessageBatch(_ context.Context, _ *wire.Call, in batchInput[sendInput]) (batchOutput[sendOutput], *wire.Error) {
	total := 0
	for _, e := range in.Entries {
		if e.MessageBody != nil {
			total += MessageSize(*e.MessageBody, e.MessageAttributes)
		}
	}
	if total > 1<<20 {
		return batchOutput[sendOutput]{}, &wire.Error{Code: "AWS.SimpleQueueService.BatchRequestTooLong", Type: "BatchRequestTooLong", Message: "Batch requests cannot be longer than 1048576 bytes."}
	}
	return batch(s, in, func(e sendInput) string { return e.Id }, func(q *queue, e sendInput) (sendOutput, *wire.Error) {
		out, apiErr := s.send(q, e)
		out.Id = e.Id
		return out, apiErr
	})
}

func (s *Service) deleteMessageBatch(_ context.Context, _ *wire.Call, in batchInput[handleInput]) (batchOutput[batchID], *wire.Error) {
	return batch(s, in, func(e handleInput) string { return e.Id }, func(q *queue, e handleInput) (batchID, *wire.Error) {
		return batchID{e.Id}, s.remove(q, e)
	})
}

func (s *Service) changeVisibilityBatch(_ context.Context, _ *wire.Call, in batchInput[handleInput]) (batchOutput[batchID], *wire.Error) {
	return batch(s, in, func(e handleInput) string { return e.Id }, func(q *queue, e handleInput) (batchID, *wire.Error) {
		return batchID{e.Id}, s.hide(q, e)
	})
}

var batchEntryID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)

// batch checks the entries and does f for each; an entry that fails does not stop the rest.
func batch[In, Out any](s *Service, in batchInput[In], id func(In) string, f func(*queue, In) (Out, *wire.Error)) (batchOutput[Out], *wire.Error) {
	out := batchOutput[Out]{Successful: []Out{}, Failed: []batchError{}}
	s.mu.Lock()
	defer s.mu.Unlock()
	q, apiErr := s.find(in.QueueUrl)
	if apiErr != nil {
		return out, apiErr
	}
	switch {
	case len(in.Entries) == 0:
		return out, wire.Errorf("AWS.SimpleQueueService.EmptyBatchRequest", "There should be at least one entry in the request.")
	case len(in.Entries) > 10:
		return out, wire.Errorf("AWS.SimpleQueueService.TooManyEntriesInBatchRequest", "Maximum number of entries per request are 10. You have sent %d.", len(in.Entries))
	}
	seen := map[string]bool{}
	for _, e := range in.Entries {
		if seen[id(e)] {
			return out, wire.Errorf("AWS.SimpleQueueService.BatchEntryIdsNotDistinct", "Id %s repeated.", id(e))
		}
		if !batchEntryID.MatchString(id(e)) {
			return out, &wire.Error{Code: "AWS.SimpleQueueService.InvalidBatchEntryId", Type: "InvalidBatchEntryId", Message: fmt.Sprintf("The batch entry id %q is not valid.", id(e))}
		}
		seen[id(e)] = true
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
