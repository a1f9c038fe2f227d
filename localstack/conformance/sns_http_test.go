package conformance

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sns"
)

// hook is what a receiver of webhooks was sent.
type hook struct {
	header http.Header
	body   map[string]any
	text   string
}

// webhook starts a receiver on loopback, which ends with the row's test.
func (c *check) webhook() (url string, got chan hook) {
	got = make(chan hook, 100)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body) // a short body shows in what follows
		h := hook{header: r.Header.Clone(), text: string(text), body: map[string]any{}}
		_ = json.Unmarshal(text, &h.body) // the same
		select {
		case got <- h:
		default:
		}
	}))
	c.t.Cleanup(server.Close)
	return server.URL + "/hook", got
}

// next is what the receiver is sent next. It waits for it.
func (c *check) next(what string, got chan hook) hook {
	select {
	case h := <-got:
		return h
	case <-time.After(3 * time.Second):
		c.need(what, false, "nothing within three seconds")
	case <-c.ctx.Done():
		c.need(what, false, c.ctx.Err())
	}
	return hook{}
}

var snsHTTP = []behaviour{
	{
		ID: "sns-subscribe-pending", Service: theSNS,
		Says:   "Subscribing an address for email or https answers pending confirmation in place of an ARN, unless ReturnSubscriptionArn asks for it.",
		Source: from(api("sns", "Subscribe")),
		Run: func(c *check) {
			topic := c.topic(nil)
			arn, err := c.subscribing(topic, "email", "ops@example.com", nil)
			if c.ok("subscribed", err) {
				c.equal("no ARN", arn, "pending confirmation")
			}
			out, err := c.sns.Subscribe(c.ctx, &sns.SubscribeInput{
				TopicArn: &topic, Protocol: ptr("email"), Endpoint: ptr("db@example.com"), ReturnSubscriptionArn: true,
			})
			if c.ok("subscribed, with its ARN", err) {
				c.is("an ARN", strings.HasPrefix(*out.SubscriptionArn, topic+":"), *out.SubscriptionArn)
			}
		},
	},
	{
		ID: "sns-confirm-wrong-token", Service: theSNS,
		Says:   "ConfirmSubscription with a token that is none is InvalidParameter, HTTP 400.",
		Source: from(seen("sns", "test_sns_confirm_subscription_wrong_token")),
		Run: func(c *check) {
			topic := c.topic(nil)
			_, err := c.sns.ConfirmSubscription(c.ctx, &sns.ConfirmSubscriptionInput{TopicArn: &topic, Token: ptr("x")})
			c.refused("refused", err, 400, "InvalidParameter")
		},
	},
	{
		ID: "sns-http-confirmation", Service: theSNS,
		Says: "An HTTP endpoint is sent a SubscriptionConfirmation with a Token and a SubscribeURL; it gets notifications only after the token or " +
			"the address has been used.",
		Source: from(in("sns", "http-subscription-confirmation-json", page), in("sns", "sns-message-and-json-formats", page), api("sns", "Subscribe")),
		Run: func(c *check) {
			topic := c.topic(nil)
			url, got := c.webhook()
			_, err := c.subscribing(topic, "http", url, nil)
			c.need("subscribed", err == nil, err)
			first := c.next("a confirmation is asked for", got)
			c.equal("its header", first.header.Get("X-Amz-Sns-Message-Type"), "SubscriptionConfirmation")
			c.equal("its type", first.body["Type"], any("SubscriptionConfirmation"))
			c.equal("its topic", first.body["TopicArn"], any(topic))
			address, _ := first.body["SubscribeURL"].(string)
			c.is("an address", strings.HasPrefix(address, "http"), address)
			must(0, c.publishing(topic, "before", nil))(c)
			token, _ := first.body["Token"].(string)
			c.need("a token", token != "")
			out, err := c.sns.ConfirmSubscription(c.ctx, &sns.ConfirmSubscriptionInput{TopicArn: &topic, Token: &token})
			if c.ok("confirmed", err) {
				c.is("its ARN", strings.HasPrefix(*out.SubscriptionArn, topic+":"), *out.SubscriptionArn)
			}
			must(0, c.publishing(topic, "after", nil))(c)
			c.equal("only after it", c.next("a notification", got).body["Message"], any("after"))
		},
	},
	{
		ID: "sns-http-notification", Service: theSNS,
		Says: "A notification is POSTed as text/plain with x-amz-sns-message-type, -message-id, -topic-arn and -subscription-arn, and the envelope " +
			"as its body.",
		Source: from(in("sns", "sns-message-and-json-formats", page)),
		Run: func(c *check) {
			topic := c.topic(nil)
			url, got := c.webhook()
			_, err := c.subscribing(topic, "http", url, nil)
			c.need("subscribed", err == nil, err)
			first := c.next("a confirmation is asked for", got)
			token, _ := first.body["Token"].(string)
			out := must(c.sns.ConfirmSubscription(c.ctx, &sns.ConfirmSubscriptionInput{TopicArn: &topic, Token: &token}))(c)
			sent := must(c.sns.Publish(c.ctx, &sns.PublishInput{TopicArn: &topic, Message: ptr("m"), Subject: ptr("s")}))(c)
			h := c.next("a notification", got)
			for name, want := range map[string]string{
				"X-Amz-Sns-Message-Type": "Notification", "X-Amz-Sns-Message-Id": *sent.MessageId, "X-Amz-Sns-Topic-Arn": topic,
				"X-Amz-Sns-Subscription-Arn": *out.SubscriptionArn,
			} {
				c.equal(name, h.header.Get(name), want)
			}
			c.is("Content-Type", strings.HasPrefix(h.header.Get("Content-Type"), "text/plain"), h.header.Get("Content-Type"))
			c.equal("Message", h.body["Message"], any("m"))
			c.equal("Subject", h.body["Subject"], any("s"))
		},
	},
}
