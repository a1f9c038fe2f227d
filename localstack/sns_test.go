package localstack_test

import (
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sns/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"stillpoint/localstack"
)

var status = map[string]types.MessageAttributeValue{"status": typed("String", "failed & <more>")}

func TestPublishInAnEnvelope(t *testing.T) {
	c := start(t, localstack.Config{})
	arn, url := c.topic(t, "results", nil)
	attributes := map[string]types.MessageAttributeValue{
		"status": status["status"], "bytes": {DataType: aws.String("Binary"), BinaryValue: []byte{2, 3, 4}}, "n": typed("Number", "99.12"),
	}
	id := *must(c.sns.Publish(t.Context(), &sns.PublishInput{
		TopicArn: &arn, Subject: aws.String("[FAILED] snapshot"), Message: aws.String(`{"a":"<b>&"}`), MessageAttributes: attributes,
	}))(t).MessageId
	got := c.receive(t, url)
	if len(got) != 1 || len(got[0].MessageAttributes) != 0 {
		t.Fatalf("received %v", got)
	}
	l := open(t, *got[0].Body)
	if l.Type != "Notification" || l.MessageId != id || l.TopicArn != arn || l.Subject != "[FAILED] snapshot" || l.Message != `{"a":"<b>&"}` ||
		!regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`).MatchString(l.Timestamp) || l.SignatureVersion != "1" || l.Signature == "" ||
		!strings.HasPrefix(l.SigningCertURL, c.URL()+"/SimpleNotificationService-") ||
		!strings.HasPrefix(l.UnsubscribeURL, c.URL()+"/?Action=Unsubscribe&SubscriptionArn="+arn+":") ||
		l.MessageAttributes["status"].Value != "failed & <more>" || l.MessageAttributes["bytes"].Value != "AgME" || l.MessageAttributes["n"].Type != "Number" {
		t.Errorf("the envelope is %s", *got[0].Body)
	}
	c.publish(t, arn, "plain")
	if body := *c.receive(t, url)[0].Body; strings.Contains(body, `"Subject"`) || strings.Contains(body, `"MessageAttributes"`) {
		t.Errorf("without subject and attributes the envelope is %s", body)
	}
}

func TestPublishRaw(t *testing.T) {
	c := start(t, localstack.Config{})
	arn, url := c.topic(t, "results", map[string]string{"RawMessageDelivery": "true"})
	must(c.sns.Publish(t.Context(), &sns.PublishInput{TopicArn: &arn, Message: aws.String("plain"), MessageAttributes: status}))(t)
	got := c.receive(t, url)
	if len(got) != 1 || *got[0].Body != "plain" || *got[0].MessageAttributes["status"].StringValue != "failed & <more>" {
		t.Fatalf("received %v", got)
	}
	many := map[string]types.MessageAttributeValue{}
	for i := range 11 {
		many["a"+strconv.Itoa(i)] = status["status"]
	}
	must(c.sns.Publish(t.Context(), &sns.PublishInput{TopicArn: &arn, Message: aws.String("too many"), MessageAttributes: many}))(t)
	must(c.sns.Publish(t.Context(), &sns.PublishInput{TopicArn: &arn, Message: aws.String(`{"default":"d","sqs":"s"}`), MessageStructure: aws.String("json")}))(t)
	if got := c.receive(t, url); len(got) != 1 || *got[0].Body != "s" {
		t.Errorf("after a message with eleven attributes and one with a structure: %v", got)
	}
	delete(many, "a10")
	must(c.sns.Publish(t.Context(), &sns.PublishInput{TopicArn: &arn, Message: aws.String("just enough"), MessageAttributes: many}))(t)
	if got := c.receive(t, url); len(got) != 1 || len(got[0].MessageAttributes) != 10 {
		t.Errorf("with ten attributes: %v", got)
	}
}

func TestPublishRefuses(t *testing.T) {
	c := start(t, localstack.Config{})
	arn, url := c.topic(t, "results", nil)
	for name, in := range map[string]sns.PublishInput{
		"empty":             {Message: aws.String("")},
		"too long":          {Message: aws.String(strings.Repeat("x", 256<<10+1))},
		"too many bytes":    {Message: aws.String(strings.Repeat("é", 128<<10+1))},
		"too long with all": {Message: aws.String(strings.Repeat("x", 256<<10-10)), MessageAttributes: map[string]types.MessageAttributeValue{"name": typed("String", "x")}},
		"empty subject":     {Message: aws.String("x"), Subject: aws.String("")},
		"long subject":      {Message: aws.String("x"), Subject: aws.String(strings.Repeat("x", 100))},
		"newline":           {Message: aws.String("x"), Subject: aws.String("a\nb")},
		"control":           {Message: aws.String("x"), Subject: aws.String("a\u0001b")},
		"line separator":    {Message: aws.String("x"), Subject: aws.String("a\u2028b")},
		"no such default":   {Message: aws.String(`{"sqs":"x"}`), MessageStructure: aws.String("json")},
		"default no string": {Message: aws.String(`{"default":{}}`), MessageStructure: aws.String("json")},
		"no object":         {Message: aws.String(`["default"]`), MessageStructure: aws.String("json")},
		"no JSON":           {Message: aws.String(`default`), MessageStructure: aws.String("json")},
		"structure":         {Message: aws.String("x"), MessageStructure: aws.String("xml")},
		"group":             {Message: aws.String("x"), MessageGroupId: aws.String("a b")},
		"deduplication":     {Message: aws.String("x"), MessageDeduplicationId: aws.String("d")},
	} {
		t.Run(name, func(t *testing.T) {
			in.TopicArn = &arn
			_, err := c.sns.Publish(t.Context(), &in)
			wantCode(t, err, "InvalidParameter")
		})
	}
	for name, in := range map[string]sns.PublishInput{
		"nothing": {},
		"phone":   {PhoneNumber: aws.String("+441234567890")},
		"both":    {TopicArn: &arn, TargetArn: &arn},
		"no ARN":  {TopicArn: aws.String("results")},
		"region":  {TopicArn: aws.String(strings.Replace(arn, "eu-west-1", "us-east-1", 1))},
		"app":     {TargetArn: aws.String("arn:aws:sns:eu-west-1:111122223333:endpoint/GCM/app/1")},
	} {
		t.Run(name, func(t *testing.T) {
			in.Message = aws.String("x")
			_, err := c.sns.Publish(t.Context(), &in)
			wantCode(t, err, "InvalidParameter")
		})
	}
	_, err := c.sns.Publish(t.Context(), &sns.PublishInput{TopicArn: aws.String(arn + "s"), Message: aws.String("x")})
	wantCode(t, err, "NotFound")
	if got := c.count(t, url); got != "0" {
		t.Errorf("%s refused messages arrived", got)
	}
	for i, in := range []sns.PublishInput{
		{TopicArn: &arn, Message: aws.String(strings.Repeat("x", 256<<10)), Subject: aws.String(strings.Repeat("ü", 99))},
		{TargetArn: &arn, Message: aws.String("x"), Subject: aws.String(" grüße ")},
	} {
		must(c.sns.Publish(t.Context(), &in))(t)
		if got := c.count(t, url); got != strconv.Itoa(i+1) {
			t.Errorf("%s messages after %d that just fit", got, i+1)
		}
	}
}

func TestPublishStructure(t *testing.T) {
	c := start(t, localstack.Config{})
	arn, url := c.topic(t, "results", nil)
	h := c.hook(t, nil)
	c.hooked(t, arn, h, map[string]string{"RawMessageDelivery": "true"})
	for i, x := range []struct{ message, sqs, http string }{
		{`{"default":"d","sqs":"s","http":"h","https":"no"}`, "s", "h"},
		{`{"default":"d","sqs":5,"http":{"a":1}}`, "d", "d"},
		{`{"default":"first","default":"second"}`, "second", "second"},
	} {
		must(c.sns.Publish(t.Context(), &sns.PublishInput{TopicArn: &arn, Message: &x.message, MessageStructure: aws.String("json")}))(t)
		if got := open(t, *c.receive(t, url)[0].Body).Message; got != x.sqs {
			t.Errorf("%s gives the queue %q", x.message, got)
		}
		if got := h.nth(t, i+2).body; got != x.http {
			t.Errorf("%s gives the web hook %q", x.message, got)
		}
	}
}

func TestPublishAttributes(t *testing.T) {
	c := start(t, localstack.Config{})
	arn, url := c.topic(t, "results", nil)
	publish := func(name string, a types.MessageAttributeValue) error {
		_, err := c.sns.Publish(t.Context(), &sns.PublishInput{
			TopicArn: &arn, Message: aws.String("x"), MessageAttributes: map[string]types.MessageAttributeValue{name: a},
		})
		return err
	}
	binary := func(kind string) types.MessageAttributeValue {
		return types.MessageAttributeValue{DataType: &kind, BinaryValue: []byte{1}}
	}
	for what, x := range map[string]struct {
		name string
		a    types.MessageAttributeValue
	}{
		"no value":       {"a", typed("String", "")},
		"no value given": {"a", types.MessageAttributeValue{DataType: aws.String("String")}},
		"no bytes":       {"a", types.MessageAttributeValue{DataType: aws.String("Binary"), BinaryValue: []byte{}}},
		"bytes":          {"a", binary("String")},
		"bytes, number":  {"a", binary("Number")},
		"text":           {"a", typed("Binary", "x")},
		"type":           {"a", typed("Text", "x")},
		"type prefix":    {"a", typed("StringX", "x")},
		"long name":      {strings.Repeat("x", 257), typed("String", "x")},
		"name":           {"a^", typed("String", "x")},
		"dot":            {".a", typed("String", "x")},
		"dot at end":     {"a.", typed("String", "x")},
		"dots":           {"a..b", typed("String", "x")},
		"reserved":       {"AWS.a", typed("String", "x")},
		"reserved too":   {"amazon.a", typed("String", "x")},
		"no number":      {"a", typed("Number", "1x")},
	} {
		t.Run(what, func(t *testing.T) {
			err := publish(x.name, x.a)
			wantCode(t, err, "ParameterValueInvalid")
			if field := map[string]string{"bytes": "'String'", "bytes, number": "'String'", "text": "'Binary'"}[what]; !strings.Contains(err.Error(), field+".") {
				t.Errorf("the error is %v", err)
			}
		})
	}
	good := []types.MessageAttributeValue{
		typed("String", "x"), typed("String.label", "x"), typed("String.Array", `["a",1,true,null]`), typed("Number", "-1.5e3"), typed("Number.int", "x"), binary("Binary.png"),
	}
	for _, a := range good {
		must(struct{}{}, publish("a-b_c.d", a))(t)
	}
	if got := c.count(t, url); got != strconv.Itoa(len(good)) {
		t.Errorf("%s messages arrived", got)
	}
}

func TestPublishBatch(t *testing.T) {
	c := start(t, localstack.Config{})
	arn, url := c.topic(t, "results", nil)
	batch := func(entries ...types.PublishBatchRequestEntry) (*sns.PublishBatchOutput, error) {
		return c.sns.PublishBatch(t.Context(), &sns.PublishBatchInput{TopicArn: &arn, PublishBatchRequestEntries: entries})
	}
	entry := func(id, message string) types.PublishBatchRequestEntry {
		return types.PublishBatchRequestEntry{Id: &id, Message: &message}
	}
	var eleven []types.PublishBatchRequestEntry
	for i := range 11 {
		eleven = append(eleven, entry(strconv.Itoa(i), "x"))
	}
	noValue, noDefault := entry("a", "x"), entry("a", `{}`)
	noValue.MessageAttributes = map[string]types.MessageAttributeValue{"a": typed("String", "")}
	noDefault.MessageStructure = aws.String("json")
	half := strings.Repeat("x", 128<<10)
	for what, x := range map[string]struct {
		code    string
		entries []types.PublishBatchRequestEntry
	}{
		"none":       {"EmptyBatchRequest", []types.PublishBatchRequestEntry{}},
		"eleven":     {"TooManyEntriesInBatchRequest", eleven},
		"same id":    {"BatchEntryIdsNotDistinct", []types.PublishBatchRequestEntry{entry("a", "x"), entry("a", "y")}},
		"id":         {"InvalidBatchEntryId", []types.PublishBatchRequestEntry{entry("a b", "x")}},
		"sum":        {"BatchRequestTooLong", []types.PublishBatchRequestEntry{entry("a", half), entry("b", half), entry("c", "x")}},
		"attribute":  {"ParameterValueInvalid", []types.PublishBatchRequestEntry{entry("b", "x"), noValue}},
		"no default": {"InvalidParameter", []types.PublishBatchRequestEntry{entry("b", "x"), noDefault}},
	} {
		t.Run(what, func(t *testing.T) {
			_, err := batch(x.entries...)
			wantCode(t, err, x.code)
		})
	}
	if got := c.count(t, url); got != "0" {
		t.Fatalf("%s messages of refused batches arrived", got)
	}
	newline := entry("c", "x")
	newline.Subject = aws.String("a\nb")
	out := must(batch(entry("a", "first"), entry("b", ""), newline, entry("d", "last")))(t)
	if len(out.Successful) != 2 || *out.Successful[1].Id != "d" || len(out.Failed) != 2 || *out.Failed[0].Id != "b" || *out.Failed[0].Code != "InvalidParameter" || !out.Failed[0].SenderFault {
		t.Errorf("the batch gave %v and %v", out.Successful, out.Failed)
	}
	got := c.receive(t, url)
	if len(got) != 2 || open(t, *got[1].Body).MessageId != *out.Successful[1].MessageId || open(t, *got[1].Body).Message != "last" {
		t.Errorf("received %v", got)
	}
	_, err := c.sns.PublishBatch(t.Context(), &sns.PublishBatchInput{TopicArn: aws.String(arn + "s"), PublishBatchRequestEntries: eleven[:1]})
	wantCode(t, err, "NotFound")
}

// For fair queues.
func TestMessageGroup(t *testing.T) {
	c := start(t, localstack.Config{})
	arn, url := c.topic(t, "results", nil)
	must(c.sns.Publish(t.Context(), &sns.PublishInput{TopicArn: &arn, Message: aws.String("x"), MessageGroupId: aws.String("tenant-1")}))(t)
	got := must(c.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, MessageSystemAttributeNames: []sqstypes.MessageSystemAttributeName{"All"}}))(t).Messages
	if len(got) != 1 || got[0].Attributes["MessageGroupId"] != "tenant-1" {
		t.Errorf("received %v", got)
	}
}
