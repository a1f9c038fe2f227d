package localstack_test

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/google/uuid"

	"stillpoint/localstack"
)

func TestSubscriptions(t *testing.T) {
	c := start(t, localstack.Config{})
	arn, url := c.topic(t, "results", nil)
	queue := c.attribute(t, url, "QueueArn")
	subs := must(c.sns.ListSubscriptionsByTopic(t.Context(), &sns.ListSubscriptionsByTopicInput{TopicArn: &arn}))(t).Subscriptions
	if len(subs) != 1 || *subs[0].Endpoint != queue || *subs[0].Protocol != "sqs" || *subs[0].Owner != "111122223333" {
		t.Fatalf("subscriptions: %v", subs)
	}
	sub := *subs[0].SubscriptionArn
	got := c.subAttributes(t, sub)
	if got["PendingConfirmation"] != "false" || got["ConfirmationWasAuthenticated"] != "true" || got["RawMessageDelivery"] != "false" || got["SubscriptionPrincipal"] != "arn:aws:iam::111122223333:user/a" || got["FilterPolicyScope"] != "" {
		t.Errorf("the attributes are %v", got)
	}
	if again := must(c.subscribe(t, arn, "sqs", queue, map[string]string{"RawMessageDelivery": "false"}))(t); again != sub {
		t.Errorf("subscribed again, it is %s", again)
	}
	_, err := c.subscribe(t, arn, "sqs", queue, map[string]string{"RawMessageDelivery": "true"})
	wantCode(t, err, "InvalidParameter")

	must(struct{}{}, c.setSub(t, sub, "RawMessageDelivery", "true"))(t)
	c.publish(t, arn, "raw now")
	if got := c.receive(t, url); len(got) != 1 || *got[0].Body != "raw now" {
		t.Errorf("received %v", got)
	}
	if got := c.topicAttributes(t, arn); got["SubscriptionsConfirmed"] != "1" {
		t.Errorf("topic attributes: %v", got)
	}
	for range 2 {
		must(c.sns.Unsubscribe(t.Context(), &sns.UnsubscribeInput{SubscriptionArn: &sub}))(t)
	}
	c.publish(t, arn, "nobody listens")
	if got := c.receive(t, url); len(got) != 0 {
		t.Errorf("received %v after the subscription ended", got)
	}
	_, err = c.sns.GetSubscriptionAttributes(t.Context(), &sns.GetSubscriptionAttributesInput{SubscriptionArn: &sub})
	wantCode(t, err, "NotFound")
	_, err = c.sns.GetSubscriptionAttributes(t.Context(), &sns.GetSubscriptionAttributesInput{SubscriptionArn: aws.String(arn + ":x")})
	wantCode(t, err, "InvalidParameter")
	_, err = c.sns.Unsubscribe(t.Context(), &sns.UnsubscribeInput{SubscriptionArn: aws.String("pending confirmation")})
	wantCode(t, err, "InvalidParameter")

	sub = must(c.subscribe(t, arn, "sqs", queue, nil))(t)
	must(c.sns.DeleteTopic(t.Context(), &sns.DeleteTopicInput{TopicArn: &arn}))(t)
	_, err = c.sns.GetTopicAttributes(t.Context(), &sns.GetTopicAttributesInput{TopicArn: &arn})
	wantCode(t, err, "NotFound")
	_, err = c.sns.GetSubscriptionAttributes(t.Context(), &sns.GetSubscriptionAttributesInput{SubscriptionArn: &sub})
	wantCode(t, err, "NotFound")
	if got := must(c.sns.ListSubscriptions(t.Context(), &sns.ListSubscriptionsInput{}))(t).Subscriptions; len(got) != 0 {
		t.Errorf("subscriptions of a deleted topic: %v", got)
	}
}

func TestSubscribeRefuses(t *testing.T) {
	c := start(t, localstack.Config{})
	arn, url := c.topic(t, "results", nil)
	queue := c.attribute(t, url, "QueueArn")
	for name, x := range map[string][2]string{
		"protocol":        {"pigeon", "x"},
		"sms":             {"sms", "+441234567890"},
		"lambda":          {"lambda", "arn:aws:lambda:eu-west-1:111122223333:function:f"},
		"queue URL":       {"sqs", url},
		"fifo":            {"sqs", queue + ".fifo"},
		"another account": {"sqs", "arn:aws:sqs:eu-west-1:444455556666:q"},
		"no address":      {"email", "oncall"},
		"other scheme":    {"http", "https://127.0.0.1/"},
		"no host":         {"http", "http://"},
		"another machine": {"http", "http://192.0.2.1/"},
		"a name":          {"https", "https://example.com/"},
		"credentials":     {"http", "http://user:secret@127.0.0.1/"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.subscribe(t, arn, x[0], x[1], nil)
			wantCode(t, err, "InvalidParameter")
		})
	}
	_, err := c.subscribe(t, arn+"s", "sqs", queue, nil)
	wantCode(t, err, "NotFound")
	must(struct{}{}, c.setTopic(t, arn, "Policy", `{"Statement":[{"Effect":"Allow","Principal":"*","Action":"sns:Subscribe","Resource":"*"}]}`))(t)
	_, err = c.topicsAs("444455556666").Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: &arn, Protocol: aws.String("sqs"), Endpoint: &queue})
	wantCode(t, err, "AuthorizationError")
	must(c.subscribe(t, arn, "sqs", queue+"-to-come", nil))(t)
}

func TestSubscriptionAttributesRefuse(t *testing.T) {
	c := start(t, localstack.Config{})
	arn, url := c.topic(t, "results", nil)
	sub := must(c.subscribe(t, arn, "sqs", c.attribute(t, url, "QueueArn"), nil))(t)
	mail := must(c.subscribe(t, arn, "email", "a@example.com", nil))(t)
	for name, x := range map[string][3]string{
		"unknown":         {sub, "Colour", "red"},
		"role":            {sub, "SubscriptionRoleArn", "arn:aws:iam::111122223333:role/r"},
		"raw":             {sub, "RawMessageDelivery", "TRUE"},
		"raw mail":        {mail, "RawMessageDelivery", "true"},
		"filter":          {sub, "FilterPolicy", "{"},
		"filter operator": {sub, "FilterPolicy", `{"a":[{"like":"b"}]}`},
		"nested":          {sub, "FilterPolicy", `{"a":{"b":["c"]}}`},
		"scope":           {sub, "FilterPolicyScope", "Both"},
		"redrive":         {sub, "RedrivePolicy", "{"},
		"redrive ARN":     {sub, "RedrivePolicy", `{"deadLetterTargetArn":"dead"}`},
		"redrive fifo":    {sub, "RedrivePolicy", `{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:111122223333:q.fifo"}`},
		"redrive region":  {sub, "RedrivePolicy", `{"deadLetterTargetArn":"arn:aws:sqs:us-east-1:111122223333:q"}`},
		"delivery":        {sub, "DeliveryPolicy", `{"healthyRetryPolicy":{"minDelayTarget":1,"maxDelayTarget":1,"numRetries":1}}`},
	} {
		t.Run(name, func(t *testing.T) {
			wantCode(t, c.setSub(t, x[0], x[1], x[2]), "InvalidParameter")
			protocol, endpoint, _ := strings.Cut(map[string]string{sub: "sqs arn:aws:sqs:eu-west-1:111122223333:other", mail: "email b@example.com"}[x[0]], " ")
			_, err := c.subscribe(t, arn, protocol, endpoint, map[string]string{x[1]: x[2]})
			wantCode(t, err, "InvalidParameter")
		})
	}
	if got := len(must(c.sns.ListSubscriptionsByTopic(t.Context(), &sns.ListSubscriptionsByTopicInput{TopicArn: &arn}))(t).Subscriptions); got != 2 {
		t.Errorf("%d subscriptions, want the two that were not refused", got)
	}
	wantCode(t, c.setSub(t, arn+":"+uuid.NewString(), "RawMessageDelivery", "true"), "NotFound")
}

func TestFilterPolicies(t *testing.T) {
	c := start(t, localstack.Config{})
	arn, url := c.topic(t, "results", map[string]string{"RawMessageDelivery": "true", "FilterPolicy": `{"status":["failed",{"prefix":"warn"}],"n":[{"numeric":[">",1]}]}`})
	sub := must(c.subscribe(t, arn, "sqs", c.attribute(t, url, "QueueArn"), nil))(t)
	if got := c.subAttributes(t, sub); got["FilterPolicyScope"] != "MessageAttributes" || !strings.HasPrefix(got["FilterPolicy"], `{"status"`) {
		t.Errorf("the attributes are %v", got)
	}
	publish := func(text string, attributes map[string]types.MessageAttributeValue) {
		t.Helper()
		must(c.sns.Publish(t.Context(), &sns.PublishInput{TopicArn: &arn, Message: &text, MessageAttributes: attributes}))(t)
	}
	received := func(want ...string) {
		t.Helper()
		var got []string
		for _, m := range c.receive(t, url) {
			got = append(got, *m.Body)
		}
		if strings.Join(got, ",") != strings.Join(want, ",") {
			t.Errorf("received %q, want %q", got, want)
		}
	}
	two := typed("Number", "2")
	publish("both", map[string]types.MessageAttributeValue{"status": typed("String", "failed"), "n": two})
	publish("prefix", map[string]types.MessageAttributeValue{"status": typed("String", "warning"), "n": two})
	publish("array", map[string]types.MessageAttributeValue{"status": typed("String.Array", `["ok","failed"]`), "n": two})
	publish("one", map[string]types.MessageAttributeValue{"status": typed("String", "failed")})
	publish("case", map[string]types.MessageAttributeValue{"status": typed("String", "Failed"), "n": two})
	publish("no number", map[string]types.MessageAttributeValue{"status": typed("String", "failed"), "n": typed("String", "2")})
	publish("none", nil)
	received("both", "prefix", "array")

	must(struct{}{}, c.setSub(t, sub, "FilterPolicyScope", "MessageBody"))(t)
	must(struct{}{}, c.setSub(t, sub, "FilterPolicy", `{"detail":{"status":["failed"]}}`))(t)
	wantCode(t, c.setSub(t, sub, "FilterPolicyScope", "MessageAttributes"), "InvalidParameter")
	publish(`{"detail":{"status":"failed"}}`, nil)
	publish(`{"detail":{"status":"succeeded"}}`, nil)
	publish(`failed`, nil)
	received(`{"detail":{"status":"failed"}}`)

	must(struct{}{}, c.setSub(t, sub, "FilterPolicy", ""))(t)
	publish("anything", nil)
	received("anything")
	if got := c.subAttributes(t, sub); got["FilterPolicy"] != "" {
		t.Errorf("the attributes are %v", got)
	}
}

func TestFilterPolicyQuota(t *testing.T) {
	c := start(t, localstack.Config{})
	arn := c.bareTopic(t, "results")
	add := func(i int, filter string) (string, error) {
		return c.subscribe(t, arn, "sqs", "arn:aws:sqs:eu-west-1:111122223333:q"+strconv.Itoa(i), map[string]string{"FilterPolicy": filter})
	}
	for i := range 200 {
		must(add(i, `{"a":["b"]}`))(t)
	}
	_, err := add(200, `{"a":["b"]}`)
	wantCode(t, err, "FilterPolicyLimitExceeded")
	sub := must(add(200, ""))(t)
	wantCode(t, c.setSub(t, sub, "FilterPolicy", `{"a":["b"]}`), "FilterPolicyLimitExceeded")
}

// On AWS nothing happens until somebody clicks, and after two days it is gone.
func TestEmailStaysUnconfirmed(t *testing.T) {
	c := start(t, localstack.Config{})
	arn := c.bareTopic(t, "results")
	out := must(c.sns.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: &arn, Protocol: aws.String("email"), Endpoint: aws.String("oncall@example.com")}))(t)
	if *out.SubscriptionArn != "pending confirmation" {
		t.Errorf("the answer is %s", *out.SubscriptionArn)
	}
	sub := must(c.subscribe(t, arn, "email", "oncall@example.com", nil))(t)
	if got := c.subAttributes(t, sub)["PendingConfirmation"]; got != "true" {
		t.Errorf("pending is %s", got)
	}
	list := func() []types.Subscription {
		return must(c.sns.ListSubscriptions(t.Context(), &sns.ListSubscriptionsInput{}))(t).Subscriptions
	}
	if got := list(); len(got) != 1 || *got[0].SubscriptionArn != "PendingConfirmation" {
		t.Errorf("the list is %v", got)
	}
	c.publish(t, arn, "not sent")
	if got := c.topicAttributes(t, arn); got["SubscriptionsPending"] != "1" || got["SubscriptionsConfirmed"] != "0" {
		t.Errorf("the topic has %v", got)
	}
	c.MoveClock(48*time.Hour - time.Minute)
	if len(list()) != 1 {
		t.Error("it went before its time")
	}
	c.MoveClock(time.Minute)
	if len(list()) != 0 {
		t.Error("after 48 hours it is still there")
	}
}

func TestConfirmRefuses(t *testing.T) {
	c := start(t, localstack.Config{})
	arn := c.bareTopic(t, "results")
	confirm := func(topic, token string) error {
		_, err := c.sns.ConfirmSubscription(t.Context(), &sns.ConfirmSubscriptionInput{TopicArn: &topic, Token: &token})
		return err
	}
	h := c.hook(t, nil)
	must(c.subscribe(t, arn, "http", h.URL, nil))(t)
	token := open(t, h.nth(t, 1).body).Token
	wantCode(t, confirm(arn, "nonsense"), "InvalidParameter")
	wantCode(t, confirm(arn, strings.Repeat("0", len(token))), "InvalidParameter")
	wantCode(t, confirm(arn+"s", token), "InvalidParameter")
	if code, body := c.get(t, c.URL()+"/?Action=ConfirmSubscription&AuthenticateOnUnsubscribe=true&TopicArn="+arn+"&Token="+token); code != http.StatusForbidden || !strings.Contains(body, "AuthorizationError") {
		t.Errorf("without a signature AuthenticateOnUnsubscribe gets %d %s", code, body)
	}

	// Asked for again, there is another one, and the first is as old as it is.
	c.MoveClock(47 * time.Hour)
	must(c.subscribe(t, arn, "http", h.URL, nil))(t)
	second := open(t, h.nth(t, 2).body).Token
	c.MoveClock(time.Hour + time.Minute)
	wantCode(t, confirm(arn, token), "InvalidParameter")
	must(struct{}{}, confirm(arn, second))(t)
}

// A web hook that fails is asked again, until there is nothing to ask.
func TestConfirmationIsTriedAgain(t *testing.T) {
	c := start(t, localstack.Config{})
	arn := c.bareTopic(t, "results")
	h := c.hook(t, nil)
	h.answers(500, 500)
	must(c.subscribe(t, arn, "http", h.URL, nil))(t)
	c.waits(t, 1)
	c.MoveClock(20 * time.Second)
	c.waits(t, 2)
	if all := h.all(); len(all) != 2 || all[0].body != all[1].body {
		t.Errorf("it was asked %v", all)
	}
	must(c.sns.DeleteTopic(t.Context(), &sns.DeleteTopicInput{TopicArn: &arn}))(t)
	c.MoveClock(time.Minute)
	c.idle(t)
	if got := len(h.all()); got != 2 {
		t.Errorf("%d requests, some for a topic that is no more", got)
	}
}
