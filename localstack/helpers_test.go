package localstack_test

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/smithy-go"

	"stillpoint/localstack"
	"stillpoint/localstack/internal/whole"
)

// cloud is a server and the SDK's clients for it. The clients do not retry unless a test says so.
type cloud struct {
	*localstack.Server
	config aws.Config
	sqs    *sqs.Client
	sns    *sns.Client
	ec2    *ec2.Client
}

func start(t *testing.T, c localstack.Config) *cloud {
	t.Helper()
	s, err := localstack.Start(context.Background(), c)
	if err != nil {
		t.Fatal(err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	config := aws.Config{
		Region:       cmp.Or(c.Region, "eu-west-1"),
		BaseEndpoint: aws.String(s.URL()),
		HTTPClient:   &http.Client{Transport: whole.Answers(transport)},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b"}, nil
		}),
		Retryer: func() aws.Retryer { return aws.NopRetryer{} },
	}
	return &cloud{Server: s, config: config, sqs: sqs.NewFromConfig(config), sns: sns.NewFromConfig(config), ec2: ec2.NewFromConfig(config)}
}

// must ends the test on an error.
func must[T any](out T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

// wantCode fails the test unless err is an API error with that code.
func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() != code {
		t.Fatalf("got the error %v, want one with the code %s", err, code)
	}
}

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// counted is how many calls of an operation are in a state.
func (c *cloud) counted(operation, state string) int {
	n := 0
	for _, call := range c.Calls() {
		if call.Operation == operation && call.State == state {
			n++
		}
	}
	return n
}

func (c *cloud) queue(t *testing.T, name string, attributes map[string]string) string {
	t.Helper()
	return *must(c.sqs.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes}))(t).QueueUrl
}

func (c *cloud) send(t *testing.T, queue, body string) string {
	t.Helper()
	return *must(c.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: &body}))(t).MessageId
}

func (c *cloud) attribute(t *testing.T, queue, name string) string {
	t.Helper()
	out := must(c.sqs.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: &queue, AttributeNames: []sqsAttribute{"All"}}))(t)
	return out.Attributes[name]
}

// launch makes an instance with a root volume and data volumes of 1 GiB on /dev/sdf and so on, and returns their ids, the root
// volume's first.
func (c *cloud) launch(t *testing.T, data int) (instance string, volumes []string) {
	t.Helper()
	var mappings []ec2types.BlockDeviceMapping
	for i := range data {
		mappings = append(mappings, ec2types.BlockDeviceMapping{
			DeviceName: aws.String("/dev/sd" + string(rune('f'+i))),
			Ebs:        &ec2types.EbsBlockDevice{VolumeSize: aws.Int32(1)},
		})
	}
	out := must(c.ec2.RunInstances(t.Context(), &ec2.RunInstancesInput{
		ImageId: aws.String("ami-1"), MinCount: aws.Int32(1), MaxCount: aws.Int32(1), BlockDeviceMappings: mappings,
	}))(t)
	for _, m := range out.Instances[0].BlockDeviceMappings {
		volumes = append(volumes, *m.Ebs.VolumeId)
	}
	return *out.Instances[0].InstanceId, volumes
}

func (c *cloud) snapshots(t *testing.T) []ec2types.Snapshot {
	t.Helper()
	return must(c.ec2.DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}}))(t).Snapshots
}
