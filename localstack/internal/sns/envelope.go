package sns

import (
	"encoding/base64"
	"sync"
	"time"

	"github.com/go-json-experiment/json"

	"stillpoint/localstack/internal/sqs"
)

// The types of messages.
const (
	notificationKind = "Notification"
	subscribeKind    = "SubscriptionConfirmation"
	unsubscribeKind  = "UnsubscribeConfirmation"
)

// envelope is a message that is not delivered raw, with its members in AWS's order.
// https://docs.aws.amazon.com/sns/latest/dg/sns-message-and-json-formats.html
type envelope struct {
	Type              string
	MessageId         string
	Token             string `json:",omitempty"`
	TopicArn          string
	Subject           *string `json:",omitzero"`
	Message           string
	SubscribeURL      string `json:",omitempty"`
	Timestamp         string
	SignatureVersion  string
	Signature         string
	SigningCertURL    string
	UnsubscribeURL    string                       `json:",omitempty"`
	MessageAttributes map[string]envelopeAttribute `json:",omitempty"`
}

type envelopeAttribute struct {
	Type  string
	Value string // of a Binary: in base64
}

func shownAttributes(attributes map[string]sqs.Attribute) map[string]envelopeAttribute {
	out := make(map[string]envelopeAttribute, len(attributes))
	for name, a := range attributes {
		value := envelopeAttribute{Type: a.DataType, Value: base64.StdEncoding.EncodeToString(a.BinaryValue)}
		if !a.Binary() {
			value.Value = *a.StringValue
		}
		out[name] = value
	}
	return out
}

// stamp is a time as it stands in messages.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// sealed is an envelope that is signed when it is first used: signing takes a millisecond, and a key has to be there.
type sealed struct {
	once sync.Once
	m    envelope
	err  error
}

// seal makes one for a message of a topic.
func (s *Service) seal(m envelope, t *topic) *sealed {
	m.SignatureVersion, m.SigningCertURL = t.version, s.URL+s.signer.path
	return &sealed{m: m}
}

// write returns the text of the envelope, with a link by which to unsubscribe, or none if it is empty: no signature covers that.
func (x *sealed) write(unsubscribe string) (string, error) {
	x.once.Do(func() {
		x.m.Signature, x.err = sign(x.m)
	})
	if x.err != nil {
		return "", x.err
	}
	m := x.m
	m.UnsubscribeURL = unsubscribe
	text, err := json.Marshal(m, json.Deterministic(true))
	return string(text), err
}
