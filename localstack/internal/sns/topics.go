package sns

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"stillpoint/localstack/internal/policy"
	"stillpoint/localstack/internal/wire"
)

// topic is a standard topic.
type topic struct {
	arn        string
	attributes map[string]string // that were set, without Policy
	policyText string            // empty: the default policy
	policy     *policy.Document
	delivery   topicPolicy
	maxSize    int // of a message, in bytes
	version    string
	tags       []tag
	subs       []*subscription // the oldest first
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

// createTopic makes a topic, or answers with the one that has the name, unless an attribute or a tag in the request is not as it is
// there (recorded). Attributes and tags that the request does not name do not count.
func (s *Service) createTopic(c *wire.Call, q wire.Query) ([]wire.Node, *wire.Error) {
	name, attributes := q.Get("Name"), pairs(q, "Attributes")
	arn := "arn:aws:sns:" + s.Region + ":" + s.Account + ":" + name
	c.About(arn)
	switch {
	case strings.HasSuffix(name, ".fifo"), attributes["FifoTopic"] != "" && !strings.EqualFold(attributes["FifoTopic"], "false"):
		return nil, invalid("localstack has no FIFO topics: %q is refused", name)
	case !topicName.MatchString(name):
		return nil, invalid("Topic Name")
	case q.Get("DataProtectionPolicy") != "":
		return nil, invalid("localstack has no data protection policies: DataProtectionPolicy is refused")
	}
	if apiErr := s.owner(c, "CreateTopic", arn); apiErr != nil {
		return nil, apiErr
	}
	delete(attributes, "FifoTopic")
	tags, apiErr := readTags(q)
	if apiErr != nil {
		return nil, apiErr
	}
	t := s.newTopic(arn)
	for _, key := range slices.Sorted(maps.Keys(attributes)) {
		if apiErr := t.set(key, attributes[key], "Attributes Reason: "); apiErr != nil {
			return nil, apiErr
		}
	}
	if apiErr := t.tag(tags); apiErr != nil {
		return nil, apiErr
	}
	old, ok := s.topics[arn]
	if !ok {
		s.topics[arn] = t
		return []wire.Node{wire.El("TopicArn", arn)}, nil
	}
	have, want := s.shown(old), s.shown(t)
	for key := range attributes {
		if have[key] != want[key] {
			return nil, invalid("Attributes Reason: Topic already exists with different attributes")
		}
	}
	for _, tag := range tags {
		if !slices.Contains(old.tags, tag) {
			return nil, invalid("Tags Reason: Topic already exists with different tags")
		}
	}
	return []wire.Node{wire.El("TopicArn", arn)}, nil
}

func (s *Service) newTopic(arn string) *topic {
	t := &topic{arn: arn, attributes: map[string]string{}, maxSize: defaultSize, version: "1"}
	t.policy, _ = policy.Parse([]byte(s.defaultPolicy(arn))) // a test reads it
	return t
}

// deleteTopic deletes the subscriptions too. A topic that is not there is none of its errors (recorded).
func (s *Service) deleteTopic(c *wire.Call, q wire.Query) ([]wire.Node, *wire.Error) {
	t, apiErr := s.open(c, "DeleteTopic", "TopicArn", q.Get("TopicArn"))
	if apiErr != nil {
		if apiErr.Code == notFound {
			return nil, nil
		}
		return nil, apiErr
	}
	for _, sub := range slices.Clone(t.subs) {
		s.forget(sub)
	}
	delete(s.topics, t.arn)
	return nil, nil
}

func (s *Service) listTopics(c *wire.Call, q wire.Query) ([]wire.Node, *wire.Error) {
	if apiErr := s.owner(c, "ListTopics", "arn:aws:sns:"+s.Region+":"+s.Account+":*"); apiErr != nil {
		return nil, apiErr
	}
	arns, next, apiErr := page(q, slices.Sorted(maps.Keys(s.topics)), func(arn string) string { return arn })
	if apiErr != nil {
		return nil, apiErr
	}
	list := wire.Node{Name: "Topics"}
	for _, arn := range arns {
		list.Kids = append(list.Kids, wire.Tree("member", wire.El("TopicArn", arn)))
	}
	return append([]wire.Node{list}, next...), nil
}

// shown are a topic's attributes as a client sees them.
func (s *Service) shown(t *topic) map[string]string {
	count := map[state]int{}
	for _, sub := range t.subs {
		count[sub.state]++
	}
	out := map[string]string{
		"TopicArn": t.arn, "Owner": s.Account, "DisplayName": "", "Policy": s.defaultPolicy(t.arn),
		"SubscriptionsConfirmed":  strconv.Itoa(count[confirmed]),
		"SubscriptionsPending":    strconv.Itoa(count[pending]),
		"SubscriptionsDeleted":    strconv.Itoa(count[deleted]),
		"EffectiveDeliveryPolicy": t.delivery.effective(),
	}
	maps.Copy(out, t.attributes)
	if t.policyText != "" {
		out["Policy"] = t.policyText
	}
	return out
}

func entries(m map[string]string) []wire.Node {
	list := wire.Node{Name: "Attributes"}
	for _, k := range slices.Sorted(maps.Keys(m)) {
		list.Kids = append(list.Kids, wire.Tree("entry", wire.El("key", k), wire.El("value", m[k])))
	}
	return []wire.Node{list}
}

func (s *Service) getTopicAttributes(c *wire.Call, q wire.Query) ([]wire.Node, *wire.Error) {
	t, apiErr := s.open(c, "GetTopicAttributes", "TopicArn", q.Get("TopicArn"))
	if apiErr != nil {
		return nil, apiErr
	}
	return entries(s.shown(t)), nil
}

func (s *Service) setTopicAttributes(c *wire.Call, q wire.Query) ([]wire.Node, *wire.Error) {
	t, apiErr := s.open(c, "SetTopicAttributes", "TopicArn", q.Get("TopicArn"))
	if apiErr != nil {
		return nil, apiErr
	}
	name, value := q.Get("AttributeName"), q.Get("AttributeValue")
	if apiErr := t.set(name, value, ""); apiErr != nil {
		return nil, apiErr
	}
	if feedback.MatchString(name) {
		s.Log.Warn().Str("topic", t.arn).Str("attribute", name).Msg("localstack writes no delivery logs; its log of calls has each delivery")
	}
	return nil, nil
}
