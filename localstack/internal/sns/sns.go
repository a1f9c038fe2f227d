// Package sns is SNS: topics and what they deliver to their subscribers.
package sns

import (
	"context"
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/google/uuid"

	"stillpoint/localstack/internal/host"
	"stillpoint/localstack/internal/sqs"
	"stillpoint/localstack/internal/wire"
)

const (
	// Version is that of the API, which clients send.
	Version = "2010-03-31"
	space   = "http://sns.amazonaws.com/doc/2010-03-31/"
)

// Service is SNS: topics whose subscribers are SQS queues of the same server.
type Service struct {
	host.Host
	sqs *sqs.Service

	mu     sync.Mutex
	topics map[string]*topic // by ARN
}

type topic struct {
	arn           string
	attributes    map[string]string
	tags          []tag
	subscriptions []*subscription
}

type tag struct{ key, value string }

// subscription sends what a topic gets to a queue.
type subscription struct {
	arn      string
	endpoint string // the queue's ARN
	raw      bool
}

// New makes a service without topics.
func New(h host.Host, queues *sqs.Service) *Service {
	return &Service{Host: h, sqs: queues, topics: map[string]*topic{}}
}

var operations = map[string]func(s *Service, q wire.Query) ([]wire.Node, *wire.Error){
	"CreateTopic":               (*Service).createTopic,
	"DeleteTopic":               (*Service).deleteTopic,
	"ListTopics":                (*Service).listTopics,
	"GetTopicAttributes":        (*Service).getTopicAttributes,
	"SetTopicAttributes":        (*Service).setTopicAttributes,
	"Subscribe":                 (*Service).subscribe,
	"Unsubscribe":               (*Service).unsubscribe,
	"ListSubscriptions":         (*Service).listSubscriptions,
	"ListSubscriptionsByTopic":  (*Service).listSubscriptions,
	"GetSubscriptionAttributes": (*Service).getSubscriptionAttributes,
	"SetSubscriptionAttributes": (*Service).setSubscriptionAttributes,
	"ListTagsForResource":       (*Service).listTags,
	"Publish":                   (*Service).publish,
}

// Operation is the call of an action.
func (s *Service) Operation(action string, q wire.Query) wire.Operation {
	return wire.Operation{
		Name: "sns:" + action, Params: q.Flat(), Fail: wire.FailXML(space),
		Do: func(context.Context, *wire.Call) (wire.Reply, *wire.Error) {
			call, ok := operations[action]
			if !ok {
				return wire.Reply{}, wire.Errorf("InvalidAction", "localstack has no SNS operation %q", action)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			result, apiErr := call(s, q)
			if apiErr != nil {
				return wire.Reply{}, apiErr
			}
			return wire.XML(http.StatusOK, space, wire.Tree(action+"Response",
				wire.Tree(action+"Result", result...),
				wire.Tree("ResponseMetadata", wire.El("RequestId", uuid.NewString())))), nil
		},
	}
}

func (s *Service) topic(arn string) (*topic, *wire.Error) {
	if !strings.HasPrefix(arn, "arn:aws") || strings.Count(arn, ":") < 5 {
		return nil, wire.Errorf("InvalidParameter", "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not %d", strings.Count(arn, ":")+1)
	}
	t, ok := s.topics[arn]
	if !ok {
		return nil, wire.Errorf("NotFound", "Topic does not exist")
	}
	return t, nil
}

var topicName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`)

// pairs reads a map of the query protocol: Attributes.entry.1.key, Attributes.entry.1.value.
func pairs(q wire.Query, name string) map[string]string {
	out := map[string]string{}
	for _, e := range q.Under(name + ".entry") {
		out[e.Get("key")] = e.Get("value")
	}
	return out
}

func (s *Service) createTopic(q wire.Query) ([]wire.Node, *wire.Error) {
	name, attributes := q.Get("Name"), pairs(q, "Attributes")
	if strings.HasSuffix(name, ".fifo") || attributes["FifoTopic"] != "" {
		return nil, wire.Errorf("InvalidParameter", "Invalid parameter: localstack has no FIFO topics: %q is refused", name)
	}
	if !topicName.MatchString(name) {
		return nil, wire.Errorf("InvalidParameter", "Invalid parameter: Topic Name")
	}
	arn := "arn:aws:sns:" + s.Region + ":" + s.Account + ":" + name
	if _, ok := s.topics[arn]; !ok {
		var tags []tag
		for _, t := range q.Under("Tags.member") {
			tags = append(tags, tag{t.Get("Key"), t.Get("Value")})
		}
		s.topics[arn] = &topic{arn: arn, attributes: attributes, tags: tags}
	}
	return []wire.Node{wire.El("TopicArn", arn)}, nil
}

func (s *Service) deleteTopic(q wire.Query) ([]wire.Node, *wire.Error) {
	delete(s.topics, q.Get("TopicArn"))
	return nil, nil
}

func (s *Service) listTopics(wire.Query) ([]wire.Node, *wire.Error) {
	list := wire.Node{Name: "Topics"}
	for _, arn := range slices.Sorted(maps.Keys(s.topics)) {
		list.Kids = append(list.Kids, wire.Tree("member", wire.El("TopicArn", arn)))
	}
	return []wire.Node{list}, nil
}

func (s *Service) listTags(q wire.Query) ([]wire.Node, *wire.Error) {
	t, apiErr := s.topic(q.Get("ResourceArn"))
	if apiErr != nil {
		return nil, apiErr
	}
	list := wire.Node{Name: "Tags"}
	for _, tag := range t.tags {
		list.Kids = append(list.Kids, wire.Tree("member", wire.El("Key", tag.key), wire.El("Value", tag.value)))
	}
	return []wire.Node{list}, nil
}

func entries(m map[string]string) []wire.Node {
	list := wire.Node{Name: "Attributes"}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		list.Kids = append(list.Kids, wire.Tree("entry", wire.El("key", k), wire.El("value", m[k])))
	}
	return []wire.Node{list}
}

func (s *Service) getTopicAttributes(q wire.Query) ([]wire.Node, *wire.Error) {
	t, apiErr := s.topic(q.Get("TopicArn"))
	if apiErr != nil {
		return nil, apiErr
	}
	out := map[string]string{
		"TopicArn": t.arn, "Owner": s.Account, "SubscriptionsConfirmed": strconv.Itoa(len(t.subscriptions)),
		"SubscriptionsPending": "0", "SubscriptionsDeleted": "0", "DisplayName": "",
	}
	maps.Copy(out, t.attributes)
	return entries(out), nil
}

func (s *Service) setTopicAttributes(q wire.Query) ([]wire.Node, *wire.Error) {
	t, apiErr := s.topic(q.Get("TopicArn"))
	if apiErr != nil {
		return nil, apiErr
	}
	t.attributes[q.Get("AttributeName")] = q.Get("AttributeValue")
	return nil, nil
}

func (s *Service) subscribe(q wire.Query) ([]wire.Node, *wire.Error) {
	t, apiErr := s.topic(q.Get("TopicArn"))
	if apiErr != nil {
		return nil, apiErr
	}
	if q.Get("Protocol") != "sqs" {
		return nil, wire.Errorf("InvalidParameter", "Invalid parameter: localstack has subscriptions of the protocol sqs only, not %q", q.Get("Protocol"))
	}
	endpoint := q.Get("Endpoint")
	if !strings.HasPrefix(endpoint, "arn:aws:sqs:") {
		return nil, wire.Errorf("InvalidParameter", "Invalid parameter: SQS endpoint ARN")
	}
	sub := &subscription{arn: t.arn + ":" + uuid.NewString(), endpoint: endpoint}
	for name, value := range pairs(q, "Attributes") {
		if apiErr := sub.set(name, value); apiErr != nil {
			return nil, apiErr
		}
	}
	for _, old := range t.subscriptions {
		if old.endpoint == endpoint {
			if old.raw != sub.raw {
				return nil, wire.Errorf("InvalidParameter", "Invalid parameter: Attributes Reason: Subscription already exists with different attributes")
			}
			return []wire.Node{wire.El("SubscriptionArn", old.arn)}, nil
		}
	}
	t.subscriptions = append(t.subscriptions, sub)
	return []wire.Node{wire.El("SubscriptionArn", sub.arn)}, nil
}

// set refuses what would change which messages arrive, and is not there: a filter that filters nothing would mislead.
func (sub *subscription) set(name, value string) *wire.Error {
	switch name {
	case "RawMessageDelivery":
		raw, err := strconv.ParseBool(value)
		if err != nil {
			return wire.Errorf("InvalidParameter", "Invalid parameter: Attributes Reason: RawMessageDelivery: Invalid value [%s]. Must be true or false.", value)
		}
		sub.raw = raw
		return nil
	default:
		return wire.Errorf("InvalidParameter", "Invalid parameter: AttributeName Reason: localstack has no subscription attribute %q", name)
	}
}

func (s *Service) subscription(arn string) (*topic, *subscription, *wire.Error) {
	for _, t := range s.topics {
		for _, sub := range t.subscriptions {
			if sub.arn == arn {
				return t, sub, nil
			}
		}
	}
	return nil, nil, wire.Errorf("NotFound", "Subscription does not exist")
}

func (s *Service) unsubscribe(q wire.Query) ([]wire.Node, *wire.Error) {
	if t, sub, apiErr := s.subscription(q.Get("SubscriptionArn")); apiErr == nil {
		t.subscriptions = slices.DeleteFunc(t.subscriptions, func(x *subscription) bool { return x == sub })
	}
	return nil, nil
}

func (s *Service) setSubscriptionAttributes(q wire.Query) ([]wire.Node, *wire.Error) {
	_, sub, apiErr := s.subscription(q.Get("SubscriptionArn"))
	if apiErr != nil {
		return nil, apiErr
	}
	return nil, sub.set(q.Get("AttributeName"), q.Get("AttributeValue"))
}

func (s *Service) getSubscriptionAttributes(q wire.Query) ([]wire.Node, *wire.Error) {
	t, sub, apiErr := s.subscription(q.Get("SubscriptionArn"))
	if apiErr != nil {
		return nil, apiErr
	}
	return entries(map[string]string{
		"SubscriptionArn": sub.arn, "TopicArn": t.arn, "Protocol": "sqs", "Endpoint": sub.endpoint, "Owner": s.Account,
		"RawMessageDelivery": strconv.FormatBool(sub.raw), "PendingConfirmation": "false",
	}), nil
}

func (s *Service) listSubscriptions(q wire.Query) ([]wire.Node, *wire.Error) {
	list := wire.Node{Name: "Subscriptions"}
	for _, arn := range slices.Sorted(maps.Keys(s.topics)) {
		if q.Has("TopicArn") && arn != q.Get("TopicArn") {
			continue
		}
		for _, sub := range s.topics[arn].subscriptions {
			list.Kids = append(list.Kids, wire.Tree("member", wire.El("SubscriptionArn", sub.arn), wire.El("Owner", s.Account),
				wire.El("Protocol", "sqs"), wire.El("Endpoint", sub.endpoint), wire.El("TopicArn", arn)))
		}
	}
	if q.Has("TopicArn") {
		if _, apiErr := s.topic(q.Get("TopicArn")); apiErr != nil {
			return nil, apiErr
		}
	}
	return []wire.Node{list}, nil
}

// messageAttributes reads MessageAttributes.entry.1.Name, .Value.DataType and so on.
func messageAttributes(q wire.Query) (map[string]sqs.Attribute, *wire.Error) {
	out := map[string]sqs.Attribute{}
	for _, e := range q.Under("MessageAttributes.entry") {
		a := sqs.Attribute{DataType: e.Get("Value.DataType")}
		if e.Has("Value.StringValue") {
			text := e.Get("Value.StringValue")
			a.StringValue = &text
		}
		if e.Has("Value.BinaryValue") {
			raw, err := base64.StdEncoding.DecodeString(e.Get("Value.BinaryValue"))
			if err != nil {
				return nil, wire.Errorf("InvalidParameter", "Invalid parameter: MessageAttributes Reason: %v", err)
			}
			a.BinaryValue = raw
		}
		name := e.Get("Name")
		if len(a.Value()) == 0 {
			return nil, wire.Errorf("InvalidParameterValue", "The message attribute '%s' must contain non-empty message attribute value for message attribute type '%s'.", name, a.DataType)
		}
		if !sqs.AttributeName.MatchString(name) || !sqs.AttributeType.MatchString(a.DataType) && !strings.HasPrefix(a.DataType, "String.Array") {
			return nil, wire.Errorf("InvalidParameterValue", "The message attribute '%s' has an invalid name or type.", name)
		}
		out[name] = a
	}
	return out, nil
}

// badSubject says what is wrong with a subject. SNS takes ASCII of 1 to 99 characters, without control characters; its newer
// documentation allows UTF-8, its older one does not, so the stricter rule is the one that programs should keep.
func badSubject(s string) string {
	switch {
	case s == "":
		return "it is empty"
	case len(s) >= 100:
		return fmt.Sprintf("it has %d characters; fewer than 100 are allowed", len(s))
	case strings.ContainsFunc(s, func(r rune) bool { return r < 0x20 || r > 0x7e }):
		return "it has characters that are not printable ASCII"
	case s[0] == ' ':
		return "it does not begin with a letter, a number or a punctuation mark"
	}
	return ""
}
