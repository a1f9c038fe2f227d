package sns

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// State is SNS as a dump of the server shows it.
type State struct {
	Topics     []TopicState    // by ARN
	Deliveries []DeliveryState // that are not done, the oldest first
}

// TopicState is a topic in a dump.
type TopicState struct {
	ARN           string
	Attributes    map[string]string
	Tags          map[string]string
	Subscriptions []SubscriptionState // the oldest first
}

// SubscriptionState is a subscription in a dump.
type SubscriptionState struct {
	ARN        string
	State      string // "pending", "confirmed" or "deleted"
	Protocol   string
	Endpoint   string
	Attributes map[string]string
	Tokens     []string // that confirm it
}

// DeliveryState is a message on its way to an endpoint.
type DeliveryState struct {
	MessageID    string
	Type         string
	TopicARN     string
	Subscription string `json:",omitempty"` // empty: to a dead-letter queue
	Endpoint     string
	Attempts     int       // that were begun
	Waiting      bool      // for Next; else it is being tried
	Next         time.Time `json:",omitzero"`
	Reason       string    `json:",omitempty"` // of the last failure
}

// State is a dump of the service; it is a State.
func (s *Service) State() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := State{Topics: []TopicState{}, Deliveries: []DeliveryState{}}
	for _, arn := range slices.Sorted(maps.Keys(s.topics)) {
		t := s.topics[arn]
		state := TopicState{ARN: arn, Attributes: s.shown(t), Tags: map[string]string{}, Subscriptions: []SubscriptionState{}}
		for _, tag := range t.tags {
			state.Tags[tag.key] = tag.value
		}
		for _, sub := range t.subs {
			state.Subscriptions = append(state.Subscriptions, SubscriptionState{
				ARN: sub.arn, State: sub.state.String(), Protocol: sub.protocol, Endpoint: sub.endpoint,
				Attributes: s.shownSubscription(sub), Tokens: s.tokensOf(sub),
			})
		}
		out.Topics = append(out.Topics, state)
	}
	for _, d := range slices.SortedFunc(maps.Keys(s.under), func(a, b *delivery) int { return cmp.Compare(a.serial, b.serial) }) {
		state := DeliveryState{
			MessageID: d.messageID, Type: d.kind, TopicARN: d.topicARN, Endpoint: d.endpoint, Attempts: d.attempts, Waiting: d.waiting,
			Reason: d.reason,
		}
		if d.waiting {
			state.Next = d.due.UTC()
		}
		if d.sub != nil {
			state.Subscription = d.sub.arn
		}
		out.Deliveries = append(out.Deliveries, state)
	}
	return out
}

func (s *Service) tokensOf(sub *subscription) []string {
	out := []string{}
	for text, t := range s.tokens {
		if t.sub == sub {
			out = append(out, text)
		}
	}
	slices.Sort(out)
	return out
}
