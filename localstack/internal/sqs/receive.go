package sqs

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"stillpoint/localstack/internal/wire"
)

// poll is a ReceiveMessage that waits. Its client may be gone: it takes its message all the same, as on AWS, where that message
// then stays hidden for its visibility timeout (aws-sdk-go-v2#2068).
type poll struct {
	max        int
	visibility time.Duration
	got        chan []delivery // has room for one
}

// delivery is a message as it was when it was received.
type delivery struct {
	message
	handle string
}

type receiveInput struct {
	QueueUrl                    string
	AttributeNames              []string
	MessageSystemAttributeNames []string
	MessageAttributeNames       []string
	MaxNumberOfMessages         *int
	VisibilityTimeout           *int
	WaitTimeSeconds             *int
	ReceiveRequestAttemptId     string
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

// receiveMessage waits by the time of the machine, on which its client's connection hangs; messages come by AWS's time.
func (s *Service) receiveMessage(ctx context.Context, c *wire.Call, in receiveInput) (receiveOutput, *wire.Error) {
	q, p, wait, apiErr := s.poll(c, in)
	if apiErr != nil {
		return receiveOutput{}, apiErr
	}
	select {
	case got := <-p.got:
		return in.output(got), nil
	default:
		if wait == 0 {
			return receiveOutput{}, nil
		}
	}
	c.Waiting()
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case got := <-p.got:
		return in.output(got), nil
	case <-timer.C:
	case <-ctx.Done():
	}
	s.mu.Lock()
	q.leave(p)
	s.mu.Unlock()
	select {
	case got := <-p.got: // it came at the last moment
		return in.output(got), nil
	default:
		return receiveOutput{}, nil
	}
}

// poll checks a request and has it take what there is. If that is nothing, and it is to wait, it is in the queue when poll returns,
// behind those that came before it.
func (s *Service) poll(c *wire.Call, in receiveInput) (*queue, *poll, time.Duration, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, apiErr := s.open(c, "ReceiveMessage", in.QueueUrl)
	if apiErr != nil {
		return nil, nil, 0, apiErr
	}
	limit, err1 := within("MaxNumberOfMessages", in.MaxNumberOfMessages, 1, 10, 1)
	hidden, err2 := within("VisibilityTimeout", in.VisibilityTimeout, 0, maxVisibility, int(q.visibility/time.Second))
	wait, err3 := within("WaitTimeSeconds", in.WaitTimeSeconds, 0, 20, int(q.wait/time.Second))
	for _, e := range []*wire.Error{err1, err2, err3} {
		if e != nil {
			return nil, nil, 0, e
		}
	}
	if in.ReceiveRequestAttemptId != "" {
		return nil, nil, 0, badParameter(in.ReceiveRequestAttemptId, "ReceiveRequestAttemptId", wrongType)
	}
	s.pass(q)
	// "If you reach this quota while using short polling, Amazon SQS returns the OverLimit error message. If you use long polling,
	// Amazon SQS returns no error messages." (the document at maxInFlight; the wording of the error is a guess)
	if wait == 0 && q.inFlight() >= s.maxInFlight {
		return nil, nil, 0, wire.Errorf(overLimit, "The maximum number of in flight messages is reached: %d.", s.maxInFlight)
	}
	p := &poll{max: limit, visibility: time.Duration(hidden) * time.Second, got: make(chan []delivery, 1)}
	q.polls = append(q.polls, p)
	s.pump(q)
	if wait == 0 {
		q.leave(p)
	}
	return q, p, time.Duration(wait) * time.Second, nil
}

func (q *queue) leave(p *poll) {
	q.polls = slices.DeleteFunc(q.polls, func(x *poll) bool { return x == p })
}

// output shows of the messages what was asked for.
func (in receiveInput) output(got []delivery) receiveOutput {
	var out receiveOutput
	asked := append(slices.Clone(in.AttributeNames), in.MessageSystemAttributeNames...)
	for _, d := range got {
		var attributes map[string]Attribute
		for name, a := range d.attributes {
			if wanted(name, in.MessageAttributeNames) {
				if attributes == nil {
					attributes = map[string]Attribute{}
				}
				attributes[name] = a
			}
		}
		out.Messages = append(out.Messages, receivedMessage{
			MessageId: d.id, ReceiptHandle: d.handle, MD5OfBody: md5Text(d.body), Body: d.body,
			Attributes: d.systemAttributes(asked), MessageAttributes: attributes, MD5OfMessageAttributes: md5Attributes(attributes),
		})
	}
	return out
}

func (d delivery) systemAttributes(asked []string) map[string]string {
	if len(asked) == 0 {
		return nil
	}
	out := map[string]string{
		"SenderId":                         d.sender,
		"SentTimestamp":                    millis(d.sentAt),
		"ApproximateReceiveCount":          strconv.Itoa(d.receives),
		"ApproximateFirstReceiveTimestamp": millis(d.firstReceive),
	}
	if d.deadSource != "" {
		out["DeadLetterQueueSourceArn"] = d.deadSource
	}
	maps.Copy(out, d.system)
	if !slices.Contains(asked, "All") {
		maps.DeleteFunc(out, func(name, _ string) bool { return !slices.Contains(asked, name) })
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
