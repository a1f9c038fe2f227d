package sns

import (
	"encoding/base64"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
	"github.com/google/uuid"

	"stillpoint/localstack/internal/sqs"
	"stillpoint/localstack/internal/wire"
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

func (s *Service) publish(q wire.Query) ([]wire.Node, *wire.Error) {
	arn := q.Get("TopicArn")
	if arn == "" {
		arn = q.Get("TargetArn")
	}
	t, apiErr := s.topic(arn)
	if apiErr != nil {
		return nil, apiErr
	}
	message, subject := q.Get("Message"), q.Get("Subject")
	if message == "" {
		return nil, wire.Errorf("InvalidParameter", "Invalid parameter: Empty message")
	}
	if q.Has("Subject") {
		if why := badSubject(subject); why != "" {
			return nil, wire.Errorf("InvalidParameter", "Invalid parameter: Subject Reason: %s", why)
		}
	}
	if q.Get("MessageGroupId") != "" || q.Get("MessageDeduplicationId") != "" {
		return nil, wire.Errorf("InvalidParameter", "Invalid parameter: localstack has no FIFO topics: MessageGroupId and MessageDeduplicationId are refused")
	}
	attributes, apiErr := messageAttributes(q)
	if apiErr != nil {
		return nil, apiErr
	}
	if sqs.MessageSize(message, attributes) > maxPublish {
		return nil, wire.Errorf("InvalidParameter", "Invalid parameter: Message too long")
	}
	switch q.Get("MessageStructure") {
	case "":
	case "json":
		if message, apiErr = forSQS(message); apiErr != nil {
			return nil, apiErr
		}
	default:
		return nil, wire.Errorf("InvalidParameter", "Invalid parameter: MessageStructure")
	}
	id := uuid.NewString()
	for _, sub := range t.subscriptions {
		s.deliver(t, sub, id, subject, message, attributes)
	}
	return []wire.Node{wire.El("MessageId", id)}, nil
}

// forSQS picks what an SQS subscriber gets of a message that has a text per protocol.
func forSQS(message string) (string, *wire.Error) {
	var texts map[string]jsontext.Value
	if err := json.Unmarshal([]byte(message), &texts); err != nil {
		return "", wire.Errorf("InvalidParameter", "Invalid parameter: Message Structure - JSON message body failed to parse")
	}
	for _, key := range []string{"sqs", "default"} {
		var text string
		if v, ok := texts[key]; ok && json.Unmarshal(v, &text) == nil {
			if _, ok := texts["default"]; ok {
				return text, nil
			}
		}
	}
	return "", wire.Errorf("InvalidParameter", "Invalid parameter: Message Structure - No default entry in JSON message body")
}

// deliver puts a message into the queue of a subscription before the publisher gets its answer; on AWS it is a moment later.
// One that cannot be delivered is lost, as there, but with a warning.
func (s *Service) deliver(t *topic, sub *subscription, id, subject, message string, attributes map[string]sqs.Attribute) {
	warn := s.Log.Warn().Str("topic", t.arn).Str("endpoint", sub.endpoint).Str("message_id", id)
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
			Timestamp:        s.Clock.Now().UTC().Format("2006-01-02T15:04:05.000Z"),
			SignatureVersion: "1", Signature: base64.StdEncoding.EncodeToString([]byte("localstack does not sign")),
			SigningCertURL:    s.URL + "/SimpleNotificationService.pem",
			UnsubscribeURL:    s.URL + "/?Action=Unsubscribe&SubscriptionArn=" + sub.arn,
			MessageAttributes: shown,
		}, json.Deterministic(true))
		if err != nil {
			warn.Err(err).Msg("message discarded: cannot write its envelope")
			return
		}
		body, attributes = string(text), nil
	}
	caller := wire.Caller{Principal: "sns.amazonaws.com", Account: s.Account, Region: s.Region, Source: t.arn}
	if _, apiErr := s.Invoke(s.Life, caller, s.sqs.Deliver(sub.endpoint, sqs.Message{Body: body, Attributes: attributes})); apiErr != nil {
		warn.Str("error", apiErr.Message).Msg("message discarded: it cannot be put into its queue")
	}
}
