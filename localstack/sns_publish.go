package localstack

import (
	"encoding/base64"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"
)

// maxPublish is the limit of a topic that has no MaximumMessageSize: body and attributes, in bytes.
const maxPublish = 256 << 10

// maxRawAttributes is how many attributes raw delivery to SQS carries. A message with more is discarded there, silently on AWS.
const maxRawAttributes = 10

// notification is the envelope of a message that is not delivered raw.
type notification struct {
	Type              string
	MessageId         string
	TopicArn          string
	Subject           string `json:",omitempty"`
	Message           string
	Timestamp         string
	SignatureVersion  string
	Signature         string
	SigningCertURL    string
	UnsubscribeURL    string
	MessageAttributes map[string]notificationAttribute `json:",omitempty"`
}

type notificationAttribute struct {
	Type  string
	Value string
}

func (s *snsService) publish(q query) ([]node, *apiError) {
	arn := q.get("TopicArn")
	if arn == "" {
		arn = q.get("TargetArn")
	}
	t, apiErr := s.topic(arn)
	if apiErr != nil {
		return nil, apiErr
	}
	message, subject := q.get("Message"), q.get("Subject")
	if message == "" {
		return nil, errf("InvalidParameter", "Invalid parameter: Empty message")
	}
	if q.has("Subject") {
		if why := badSubject(subject); why != "" {
			return nil, errf("InvalidParameter", "Invalid parameter: Subject Reason: %s", why)
		}
	}
	if q.get("MessageGroupId") != "" || q.get("MessageDeduplicationId") != "" {
		return nil, errf("InvalidParameter", "Invalid parameter: localstack has no FIFO topics: MessageGroupId and MessageDeduplicationId are refused")
	}
	attributes, apiErr := messageAttributes(q)
	if apiErr != nil {
		return nil, apiErr
	}
	if messageSize(message, attributes) > maxPublish {
		return nil, errf("InvalidParameter", "Invalid parameter: Message too long")
	}
	switch q.get("MessageStructure") {
	case "":
	case "json":
		if message, apiErr = forSQS(message); apiErr != nil {
			return nil, apiErr
		}
	default:
		return nil, errf("InvalidParameter", "Invalid parameter: MessageStructure")
	}
	id := uuid.NewString()
	for _, sub := range t.subscriptions {
		s.deliver(t, sub, id, subject, message, attributes)
	}
	return []node{el("MessageId", id)}, nil
}

// forSQS picks what an SQS subscriber gets of a message that has a text per protocol.
func forSQS(message string) (string, *apiError) {
	var texts map[string]jsontext.Value
	if err := json.Unmarshal([]byte(message), &texts); err != nil {
		return "", errf("InvalidParameter", "Invalid parameter: Message Structure - JSON message body failed to parse")
	}
	for _, key := range []string{"sqs", "default"} {
		var text string
		if v, ok := texts[key]; ok && json.Unmarshal(v, &text) == nil {
			if _, ok := texts["default"]; ok {
				return text, nil
			}
		}
	}
	return "", errf("InvalidParameter", "Invalid parameter: Message Structure - No default entry in JSON message body")
}

// deliver puts a message into the queue of a subscription before the publisher gets its answer; on AWS it is a moment later.
// One that cannot be delivered is lost, as there, but with a warning.
func (s *snsService) deliver(t *topic, sub *subscription, id, subject, message string, attributes map[string]attribute) {
	warn := s.log.Warn().Str("topic", t.arn).Str("endpoint", sub.endpoint).Str("message_id", id)
	body := message
	if sub.raw && len(attributes) > maxRawAttributes {
		warn.Int("attributes", len(attributes)).Msg("message discarded: raw delivery to SQS carries ten attributes")
		return
	}
	if !sub.raw {
		shown := make(map[string]notificationAttribute, len(attributes))
		for name, a := range attributes {
			value := notificationAttribute{Type: a.DataType, Value: base64.StdEncoding.EncodeToString(a.BinaryValue)}
			if a.StringValue != nil {
				value.Value = *a.StringValue
			}
			shown[name] = value
		}
		text, err := json.Marshal(notification{
			Type: "Notification", MessageId: id, TopicArn: t.arn, Subject: subject, Message: message,
			Timestamp:        time.Now().UTC().Format("2006-01-02T15:04:05.000Z"),
			SignatureVersion: "1", Signature: base64.StdEncoding.EncodeToString([]byte("localstack does not sign")),
			SigningCertURL:    s.base + "/SimpleNotificationService.pem",
			UnsubscribeURL:    s.base + "/?Action=Unsubscribe&SubscriptionArn=" + sub.arn,
			MessageAttributes: shown,
		}, json.Deterministic(true))
		if err != nil {
			warn.Err(err).Msg("message discarded: cannot write its envelope")
			return
		}
		body, attributes = string(text), nil
	}
	s.sqs.mu.Lock()
	defer s.sqs.mu.Unlock()
	to := s.sqs.byARN(sub.endpoint)
	if to == nil {
		warn.Msg("message discarded: its queue does not exist")
		return
	}
	if _, apiErr := s.sqs.send(to, sendInput{MessageBody: &body, MessageAttributes: attributes}); apiErr != nil {
		warn.Str("error", apiErr.Message).Msg("message discarded: its queue refuses it")
	}
}
