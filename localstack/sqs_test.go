package localstack_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"

	"stillpoint/localstack"
)

type sqsAttribute = types.QueueAttributeName

// receive takes what is visible at once.
func (c *cloud) receive(t *testing.T, queue string) []types.Message {
	t.Helper()
	return must(c.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
		QueueUrl: &queue, MaxNumberOfMessages: 10, MessageSystemAttributeNames: []types.MessageSystemAttributeName{"All"},
		MessageAttributeNames: []string{"All"},
	}))(t).Messages
}

func (c *cloud) hide(queue string, handle *string, seconds int32) error {
	_, err := c.sqs.ChangeMessageVisibility(context.Background(), &sqs.ChangeMessageVisibilityInput{
		QueueUrl: &queue, ReceiptHandle: handle, VisibilityTimeout: seconds,
	})
	return err
}

func TestQueues(t *testing.T) {
	c := start(t, localstack.Config{})
	out := must(c.sqs.CreateQueue(t.Context(), &sqs.CreateQueueInput{
		QueueName: aws.String("requests"), Attributes: map[string]string{"VisibilityTimeout": "7"}, Tags: map[string]string{"a": "b"},
	}))(t)
	url := *out.QueueUrl
	if want := c.URL() + "/111122223333/requests"; url != want {
		t.Errorf("the URL is %s, want %s", url, want)
	}
	c.queue(t, "requests", map[string]string{"VisibilityTimeout": "7"}) // the same again is no error
	_, err := c.sqs.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("requests"), Attributes: map[string]string{"VisibilityTimeout": "8"}})
	wantCode(t, err, "QueueAlreadyExists")

	if got := c.attribute(t, "https://sqs.eu-west-1.amazonaws.com/111122223333/requests", "QueueArn"); got != "arn:aws:sqs:eu-west-1:111122223333:requests" {
		t.Errorf("by a URL of AWS the ARN is %q", got)
	}
	if got := must(c.sqs.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String("requests")}))(t); *got.QueueUrl != url {
		t.Errorf("GetQueueUrl says %s", *got.QueueUrl)
	}
	must(c.sqs.SetQueueAttributes(t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: &url, Attributes: map[string]string{"VisibilityTimeout": "9"}}))(t)
	if got := c.attribute(t, url, "VisibilityTimeout"); got != "9" {
		t.Errorf("VisibilityTimeout is %s after it was set to 9", got)
	}
	_, err = c.sqs.SetQueueAttributes(t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: &url, Attributes: map[string]string{"VisibilityTimeot": "9"}})
	wantCode(t, err, "InvalidAttributeName")
	must(c.sqs.TagQueue(t.Context(), &sqs.TagQueueInput{QueueUrl: &url, Tags: map[string]string{"c": "d"}}))(t)
	tags := must(c.sqs.ListQueueTags(t.Context(), &sqs.ListQueueTagsInput{QueueUrl: &url}))(t).Tags
	if diff := cmp.Diff(map[string]string{"a": "b", "c": "d"}, tags); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	c.queue(t, "others", nil)
	if got := must(c.sqs.ListQueues(t.Context(), &sqs.ListQueuesInput{QueueNamePrefix: aws.String("req")}))(t).QueueUrls; !cmp.Equal(got, []string{url}) {
		t.Errorf("ListQueues says %v", got)
	}
	c.send(t, url, "x")
	must(c.sqs.PurgeQueue(t.Context(), &sqs.PurgeQueueInput{QueueUrl: &url}))(t)
	if got := c.attribute(t, url, "ApproximateNumberOfMessages"); got != "0" {
		t.Errorf("%s messages after the purge", got)
	}
	must(c.sqs.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: &url}))(t)
	_, err = c.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url})
	var missing *types.QueueDoesNotExist
	if !errors.As(err, &missing) {
		t.Errorf("receiving from a deleted queue: %v", err)
	}
	for _, name := range []string{"requests.fifo", "a b", ""} {
		_, err = c.sqs.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name})
		wantCode(t, err, "InvalidParameterValue")
	}
}

func TestMessageComesAsItWasSent(t *testing.T) {
	c := start(t, localstack.Config{})
	url := c.queue(t, "q", nil)
	before := time.Now().Truncate(time.Millisecond)
	attributes := map[string]types.MessageAttributeValue{
		"timestamp": {DataType: aws.String("Number"), StringValue: aws.String("1493147359900")},
	}
	// The SDK compares the checksum of the body with its own, here and below; this one of the attributes is a known answer.
	sent := must(c.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("grüße\n\U0001F30D"), MessageAttributes: attributes}))(t)
	if got := aws.ToString(sent.MD5OfMessageAttributes); got != "235c5c510d26fb653d073faed50ae77c" {
		t.Errorf("MD5OfMessageAttributes is %s", got)
	}
	got := c.receive(t, url)
	if len(got) != 1 || *got[0].Body != "grüße\n\U0001F30D" || *got[0].MessageId != *sent.MessageId {
		t.Fatalf("received %v", got)
	}
	if v := got[0].MessageAttributes["timestamp"]; aws.ToString(v.StringValue) != "1493147359900" || *v.DataType != "Number" {
		t.Errorf("the attribute came as %v", v)
	}
	if aws.ToString(got[0].MD5OfMessageAttributes) != *sent.MD5OfMessageAttributes {
		t.Error("the checksum of the attributes differs when they are received")
	}
	millis, err := strconv.ParseInt(got[0].Attributes["SentTimestamp"], 10, 64)
	if at := time.UnixMilli(millis); err != nil || at.Before(before) || at.After(time.Now()) {
		t.Errorf("SentTimestamp is %s", got[0].Attributes["SentTimestamp"])
	}
	if got[0].Attributes["ApproximateReceiveCount"] != "1" || got[0].Attributes["ApproximateFirstReceiveTimestamp"] == "" || got[0].Attributes["SenderId"] == "" {
		t.Errorf("system attributes: %v", got[0].Attributes)
	}

	binary := map[string]types.MessageAttributeValue{"b": {DataType: aws.String("Binary.x"), BinaryValue: []byte{0, 1, 255}}}
	must(c.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("b"), MessageAttributes: binary}))(t)
	plain := must(c.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, MessageAttributeNames: []string{"B", "c.*"}}))(t).Messages
	if len(plain) != 1 || len(plain[0].MessageAttributes) != 0 || len(plain[0].Attributes) != 0 {
		t.Errorf("attributes that nobody asked for: %v", plain)
	}
	must(struct{}{}, c.hide(url, plain[0].ReceiptHandle, 0))(t)
	if got := c.receive(t, url); len(got) != 1 || !cmp.Equal(got[0].MessageAttributes["b"].BinaryValue, []byte{0, 1, 255}) {
		t.Errorf("the binary attribute came as %v", got)
	}
}

func TestSendRefuses(t *testing.T) {
	c := start(t, localstack.Config{})
	url := c.queue(t, "q", map[string]string{"MaximumMessageSize": "1024"})
	for name, in := range map[string]sqs.SendMessageInput{
		"empty":         {MessageBody: aws.String("")},
		"too long":      {MessageBody: aws.String(strings.Repeat("x", 1025))},
		"deduplication": {MessageBody: aws.String("x"), MessageDeduplicationId: aws.String("d")},
		"group":         {MessageBody: aws.String("x"), MessageGroupId: aws.String("a b")},
		"delay":         {MessageBody: aws.String("x"), DelaySeconds: 901},
		"no value":      {MessageBody: aws.String("x"), MessageAttributes: map[string]types.MessageAttributeValue{"a": {DataType: aws.String("String")}}},
		"no such type":  {MessageBody: aws.String("x"), MessageAttributes: map[string]types.MessageAttributeValue{"a": {DataType: aws.String("Text"), StringValue: aws.String("x")}}},
		"reserved name": {MessageBody: aws.String("x"), MessageAttributes: map[string]types.MessageAttributeValue{"AWS.a": {DataType: aws.String("String"), StringValue: aws.String("x")}}},
	} {
		t.Run(name, func(t *testing.T) {
			in.QueueUrl = &url
			_, err := c.sqs.SendMessage(t.Context(), &in)
			wantCode(t, err, "InvalidParameterValue")
		})
	}
	_, err := c.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("\x01")})
	wantCode(t, err, "InvalidMessageContents")
	for _, in := range []sqs.ReceiveMessageInput{
		{WaitTimeSeconds: 21}, {MaxNumberOfMessages: 11}, {VisibilityTimeout: 43_201}, {ReceiveRequestAttemptId: aws.String("a")},
	} {
		in.QueueUrl = &url
		_, err := c.sqs.ReceiveMessage(t.Context(), &in)
		wantCode(t, err, "InvalidParameterValue")
	}
	must(c.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String(strings.Repeat("x", 1024))}))(t)
	if got := c.attribute(t, url, "ApproximateNumberOfMessages"); got != "1" {
		t.Errorf("%s messages in the queue, want the one that was not refused", got)
	}
}

// A long poll ends as soon as a message is there, whether it was just sent, was delayed, or becomes visible again.
func TestLongPoll(t *testing.T) {
	c := start(t, localstack.Config{})
	url := c.queue(t, "q", nil)
	poll := func() (<-chan time.Time, func() types.Message) {
		done, out := make(chan time.Time, 1), make(chan types.Message, 1)
		waits := c.counted("sqs:ReceiveMessage", "waiting")
		go func() {
			got, err := c.sqs.ReceiveMessage(context.Background(), &sqs.ReceiveMessageInput{QueueUrl: &url, WaitTimeSeconds: 20, VisibilityTimeout: 1})
			done <- time.Now()
			if err != nil || len(got.Messages) != 1 {
				t.Errorf("the poll got %v, %v", got, err)
				out <- types.Message{}
				return
			}
			out <- got.Messages[0]
		}()
		eventually(t, "the poll waits", func() bool { return c.counted("sqs:ReceiveMessage", "waiting") > waits })
		return done, func() types.Message { return <-out }
	}

	done, message := poll()
	sent := time.Now()
	id := c.send(t, url, "x")
	took := (<-done).Sub(sent)
	t.Logf("a poll that waited had the message %v after the send began", took)
	if took > 2*time.Second || *message().MessageId != id {
		t.Errorf("the message came after %v", took)
	}

	// It was hidden for one second, which ends while the next poll waits.
	began := time.Now()
	done, message = poll()
	if took := (<-done).Sub(began); took > 5*time.Second {
		t.Errorf("a message that became visible came after %v", took)
	}
	again := message()
	done, message = poll()
	must(struct{}{}, c.hide(url, again.ReceiptHandle, 0))(t)
	<-done
	must(c.sqs.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: message().ReceiptHandle}))(t)

	began = time.Now()
	must(c.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("later"), DelaySeconds: 1}))(t)
	if got := c.attribute(t, url, "ApproximateNumberOfMessagesDelayed"); got != "1" {
		t.Errorf("%s delayed messages", got)
	}
	done, message = poll()
	if took := (<-done).Sub(began); took < time.Second || *message().Body != "later" {
		t.Errorf("a message delayed by a second came after %v", took)
	}
}

func TestLongPollEnds(t *testing.T) {
	c := start(t, localstack.Config{})
	url := c.queue(t, "q", map[string]string{"ReceiveMessageWaitTimeSeconds": "1"})
	began := time.Now()
	if got := c.receive(t, url); len(got) != 0 || time.Since(began) < time.Second {
		t.Errorf("a poll of a second got %v after %v", got, time.Since(began))
	}
	done := make(chan error, 1)
	go func() {
		_, err := c.sqs.ReceiveMessage(context.Background(), &sqs.ReceiveMessageInput{QueueUrl: &url, WaitTimeSeconds: 20})
		done <- err
	}()
	eventually(t, "the poll waits", func() bool { return c.counted("sqs:ReceiveMessage", "waiting") == 1 })
	must(struct{}{}, c.Close())(t)
	if err := <-done; err != nil {
		t.Errorf("the end of the server cut a poll off: %v", err)
	}
}

// A poll whose client has gone takes the next message all the same, and nobody else gets it before its visibility timeout ends.
func TestStalePollTakesTheMessage(t *testing.T) {
	c := start(t, localstack.Config{})
	url := c.queue(t, "q", map[string]string{"VisibilityTimeout": "1"})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, err := c.sqs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &url, WaitTimeSeconds: 20})
		if err == nil {
			t.Error("the poll was not cut off")
		}
	}()
	eventually(t, "the poll waits", func() bool { return c.counted("sqs:ReceiveMessage", "waiting") == 1 })
	cancel()
	<-done
	c.send(t, url, "x")
	if got := c.receive(t, url); len(got) != 0 {
		t.Fatalf("received %v, but the stale poll was first", got)
	}
	if got := c.attribute(t, url, "ApproximateNumberOfMessagesNotVisible"); got != "1" {
		t.Errorf("%s messages are hidden", got)
	}
	got := must(c.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{
		QueueUrl: &url, WaitTimeSeconds: 20, MessageSystemAttributeNames: []types.MessageSystemAttributeName{"ApproximateReceiveCount"},
	}))(t).Messages
	if len(got) != 1 || got[0].Attributes["ApproximateReceiveCount"] != "2" {
		t.Errorf("after its visibility timeout: %v", got)
	}
}

func TestRedrive(t *testing.T) {
	c := start(t, localstack.Config{})
	dead := c.queue(t, "dead", nil)
	_, err := c.sqs.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("q"), Attributes: map[string]string{
		"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:111122223333:nowhere","maxReceiveCount":2}`,
	}})
	wantCode(t, err, "InvalidParameterValue")
	url := c.queue(t, "q", map[string]string{
		"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:111122223333:dead","maxReceiveCount":"2"}`,
	})
	id := c.send(t, url, "poison")
	for n := 1; n <= 2; n++ {
		got := c.receive(t, url)
		if len(got) != 1 || got[0].Attributes["ApproximateReceiveCount"] != strconv.Itoa(n) {
			t.Fatalf("receive %d got %v", n, got)
		}
		must(struct{}{}, c.hide(url, got[0].ReceiptHandle, 0))(t)
	}
	if got := c.receive(t, url); len(got) != 0 {
		t.Fatalf("the third receive got %v", got)
	}
	if got := c.attribute(t, url, "ApproximateNumberOfMessages"); got != "0" {
		t.Errorf("%s messages are still in the queue", got)
	}
	got := c.receive(t, dead)
	if len(got) != 1 || *got[0].MessageId != id || got[0].Attributes["DeadLetterQueueSourceArn"] != "arn:aws:sqs:eu-west-1:111122223333:q" {
		t.Errorf("the dead-letter queue holds %v", got)
	}
}

func TestReceiptHandles(t *testing.T) {
	c := start(t, localstack.Config{})
	url := c.queue(t, "q", nil)
	remove := func(handle *string) error {
		_, err := c.sqs.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: handle})
		return err
	}
	c.send(t, url, "x")
	first := c.receive(t, url)[0].ReceiptHandle

	// Twelve hours count from the receive: asking for all of them later is too much.
	wantCode(t, c.hide(url, first, 43_200), "InvalidParameterValue")
	wantCode(t, c.hide(url, first, 43_201), "InvalidParameterValue")
	must(struct{}{}, c.hide(url, first, 43_000))(t)
	if got := c.receive(t, url); len(got) != 0 {
		t.Fatalf("a hidden message was received: %v", got)
	}

	// Its timeout has passed, nobody has received it again: success, and no effect.
	must(struct{}{}, c.hide(url, first, 0))(t)
	must(struct{}{}, c.hide(url, first, 1000))(t)
	second := c.receive(t, url)
	if len(second) != 1 {
		t.Fatal("an expired handle hid the message again")
	}

	// Received again: the old handle extends nothing and deletes nothing, though the delete says it did.
	wantCode(t, c.hide(url, first, 100), "InvalidParameterValue")
	must(struct{}{}, remove(first))(t)
	must(struct{}{}, c.hide(url, second[0].ReceiptHandle, 0))(t)
	third := c.receive(t, url)
	if len(third) != 1 {
		t.Fatal("a superseded handle deleted the message")
	}
	must(struct{}{}, remove(third[0].ReceiptHandle))(t)
	must(struct{}{}, remove(third[0].ReceiptHandle))(t) // again is no error
	wantCode(t, c.hide(url, third[0].ReceiptHandle, 100), "InvalidParameterValue")

	for _, handle := range []string{"nonsense", "bm9uc2Vuc2U="} {
		err := remove(&handle)
		var invalid *types.ReceiptHandleIsInvalid
		if !errors.As(err, &invalid) {
			t.Errorf("deleting with the handle %q: %v", handle, err)
		}
		wantCode(t, c.hide(url, &handle, 1), "ReceiptHandleIsInvalid")
	}
}

func TestBatches(t *testing.T) {
	c := start(t, localstack.Config{})
	url := c.queue(t, "q", nil)
	out := must(c.sqs.SendMessageBatch(t.Context(), &sqs.SendMessageBatchInput{QueueUrl: &url, Entries: []types.SendMessageBatchRequestEntry{
		{Id: aws.String("a"), MessageBody: aws.String("A")},
		{Id: aws.String("b"), MessageBody: aws.String("\x01")},
		{Id: aws.String("c"), MessageBody: aws.String("C")},
	}}))(t)
	if len(out.Successful) != 2 || len(out.Failed) != 1 || *out.Failed[0].Id != "b" || !out.Failed[0].SenderFault {
		t.Fatalf("the batch gave %v", out)
	}
	got := c.receive(t, url)
	if len(got) != 2 {
		t.Fatalf("received %v", got)
	}
	removed := must(c.sqs.DeleteMessageBatch(t.Context(), &sqs.DeleteMessageBatchInput{QueueUrl: &url, Entries: []types.DeleteMessageBatchRequestEntry{
		{Id: aws.String("x"), ReceiptHandle: got[0].ReceiptHandle}, {Id: aws.String("y"), ReceiptHandle: aws.String("nonsense")},
	}}))(t)
	if len(removed.Successful) != 1 || len(removed.Failed) != 1 || *removed.Failed[0].Code != "ReceiptHandleIsInvalid" {
		t.Errorf("the batch gave %v", removed)
	}
	_, err := c.sqs.DeleteMessageBatch(t.Context(), &sqs.DeleteMessageBatchInput{QueueUrl: &url, Entries: []types.DeleteMessageBatchRequestEntry{}})
	var empty *types.EmptyBatchRequest
	if !errors.As(err, &empty) {
		t.Errorf("an empty batch: %v", err)
	}
}
