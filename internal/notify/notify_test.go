package notify

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"stillpoint/localstack"
	"stillpoint/messages"
)

func config(server *localstack.Server, region string) aws.Config {
	return aws.Config{
		Region:       region,
		BaseEndpoint: aws.String(server.URL()),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}, nil
		}),
		RetryMaxAttempts: 1,
	}
}

func result() *messages.Result {
	id := messages.Identity{InstanceID: "i-0aaaaaaaaaaaaaaaa", Region: "eu-west-1", Agent: messages.Agent{Name: "stillpoint", Version: "test"}}
	at := time.Date(2026, 3, 1, 2, 3, 4, 0, time.UTC)
	d := messages.Delivery{Request: messages.Request{RequestID: "r", Plan: "nightly"}, Source: messages.SourceSQS, RequestedAt: at}
	r := id.Result(d, at)
	r.Status, r.Reason, r.Message = messages.Failed, messages.ReasonLockTimeout, "the lock was not granted: näh"
	r.Seal("m-1", at.Add(time.Second))
	return r
}

// What is published arrives at a subscribed queue as a subscriber would see it.
func TestPublish(t *testing.T) {
	server, err := localstack.Start(t.Context(), localstack.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	cfg := config(server, "eu-west-1")
	topics, queues := sns.NewFromConfig(cfg), sqs.NewFromConfig(cfg)
	topic, err := topics.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String("results")})
	if err != nil {
		t.Fatal(err)
	}
	queue, err := queues.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("subscriber"), Attributes: map[string]string{
		"Policy": `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"arn:aws:sqs:eu-west-1:111122223333:subscriber","Condition":{"ArnEquals":{"aws:SourceArn":"` + *topic.TopicArn + `"}}}]}`,
	}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := topics.Subscribe(t.Context(), &sns.SubscribeInput{
		TopicArn: topic.TopicArn, Protocol: aws.String("sqs"), Endpoint: aws.String("arn:aws:sqs:eu-west-1:111122223333:subscriber"),
	}); err != nil {
		t.Fatal(err)
	}

	p, err := New(config(server, "us-east-1"), *topic.TopicArn)
	if err != nil {
		t.Fatal(err)
	}
	want := result()
	if err := p.Publish(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	got, err := queues.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: queue.QueueUrl, WaitTimeSeconds: 5})
	if err != nil || len(got.Messages) != 1 {
		t.Fatalf("%v, %v", got, err)
	}
	var envelope struct {
		Subject           string
		Message           string
		MessageAttributes map[string]struct{ Type, Value string }
	}
	if err := json.Unmarshal([]byte(*got.Messages[0].Body), &envelope); err != nil {
		t.Fatal(err)
	}
	r, err := messages.UnmarshalResult([]byte(envelope.Message))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, r); diff != "" {
		t.Error(diff)
	}
	if envelope.Subject != messages.Subject(want) {
		t.Errorf("subject %q", envelope.Subject)
	}
	attributes := map[string]string{}
	for name, a := range envelope.MessageAttributes {
		if a.Type != "String" {
			t.Errorf("%s is a %s", name, a.Type)
		}
		attributes[name] = a.Value
	}
	if diff := cmp.Diff(messages.Attributes(want), attributes); diff != "" {
		t.Error(diff)
	}
}

func TestPublishSaysWhatFailed(t *testing.T) {
	server, err := localstack.Start(t.Context(), localstack.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	const gone = "arn:aws:sns:eu-west-1:111122223333:gone"
	p, err := New(config(server, "eu-west-1"), gone)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Publish(t.Context(), result()); err == nil || !strings.Contains(err.Error(), gone) {
		t.Errorf("%v", err)
	}
	server.SetFaults(localstack.Fault{Operation: "sns:Publish", Hang: true})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	begun := time.Now()
	if err := p.Publish(ctx, result()); err == nil || time.Since(begun) > 2*time.Second {
		t.Errorf("%v after %s", err, time.Since(begun))
	}
}

// recorder is an API that shows what it was called with.
type recorder struct {
	API
	in *sns.PublishInput
}

func (r *recorder) Publish(_ context.Context, in *sns.PublishInput, _ ...func(*sns.Options)) (*sns.PublishOutput, error) {
	r.in = in
	return &sns.PublishOutput{}, nil
}

func TestAttributesThatAreEmptyAreLeftOut(t *testing.T) {
	rec := &recorder{}
	r := result()
	r.Plan, r.InstanceID = "", ""
	if err := NewFromAPI(rec, "arn").Publish(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	for name, a := range rec.in.MessageAttributes {
		if aws.ToString(a.StringValue) == "" {
			t.Errorf("%s is empty", name)
		}
	}
	if len(rec.in.MessageAttributes) == 0 {
		t.Error("no attributes at all")
	}
}

func TestNewWantsTheARNOfATopic(t *testing.T) {
	for _, bad := range []string{"", "results", "arn:aws:sqs:eu-west-1:111122223333:q", "arn:aws:sns::111122223333:t"} {
		if _, err := New(aws.Config{}, bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	p, err := New(aws.Config{Region: "us-east-1"}, "arn:aws:sns:eu-central-1:111122223333:t")
	if err != nil {
		t.Fatal(err)
	}
	if got := p.api.(*sns.Client).Options().Region; got != "eu-central-1" {
		t.Errorf("region %s", got)
	}
}
