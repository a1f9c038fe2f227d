package localstack_test

import (
	"context"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"stillpoint/localstack"
)

const deliver = "sns:Deliver"

func wantHeader(t *testing.T, h http.Header, pairs ...string) {
	t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if got := h.Get(pairs[i]); got != pairs[i+1] {
			t.Errorf("%s is %q, want %q", pairs[i], got, pairs[i+1])
		}
	}
}

func TestWebHook(t *testing.T) {
	c := start(t, localstack.Config{})
	arn := c.bareTopic(t, "results")
	h := c.hook(t, nil)
	out := must(c.sns.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: &arn, Protocol: aws.String("http"), Endpoint: &h.URL}))(t)
	if *out.SubscriptionArn != "pending confirmation" {
		t.Errorf("the answer is %s", *out.SubscriptionArn)
	}
	asked := h.nth(t, 1)
	l := open(t, asked.body)
	wantHeader(t, asked.header, "x-amz-sns-message-type", "SubscriptionConfirmation", "x-amz-sns-message-id", l.MessageId, "x-amz-sns-topic-arn", arn,
		"x-amz-sns-subscription-arn", "", "x-amz-sns-rawdelivery", "", "Content-Type", "text/plain; charset=UTF-8",
		"User-Agent", "Amazon Simple Notification Service Agent", "Accept-Encoding", "gzip,deflate")
	if l.Type != "SubscriptionConfirmation" || l.Token == "" || l.TopicArn != arn || l.UnsubscribeURL != "" || l.SubscribeURL != c.URL()+"/?Action=ConfirmSubscription&TopicArn="+arn+"&Token="+l.Token ||
		l.Message != "You have chosen to subscribe to the topic "+arn+".\nTo confirm the subscription, visit the SubscribeURL included in this message." {
		t.Errorf("the confirmation is %s", asked.body)
	}
	c.publish(t, arn, "not yet")

	// A link confirms, again too, and the answer names the subscription.
	for range 2 {
		if code, body := c.get(t, l.SubscribeURL); code != http.StatusOK || !strings.Contains(body, "<SubscriptionArn>"+arn+":") {
			t.Fatalf("the link answers %d %s", code, body)
		}
	}
	sub := c.only(t, arn)
	if got := c.subAttributes(t, sub); got["PendingConfirmation"] != "false" || got["ConfirmationWasAuthenticated"] != "false" || !strings.Contains(got["EffectiveDeliveryPolicy"], `"numRetries":3`) {
		t.Errorf("the attributes are %v", got)
	}
	id := *must(c.sns.Publish(t.Context(), &sns.PublishInput{TopicArn: &arn, Message: aws.String("x"), Subject: aws.String("s"), MessageAttributes: status}))(t).MessageId
	told := h.nth(t, 2)
	n := open(t, told.body)
	wantHeader(t, told.header, "x-amz-sns-message-type", "Notification", "x-amz-sns-message-id", id, "x-amz-sns-topic-arn", arn, "x-amz-sns-subscription-arn", sub)
	if n.MessageId != id || n.Message != "x" || n.Subject != "s" || n.MessageAttributes["status"].Value != "failed & <more>" || n.UnsubscribeURL != c.URL()+"/?Action=Unsubscribe&SubscriptionArn="+sub {
		t.Errorf("the notification is %s", told.body)
	}
	c.idle(t)
	call := c.last(t, deliver)
	if call.Status != 200 || call.Source != arn || call.Params["Endpoint"] != h.URL || call.Params["MessageId"] != id || call.Params["Attempt"] != "1" || !call.Effect {
		t.Errorf("the record is %+v", call)
	}

	// A link ends it, and another undoes that.
	if code, body := c.get(t, n.UnsubscribeURL); code != http.StatusOK {
		t.Fatalf("the link answers %d %s", code, body)
	}
	left := h.nth(t, 3)
	wantHeader(t, left.header, "x-amz-sns-message-type", "UnsubscribeConfirmation", "x-amz-sns-subscription-arn", sub)
	bye := open(t, left.body)
	if bye.Type != "UnsubscribeConfirmation" || !strings.HasPrefix(bye.Message, "You have chosen to deactivate subscription "+sub+".\n") || bye.Token == l.Token {
		t.Errorf("the message is %s", left.body)
	}
	c.publish(t, arn, "not sent")
	if got := c.only(t, arn); got != "Deleted" || c.topicAttributes(t, arn)["SubscriptionsDeleted"] != "1" {
		t.Errorf("the list has %s", got)
	}
	c.get(t, bye.SubscribeURL)
	c.publish(t, arn, "back")
	if got := open(t, h.nth(t, 4).body).Message; got != "back" {
		t.Errorf("it got %q", got)
	}
	c.get(t, n.UnsubscribeURL)
	c.idle(t)
	c.MoveClock(72 * time.Hour)
	if got := must(c.sns.ListSubscriptions(t.Context(), &sns.ListSubscriptionsInput{}))(t).Subscriptions; len(got) != 0 {
		t.Errorf("after 72 hours there are %v", got)
	}
}

// The owner's call ends it without a word; AuthenticateOnUnsubscribe keeps others from it.
func TestUnsubscribeNeedsAuthentication(t *testing.T) {
	c := start(t, localstack.Config{})
	arn, _ := c.topic(t, "results", nil)
	queue := c.only(t, arn)
	h := c.hook(t, nil)
	sub := must(c.subscribe(t, arn, "http", h.URL, nil))(t)
	l := open(t, h.nth(t, 1).body)
	must(c.sns.ConfirmSubscription(t.Context(), &sns.ConfirmSubscriptionInput{TopicArn: &arn, Token: &l.Token, AuthenticateOnUnsubscribe: aws.String("true")}))(t)
	if got := c.subAttributes(t, sub)["ConfirmationWasAuthenticated"]; got != "true" {
		t.Errorf("it was authenticated: %s", got)
	}
	for _, one := range []string{sub, queue} {
		if code, body := c.get(t, c.URL()+"/?Action=Unsubscribe&SubscriptionArn="+one); code != http.StatusForbidden || !strings.Contains(body, "AuthorizationError") {
			t.Errorf("without a signature it answers %d %s", code, body)
		}
		_, err := c.topicsAs("444455556666").Unsubscribe(t.Context(), &sns.UnsubscribeInput{SubscriptionArn: &one})
		wantCode(t, err, "AuthorizationError")
	}
	must(c.sns.Unsubscribe(t.Context(), &sns.UnsubscribeInput{SubscriptionArn: &sub}))(t)
	c.idle(t)
	free := c.hook(t, nil)
	theirs := c.hooked(t, arn, free, nil)
	must(c.topicsAs("444455556666").Unsubscribe(t.Context(), &sns.UnsubscribeInput{SubscriptionArn: &theirs}))(t)
	if l := open(t, free.nth(t, 2).body); l.Type != "UnsubscribeConfirmation" {
		t.Errorf("ended by somebody else, it gets %+v", l)
	}
	c.idle(t)
	if got := len(h.all()); got != 1 {
		t.Errorf("the web hook got %d requests", got)
	}
}

func TestWebHookRaw(t *testing.T) {
	c := start(t, localstack.Config{})
	arn := c.bareTopic(t, "results")
	h := c.hook(t, nil)
	c.hooked(t, arn, h, map[string]string{"RawMessageDelivery": "true", "DeliveryPolicy": `{"requestPolicy":{"headerContentType":"text/csv"}}`})
	must(c.sns.Publish(t.Context(), &sns.PublishInput{TopicArn: &arn, Message: aws.String("a,b"), MessageAttributes: status}))(t)
	got := h.nth(t, 2)
	wantHeader(t, got.header, "x-amz-sns-rawdelivery", "true", "Content-Type", "text/csv", "x-amz-sns-message-type", "Notification", "status", "")
	if got.body != "a,b" {
		t.Errorf("the body is %q", got.body)
	}
}

func TestWebHookWithTLS(t *testing.T) {
	certificates := x509.NewCertPool()
	c := start(t, localstack.Config{HookRoots: certificates})
	arn := c.bareTopic(t, "results")
	trusted := c.hook(t, func(h http.Handler) *httptest.Server {
		s := httptest.NewTLSServer(h)
		certificates.AddCert(s.Certificate())
		return s
	})
	c.hooked(t, arn, trusted, nil)
	c.publish(t, arn, "x")
	if got := open(t, trusted.nth(t, 2).body).Message; got != "x" {
		t.Errorf("it got %q", got)
	}
	c.idle(t)
	other := start(t, localstack.Config{})
	must(other.subscribe(t, other.bareTopic(t, "results"), "https", trusted.URL, nil))(t)
	if d := other.waits(t, 1); !strings.Contains(d.Reason, "certificate") {
		t.Errorf("a certificate that nobody vouches for: %+v", d)
	}
}

func TestWebHookIsTriedAgain(t *testing.T) {
	c := start(t, localstack.Config{})
	arn := c.bareTopic(t, "results")
	h := c.hook(t, nil)
	sub := c.hooked(t, arn, h, nil)
	dead := c.deadLetters(t, sub)
	h.answers(500, 429, 503)
	id := c.publish(t, arn, "x")
	for n := range 3 {
		d := c.waits(t, n+1)
		if wait := d.Next.Sub(h.nth(t, n+2).at); wait < 20*time.Second || wait > 25*time.Second {
			t.Errorf("retry %d comes after %v", n+1, wait)
		}
		c.MoveClock(20 * time.Second)
	}
	c.idle(t)
	all := h.all()[1:]
	if len(all) != 4 {
		t.Fatalf("%d requests", len(all))
	}
	for _, r := range all {
		wantHeader(t, r.header, "x-amz-sns-message-id", id)
	}
	calls := c.attempts(deliver)[1:]
	if calls[0].Status != 500 || calls[1].Status != 429 || calls[2].Status != 503 || calls[3].Status != 200 || calls[3].Params["Attempt"] != "4" || calls[2].Err != "EndpointRefused" || calls[2].Effect {
		t.Errorf("the records are %+v", calls)
	}
	if got := c.count(t, dead); got != "0" {
		t.Errorf("%s dead letters", got)
	}

	h.answers(500, 500, 500, 500)
	id = c.publish(t, arn, "y")
	c.waits(t, 1)
	c.MoveClock(time.Minute)
	c.idle(t)
	if got := c.receive(t, dead); len(got) != 1 || open(t, *got[0].Body).MessageId != id || len(h.all()) != 9 {
		t.Errorf("after %d requests the dead-letter queue has %v", len(h.all()), got)
	}
}

func TestWebHookRefuses(t *testing.T) {
	for _, code := range []int{301, 400, 403, 404} {
		t.Run(http.StatusText(code), func(t *testing.T) {
			c := start(t, localstack.Config{})
			arn := c.bareTopic(t, "results")
			h := c.hook(t, nil)
			dead := c.deadLetters(t, c.hooked(t, arn, h, nil))
			h.answers(code)
			c.publish(t, arn, "x")
			c.idle(t)
			if got := c.count(t, dead); got != "1" || len(h.all()) != 2 {
				t.Errorf("%d requests, %s dead letters", len(h.all()), got)
			}
		})
	}
}

// Faults are for the deliveries too: one comes instead of the request, one after it.
func TestFaultsOnWebHooks(t *testing.T) {
	c := start(t, localstack.Config{})
	arn := c.bareTopic(t, "results")
	h := c.hook(t, nil)
	c.hooked(t, arn, h, nil)
	c.faults(t, localstack.Fault{Operation: deliver, Hang: true, Times: 1}, localstack.Fault{Operation: deliver, Drop: true, After: true, Times: 1})
	id := c.publish(t, arn, "x")
	if c.waits(t, 1); len(h.all()) != 1 {
		t.Error("the first attempt arrived")
	}
	c.MoveClock(20 * time.Second)
	if c.waits(t, 2); len(h.all()) != 2 {
		t.Error("the second did not arrive")
	}
	c.MoveClock(20 * time.Second)
	c.idle(t)
	all := h.all()
	if len(all) != 3 || open(t, all[1].body).MessageId != id || all[1].body != all[2].body {
		t.Errorf("it got %v", all)
	}
}

// A web hook that does not answer holds up neither who publishes nor the end of the server.
func TestCloseEndsRequests(t *testing.T) {
	c := start(t, localstack.Config{})
	arn := c.bareTopic(t, "results")
	h := c.hook(t, nil)
	c.hooked(t, arn, h, nil)
	arrived, gone := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = r.Body.Read(make([]byte, 1<<20))
		close(arrived)
		select {
		case <-r.Context().Done():
		case <-ctx.Done():
		}
		close(gone)
	}))
	t.Cleanup(func() { cancel(); silent.Close() })
	must(c.subscribe(t, arn, "http", silent.URL, nil))(t)
	<-arrived
	c.publish(t, arn, "x")
	h.nth(t, 2)
	began := time.Now()
	must(struct{}{}, c.Close())(t)
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("Close took %v", took)
	}
	<-gone
}
