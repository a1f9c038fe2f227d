package sns

import (
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"stillpoint/localstack/internal/clock"
	"stillpoint/localstack/internal/pattern"
	"stillpoint/localstack/internal/wire"
)

// The protocols that there are.
const (
	protocolSQS   = "sqs"
	protocolHTTP  = "http"
	protocolHTTPS = "https"
	protocolEmail = "email"
	protocolJSON  = "email-json"
)

// state is where a subscription is in its life.
type state int

const (
	pending   state = iota // nobody has confirmed it
	confirmed              // messages are delivered
	deleted                // its endpoint left by a link, and may come back by another
	gone                   // it is no more
)

func (s state) String() string {
	return [...]string{"pending", "confirmed", "deleted", "gone"}[s]
}

// subscription sends what a topic gets to an endpoint. The lock of the service is for all of it.
type subscription struct {
	serial    int
	arn       string
	topic     *topic
	protocol  string
	endpoint  string // an ARN of a queue, a URL or an address
	principal string // who made it
	state     state
	timer     *clock.Timer // ends pending and deleted
	free      time.Time    // until when the throttle is closed

	authenticated bool // it was confirmed by a call with a signature
	guarded       bool // only its owner can end it

	raw      bool
	filter   *pattern.Filter
	policy   string // the filter's text; empty: none
	scope    pattern.Scope
	redrive  string // the attribute; empty: none
	dead     string // ARN of the dead-letter queue; empty: none
	delivery *subPolicy
}

func (sub *subscription) web() bool {
	return sub.protocol == protocolHTTP || sub.protocol == protocolHTTPS
}

// shownARN is what stands in lists (recorded).
func (sub *subscription) shownARN() string {
	switch sub.state {
	case pending:
		return "PendingConfirmation"
	case deleted:
		return "Deleted"
	}
	return sub.arn
}

// settings are the attributes that can be set, in an order in which they can: a filter is read by its scope, and the content type
// of a request by whether the message is raw.
var settings = []string{"RawMessageDelivery", "FilterPolicyScope", "FilterPolicy", "RedrivePolicy", "DeliveryPolicy"}

// set changes an attribute. prefix is what the errors of Subscribe have in front.
func (sub *subscription) set(name, value, prefix string) *wire.Error {
	bad := func(why string) *wire.Error { return invalid("%s%s: %s", prefix, name, why) }
	switch name {
	case "RawMessageDelivery":
		if value != "true" && value != "false" {
			return bad("Invalid value [" + value + "]. Must be true or false.")
		}
		if value == "true" && !sub.web() && sub.protocol != protocolSQS {
			return invalid("%sDelivery protocol [%s] does not support raw message delivery.", prefix, sub.protocol)
		}
		sub.raw = value == "true"
	case "FilterPolicyScope":
		scope := pattern.Scope(value)
		if scope != pattern.MessageAttributes && scope != pattern.MessageBody {
			return bad("Invalid value [" + value + "]. Please use either MessageBody or MessageAttributes")
		}
		return sub.setFilter(sub.policy, scope, bad)
	case "FilterPolicy":
		return sub.setFilter(value, sub.scope, bad)
	case "RedrivePolicy":
		return sub.setRedrive(value, bad)
	case "DeliveryPolicy":
		return sub.setDelivery(value, bad)
	case "SubscriptionRoleArn", "ReplayPolicy", "ReplayStatus":
		return invalid("%slocalstack has no Firehose and no FIFO topics: the subscription attribute %q is refused", prefix, name)
	default:
		return invalid("%sAttributeName", prefix)
	}
	return nil
}

func (sub *subscription) setFilter(text string, scope pattern.Scope, bad func(string) *wire.Error) *wire.Error {
	if text == "" {
		sub.filter, sub.policy, sub.scope = nil, "", scope
		return nil
	}
	f, err := pattern.ParseFilter([]byte(text), scope)
	if err != nil {
		return bad(err.Error())
	}
	sub.filter, sub.policy, sub.scope = f, text, scope
	return nil
}

// setRedrive. That the queue is there is not looked at. "The Amazon SNS subscription and Amazon SQS queue must be under the same
// AWS account and Region": https://docs.aws.amazon.com/sns/latest/dg/sns-dead-letter-queues.html
func (sub *subscription) setRedrive(text string, bad func(string) *wire.Error) *wire.Error {
	if text == "" || text == "{}" {
		sub.redrive, sub.dead = "", ""
		return nil
	}
	var p struct {
		Target string `json:"deadLetterTargetArn"`
	}
	if err := json.Unmarshal([]byte(text), &p, json.RejectUnknownMembers(true)); err != nil {
		return bad("failed to parse JSON. (localstack: " + err.Error() + ")")
	}
	parts, own := strings.Split(p.Target, ":"), strings.Split(sub.arn, ":")
	switch {
	case len(parts) != 6 || parts[0] != "arn" || parts[2] != protocolSQS || parts[5] == "":
		return bad("deadLetterTargetArn is an invalid arn")
	case strings.HasSuffix(p.Target, ".fifo"):
		return bad("must use a standard queue as DLQ for a subscription to a standard topic.")
	case parts[3] != own[3] || parts[4] != own[4]:
		return bad("deadLetterTargetArn has to be of the same account and region as the subscription")
	}
	sub.redrive, sub.dead = text, p.Target
	return nil
}

func (sub *subscription) setDelivery(text string, bad func(string) *wire.Error) *wire.Error {
	if text == "" {
		sub.delivery = nil
		return nil
	}
	if !sub.web() {
		return bad("only subscriptions of the protocols http and https have one, not " + sub.protocol)
	}
	p, why := parseSubPolicy(text, sub.raw)
	if why != "" {
		return bad(why)
	}
	sub.delivery = &p
	return nil
}

// shown are the attributes as a client sees them (recorded).
func (s *Service) shownSubscription(sub *subscription) map[string]string {
	out := map[string]string{
		"SubscriptionArn": sub.arn, "TopicArn": sub.topic.arn, "Protocol": sub.protocol, "Endpoint": sub.endpoint, "Owner": s.Account,
		"RawMessageDelivery": strconv.FormatBool(sub.raw), "PendingConfirmation": strconv.FormatBool(sub.state == pending),
		"ConfirmationWasAuthenticated": strconv.FormatBool(sub.authenticated), "SubscriptionPrincipal": sub.principal,
	}
	if sub.policy != "" {
		out["FilterPolicy"], out["FilterPolicyScope"] = sub.policy, string(sub.scope)
	}
	if sub.redrive != "" {
		out["RedrivePolicy"] = sub.redrive
	}
	if sub.delivery != nil {
		out["DeliveryPolicy"] = marshal(sub.delivery)
	}
	if sub.web() {
		out["EffectiveDeliveryPolicy"] = marshal(sub.delivery.effective(sub.topic.delivery))
	}
	return out
}
