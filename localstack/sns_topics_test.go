package localstack_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"

	"stillpoint/localstack"
)

func pairsOf(pairs ...string) (out []types.Tag) {
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, types.Tag{Key: &pairs[i], Value: &pairs[i+1]})
	}
	return out
}

func TestCreateTopicAgain(t *testing.T) {
	c := start(t, localstack.Config{})
	create := func(attributes map[string]string, tags ...string) (string, error) {
		out, err := c.sns.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String("results"), Attributes: attributes, Tags: pairsOf(tags...)})
		if err != nil {
			return "", err
		}
		return *out.TopicArn, nil
	}
	first := must(create(map[string]string{"DisplayName": "Results"}, "a", "1", "b", "2"))(t)
	for name, x := range map[string]struct {
		attributes map[string]string
		tags       []string
		same       bool
	}{
		"same":            {map[string]string{"DisplayName": "Results"}, []string{"b", "2", "a", "1"}, true},
		"nothing":         {nil, nil, true},
		"a default":       {map[string]string{"SignatureVersion": "1"}, nil, false},
		"other attribute": {map[string]string{"DisplayName": "Other"}, nil, false},
		"other value":     {nil, []string{"a", "2"}, false},
		"another tag":     {nil, []string{"a", "1", "c", "3"}, false},
		"a key twice":     {nil, []string{"a", "1", "a", "1"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			arn, err := create(x.attributes, x.tags...)
			if x.same {
				if err != nil || arn != first {
					t.Errorf("got %q, %v", arn, err)
				}
				return
			}
			wantCode(t, err, "InvalidParameter")
		})
	}
	if got := c.topicAttributes(t, first)["DisplayName"]; got != "Results" {
		t.Errorf("the display name is %q", got)
	}
	for range 2 {
		must(c.sns.DeleteTopic(t.Context(), &sns.DeleteTopicInput{TopicArn: &first}))(t)
	}
	must(create(nil, "a", "other"))(t)
	for _, name := range []string{"", "a b", "a.fifo", "a:b", strings.Repeat("x", 257)} {
		_, err := c.sns.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: &name})
		wantCode(t, err, "InvalidParameter")
	}
	must(c.sns.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String(strings.Repeat("x", 256)), Attributes: map[string]string{"FifoTopic": "false"}}))(t)
	for name, in := range map[string]sns.CreateTopicInput{
		"fifo": {Attributes: map[string]string{"FifoTopic": "true"}}, "unknown": {Attributes: map[string]string{"Colour": "red"}},
		"protection": {DataProtectionPolicy: aws.String("{}")},
	} {
		t.Run(name, func(t *testing.T) {
			in.Name = aws.String("other")
			_, err := c.sns.CreateTopic(t.Context(), &in)
			wantCode(t, err, "InvalidParameter")
		})
	}
}

func TestTopicAttributes(t *testing.T) {
	c := start(t, localstack.Config{})
	arn := c.bareTopic(t, "results")
	got := c.topicAttributes(t, arn)
	if !strings.Contains(got["Policy"], "__default_policy_ID") || !strings.Contains(got["EffectiveDeliveryPolicy"], `"numRetries":3`) || got["Owner"] != "111122223333" || got["SubscriptionsPending"] != "0" {
		t.Errorf("the attributes are %v", got)
	}
	if _, ok := got["MaximumMessageSize"]; ok {
		t.Error("MaximumMessageSize is there without having been set")
	}
	for name, value := range map[string]string{
		"DisplayName": strings.Repeat("x", 101), "SignatureVersion": "3", "TracingConfig": "On", "MaximumMessageSize": "1048577",
		"SQSSuccessFeedbackSampleRate": "101", "FifoTopic": "false", "Colour": "red", "DeliveryPolicy": `{"healthyRetryPolicy":{"numRetries":1}}`,
	} {
		t.Run(name, func(t *testing.T) { wantCode(t, c.setTopic(t, arn, name, value), "InvalidParameter") })
	}
	for name, value := range map[string]string{
		"DisplayName": "Results", "SignatureVersion": "2", "TracingConfig": "Active", "MaximumMessageSize": "1048576", "KmsMasterKeyId": "alias/mine",
		"SQSFailureFeedbackRoleArn": "arn:aws:iam::111122223333:role/logs",
	} {
		must(struct{}{}, c.setTopic(t, arn, name, value))(t)
		if got := c.topicAttributes(t, arn)[name]; got != value {
			t.Errorf("%s is %q", name, got)
		}
	}
	must(struct{}{}, c.setTopic(t, arn, "DeliveryPolicy", `{"http":{"defaultHealthyRetryPolicy":{"minDelayTarget":5,"maxDelayTarget":6,"numRetries":1}}}`))(t)
	if got := c.topicAttributes(t, arn)["EffectiveDeliveryPolicy"]; !strings.Contains(got, `"minDelayTarget":5`) || !strings.Contains(got, `"headerContentType":"text/plain; charset=UTF-8"`) {
		t.Errorf("the effective delivery policy is %s", got)
	}
	must(struct{}{}, c.setTopic(t, arn, "DeliveryPolicy", ""))(t)
	if _, ok := c.topicAttributes(t, arn)["DeliveryPolicy"]; ok {
		t.Error("the delivery policy is still there")
	}
	_, err := c.sns.GetTopicAttributes(t.Context(), &sns.GetTopicAttributesInput{TopicArn: aws.String("results")})
	wantCode(t, err, "InvalidParameter")
	wantCode(t, c.setTopic(t, arn+"s", "DisplayName", "x"), "NotFound")
}

// Topics with large messages have queues under them only.
func TestLargeMessages(t *testing.T) {
	c := start(t, localstack.Config{})
	arn, url := c.topic(t, "results", map[string]string{"RawMessageDelivery": "true"})
	publish := func(size int) error {
		_, err := c.sns.Publish(t.Context(), &sns.PublishInput{TopicArn: &arn, Message: aws.String(strings.Repeat("x", size))})
		return err
	}
	must(struct{}{}, c.setTopic(t, arn, "MaximumMessageSize", "300000"))(t)
	must(struct{}{}, publish(300_000))(t)
	wantCode(t, publish(300_001), "InvalidParameter")
	if got := c.count(t, url); got != "1" {
		t.Errorf("%s messages arrived", got)
	}
	_, err := c.subscribe(t, arn, "email", "a@example.com", nil)
	wantCode(t, err, "InvalidParameter")
	must(struct{}{}, c.setTopic(t, arn, "MaximumMessageSize", "1024"))(t)
	wantCode(t, publish(1025), "InvalidParameter")
	must(c.subscribe(t, arn, "email", "a@example.com", nil))(t)
	wantCode(t, c.setTopic(t, arn, "MaximumMessageSize", "262145"), "InvalidParameter")
}

func TestTopicTags(t *testing.T) {
	c := start(t, localstack.Config{})
	arn := *must(c.sns.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String("results"), Tags: pairsOf("a", "1", "b", "2")}))(t).TopicArn
	tag := func(pairs ...string) error {
		_, err := c.sns.TagResource(t.Context(), &sns.TagResourceInput{ResourceArn: &arn, Tags: pairsOf(pairs...)})
		return err
	}
	list := func() (out []string) {
		for _, tag := range must(c.sns.ListTagsForResource(t.Context(), &sns.ListTagsForResourceInput{ResourceArn: &arn}))(t).Tags {
			out = append(out, *tag.Key+"="+*tag.Value)
		}
		return out
	}
	must(struct{}{}, tag("b", "3", "c", ""))(t)
	must(c.sns.UntagResource(t.Context(), &sns.UntagResourceInput{ResourceArn: &arn, TagKeys: []string{"a", "none"}}))(t)
	if got := list(); !slices.Equal(got, []string{"b=3", "c="}) {
		t.Errorf("the tags are %v", got)
	}
	wantCode(t, tag("x", "1", "x", "2"), "InvalidParameter")
	wantCode(t, tag("aws:x", "1"), "InvalidParameter")
	var many []string
	for i := range 49 {
		many = append(many, "k"+strconv.Itoa(i), "v")
	}
	wantCode(t, tag(many...), "TagLimitExceeded")
	must(struct{}{}, tag(many[2:]...))(t)
	if got := len(list()); got != 50 {
		t.Errorf("there are %d tags", got)
	}
	_, err := c.sns.TagResource(t.Context(), &sns.TagResourceInput{ResourceArn: aws.String(arn + "s"), Tags: pairsOf("a", "1")})
	wantCode(t, err, "ResourceNotFound")
}

func TestListsHavePages(t *testing.T) {
	c := start(t, localstack.Config{})
	var topics, emails []string
	for i := range 205 {
		topics = append(topics, c.bareTopic(t, fmt.Sprintf("t%03d", i)))
	}
	var got []string
	pages := 0
	for p := sns.NewListTopicsPaginator(c.sns, &sns.ListTopicsInput{}); p.HasMorePages(); pages++ {
		for _, topic := range must(p.NextPage(t.Context()))(t).Topics {
			got = append(got, *topic.TopicArn)
		}
	}
	if pages != 3 || !slices.Equal(got, topics) {
		t.Errorf("%d pages with %d topics", pages, len(got))
	}
	for i := range 101 {
		emails = append(emails, fmt.Sprintf("u%03d@example.com", i))
		must(c.subscribe(t, topics[0], "email", emails[i], nil))(t)
	}
	must(c.subscribe(t, topics[1], "email", "other@example.com", nil))(t)
	first := must(c.sns.ListSubscriptionsByTopic(t.Context(), &sns.ListSubscriptionsByTopicInput{TopicArn: &topics[0]}))(t)
	second := must(c.sns.ListSubscriptionsByTopic(t.Context(), &sns.ListSubscriptionsByTopicInput{TopicArn: &topics[0], NextToken: first.NextToken}))(t)
	if len(first.Subscriptions) != 100 || len(second.Subscriptions) != 1 || second.NextToken != nil || *second.Subscriptions[0].Endpoint != emails[100] {
		t.Errorf("pages of %d and %d subscriptions", len(first.Subscriptions), len(second.Subscriptions))
	}
	all := 0
	for p := sns.NewListSubscriptionsPaginator(c.sns, &sns.ListSubscriptionsInput{}); p.HasMorePages(); {
		all += len(must(p.NextPage(t.Context()))(t).Subscriptions)
	}
	if all != 102 {
		t.Errorf("%d subscriptions in all", all)
	}
	_, err := c.sns.ListTopics(t.Context(), &sns.ListTopicsInput{NextToken: aws.String("nonsense!")})
	wantCode(t, err, "InvalidParameter")
}

func TestTopicPolicy(t *testing.T) {
	c := start(t, localstack.Config{})
	arn, url := c.topic(t, "results", nil)
	const rule = "arn:aws:events:eu-west-1:111122223333:rule/hourly"
	other := c.topicsAs("444455556666")
	publish := func(client *sns.Client) error {
		_, err := client.Publish(t.Context(), &sns.PublishInput{TopicArn: &arn, Message: aws.String("x")})
		return err
	}
	asRule := func(source string) string {
		if apiErr := c.PublishAs("events.amazonaws.com", source, arn, "from a rule"); apiErr != nil {
			return apiErr.Code
		}
		return ""
	}
	wantCode(t, publish(other), "AuthorizationError")
	if got := asRule(rule); got != "AuthorizationError" {
		t.Errorf("without a policy the rule gets %q", got)
	}
	must(struct{}{}, c.setTopic(t, arn, "Policy", fmt.Sprintf(`{"Version":"2012-10-17","Statement":[
		{"Effect":"Allow","Principal":{"Service":"events.amazonaws.com"},"Action":"sns:Publish","Resource":%[1]q,"Condition":{"ArnEquals":{"aws:SourceArn":%[2]q}}},
		{"Effect":"Allow","Principal":{"AWS":"444455556666"},"Action":["SNS:Publish","sns:GetTopicAttributes"],"Resource":%[1]q},
		{"Effect":"Deny","Principal":{"AWS":"arn:aws:iam::111122223333:user/mallory"},"Action":"sns:Publish","Resource":%[1]q}]}`, arn, rule)))(t)
	if got := asRule(rule); got != "" {
		t.Errorf("with the policy the rule gets %q", got)
	}
	if got := asRule(rule + "2"); got != "AuthorizationError" {
		t.Errorf("another rule gets %q", got)
	}
	must(struct{}{}, publish(other))(t)
	must(struct{}{}, publish(c.topicsAs("alice")))(t)
	wantCode(t, publish(c.topicsAs("mallory")), "AuthorizationError")
	if got := c.count(t, url); got != "3" {
		t.Errorf("%s messages arrived", got)
	}
	must(other.GetTopicAttributes(t.Context(), &sns.GetTopicAttributesInput{TopicArn: &arn}))(t)
	_, err := other.SetTopicAttributes(t.Context(), &sns.SetTopicAttributesInput{TopicArn: &arn, AttributeName: aws.String("DisplayName"), AttributeValue: aws.String("x")})
	wantCode(t, err, "AuthorizationError")
	for _, err := range []error{
		second(other.ListTopics(t.Context(), &sns.ListTopicsInput{})),
		second(other.ListSubscriptions(t.Context(), &sns.ListSubscriptionsInput{})),
		second(other.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String("mine")})),
		second(other.TagResource(t.Context(), &sns.TagResourceInput{ResourceArn: &arn, Tags: pairsOf("a", "1")})),
		second(other.DeleteTopic(t.Context(), &sns.DeleteTopicInput{TopicArn: &arn})),
	} {
		wantCode(t, err, "AuthorizationError")
	}
	if code, body := c.get(t, c.URL()+"/?Action=Publish&Version=2010-03-31&Message=x&TopicArn="+arn); code != http.StatusForbidden || !strings.Contains(body, "AuthorizationError") {
		t.Errorf("without a signature it answers %d %s", code, body)
	}
	must(struct{}{}, c.setTopic(t, arn, "KmsMasterKeyId", "alias/aws/sns"))(t)
	if got := asRule(rule); got != "KMSAccessDenied" {
		t.Errorf("with AWS's own key the rule gets %q", got)
	}
	must(struct{}{}, publish(c.sns))(t)
	call := c.last(t, "sns:Publish")
	if call.Principal != "arn:aws:iam::111122223333:user/a" || !slices.Equal(call.Resources, []string{arn}) {
		t.Errorf("the record is %+v", call)
	}
}

func second[T any](_ T, err error) error { return err }

func TestTopicPolicyRefuses(t *testing.T) {
	c := start(t, localstack.Config{})
	arn := c.bareTopic(t, "results")
	const statement = `{"Statement":[{"Effect":"Allow","Principal":"*","Action":%q,"Resource":"*"}]}`
	for name, policy := range map[string]string{
		"empty":      "",
		"no JSON":    "{",
		"no effect":  `{"Statement":[{"Principal":"*","Action":"sns:Publish","Resource":"*"}]}`,
		"wildcard":   fmt.Sprintf(statement, "sns:*"),
		"of SQS":     fmt.Sprintf(statement, "sqs:SendMessage"),
		"of account": fmt.Sprintf(statement, "sns:CreateTopic"),
		"long":       fmt.Sprintf(statement, "sns:Publish") + strings.Repeat(" ", 30_720),
	} {
		t.Run(name, func(t *testing.T) { wantCode(t, c.setTopic(t, arn, "Policy", policy), "InvalidParameter") })
	}
	want := fmt.Sprintf(statement, "sns:Publish")
	must(struct{}{}, c.setTopic(t, arn, "Policy", want))(t)
	if got := c.topicAttributes(t, arn)["Policy"]; got != want {
		t.Errorf("the policy is %s", got)
	}
}
