// Package sns is SNS: standard topics, and what they deliver to SQS queues and to web hooks on loopback.
//
// There are no FIFO topics, no SMS, no mobile push, no Lambda and no Firehose; they are refused by name. Nothing is sent to email
// addresses: subscriptions of them stay unconfirmed, as they do where nobody clicks. Topics are not encrypted, whatever they say.
// Nothing leaves the machine: a web hook has to be on a loopback address.
//
// Sources without an address of their own: "recorded" is what
// https://github.com/localstack/localstack/blob/main/tests/aws/services/sns/test_sns.snapshot.json holds, answers of AWS.
package sns

import (
	"context"
	"crypto/x509"
	"maps"
	"net/http"
	"slices"
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

	// Principal is as whom SNS calls SQS.
	Principal = "sns.amazonaws.com"
)

// Service is SNS. Its lock is not held while it delivers.
type Service struct {
	host.Host
	sqs    *sqs.Service
	signer *signer
	client *http.Client
	slots  chan struct{} // one for each request to a web hook that runs

	mu     sync.Mutex
	topics map[string]*topic // by ARN
	subs   map[string]*subscription
	tokens map[string]token // by what endpoints were sent
	serial int              // of the last subscription or delivery made
	under  map[*delivery]struct{}
	closed bool
	joined sync.WaitGroup // deliveries that run by themselves
}

// maxRequests is how many requests to web hooks run at a time; others wait. AWS's number is not known.
const maxRequests = 64

// New makes a service without topics. The certificates of https endpoints are checked with roots; nil are those of the system.
func New(h host.Host, queues *sqs.Service, roots *x509.CertPool) *Service {
	return &Service{
		Host: h, sqs: queues, signer: newSigner(), client: newClient(roots), slots: make(chan struct{}, maxRequests),
		topics: map[string]*topic{}, subs: map[string]*subscription{}, tokens: map[string]token{}, under: map[*delivery]struct{}{},
	}
}

// Close ends what is being delivered, and waits for it. The life of the server has to be at its end, and its clock.
func (s *Service) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.joined.Wait()
	s.client.CloseIdleConnections()
}

// operation does an action and returns the content of its result.
type operation func(s *Service, c *wire.Call, q wire.Query) ([]wire.Node, *wire.Error)

// locked is an operation that holds the lock.
func locked(f operation) operation {
	return func(s *Service, c *wire.Call, q wire.Query) ([]wire.Node, *wire.Error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return f(s, c, q)
	}
}

var operations = map[string]operation{
	"CreateTopic":               locked((*Service).createTopic),
	"DeleteTopic":               locked((*Service).deleteTopic),
	"ListTopics":                locked((*Service).listTopics),
	"GetTopicAttributes":        locked((*Service).getTopicAttributes),
	"SetTopicAttributes":        locked((*Service).setTopicAttributes),
	"Subscribe":                 locked((*Service).subscribe),
	"ConfirmSubscription":       locked((*Service).confirmSubscription),
	"Unsubscribe":               locked((*Service).unsubscribe),
	"ListSubscriptions":         locked((*Service).listSubscriptions),
	"ListSubscriptionsByTopic":  locked((*Service).listSubscriptionsByTopic),
	"GetSubscriptionAttributes": locked((*Service).getSubscriptionAttributes),
	"SetSubscriptionAttributes": locked((*Service).setSubscriptionAttributes),
	"TagResource":               locked((*Service).tagResource),
	"UntagResource":             locked((*Service).untagResource),
	"ListTagsForResource":       locked((*Service).listTags),
	"Publish":                   (*Service).publishCall,
	"PublishBatch":              (*Service).publishBatch,
}

// Unsigned tells whether an action is one of those that a link in a message leads to: a GET without a signature and without the
// version of the API.
func Unsigned(action string) bool { return action == "ConfirmSubscription" || action == "Unsubscribe" }

// Actions are the names of all operations, in order.
func Actions() []string { return slices.Sorted(maps.Keys(operations)) }

// Operation is the call of an action.
func (s *Service) Operation(action string, q wire.Query) wire.Operation {
	return wire.Operation{
		Name: "sns:" + action, Params: q.Flat(), Fail: wire.FailXML(space),
		Do: func(_ context.Context, c *wire.Call) (wire.Reply, *wire.Error) {
			call, ok := operations[action]
			if !ok {
				return wire.Reply{}, wire.Errorf("InvalidAction", "localstack has no SNS operation %q", action)
			}
			result, apiErr := call(s, c, q)
			if apiErr != nil {
				return wire.Reply{}, apiErr
			}
			return answer(action, result...), nil
		},
	}
}

func answer(action string, result ...wire.Node) wire.Reply {
	return wire.XML(http.StatusOK, space, wire.Tree(action+"Response",
		wire.Tree(action+"Result", result...),
		wire.Tree("ResponseMetadata", wire.El("RequestId", uuid.NewString()))))
}

// next is a number that is larger than those before. The lock is held.
func (s *Service) next() int {
	s.serial++
	return s.serial
}
