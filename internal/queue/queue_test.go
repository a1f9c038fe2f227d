package queue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/aws/smithy-go"

	"stillpoint/internal/snapshot"
	"stillpoint/localstack"
	"stillpoint/messages"
	"stillpoint/worker"
)

// local is a local AWS with one queue, and a dead-letter queue behind it.
type local struct {
	server *localstack.Server
	client *sqs.Client
	cfg    aws.Config
	url    string
	dead   string
}

func start(t *testing.T, redriveTo string) *local {
	t.Helper()
	server, err := localstack.Start(t.Context(), localstack.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	l := &local{server: server, cfg: aws.Config{
		Region:       "eu-west-1",
		BaseEndpoint: aws.String(server.URL()),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}, nil
		}),
		RetryMaxAttempts: 1,
	}}
	l.client = sqs.NewFromConfig(l.cfg)
	l.dead = l.create(t, "dead", nil)
	attributes := map[string]string{}
	if redriveTo != "" {
		attributes["RedrivePolicy"] = fmt.Sprintf(`{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:111122223333:%s","maxReceiveCount":"10"}`, redriveTo)
	}
	l.url = l.create(t, "requests", attributes)
	return l
}

func (l *local) create(t *testing.T, name string, attributes map[string]string) string {
	t.Helper()
	out, err := l.client.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	if err != nil {
		t.Fatal(err)
	}
	return *out.QueueUrl
}

func (l *local) receive(t *testing.T, q *Queue, visibility time.Duration) *worker.Message {
	t.Helper()
	m, err := q.Receive(t.Context(), visibility)
	if err != nil || m == nil {
		t.Fatalf("received %v, %v", m, err)
	}
	return m
}

// hidden is how many messages are in flight.
func (l *local) hidden(t *testing.T) string {
	t.Helper()
	out, err := l.client.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &l.url, AttributeNames: []types.QueueAttributeName{
		types.QueueAttributeNameApproximateNumberOfMessagesNotVisible, types.QueueAttributeNameApproximateNumberOfMessages}})
	if err != nil {
		t.Fatal(err)
	}
	return out.Attributes["ApproximateNumberOfMessages"] + " visible, " + out.Attributes["ApproximateNumberOfMessagesNotVisible"] + " hidden"
}

func isLost(err error) bool { return errors.As(err, new(*snapshot.LeaseLostError)) }

func TestAMessageFromSendToDelete(t *testing.T) {
	l := start(t, "dead")
	q := New(l.cfg, Config{URL: l.url})
	if err := q.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	before := time.Now().Add(-time.Second)
	id, err := q.Send(t.Context(), []byte(`{"plan":"nightly"}`))
	if err != nil {
		t.Fatal(err)
	}
	m := l.receive(t, q, 2*time.Minute)
	if m.ID != id || string(m.Body) != `{"plan":"nightly"}` || m.ReceiveCount != 1 || m.MaxReceives != 10 || m.SentAt.Before(before) || m.SentAt.After(time.Now().Add(time.Second)) {
		t.Fatalf("%+v", m)
	}
	if got := l.hidden(t); got != "0 visible, 1 hidden" {
		t.Error(got)
	}
	if err := q.Extend(t.Context(), m.ReceiptHandle, 0); err != nil {
		t.Fatal(err)
	}
	m = l.receive(t, q, 2*time.Minute) // 0 released it at once
	if m.ReceiveCount != 2 {
		t.Errorf("%+v", m)
	}
	if err := q.Extend(t.Context(), m.ReceiptHandle, 90500*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if err := q.Delete(t.Context(), m.ReceiptHandle); err != nil {
		t.Fatal(err)
	}
	if got := l.hidden(t); got != "0 visible, 0 hidden" {
		t.Error(got)
	}
}

func TestALostMessageIsALeaseLostError(t *testing.T) {
	l := start(t, "")
	q := New(l.cfg, Config{URL: l.url})
	if _, err := q.Send(t.Context(), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	m := l.receive(t, q, time.Minute)
	if m.MaxReceives != 0 {
		t.Errorf("no redrive policy, and %d receives", m.MaxReceives)
	}
	if err := q.Extend(t.Context(), m.ReceiptHandle, 12*time.Hour+time.Minute); !isLost(err) {
		t.Errorf("beyond 12 h: %v", err)
	}
	if err := q.Delete(t.Context(), m.ReceiptHandle); err != nil {
		t.Fatal(err)
	}
	if err := q.Extend(t.Context(), m.ReceiptHandle, time.Minute); !isLost(err) {
		t.Errorf("deleted: %v", err)
	}
	if err := q.Extend(t.Context(), "no handle", time.Minute); !isLost(err) {
		t.Errorf("no handle: %v", err)
	}
}

func TestOnlySomeCodesMeanThatTheMessageIsLost(t *testing.T) {
	for code, want := range map[string]bool{
		"InvalidParameterValue": true, "ReceiptHandleIsInvalid": true, "MessageNotInflight": true,
		"AWS.SimpleQueueService.MessageNotInflight": true, "AWS.SimpleQueueService.NonExistentQueue": false,
		"AccessDenied": false, "RequestThrottled": false, "InternalError": false,
	} {
		err := asLost(fmt.Errorf("cannot: %w", &smithy.GenericAPIError{Code: code}))
		if isLost(err) != want {
			t.Errorf("%s: %v", code, err)
		}
	}
	for _, err := range []error{&types.MessageNotInflight{}, &types.ReceiptHandleIsInvalid{}} {
		if !isLost(asLost(err)) {
			t.Errorf("%T is not lost", err)
		}
	}
	if isLost(asLost(context.DeadlineExceeded)) {
		t.Error("a timeout is not a lost lease")
	}
}

func TestTheDeadLetterQueueGetsTheBodyAndTheReason(t *testing.T) {
	for _, name := range []string{"from the redrive policy", "from the file"} {
		t.Run(name, func(t *testing.T) {
			c := Config{}
			l := start(t, map[bool]string{true: "dead"}[name == "from the redrive policy"])
			if name == "from the file" {
				c.DeadLetterURL = l.dead
			}
			c.URL = l.url
			q := New(l.cfg, c)
			body := "\t{\"plan\": \"näch\u200btly\",\r\n  \"x\": 1}" + strings.Repeat(" ", 70<<10)
			m := worker.Message{ID: "m-1", Body: []byte(body)}
			sentence := strings.Repeat("ä", 600) + "\x00\xff"
			for range 2 {
				if err := q.DeadLetter(t.Context(), m, messages.ReasonInvalidRequest, sentence); err != nil {
					t.Fatal(err)
				}
			}
			out, err := l.client.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &l.dead, MessageAttributeNames: []string{"All"}})
			if err != nil || len(out.Messages) != 1 {
				t.Fatalf("%v, %v", out, err)
			}
			got := out.Messages[0]
			if *got.Body != body {
				t.Error("the body is not the same, byte for byte")
			}
			value := func(name string) string { return aws.ToString(got.MessageAttributes[name].StringValue) }
			if value(AttributeReason) != "invalid_request" || value(AttributeOriginalID) != "m-1" {
				t.Errorf("%v", got.MessageAttributes)
			}
			if s := value(AttributeMessage); len(s) > maxSentence || !strings.HasPrefix(sentence, s) || len(s) < maxSentence-4 {
				t.Errorf("sentence of %d bytes", len(s))
			}
			looked := 0
			for _, c := range l.server.Calls() {
				if c.Operation == "sqs:GetQueueUrl" {
					looked++
				}
			}
			if want := map[bool]int{true: 1}[c.DeadLetterURL == ""]; looked != want {
				t.Errorf("looked for the queue's URL %d times", looked)
			}
		})
	}
}

func TestWithoutADeadLetterQueue(t *testing.T) {
	l := start(t, "")
	q := New(l.cfg, Config{URL: l.url})
	err := q.DeadLetter(t.Context(), worker.Message{ID: "m-1", Body: []byte("x")}, messages.ReasonConflict, "no")
	if !errors.Is(err, worker.ErrNoDeadLetterQueue) {
		t.Fatal(err)
	}
	l.server.SetFaults(localstack.Fault{Operation: "sqs:GetQueueAttributes", Code: "AccessDenied", Status: 403})
	err = New(l.cfg, Config{URL: l.url}).DeadLetter(t.Context(), worker.Message{ID: "m-1", Body: []byte("x")}, messages.ReasonConflict, "no")
	if err == nil || errors.Is(err, worker.ErrNoDeadLetterQueue) {
		t.Fatalf("not being allowed to look is not the same as there being none: %v", err)
	}
}

func TestAMessageIsNotHeldUpByWhatItsQueueDoesNotTell(t *testing.T) {
	l := start(t, "dead")
	l.server.SetFaults(localstack.Fault{Operation: "sqs:GetQueueAttributes", Code: "AccessDenied", Status: 403})
	q := New(l.cfg, Config{URL: l.url})
	if _, err := q.Send(t.Context(), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if m := l.receive(t, q, time.Minute); m.MaxReceives != 0 {
		t.Errorf("%+v", m)
	}
	if err := q.Check(t.Context()); err == nil || !strings.Contains(err.Error(), l.url) {
		t.Errorf("%v", err)
	}
}

func TestErrorsKeepTheirCode(t *testing.T) {
	l := start(t, "")
	_, err := New(l.cfg, Config{URL: l.url + "-gone"}).Receive(t.Context(), time.Minute)
	var coded interface{ ErrorCode() string }
	if !errors.As(err, &coded) || !strings.Contains(coded.ErrorCode(), "Queue") {
		t.Fatalf("%v", err)
	}
}

func TestACallThatHangsIsBounded(t *testing.T) {
	t.Parallel()
	l := start(t, "")
	l.server.SetFaults(localstack.Fault{Operation: "sqs:ChangeMessageVisibility", Hang: true})
	begun := time.Now()
	err := New(l.cfg, Config{URL: l.url}).Extend(t.Context(), "h", time.Minute)
	if took := time.Since(begun); err == nil || isLost(err) || took > 6*time.Second {
		t.Fatalf("%v after %s", err, took)
	}
}

func TestTheRegionIsTheQueuesOwn(t *testing.T) {
	for queueURL, want := range map[string]string{
		"https://sqs.eu-west-1.amazonaws.com/111122223333/q":                     "eu-west-1",
		"https://sqs-fips.us-east-1.amazonaws.com/1/q":                           "us-east-1",
		"https://sqs.cn-north-1.amazonaws.com.cn/111122223333/q":                 "cn-north-1",
		"https://us-west-2.queue.amazonaws.com/111122223333/q":                   "us-west-2",
		"https://queue.amazonaws.com/111122223333/q":                             "",
		"http://127.0.0.1:4566/111122223333/q":                                   "",
		"https://vpce-1a2b-3c4d.sqs.eu-west-1.vpce.amazonaws.com/111122223333/q": "eu-west-1",
		"::": "",
	} {
		if got := regionOf(queueURL); got != want {
			t.Errorf("%s: %q", queueURL, got)
		}
	}
}

func TestABodyAtTheLimitLeavesTheAttributesOut(t *testing.T) {
	f := &sender{}
	q := NewFromAPI(f, Config{URL: "u", DeadLetterURL: "d"})
	for size, want := range map[int]int{1 << 20: 0, 1<<20 - 60: 1, 1<<20 - 2000: 3} {
		if err := q.DeadLetter(t.Context(), worker.Message{ID: "m-1", Body: make([]byte, size)}, messages.ReasonInvalidRequest, strings.Repeat("x", 2000)); err != nil {
			t.Fatal(err)
		}
		if got := len(f.last.MessageAttributes); got != want {
			t.Errorf("%d bytes: %d attributes", size, got)
		}
	}
}

type sender struct {
	API
	last *sqs.SendMessageInput
}

func (s *sender) SendMessage(_ context.Context, in *sqs.SendMessageInput, _ ...func(*sqs.Options)) (*sqs.SendMessageOutput, error) {
	s.last = in
	return &sqs.SendMessageOutput{}, nil
}
