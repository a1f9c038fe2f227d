package sns

import (
	"encoding/base64"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"stillpoint/localstack/internal/pattern"
	"stillpoint/localstack/internal/sqs"
	"stillpoint/localstack/internal/wire"
)

// Message is what is published.
type Message struct {
	Text       string // with Structure "json" an object with a text for each protocol, and "default"
	Subject    *string
	Structure  string // empty or "json"
	Attributes map[string]sqs.Attribute
	Group      string // for fair queues: SQS subscribers get it, others do not; empty: none

	texts map[string]string // of Structure "json", by protocol
}

// readMessage reads the parameters of Publish, or those of an entry of PublishBatch.
func readMessage(q wire.Query) (Message, *wire.Error) {
	m := Message{Text: q.Get("Message"), Structure: q.Get("MessageStructure")}
	if q.Has("Subject") {
		subject := q.Get("Subject")
		m.Subject = &subject
	}
	m.Group = q.Get("MessageGroupId")
	if q.Has("MessageDeduplicationId") {
		return m, invalid("MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not valid for this topic type")
	}
	var apiErr *wire.Error
	m.Attributes, apiErr = messageAttributes(q)
	return m, apiErr
}

// checkForm finds what makes a whole batch fail (recorded): attributes, and the structure.
func (m *Message) checkForm() *wire.Error {
	for _, name := range slices.Sorted(maps.Keys(m.Attributes)) {
		if apiErr := checkAttribute(name, m.Attributes[name]); apiErr != nil {
			return apiErr
		}
	}
	if m.Structure != "" && m.Structure != "json" {
		return invalid("MessageStructure")
	}
	if m.Group != "" && !group.MatchString(m.Group) {
		return invalid("MessageGroupId Reason: it has 128 letters, digits and punctuation marks at most")
	}
	if m.Structure == "json" && m.Text != "" {
		return m.readTexts()
	}
	return nil
}

// checkText finds what is wrong with an entry of a batch alone. Of these nobody recorded what they do to the batch; the description
// of PublishBatch says that "the result of publishing each message is reported individually".
func (m *Message) checkText() *wire.Error {
	switch {
	case m.Text == "":
		return invalid("Empty message")
	case !utf8.ValidString(m.Text):
		return invalid("Message Reason: it is not UTF-8")
	case m.Subject != nil && badSubject(*m.Subject):
		return invalid("Subject")
	}
	return nil
}

// group: "The MessageGroupId can contain up to 128 alphanumeric characters (a-z, A-Z, 0-9) and punctuation". It is "forwarded only to
// Amazon SQS standard subscriptions": https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
var group = regexp.MustCompile(`^[!-~]{1,128}$`)

// size is what counts against the limit of a topic: the body, with all of the texts that it has for protocols, and the attributes.
func (m *Message) size() int { return sqs.MessageSize(m.Text, m.Attributes) }

// maxSubject is how many characters a subject may not have.
const maxSubject = 100

// badSubject goes by the newest description: "Subjects must be UTF-8 text with no line breaks or control characters, and less than
// 100 characters long" (https://docs.aws.amazon.com/sns/latest/api/API_Publish.html). An older one allowed ASCII only, and wanted a
// letter, a number or a punctuation mark in front. That characters are code points is a guess. An empty one is refused (recorded).
func badSubject(s string) bool {
	return s == "" || !utf8.ValidString(s) || utf8.RuneCountInString(s) >= maxSubject || strings.ContainsFunc(s, control)
}

// control tells whether a character breaks a line or is a control character.
func control(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }

// readTexts reads the texts of Structure "json". A name may be there twice, against what the description says (recorded); values that
// are no strings are as if they were not there.
func (m *Message) readTexts() *wire.Error {
	var values map[string]jsontext.Value
	if err := json.Unmarshal([]byte(m.Text), &values, jsontext.AllowDuplicateNames(true)); err != nil || values == nil {
		return invalid("Message Structure - JSON message body failed to parse")
	}
	m.texts = map[string]string{}
	for name, v := range values {
		var text string
		if json.Unmarshal(v, &text) == nil && v.Kind() == '"' {
			m.texts[name] = text
		}
	}
	if _, ok := m.texts["default"]; !ok {
		return invalid("Message Structure - No default entry in JSON message body")
	}
	return nil
}

// text is what subscribers by a protocol get.
func (m *Message) text(protocol string) string {
	if m.texts == nil {
		return m.Text
	}
	if text, ok := m.texts[protocol]; ok {
		return text
	}
	return m.texts["default"]
}

// passes tells whether a filter policy lets the message through. That a filter on the body looks at the text for the protocol of the
// subscription is a guess.
func (m *Message) passes(f *pattern.Filter, protocol string) bool {
	if f == nil {
		return true
	}
	if f.Scope() == pattern.MessageBody {
		return f.MatchBody([]byte(m.text(protocol)))
	}
	attributes := make(map[string]pattern.Attribute, len(m.Attributes))
	for name, a := range m.Attributes {
		attributes[name] = pattern.Attribute{Type: a.DataType, Value: string(a.Value())}
	}
	return f.MatchAttributes(attributes)
}

// messageAttributes reads MessageAttributes.entry.1.Name, .Value.DataType and so on.
func messageAttributes(q wire.Query) (map[string]sqs.Attribute, *wire.Error) {
	out := map[string]sqs.Attribute{}
	for _, e := range q.Under("MessageAttributes.entry") {
		name := e.Get("Name")
		a := sqs.Attribute{DataType: e.Get("Value.DataType")}
		if !e.Has("Value.DataType") {
			return nil, wire.Errorf("ValidationError", "1 validation error detected: Value null at 'messageAttributes.%s.member.dataType' failed to satisfy constraint: Member must not be null", name)
		}
		if e.Has("Value.StringValue") {
			text := e.Get("Value.StringValue")
			a.StringValue = &text
		}
		if e.Has("Value.BinaryValue") {
			raw, err := base64.StdEncoding.DecodeString(e.Get("Value.BinaryValue"))
			if err != nil {
				return nil, invalid("MessageAttributes Reason: %v", err)
			}
			a.BinaryValue = raw
		}
		out[name] = a
	}
	return out, nil
}

var number = regexp.MustCompile(`^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$`)

const maxName = 256 // bytes of an attribute's name, or of its type

// checkAttribute has the rules and most of the sentences as recorded. Those on reserved names are in
// https://docs.aws.amazon.com/sns/latest/dg/sns-message-attributes.html; their sentence is a guess, as is that a String.Array is not
// looked into, and that a number may be larger than the 10^9 that the document speaks of: SQS takes larger ones.
func checkAttribute(name string, a sqs.Attribute) *wire.Error {
	bad := func(format string, args ...any) *wire.Error { return wire.Errorf(invalidValue, format, args...) }
	kind, _, _ := strings.Cut(a.DataType, ".")
	lower := strings.ToLower(name)
	switch {
	case name == "":
		return bad("The message attribute name can not be empty.")
	case len(name) > maxName:
		return bad("Length of message attribute name must be less than 256 bytes.")
	case strings.HasPrefix(name, "."):
		return bad("Invalid message attribute name starting with character '.' was found.")
	case strings.HasSuffix(name, "."):
		return bad("Invalid message attribute name ending with character '.' was found.")
	case strings.Contains(name, ".."):
		return bad("Message attribute name can not have successive '.' character.")
	case !sqs.AttributeName.MatchString(name):
		i := strings.IndexFunc(name, func(r rune) bool { return !sqs.AttributeName.MatchString(string(r)) })
		r, _ := utf8.DecodeRuneInString(name[i:])
		return bad("Invalid non-alphanumeric character '#x%X' was found in the message attribute name. Can only include alphanumeric characters, hyphens, underscores, or dots.", r)
	case strings.HasPrefix(lower, "aws.") || strings.HasPrefix(lower, "amazon."):
		return bad("Message attribute name can not start with the reserved prefix 'AWS.' or 'Amazon.'.")
	case !sqs.AttributeType.MatchString(a.DataType) || len(a.DataType) > maxName:
		return bad("The message attribute '%s' has an invalid message attribute type, the set of supported type prefixes is Binary, Number, and String.", name)
	case kind == "Binary" && a.StringValue != nil && *a.StringValue != "":
		return bad("The message attribute '%s' with type '%s' must use field 'Binary'.", name, a.DataType)
	case kind != "Binary" && len(a.BinaryValue) > 0:
		return bad("The message attribute '%s' with type '%s' must use field 'String'.", name, a.DataType)
	case len(a.Value()) == 0:
		return bad("The message attribute '%s' must contain non-empty message attribute value for message attribute type '%s'.", name, a.DataType)
	case a.DataType == "Number" && !number.MatchString(*a.StringValue):
		return bad("Could not cast message attribute '%s' value to number.", name)
	}
	return nil
}
