package sns

import (
	"crypto/rand"
	"encoding/hex"
	"regexp"
	"time"

	"github.com/google/uuid"

	"stillpoint/localstack/internal/wire"
)

// token lets whoever was sent it confirm a subscription.
type token struct {
	sub    *subscription
	issued time.Time
}

// tokenBytes is how many random bytes a token has; its text is twice as long.
const tokenBytes = 72

var tokenText = regexp.MustCompile(`^[0-9a-f]{64,}$`)

// ask sends a web hook a message that asks it to confirm, or that it may undo its end.
func (s *Service) ask(sub *subscription, kind string) {
	b := make([]byte, tokenBytes)
	_, _ = rand.Read(b) // never fails
	text := hex.EncodeToString(b)
	s.tokens[text] = token{sub, s.Clock.Now()}
	m := envelope{
		Type: kind, MessageId: uuid.NewString(), Token: text, TopicArn: sub.topic.arn, Timestamp: stamp(s.Clock.Now()),
		SubscribeURL: s.URL + "/?Action=ConfirmSubscription&TopicArn=" + sub.topic.arn + "&Token=" + text,
		Message:      "You have chosen to subscribe to the topic " + sub.topic.arn + ".\nTo confirm the subscription, visit the SubscribeURL included in this message.",
	}
	if kind == unsubscribeKind {
		m.Message = "You have chosen to deactivate subscription " + sub.arn + ".\nTo cancel this operation and restore the subscription, visit the SubscribeURL included in this message."
	}
	s.start(&delivery{
		topicARN: sub.topic.arn, sub: sub, kind: kind, messageID: m.MessageId, web: true, endpoint: sub.endpoint,
		seal: s.seal(m, sub.topic), contentType: defaultContentType, delays: *sub.delivery.effective(sub.topic.delivery).Retries,
	})
}

// confirm makes a subscription one to which messages are delivered.
func (s *Service) confirm(sub *subscription, authenticated bool) {
	sub.state, sub.authenticated = confirmed, authenticated
	if sub.timer != nil {
		sub.timer.Stop()
	}
}

// confirmSubscription is what the link in a confirmation message calls, without a signature. The errors are recorded: a text that
// is no token, and one that is not, or no longer, good for a subscription of the topic, which need not be there.
func (s *Service) confirmSubscription(c *wire.Call, q wire.Query) ([]wire.Node, *wire.Error) {
	if _, apiErr := elements("TopicArn", q.Get("TopicArn")); apiErr != nil {
		return nil, apiErr
	}
	c.About(q.Get("TopicArn"))
	if !tokenText.MatchString(q.Get("Token")) {
		return nil, wire.Errorf(invalidParameter, "Invalid token")
	}
	t, ok := s.tokens[q.Get("Token")]
	if !ok || t.sub.topic.arn != q.Get("TopicArn") || s.Clock.Now().After(t.issued.Add(s.good(t.sub))) {
		return nil, invalid("Token")
	}
	guard := q.Flag("AuthenticateOnUnsubscribe")
	if guard && !s.own(c) {
		return nil, unauthorized("AuthenticateOnUnsubscribe needs a request with a signature of account %s", s.Account)
	}
	c.About(t.sub.arn)
	if t.sub.state != confirmed {
		s.confirm(t.sub, s.own(c))
	}
	t.sub.guarded = t.sub.guarded || guard
	return []wire.Node{wire.El("SubscriptionArn", t.sub.arn)}, nil
}

// good is how long a token is: as long as what it can bring back.
func (s *Service) good(sub *subscription) time.Duration {
	if sub.state == deleted {
		return lingering
	}
	return unconfirmed
}

// unsubscribe ends a subscription. One of a web hook anybody can end, also without a signature, which is how the link in a message
// calls, unless it was confirmed with AuthenticateOnUnsubscribe; the endpoint is told then, and can undo it. That the owner's call sends no such
// message is what https://docs.aws.amazon.com/sns/latest/api/API_Unsubscribe.html says. That a subscription is gone already is no
// error (recorded).
func (s *Service) unsubscribe(c *wire.Call, q wire.Query) ([]wire.Node, *wire.Error) {
	arn := q.Get("SubscriptionArn")
	sub, apiErr := s.subscription(arn)
	if apiErr != nil {
		if apiErr.Code == notFound {
			return nil, nil
		}
		return nil, apiErr
	}
	c.About(sub.topic.arn, sub.arn)
	if s.own(c) {
		s.forget(sub)
		return nil, nil
	}
	if sub.guarded || !sub.web() {
		return nil, s.deny(c, "Unsubscribe", arn, "because the subscription requires authentication for deletion")
	}
	if sub.state == deleted {
		return nil, nil
	}
	sub.state = deleted
	s.expire(sub, lingering)
	s.ask(sub, unsubscribeKind)
	return nil, nil
}

// subscription finds one. What is no ARN of one is another error than one that is not there (recorded).
func (s *Service) subscription(arn string) (*subscription, *wire.Error) {
	parts, apiErr := elements("SubscriptionArn", arn)
	if apiErr != nil {
		return nil, apiErr
	}
	if len(parts) != 7 || uuid.Validate(parts[6]) != nil {
		return nil, invalid("SubscriptionId")
	}
	sub, ok := s.subs[arn]
	if !ok {
		return nil, noSubscription()
	}
	return sub, nil
}
