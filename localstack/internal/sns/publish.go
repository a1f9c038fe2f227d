package sns

import (
	"context"
	"strings"

	"github.com/google/uuid"

	"stillpoint/localstack/internal/sqs"
	"stillpoint/localstack/internal/wire"
)

// ownKey is AWS's key for SNS, which lets no other service use it.
// https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html
const ownKey = "alias/aws/sns"

// Publish is the call by which another service publishes m: Publish, with its checks, its limits and the topic's policy.
func (s *Service) Publish(topicARN string, m Message) wire.Operation {
	return wire.Operation{
		Name: "sns:Publish", Params: map[string]string{"TopicArn": topicARN, "Message": m.Text}, Fail: wire.FailXML(space),
		Do: func(_ context.Context, c *wire.Call) (wire.Reply, *wire.Error) {
			id, apiErr := s.publish(c, "TopicArn", topicARN, m)
			if apiErr != nil {
				return wire.Reply{}, apiErr
			}
			return answer("Publish", wire.El("MessageId", id)), nil
		},
	}
}

func (s *Service) publishCall(c *wire.Call, q wire.Query) ([]wire.Node, *wire.Error) {
	name := "TopicArn"
	switch {
	case q.Has("PhoneNumber"):
		return nil, invalid("localstack sends no SMS: PhoneNumber is refused")
	case q.Has("TopicArn") && q.Has("TargetArn"):
		return nil, invalid("TopicArn Reason: there is a TargetArn too")
	case q.Has("TargetArn"):
		name = "TargetArn"
	case !q.Has("TopicArn"):
		return nil, invalid("TopicArn or TargetArn Reason: no value for required parameter")
	}
	if name == "TargetArn" && strings.Contains(q.Get(name), ":endpoint/") {
		return nil, invalid("TargetArn Reason: No endpoint found for the target arn specified") // recorded
	}
	m, apiErr := readMessage(q)
	if apiErr != nil {
		return nil, apiErr
	}
	id, apiErr := s.publish(c, name, q.Get(name), m)
	if apiErr != nil {
		return nil, apiErr
	}
	return []wire.Node{wire.El("MessageId", id)}, nil
}

// publish checks a message, and hands it to the subscribers. Queues have been tried once, and again where that is due at once, when
// it returns; web hooks are told meanwhile. On AWS all of it is a moment later.
func (s *Service) publish(c *wire.Call, name, arn string, m Message) (string, *wire.Error) {
	s.mu.Lock()
	t, apiErr := s.openToPublish(c, name, arn)
	if apiErr == nil {
		apiErr = m.checkForm()
	}
	if apiErr == nil {
		apiErr = m.checkText()
	}
	if apiErr == nil && m.size() > t.maxSize {
		apiErr = invalid("Message too long")
	}
	if apiErr != nil {
		s.mu.Unlock()
		return "", apiErr
	}
	id := uuid.NewString()
	out := s.outgoing(t, id, m)
	s.mu.Unlock()
	s.send(out)
	return id, nil
}

func (s *Service) openToPublish(c *wire.Call, name, arn string) (*topic, *wire.Error) {
	t, apiErr := s.open(c, "Publish", name, arn)
	if apiErr == nil && c.Service() && t.attributes["KmsMasterKeyId"] == ownKey {
		apiErr = wire.Errorf("KMSAccessDenied", "The topic is encrypted with %s, whose key policy lets no service use it: give the topic a customer managed key, or none.", ownKey)
	}
	return t, apiErr
}

// maxRawAttributes is how many attributes raw delivery to SQS carries. "Messages with more than 10 message attributes directed
// towards Raw Message Delivery enabled Amazon SQS subscriptions will be discarded as client side errors":
// https://docs.aws.amazon.com/sns/latest/dg/SNSMessageAttributes.html
const maxRawAttributes = 10

// outgoing are the deliveries of a message. The lock is held.
func (s *Service) outgoing(t *topic, id string, m Message) []*delivery {
	var out []*delivery
	at := stamp(s.Clock.Now())
	seals := map[string]*sealed{} // by text: subscribers that get the same share its signature
	for _, sub := range t.subs {
		if sub.state != confirmed || !m.passes(sub.filter, sub.protocol) {
			continue
		}
		text := m.text(sub.protocol)
		seal, ok := seals[text]
		if !ok {
			seal = s.seal(envelope{
				Type: notificationKind, MessageId: id, TopicArn: t.arn, Subject: m.Subject, Message: text, Timestamp: at,
				MessageAttributes: shownAttributes(m.Attributes),
			}, t)
			seals[text] = seal
		}
		d := &delivery{
			topicARN: t.arn, sub: sub, kind: notificationKind, messageID: id, endpoint: sub.endpoint, web: sub.web(), raw: sub.raw,
			delays: managedRetries, seal: seal, unsubscribe: s.URL + "/?Action=Unsubscribe&SubscriptionArn=" + sub.arn,
			text: text, attributes: m.Attributes, group: m.Group,
		}
		if d.web {
			p := sub.delivery.effective(t.delivery)
			d.delays, d.contentType = *p.Retries, p.Request.HeaderContentType
			if p.Throttle != nil {
				d.perSecond = p.Throttle.MaxReceivesPerSecond
			}
		}
		out = append(out, d)
	}
	return out
}

// send tells web hooks by themselves, and queues one after the other.
func (s *Service) send(out []*delivery) {
	for _, d := range out {
		if d.web {
			s.mu.Lock()
			s.start(d)
			s.mu.Unlock()
			continue
		}
		s.run(d)
	}
}

// payload is what goes into a queue.
func (d *delivery) payload() (sqs.Message, error) {
	if d.raw && len(d.attributes) <= maxRawAttributes {
		return sqs.Message{Body: d.text, Attributes: d.attributes, Group: d.group}, nil
	}
	body, err := d.body()
	return sqs.Message{Body: body, Group: d.group}, err
}
