package localstack_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"

	"stillpoint/localstack"
)

func batchEntry(id, handle string) types.DeleteMessageBatchRequestEntry {
	return types.DeleteMessageBatchRequestEntry{Id: &id, ReceiptHandle: &handle}
}

func text(s string) types.MessageAttributeValue {
	return types.MessageAttributeValue{DataType: aws.String("String"), StringValue: &s}
}

// The size of a message is that of its body and of the names, types and values of its attributes.
func TestSizes(t *testing.T) {
	c := start(t, localstack.Config{})
	url := c.queue(t, "q", nil)
	send := func(size int, attributes map[string]types.MessageAttributeValue) error {
		_, err := c.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String(strings.Repeat("x", size)), MessageAttributes: attributes})
		return err
	}
	a := map[string]types.MessageAttributeValue{"name": text("value")} // 4 + 6 + 5 bytes
	must(struct{}{}, send(1<<20, nil))(t)
	err := send(1<<20+1, nil)
	wantCode(t, err, "InvalidParameterValue")
	if !strings.Contains(err.Error(), "One or more parameters are invalid. Reason: Message must be shorter than 1048576 bytes.") {
		t.Error(err)
	}
	must(struct{}{}, send(1<<20-15, a))(t)
	wantCode(t, send(1<<20-14, a), "InvalidParameterValue")

	must(struct{}{}, c.set(t, url, "MaximumMessageSize", "1024"))(t)
	must(struct{}{}, send(1024, nil))(t)
	wantCode(t, send(1025, nil), "InvalidParameterValue")
	wantCode(t, send(1010, a), "InvalidParameterValue")
}

func TestBatchSizes(t *testing.T) {
	c := start(t, localstack.Config{})
	url := c.queue(t, "q", nil)
	send := func(sizes ...int) (*sqs.SendMessageBatchOutput, error) {
		var in sqs.SendMessageBatchInput
		in.QueueUrl = &url
		for i, size := range sizes {
			in.Entries = append(in.Entries, types.SendMessageBatchRequestEntry{Id: aws.String(fmt.Sprint(i)), MessageBody: aws.String(strings.Repeat("x", size))})
		}
		return c.sqs.SendMessageBatch(t.Context(), &in)
	}
	if out := must(send(1<<19, 1<<19))(t); len(out.Successful) != 2 {
		t.Errorf("1 MiB together: %v", out.Failed)
	}
	_, err := send(1<<19, 1<<19, 1)
	wantCode(t, err, "AWS.SimpleQueueService.BatchRequestTooLong")
	if !strings.Contains(err.Error(), "Batch requests cannot be longer than 1048576 bytes. You have sent 1048577 bytes.") {
		t.Error(err)
	}
	if got := c.attribute(t, url, "ApproximateNumberOfMessages"); got != "2" {
		t.Errorf("%s messages, want the two of the batch that was short enough", got)
	}
	must(struct{}{}, c.set(t, url, "MaximumMessageSize", "1024"))(t)
	if out := must(send(1024, 1025, 1))(t); len(out.Successful) != 2 || len(out.Failed) != 1 || *out.Failed[0].Code != "InvalidParameterValue" {
		t.Errorf("with one that is too long for the queue: %v", out)
	}
	_, err = send(slices.Repeat([]int{1}, 11)...)
	wantCode(t, err, "AWS.SimpleQueueService.TooManyEntriesInBatchRequest")
	for _, ids := range [][]string{{"a", "a"}, {"a b"}, {strings.Repeat("a", 81)}} {
		in := sqs.DeleteMessageBatchInput{QueueUrl: &url}
		for _, id := range ids {
			in.Entries = append(in.Entries, batchEntry(id, "h"))
		}
		_, err := c.sqs.DeleteMessageBatch(t.Context(), &in)
		var distinct *types.BatchEntryIdsNotDistinct
		var invalid *types.InvalidBatchEntryId
		if !errors.As(err, &distinct) && !errors.As(err, &invalid) {
			t.Errorf("the ids %v: %v", ids, err)
		}
	}
}

func TestMessageAttributes(t *testing.T) {
	c := start(t, localstack.Config{})
	url := c.queue(t, "q", nil)
	number := func(s string) types.MessageAttributeValue {
		return types.MessageAttributeValue{DataType: aws.String("Number.x"), StringValue: &s}
	}
	send := func(attributes map[string]types.MessageAttributeValue) error {
		_, err := c.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("x"), MessageAttributes: attributes})
		return err
	}
	many := map[string]types.MessageAttributeValue{}
	for i := range 10 {
		many[fmt.Sprint("a.", i)] = text("x")
	}
	many["a.0"] = number("-1.5e3")
	must(struct{}{}, send(many))(t)
	if got := c.receive(t, url); len(got) != 1 || len(got[0].MessageAttributes) != 10 {
		t.Errorf("received %v", got)
	}
	many["one-more"] = text("x")
	wantCode(t, send(many), "InvalidParameterValue")
	for name, value := range map[string]types.MessageAttributeValue{
		".a": text("x"), "a.": text("x"), "a..b": text("x"), "a b": text("x"), "Amazon.a": text("x"), strings.Repeat("a", 257): text("x"),
		"empty": text(""), "control": text("\x01"), "no-number": number("abc"), "type": {DataType: aws.String("Strings"), StringValue: aws.String("x")},
	} {
		t.Run(name, func(t *testing.T) {
			wantCode(t, send(map[string]types.MessageAttributeValue{name: value}), "InvalidParameterValue")
		})
	}
	// This checksum was recorded from AWS: test_send_message_with_binary_attributes in
	// https://github.com/localstack/localstack/blob/main/tests/aws/services/sqs/test_sqs.snapshot.json
	sent := must(c.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("x"), MessageAttributes: map[string]types.MessageAttributeValue{
		"attr1": {DataType: aws.String("Binary"), BinaryValue: []byte("traceparent\x1e00-774062d6c37081a5a0b9b5b88e30627c-2d2482211f6489da-01")},
	}}))(t)
	if got := aws.ToString(sent.MD5OfMessageAttributes); got != "8cbe4db156db8a94db8b801b7addb984" {
		t.Errorf("MD5OfMessageAttributes is %s", got)
	}
	err := send(map[string]types.MessageAttributeValue{"ErrorDetails": text("")})
	if err == nil || !strings.Contains(err.Error(), "Message (user) attribute 'ErrorDetails' must contain a non-empty value of type 'String'.") {
		t.Error(err)
	}
}

func TestSystemAttributes(t *testing.T) {
	c := start(t, localstack.Config{})
	url := c.queue(t, "q", nil)
	trace := map[string]types.MessageSystemAttributeValue{"AWSTraceHeader": {DataType: aws.String("String"), StringValue: aws.String("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1")}}
	sent := must(c.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{
		QueueUrl: &url, MessageBody: aws.String("x"), MessageSystemAttributes: trace, MessageGroupId: aws.String("tenant-7"),
	}))(t)
	if got := aws.ToString(sent.MD5OfMessageSystemAttributes); got != "5ae4d5d7636402d80f4eb6d213245a88" {
		t.Errorf("MD5OfMessageSystemAttributes is %s", got)
	}
	got := c.receive(t, url)[0].Attributes
	if got["AWSTraceHeader"] != "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1" || got["MessageGroupId"] != "tenant-7" || !strings.HasPrefix(got["SenderId"], "AIDA") {
		t.Errorf("system attributes: %v", got)
	}
	trace["Other"] = trace["AWSTraceHeader"]
	_, err := c.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("x"), MessageSystemAttributes: trace})
	wantCode(t, err, "InvalidParameterValue")
}

func TestQueueAttributes(t *testing.T) {
	c := start(t, localstack.Config{})
	url := c.queue(t, "q", nil)
	for name, values := range map[string][]string{
		"VisibilityTimeout": {"-1", "43201", "x"}, "DelaySeconds": {"-1", "901", ""}, "ReceiveMessageWaitTimeSeconds": {"-1", "21"},
		"MessageRetentionPeriod": {"59", "1209601"}, "MaximumMessageSize": {"1023", "1048577"}, "KmsDataKeyReusePeriodSeconds": {"59", "86401"},
		"SqsManagedSseEnabled": {"yes"},
	} {
		for _, value := range values {
			err := c.set(t, url, name, value)
			wantCode(t, err, "InvalidAttributeValue")
			if !strings.Contains(err.Error(), "Invalid value for the parameter "+name+".") {
				t.Error(err)
			}
		}
	}
	for _, name := range []string{"Foo", "FifoQueue", "ContentBasedDeduplication", "QueueArn"} {
		wantCode(t, c.set(t, url, name, "true"), "InvalidAttributeName")
	}
	_, err := c.sqs.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("p"), Attributes: map[string]string{"FifoQueue": "false"}})
	wantCode(t, err, "InvalidAttributeName")
	_, err = c.sqs.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []sqsAttribute{"Foo"}})
	wantCode(t, err, "InvalidAttributeName")
	_, err = c.sqs.SetQueueAttributes(t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: &url, Attributes: map[string]string{}})
	wantCode(t, err, "MissingParameter")
	if got := must(c.sqs.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &url}))(t).Attributes; len(got) != 0 {
		t.Errorf("attributes that nobody asked for: %v", got)
	}
	got := must(c.sqs.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []sqsAttribute{"All"}}))(t).Attributes
	delete(got, "CreatedTimestamp")
	delete(got, "LastModifiedTimestamp")
	if diff := cmp.Diff(map[string]string{
		"QueueArn": sqsARN + "q", "ApproximateNumberOfMessages": "0", "ApproximateNumberOfMessagesNotVisible": "0",
		"ApproximateNumberOfMessagesDelayed": "0", "VisibilityTimeout": "30", "MaximumMessageSize": "1048576",
		"MessageRetentionPeriod": "345600", "DelaySeconds": "0", "ReceiveMessageWaitTimeSeconds": "0", "SqsManagedSseEnabled": "true",
	}, got); diff != "" {
		t.Errorf("the defaults (-want +got):\n%s", diff)
	}
}

// One kind of encryption at a time.
func TestEncryption(t *testing.T) {
	c := start(t, localstack.Config{})
	url := c.queue(t, "q", map[string]string{"KmsMasterKeyId": "testKeyId", "SqsManagedSseEnabled": "false"})
	shows := func(key, reuse, sse string) {
		t.Helper()
		got := [3]string{c.attribute(t, url, "KmsMasterKeyId"), c.attribute(t, url, "KmsDataKeyReusePeriodSeconds"), c.attribute(t, url, "SqsManagedSseEnabled")}
		if got != [3]string{key, reuse, sse} {
			t.Errorf("key, reuse and SSE are %v, want %s, %s and %s", got, key, reuse, sse)
		}
	}
	shows("testKeyId", "300", "false")
	must(struct{}{}, c.set(t, url, "KmsDataKeyReusePeriodSeconds", "6000"))(t)
	shows("testKeyId", "6000", "false")
	_, err := c.sqs.SetQueueAttributes(t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: &url, Attributes: map[string]string{"KmsMasterKeyId": "k", "SqsManagedSseEnabled": "true"}})
	wantCode(t, err, "InvalidAttributeName")
	must(struct{}{}, c.set(t, url, "SqsManagedSseEnabled", "true"))(t)
	shows("", "", "true")
	must(struct{}{}, c.set(t, url, "KmsMasterKeyId", "alias/aws/sqs"))(t)
	shows("alias/aws/sqs", "300", "false")
}

func TestNamesAndAddresses(t *testing.T) {
	c := start(t, localstack.Config{})
	c.queue(t, strings.Repeat("a", 80), nil)
	for _, name := range []string{strings.Repeat("a", 81), "a.b", "ü", "q.fifo"} {
		_, err := c.sqs.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name})
		wantCode(t, err, "InvalidParameterValue")
	}
	_, err := c.sqs.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("q"), Attributes: map[string]string{"FifoQueue": "true"}})
	wantCode(t, err, "InvalidParameterValue")
	for url, code := range map[string]string{
		"":  "MissingParameter",
		"q": "InvalidAddress",
		"https://sqs.eu-west-1.amazonaws.com/111122223333/none":                       "AWS.SimpleQueueService.NonExistentQueue",
		"https://sqs.eu-west-1.amazonaws.com/222233334444/" + strings.Repeat("a", 80): "AWS.SimpleQueueService.NonExistentQueue",
	} {
		_, err := c.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url})
		wantCode(t, err, code)
	}
}

func TestQueueTags(t *testing.T) {
	c := start(t, localstack.Config{})
	url := c.queue(t, "q", nil)
	tag := func(tags map[string]string) error {
		_, err := c.sqs.TagQueue(t.Context(), &sqs.TagQueueInput{QueueUrl: &url, Tags: tags})
		return err
	}
	fifty := map[string]string{}
	for i := range 50 {
		fifty[fmt.Sprint("k", i)] = ""
	}
	must(struct{}{}, tag(fifty))(t)
	must(struct{}{}, tag(map[string]string{"k1": "again"}))(t)
	for _, bad := range []map[string]string{
		{"one more": "x"}, {strings.Repeat("k", 129): ""}, {"k1": strings.Repeat("v", 257)}, {"aws:k1": ""}, {"": "x"}, {"k1": "<"},
	} {
		wantCode(t, tag(bad), "InvalidParameterValue")
	}
	wantCode(t, tag(map[string]string{}), "MissingParameter")
	must(c.sqs.UntagQueue(t.Context(), &sqs.UntagQueueInput{QueueUrl: &url, TagKeys: []string{"k1", "none"}}))(t)
	must(struct{}{}, tag(map[string]string{"one more": "x"}))(t)
	if got := must(c.sqs.ListQueueTags(t.Context(), &sqs.ListQueueTagsInput{QueueUrl: &url}))(t).Tags; len(got) != 50 || got["one more"] != "x" {
		t.Errorf("tags: %v", got)
	}
}

// A list has a token for the rest if it was asked for a number, and only then.
func TestListQueuesInPages(t *testing.T) {
	c := start(t, localstack.Config{})
	var want []string
	for i := range 5 {
		want = append(want, c.queue(t, fmt.Sprint("q", i), nil))
	}
	c.queue(t, "other", nil)
	var got []string
	in := sqs.ListQueuesInput{QueueNamePrefix: aws.String("q"), MaxResults: aws.Int32(2)}
	for pages := 1; ; pages++ {
		out := must(c.sqs.ListQueues(t.Context(), &in))(t)
		got = append(got, out.QueueUrls...)
		if in.NextToken = out.NextToken; in.NextToken == nil {
			if pages != 3 {
				t.Errorf("%d pages", pages)
			}
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the queues (-want +got):\n%s", diff)
	}
	all := must(c.sqs.ListQueues(t.Context(), &sqs.ListQueuesInput{}))(t)
	if len(all.QueueUrls) != 6 || all.NextToken != nil {
		t.Errorf("all: %v, token %v", all.QueueUrls, all.NextToken)
	}
	for _, bad := range []sqs.ListQueuesInput{{MaxResults: aws.Int32(0)}, {MaxResults: aws.Int32(1001)}, {NextToken: aws.String("?")}} {
		_, err := c.sqs.ListQueues(t.Context(), &bad)
		wantCode(t, err, "InvalidParameterValue")
	}
}
