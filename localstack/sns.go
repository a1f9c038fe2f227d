package localstack

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
	"github.com/rs/zerolog"
)

const (
	snsVersion = "2010-03-31"
	snsNS      = "http://sns.amazonaws.com/doc/2010-03-31/"
)

// snsService is SNS: topics whose subscribers are SQS queues of the same server.
type snsService struct {
	base, region, account string
	sqs                   *sqsService
	log                   zerolog.Logger

	mu     sync.Mutex
	topics map[string]*topic // by ARN
}

type topic struct {
	arn           string
	attributes    map[string]string
	tags          []tag
	subscriptions []*subscription
}

// subscription sends what a topic gets to a queue.
type subscription struct {
	arn      string
	endpoint string // the queue's ARN
	raw      bool
}

func newSNS(base, region, account string, sqs *sqsService, log zerolog.Logger) *snsService {
	return &snsService{base: base, region: region, account: account, sqs: sqs, log: log, topics: map[string]*topic{}}
}

var snsCalls = map[string]func(s *snsService, q query) ([]node, *apiError){
	"CreateTopic":               (*snsService).createTopic,
	"DeleteTopic":               (*snsService).deleteTopic,
	"ListTopics":                (*snsService).listTopics,
	"GetTopicAttributes":        (*snsService).getTopicAttributes,
	"SetTopicAttributes":        (*snsService).setTopicAttributes,
	"Subscribe":                 (*snsService).subscribe,
	"Unsubscribe":               (*snsService).unsubscribe,
	"ListSubscriptions":         (*snsService).listSubscriptions,
	"ListSubscriptionsByTopic":  (*snsService).listSubscriptions,
	"GetSubscriptionAttributes": (*snsService).getSubscriptionAttributes,
	"SetSubscriptionAttributes": (*snsService).setSubscriptionAttributes,
	"ListTagsForResource":       (*snsService).listTags,
	"Publish":                   (*snsService).publish,
}

func (s *snsService) operation(action string, q query) operation {
	return operation{
		name: "sns:" + action, params: q.flat(), fail: failWith(snsNS),
		do: func(context.Context, *record) (reply, *apiError) {
			call, ok := snsCalls[action]
			if !ok {
				return reply{}, errf("InvalidAction", "localstack has no SNS operation %q", action)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			result, apiErr := call(s, q)
			if apiErr != nil {
				return reply{}, apiErr
			}
			return xmlReply(http.StatusOK, snsNS, tree(action+"Response",
				tree(action+"Result", result...),
				tree("ResponseMetadata", el("RequestId", uuid.NewString())))), nil
		},
	}
}

func (s *snsService) topic(arn string) (*topic, *apiError) {
	if !strings.HasPrefix(arn, "arn:aws") || strings.Count(arn, ":") < 5 {
		return nil, errf("InvalidParameter", "Invalid parameter: TopicArn Reason: An ARN must have at least 6 elements, not %d", strings.Count(arn, ":")+1)
	}
	t, ok := s.topics[arn]
	if !ok {
		return nil, errf("NotFound", "Topic does not exist")
	}
	return t, nil
}

var topicName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`)

// pairs reads a map of the query protocol: Attributes.entry.1.key, Attributes.entry.1.value.
func pairs(q query, name string) map[string]string {
	out := map[string]string{}
	for _, e := range q.under(name + ".entry") {
		out[e.get("key")] = e.get("value")
	}
	return out
}

func (s *snsService) createTopic(q query) ([]node, *apiError) {
	name, attributes := q.get("Name"), pairs(q, "Attributes")
	if strings.HasSuffix(name, ".fifo") || attributes["FifoTopic"] != "" {
		return nil, errf("InvalidParameter", "Invalid parameter: localstack has no FIFO topics: %q is refused", name)
	}
	if !topicName.MatchString(name) {
		return nil, errf("InvalidParameter", "Invalid parameter: Topic Name")
	}
	arn := "arn:aws:sns:" + s.region + ":" + s.account + ":" + name
	if _, ok := s.topics[arn]; !ok {
		var tags []tag
		for _, t := range q.under("Tags.member") {
			tags = append(tags, tag{t.get("Key"), t.get("Value")})
		}
		s.topics[arn] = &topic{arn: arn, attributes: attributes, tags: tags}
	}
	return []node{el("TopicArn", arn)}, nil
}

func (s *snsService) deleteTopic(q query) ([]node, *apiError) {
	delete(s.topics, q.get("TopicArn"))
	return nil, nil
}

func (s *snsService) listTopics(query) ([]node, *apiError) {
	list := node{name: "Topics"}
	for _, arn := range slices.Sorted(maps.Keys(s.topics)) {
		list.kids = append(list.kids, tree("member", el("TopicArn", arn)))
	}
	return []node{list}, nil
}

func (s *snsService) listTags(q query) ([]node, *apiError) {
	t, apiErr := s.topic(q.get("ResourceArn"))
	if apiErr != nil {
		return nil, apiErr
	}
	list := node{name: "Tags"}
	for _, tag := range t.tags {
		list.kids = append(list.kids, tree("member", el("Key", tag.key), el("Value", tag.value)))
	}
	return []node{list}, nil
}

func entries(m map[string]string) []node {
	list := node{name: "Attributes"}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		list.kids = append(list.kids, tree("entry", el("key", k), el("value", m[k])))
	}
	return []node{list}
}

func (s *snsService) getTopicAttributes(q query) ([]node, *apiError) {
	t, apiErr := s.topic(q.get("TopicArn"))
	if apiErr != nil {
		return nil, apiErr
	}
	out := map[string]string{
		"TopicArn": t.arn, "Owner": s.account, "SubscriptionsConfirmed": strconv.Itoa(len(t.subscriptions)),
		"SubscriptionsPending": "0", "SubscriptionsDeleted": "0", "DisplayName": "",
	}
	maps.Copy(out, t.attributes)
	return entries(out), nil
}

func (s *snsService) setTopicAttributes(q query) ([]node, *apiError) {
	t, apiErr := s.topic(q.get("TopicArn"))
	if apiErr != nil {
		return nil, apiErr
	}
	t.attributes[q.get("AttributeName")] = q.get("AttributeValue")
	return nil, nil
}

func (s *snsService) subscribe(q query) ([]node, *apiError) {
	t, apiErr := s.topic(q.get("TopicArn"))
	if apiErr != nil {
		return nil, apiErr
	}
	if q.get("Protocol") != "sqs" {
		return nil, errf("InvalidParameter", "Invalid parameter: localstack has subscriptions of the protocol sqs only, not %q", q.get("Protocol"))
	}
	endpoint := q.get("Endpoint")
	if !strings.HasPrefix(endpoint, "arn:aws:sqs:") {
		return nil, errf("InvalidParameter", "Invalid parameter: SQS endpoint ARN")
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
				return nil, errf("InvalidParameter", "Invalid parameter: Attributes Reason: Subscription already exists with different attributes")
			}
			return []node{el("SubscriptionArn", old.arn)}, nil
		}
	}
	t.subscriptions = append(t.subscriptions, sub)
	return []node{el("SubscriptionArn", sub.arn)}, nil
}

// set refuses what would change which messages arrive, and is not there: a filter that filters nothing would mislead.
func (sub *subscription) set(name, value string) *apiError {
	switch name {
	case "RawMessageDelivery":
		raw, err := strconv.ParseBool(value)
		if err != nil {
			return errf("InvalidParameter", "Invalid parameter: Attributes Reason: RawMessageDelivery: Invalid value [%s]. Must be true or false.", value)
		}
		sub.raw = raw
		return nil
	default:
		return errf("InvalidParameter", "Invalid parameter: AttributeName Reason: localstack has no subscription attribute %q", name)
	}
}

func (s *snsService) subscription(arn string) (*topic, *subscription, *apiError) {
	for _, t := range s.topics {
		for _, sub := range t.subscriptions {
			if sub.arn == arn {
				return t, sub, nil
			}
		}
	}
	return nil, nil, errf("NotFound", "Subscription does not exist")
}

func (s *snsService) unsubscribe(q query) ([]node, *apiError) {
	if t, sub, apiErr := s.subscription(q.get("SubscriptionArn")); apiErr == nil {
		t.subscriptions = slices.DeleteFunc(t.subscriptions, func(x *subscription) bool { return x == sub })
	}
	return nil, nil
}

func (s *snsService) setSubscriptionAttributes(q query) ([]node, *apiError) {
	_, sub, apiErr := s.subscription(q.get("SubscriptionArn"))
	if apiErr != nil {
		return nil, apiErr
	}
	return nil, sub.set(q.get("AttributeName"), q.get("AttributeValue"))
}

func (s *snsService) getSubscriptionAttributes(q query) ([]node, *apiError) {
	t, sub, apiErr := s.subscription(q.get("SubscriptionArn"))
	if apiErr != nil {
		return nil, apiErr
	}
	return entries(map[string]string{
		"SubscriptionArn": sub.arn, "TopicArn": t.arn, "Protocol": "sqs", "Endpoint": sub.endpoint, "Owner": s.account,
		"RawMessageDelivery": strconv.FormatBool(sub.raw), "PendingConfirmation": "false",
	}), nil
}

func (s *snsService) listSubscriptions(q query) ([]node, *apiError) {
	list := node{name: "Subscriptions"}
	for _, arn := range slices.Sorted(maps.Keys(s.topics)) {
		if q.has("TopicArn") && arn != q.get("TopicArn") {
			continue
		}
		for _, sub := range s.topics[arn].subscriptions {
			list.kids = append(list.kids, tree("member", el("SubscriptionArn", sub.arn), el("Owner", s.account),
				el("Protocol", "sqs"), el("Endpoint", sub.endpoint), el("TopicArn", arn)))
		}
	}
	if q.has("TopicArn") {
		if _, apiErr := s.topic(q.get("TopicArn")); apiErr != nil {
			return nil, apiErr
		}
	}
	return []node{list}, nil
}

// messageAttributes reads MessageAttributes.entry.1.Name, .Value.DataType and so on.
func messageAttributes(q query) (map[string]attribute, *apiError) {
	out := map[string]attribute{}
	for _, e := range q.under("MessageAttributes.entry") {
		a := attribute{DataType: e.get("Value.DataType")}
		if e.has("Value.StringValue") {
			text := e.get("Value.StringValue")
			a.StringValue = &text
		}
		if e.has("Value.BinaryValue") {
			raw, err := base64.StdEncoding.DecodeString(e.get("Value.BinaryValue"))
			if err != nil {
				return nil, errf("InvalidParameter", "Invalid parameter: MessageAttributes Reason: %v", err)
			}
			a.BinaryValue = raw
		}
		name := e.get("Name")
		if len(a.value()) == 0 {
			return nil, errf("InvalidParameterValue", "The message attribute '%s' must contain non-empty message attribute value for message attribute type '%s'.", name, a.DataType)
		}
		if !attributeName.MatchString(name) || !attributeType.MatchString(a.DataType) && !strings.HasPrefix(a.DataType, "String.Array") {
			return nil, errf("InvalidParameterValue", "The message attribute '%s' has an invalid name or type.", name)
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
