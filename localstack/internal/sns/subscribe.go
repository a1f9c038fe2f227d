package sns

import (
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"stillpoint/localstack/internal/pattern"
	"stillpoint/localstack/internal/wire"
)

// maxFilters is how many filter policies a topic may have.
// https://docs.aws.amazon.com/general/latest/gr/sns.html
const maxFilters = 200

// subscribe makes a subscription, or answers with the one that the endpoint has. One of a queue of the account is confirmed at once;
// all others are pending until somebody confirms them, and the answer hides their ARN unless it was asked for. A pending web hook is
// sent a confirmation each time (recorded).
func (s *Service) subscribe(c *wire.Call, q wire.Query) ([]wire.Node, *wire.Error) {
	t, apiErr := s.open(c, "Subscribe", "TopicArn", q.Get("TopicArn"))
	if apiErr != nil {
		return nil, apiErr
	}
	if !s.own(c) {
		return nil, unauthorized("localstack has no subscriptions across accounts: only principals of %s can subscribe, not %s", s.Account, c.Principal)
	}
	protocol, endpoint := q.Get("Protocol"), q.Get("Endpoint")
	if apiErr := s.checkEndpoint(protocol, endpoint); apiErr != nil {
		return nil, apiErr
	}
	sub := &subscription{
		arn: t.arn + ":" + uuid.NewString(), topic: t, protocol: protocol, endpoint: endpoint, principal: c.Principal,
		scope: pattern.MessageAttributes,
	}
	given := pairs(q, "Attributes")
	if apiErr := sub.setAll(given); apiErr != nil {
		return nil, apiErr
	}
	old := t.find(protocol, endpoint)
	if old != nil {
		have, want := s.shownSubscription(old), s.shownSubscription(sub)
		for name := range given {
			if have[name] != want[name] {
				return nil, invalid("Attributes Reason: Subscription already exists with different attributes")
			}
		}
		sub = old
	} else {
		if apiErr := t.add(sub); apiErr != nil {
			return nil, apiErr
		}
		sub.serial = s.next()
		s.subs[sub.arn] = sub
	}
	c.About(sub.arn)
	s.begin(sub)
	if sub.state == pending && !q.Flag("ReturnSubscriptionArn") {
		return []wire.Node{wire.El("SubscriptionArn", "pending confirmation")}, nil
	}
	return []wire.Node{wire.El("SubscriptionArn", sub.arn)}, nil
}

// begin confirms a subscription that needs no confirmation, and asks for one where it does.
func (s *Service) begin(sub *subscription) {
	switch {
	case sub.state == confirmed:
	case sub.protocol == protocolSQS:
		s.confirm(sub, true)
	default:
		sub.state = pending
		s.expire(sub, unconfirmed)
		if sub.web() {
			s.ask(sub, "SubscriptionConfirmation")
		}
	}
}

// setAll sets what a request gives, in the order of settings.
func (sub *subscription) setAll(given map[string]string) *wire.Error {
	for name := range given {
		if !slices.Contains(settings, name) {
			return sub.set(name, given[name], "Attributes Reason: ")
		}
	}
	for _, name := range settings {
		if value, ok := given[name]; ok {
			if apiErr := sub.set(name, value, "Attributes Reason: "); apiErr != nil {
				return apiErr
			}
		}
	}
	return nil
}

func (t *topic) find(protocol, endpoint string) *subscription {
	for _, sub := range t.subs {
		if sub.protocol == protocol && sub.endpoint == endpoint {
			return sub
		}
	}
	return nil
}

func (t *topic) add(sub *subscription) *wire.Error {
	if t.maxSize > defaultSize && (sub.protocol != protocolSQS || len(t.subs) >= maxLargeSubs) {
		return invalid("a topic with messages above 262144 bytes has 100 subscriptions at most, all of them of the protocol sqs")
	}
	if sub.policy != "" && t.filters() >= maxFilters {
		return coded("FilterPolicyLimitExceeded", 403, "The topic has %d filter policies, which is the most there can be.", maxFilters)
	}
	t.subs = append(t.subs, sub)
	return nil
}

func (t *topic) filters() (n int) {
	for _, sub := range t.subs {
		if sub.policy != "" {
			n++
		}
	}
	return n
}

// forget takes a subscription away. What is on its way to it is dropped when it is next tried.
func (s *Service) forget(sub *subscription) {
	sub.state = gone
	if sub.timer != nil {
		sub.timer.Stop()
	}
	sub.topic.subs = slices.DeleteFunc(sub.topic.subs, func(x *subscription) bool { return x == sub })
	delete(s.subs, sub.arn)
	for text, token := range s.tokens {
		if token.sub == sub {
			delete(s.tokens, text)
		}
	}
}

// checkEndpoint refuses what there is not. A queue that does not exist is none of its errors (recorded).
func (s *Service) checkEndpoint(protocol, endpoint string) *wire.Error {
	switch protocol {
	case protocolSQS:
		parts := strings.Split(endpoint, ":")
		switch {
		case len(parts) != 6 || parts[0] != "arn" || parts[2] != protocolSQS || parts[5] == "":
			return invalid("SQS endpoint ARN")
		case strings.HasSuffix(endpoint, ".fifo"):
			return invalid("Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics")
		case parts[4] != s.Account:
			return invalid("Endpoint Reason: localstack has queues of the account %s only, not %s", s.Account, endpoint)
		}
		return nil
	case protocolHTTP, protocolHTTPS:
		return checkHook(protocol, endpoint)
	case protocolEmail, protocolJSON:
		if at := strings.Index(endpoint, "@"); at < 1 || at == len(endpoint)-1 {
			return invalid("Email address")
		}
		return nil
	case "sms", "application", "lambda", "firehose":
		return invalid("localstack has subscriptions of the protocols sqs, http, https, email and email-json, not %q", protocol)
	}
	return invalid("Amazon SNS does not support this protocol string: %s", protocol)
}

// Time limits. Unconfirmed subscriptions are deleted after 48 hours, and tokens are good for two days:
// https://aws.amazon.com/about-aws/whats-new/2023/05/amazon-sns-automatic-deletion-unconfirmed-subscriptions/ and
// https://docs.aws.amazon.com/sns/latest/api/API_Subscribe.html. One that was ended by somebody else than its owner stays for 72:
// https://repost.aws/knowledge-center/sns-cross-account-subscription
const (
	unconfirmed = 48 * time.Hour
	lingering   = 72 * time.Hour
)

// expire forgets a subscription after a while, unless its state changes.
func (s *Service) expire(sub *subscription, after time.Duration) {
	if sub.timer != nil {
		sub.timer.Stop()
	}
	was := sub.state
	sub.timer = s.Clock.AfterFunc(after, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if sub.state == was {
			s.forget(sub)
		}
	})
}
