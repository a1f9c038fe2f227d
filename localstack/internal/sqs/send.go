package sqs

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"stillpoint/localstack/internal/wire"
)

// maxSize is the most bytes that a message, and all messages of a batch together, may have.
const maxSize = 1 << 20

// wrongType is what AWS says of parameters that only FIFO queues have.
const wrongType = "The request include parameter that is not valid for this queue type."

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

func (s *Service) sendMessage(_ context.Context, c *wire.Call, in sendInput) (sendOutput, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	q, apiErr := s.open(c, "SendMessage", in.QueueUrl)
	if apiErr != nil {
		return sendOutput{}, apiErr
	}
	return s.send(c, q, in)
}

// send puts a message into a queue, if it is as it has to be. The group of a message, which "fair queues" go by, is taken and shown,
// and changes nothing: what it does to the order of messages, which a standard queue does not promise, is left out.
func (s *Service) send(c *wire.Call, q *queue, in sendInput) (sendOutput, *wire.Error) {
	delay, apiErr := in.check(&q.settings)
	if apiErr != nil {
		return sendOutput{}, apiErr
	}
	system := map[string]string{}
	for name, a := range in.MessageSystemAttributes {
		system[name] = *a.StringValue
	}
	if in.MessageGroupId != "" {
		system["MessageGroupId"] = in.MessageGroupId
	}
	now := s.pass(q)
	m := &message{
		id: uuid.NewString(), body: *in.MessageBody, attributes: in.MessageAttributes, system: system,
		sender: senderID(c.Caller), sentAt: now, visibleAt: now.Add(delay),
	}
	s.put(q, m, now)
	s.pump(q)
	return sendOutput{
		MessageId: m.id, MD5OfMessageBody: md5Text(m.body), MD5OfMessageAttributes: md5Attributes(m.attributes),
		MD5OfMessageSystemAttributes: md5Attributes(in.MessageSystemAttributes),
	}, nil
}

// groupID is what a MessageGroupId may be.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html
var groupID = regexp.MustCompile("^[A-Za-z0-9!\"#$%&'()*+,./:;<=>?@\\[\\\\\\]^_`{|}~-]{1,128}$")

// check tells what is wrong with a message, and otherwise for how long it is delayed.
func (in *sendInput) check(q *settings) (time.Duration, *wire.Error) {
	switch {
	case in.MessageBody == nil:
		return 0, missingParameter("MessageBody")
	case *in.MessageBody == "":
		return 0, wire.Errorf(invalidValue, "The request must contain the parameter MessageBody.")
	case in.MessageDeduplicationId != "":
		return 0, badParameter(in.MessageDeduplicationId, "MessageDeduplicationId", wrongType)
	case in.MessageGroupId != "" && !groupID.MatchString(in.MessageGroupId):
		return 0, badParameter(in.MessageGroupId, "MessageGroupId", "MessageGroupId can only include alphanumeric and punctuation characters. 1 to 128 in length.")
	case !validText(*in.MessageBody):
		return 0, wire.Errorf("InvalidMessageContents", "Invalid characters found in the message body.")
	}
	if apiErr := checkAttributes(in.MessageAttributes); apiErr != nil {
		return 0, apiErr
	}
	for name, a := range in.MessageSystemAttributes {
		if name != "AWSTraceHeader" || a.DataType != "String" || a.StringValue == nil || *a.StringValue == "" {
			return 0, wire.Errorf(invalidValue, "Message system attribute '%s' is invalid: there is AWSTraceHeader, of type String, only.", name)
		}
	}
	if MessageSize(*in.MessageBody, in.MessageAttributes) > q.maxSize {
		return 0, wire.Errorf(invalidValue, "One or more parameters are invalid. Reason: Message must be shorter than %d bytes.", q.maxSize)
	}
	if in.DelaySeconds == nil {
		return q.delay, nil
	}
	if *in.DelaySeconds < 0 || *in.DelaySeconds > 900 {
		return 0, badParameter(*in.DelaySeconds, "DelaySeconds", "DelaySeconds must be >= 0 and <= 900.")
	}
	return time.Duration(*in.DelaySeconds) * time.Second, nil
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

// senderID is the SenderId of what c sends: "for a user, returns the user ID, for example ABCDEFGHI1JKLMNOPQ23R. For a role, returns
// the role ID, for example ABCDE1F2GH3I4JK5LMNOP:i-a123b456". Those ids are made of the name here. Of a service and of an anonymous
// caller it is a guess.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_ReceiveMessage.html
func senderID(c wire.Caller) string {
	id := func(kind, name string) string {
		sum := sha256.Sum256([]byte(name))
		return kind + base32.StdEncoding.EncodeToString(sum[:])[:17]
	}
	_, rest, _ := strings.Cut(c.Principal, "::"+c.Account+":")
	kind, name, _ := strings.Cut(rest, "/")
	switch {
	case c.Service():
		return id("AIDA", c.Principal)
	case kind == "user":
		return id("AIDA", rest)
	case kind == "assumed-role":
		role, session, _ := strings.Cut(name, "/")
		return id("AROA", role) + ":" + session
	case rest == "":
		return c.Principal
	}
	return c.Account
}
