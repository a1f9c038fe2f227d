package notify

import (
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"

	"stillpoint/localstack"
)

func TestLook(t *testing.T) {
	server, err := localstack.Start(t.Context(), localstack.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	topics := sns.NewFromConfig(config(server, "eu-west-1"))
	made, err := topics.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String("results"), Attributes: map[string]string{"KmsMasterKeyId": "alias/mine"}})
	if err != nil {
		t.Fatal(err)
	}
	for protocol, endpoint := range map[string]string{"sqs": "arn:aws:sqs:eu-west-1:111122223333:q", "http": "http://127.0.0.1:1/"} {
		if _, err := topics.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: made.TopicArn, Protocol: &protocol, Endpoint: &endpoint}); err != nil {
			t.Fatal(err)
		}
	}
	topic, err := New(config(server, "us-east-1"), *made.TopicArn)
	if err != nil {
		t.Fatal(err)
	}
	got, err := topic.Look(t.Context())
	if err != nil || got.ARN != *made.TopicArn || got.Confirmed != 1 || got.Pending != 1 || got.Key != "alias/mine" || !strings.Contains(got.Policy, "Statement") {
		t.Errorf("%+v, %v", got, err)
	}
	if gone, _ := New(config(server, "us-east-1"), *made.TopicArn+"-not"); gone != nil {
		if _, err := gone.Look(t.Context()); err == nil || !strings.Contains(err.Error(), "results-not") {
			t.Errorf("a topic that is not there: %v", err)
		}
	}
}
