package sns

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"stillpoint/localstack/internal/wire"
)

// key sorts subscriptions by topic, and the older first.
func (sub *subscription) key() string { return fmt.Sprintf("%s %012d", sub.topic.arn, sub.serial) }

func (s *Service) list(q wire.Query, subs []*subscription) ([]wire.Node, *wire.Error) {
	slices.SortFunc(subs, func(a, b *subscription) int { return strings.Compare(a.key(), b.key()) })
	subs, next, apiErr := page(q, subs, (*subscription).key)
	if apiErr != nil {
		return nil, apiErr
	}
	list := wire.Node{Name: "Subscriptions"}
	for _, sub := range subs {
		list.Kids = append(list.Kids, wire.Tree("member", wire.El("SubscriptionArn", sub.shownARN()), wire.El("Owner", s.Account),
			wire.El("Protocol", sub.protocol), wire.El("Endpoint", sub.endpoint), wire.El("TopicArn", sub.topic.arn)))
	}
	return append([]wire.Node{list}, next...), nil
}

func (s *Service) listSubscriptions(c *wire.Call, q wire.Query) ([]wire.Node, *wire.Error) {
	if apiErr := s.owner(c, "ListSubscriptions", "arn:aws:sns:"+s.Region+":"+s.Account+":*"); apiErr != nil {
		return nil, apiErr
	}
	return s.list(q, slices.Collect(maps.Values(s.subs)))
}

func (s *Service) listSubscriptionsByTopic(c *wire.Call, q wire.Query) ([]wire.Node, *wire.Error) {
	t, apiErr := s.open(c, "ListSubscriptionsByTopic", "TopicArn", q.Get("TopicArn"))
	if apiErr != nil {
		return nil, apiErr
	}
	return s.list(q, slices.Clone(t.subs))
}

// owned is the subscription that a call of its owner is about.
func (s *Service) owned(c *wire.Call, action, arn string) (*subscription, *wire.Error) {
	sub, apiErr := s.subscription(arn)
	if apiErr != nil {
		return nil, apiErr
	}
	c.About(sub.topic.arn, sub.arn)
	return sub, s.owner(c, action, sub.topic.arn)
}

func (s *Service) getSubscriptionAttributes(c *wire.Call, q wire.Query) ([]wire.Node, *wire.Error) {
	sub, apiErr := s.owned(c, "GetSubscriptionAttributes", q.Get("SubscriptionArn"))
	if apiErr != nil {
		return nil, apiErr
	}
	return entries(s.shownSubscription(sub)), nil
}

func (s *Service) setSubscriptionAttributes(c *wire.Call, q wire.Query) ([]wire.Node, *wire.Error) {
	sub, apiErr := s.owned(c, "SetSubscriptionAttributes", q.Get("SubscriptionArn"))
	if apiErr != nil {
		return nil, apiErr
	}
	name, value := q.Get("AttributeName"), q.Get("AttributeValue")
	if name == "FilterPolicy" && value != "" && sub.policy == "" && sub.topic.filters() >= maxFilters {
		return nil, coded("FilterPolicyLimitExceeded", 403, "The topic has %d filter policies, which is the most there can be.", maxFilters)
	}
	return nil, sub.set(name, value, "")
}
