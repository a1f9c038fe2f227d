package localstack_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	insns "stillpoint/localstack/internal/sns"
)

// mailbox makes a queue into which topics of the account may put messages.
func (c *cloud) mailbox(t *testing.T, name string) (url, arn string) {
	t.Helper()
	url = c.queue(t, name, nil)
	arn = c.attribute(t, url, "QueueArn")
	c.allow(t, url, "sns.amazonaws.com", "arn:aws:sns:eu-west-1:111122223333:*")
	return url, arn
}

func (c *cloud) bareTopic(t *testing.T, name string) string {
	t.Helper()
	return *must(c.sns.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: &name}))(t).TopicArn
}

func (c *cloud) subscribe(t *testing.T, topic, protocol, endpoint string, attributes map[string]string) (string, error) {
	t.Helper()
	out, err := c.sns.Subscribe(t.Context(), &sns.SubscribeInput{
		TopicArn: &topic, Protocol: &protocol, Endpoint: &endpoint, Attributes: attributes, ReturnSubscriptionArn: true,
	})
	if err != nil {
		return "", err
	}
	return *out.SubscriptionArn, nil
}

// topic makes a topic with a queue under it, and returns the topic's ARN and the queue's URL.
func (c *cloud) topic(t *testing.T, name string, attributes map[string]string) (arn, url string) {
	t.Helper()
	url, queue := c.mailbox(t, name)
	arn = c.bareTopic(t, name)
	sub := must(c.subscribe(t, arn, "sqs", queue, attributes))(t)
	if !strings.HasPrefix(sub, arn+":") {
		t.Errorf("the subscription is %s", sub)
	}
	return arn, url
}

func (c *cloud) publish(t *testing.T, topic, text string) string {
	t.Helper()
	return *must(c.sns.Publish(t.Context(), &sns.PublishInput{TopicArn: &topic, Message: &text}))(t).MessageId
}

func (c *cloud) setTopic(t *testing.T, arn, name, value string) error {
	t.Helper()
	_, err := c.sns.SetTopicAttributes(t.Context(), &sns.SetTopicAttributesInput{TopicArn: &arn, AttributeName: &name, AttributeValue: &value})
	return err
}

func (c *cloud) setSub(t *testing.T, arn, name, value string) error {
	t.Helper()
	_, err := c.sns.SetSubscriptionAttributes(t.Context(), &sns.SetSubscriptionAttributesInput{SubscriptionArn: &arn, AttributeName: &name, AttributeValue: &value})
	return err
}

func (c *cloud) topicAttributes(t *testing.T, arn string) map[string]string {
	t.Helper()
	return must(c.sns.GetTopicAttributes(t.Context(), &sns.GetTopicAttributesInput{TopicArn: &arn}))(t).Attributes
}

func (c *cloud) subAttributes(t *testing.T, arn string) map[string]string {
	t.Helper()
	return must(c.sns.GetSubscriptionAttributes(t.Context(), &sns.GetSubscriptionAttributesInput{SubscriptionArn: &arn}))(t).Attributes
}

// count is how many messages a queue has.
func (c *cloud) count(t *testing.T, url string) string {
	t.Helper()
	return c.attribute(t, url, "ApproximateNumberOfMessages")
}

// topicsAs is the client of another principal: of an account, where the key has twelve digits.
func (c *cloud) topicsAs(key string) *sns.Client {
	return sns.NewFromConfig(c.config, func(o *sns.Options) {
		o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: key, SecretAccessKey: "b"}, nil
		})
	})
}

// waits waits until there is one delivery that waits after so many attempts, and returns it.
func (c *cloud) waits(t *testing.T, attempts int) insns.DeliveryState {
	t.Helper()
	var d insns.DeliveryState
	eventually(t, fmt.Sprintf("a delivery waits after %d attempts", attempts), func() bool {
		all := c.SNS().Deliveries
		if len(all) != 1 || !all[0].Waiting || all[0].Attempts != attempts {
			return false
		}
		d = all[0]
		return true
	})
	return d
}

// idle waits until nothing is on its way.
func (c *cloud) idle(t *testing.T) {
	t.Helper()
	eventually(t, "nothing is on its way", func() bool { return len(c.SNS().Deliveries) == 0 })
}

// get follows a link of a message, without a signature.
func (c *cloud) get(t *testing.T, url string) (int, string) {
	t.Helper()
	resp := must(c.config.HTTPClient.(*http.Client).Get(url))(t)
	defer resp.Body.Close()
	return resp.StatusCode, string(must(io.ReadAll(resp.Body))(t))
}

// letter is a message as an endpoint gets it.
type letter struct {
	Type, MessageId, Token, TopicArn, Subject, Message, SubscribeURL, Timestamp string
	SignatureVersion, Signature, SigningCertURL, UnsubscribeURL                 string
	MessageAttributes                                                           map[string]struct{ Type, Value string }
}

func open(t *testing.T, text string) letter {
	t.Helper()
	var l letter
	must(struct{}{}, json.Unmarshal([]byte(text), &l))(t)
	return l
}

// request is what a web hook got.
type request struct {
	header http.Header
	body   string
	at     time.Time // by the clock of the server
}

// hook is a web hook.
type hook struct {
	URL string

	mu     sync.Mutex
	got    []request
	status []int // of the next answers; then 200
}

// hook starts a web hook. s makes its server; nil is one without TLS.
func (c *cloud) hook(t *testing.T, s func(http.Handler) *httptest.Server) *hook {
	t.Helper()
	h := &hook{}
	if s == nil {
		s = httptest.NewServer
	}
	server := s(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.got = append(h.got, request{r.Header.Clone(), string(body), c.Now()})
		if len(h.status) > 0 {
			if h.status[0]/100 == 3 {
				w.Header().Set("Location", "/elsewhere")
			}
			w.WriteHeader(h.status[0])
			h.status = h.status[1:]
		}
	}))
	t.Cleanup(server.Close)
	h.URL = server.URL + "/hook"
	return h
}

// answers sets the statuses of the next answers.
func (h *hook) answers(status ...int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status = status
}

func (h *hook) all() []request {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]request(nil), h.got...)
}

// nth waits for the nth request, from 1.
func (h *hook) nth(t *testing.T, n int) request {
	t.Helper()
	eventually(t, fmt.Sprintf("request %d arrives", n), func() bool { return len(h.all()) >= n })
	return h.all()[n-1]
}

// hooked subscribes a web hook and confirms it. The confirmation was its first request.
func (c *cloud) hooked(t *testing.T, topic string, h *hook, attributes map[string]string) (sub string) {
	t.Helper()
	protocol, _, _ := strings.Cut(h.URL, ":")
	sub = must(c.subscribe(t, topic, protocol, h.URL, attributes))(t)
	l := open(t, h.nth(t, 1).body)
	must(c.sns.ConfirmSubscription(t.Context(), &sns.ConfirmSubscriptionInput{TopicArn: &topic, Token: &l.Token}))(t)
	c.idle(t)
	return sub
}

func typed(kind, value string) types.MessageAttributeValue {
	return types.MessageAttributeValue{DataType: &kind, StringValue: &value}
}
