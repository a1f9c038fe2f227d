package conformance

import (
	"context"
	"net/http"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"stillpoint/localstack"
	"stillpoint/localstack/internal/whole"
)

const region = "eu-west-1"

// target is what a row runs against, with the SDK's clients for it. They do not retry.
type target struct {
	url     string
	account string
	ours    *localstack.Server // nil for moto

	http      *http.Client
	config    aws.Config
	sqs       *sqs.Client
	sns       *sns.Client
	ec2       *ec2.Client
	sts       *sts.Client
	events    *eventbridge.Client
	scheduler *scheduler.Client

	boto3 boto3
}

func newTarget(t *testing.T, url, account string) *target {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 16
	t.Cleanup(transport.CloseIdleConnections)
	client := &http.Client{Transport: whole.Answers(transport)}
	config := aws.Config{
		Region:       region,
		BaseEndpoint: aws.String(url),
		HTTPClient:   client,
		Credentials:  credentials.NewStaticCredentialsProvider("AKIAIOSFODNN7EXAMPLE", "secret", ""),
		Retryer:      func() aws.Retryer { return aws.NopRetryer{} },
	}
	return &target{
		url: url, account: account, http: client, config: config,
		sqs: sqs.NewFromConfig(config), sns: sns.NewFromConfig(config), ec2: ec2.NewFromConfig(config), sts: sts.NewFromConfig(config),
		events: eventbridge.NewFromConfig(config), scheduler: scheduler.NewFromConfig(config),
	}
}

// startLocalstack starts a local AWS that ends with the test. With real volumes it skips the test where that cannot be.
func startLocalstack(t *testing.T, needs need) *target {
	config := localstack.Config{Region: region, Seed: 1, SnapshotTime: time.Second}
	if needs.has(data) {
		if os.Geteuid() != 0 {
			t.Skip("volumes with data need root")
		}
		config.Dir = t.TempDir()
	}
	s, err := localstack.Start(context.Background(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	to := newTarget(t, s.URL(), "111122223333")
	to.ours = s
	return to
}

// env is that of a program which shall use the target.
func (to *target) env() []string {
	env := []string{
		"AWS_ENDPOINT_URL=" + to.url, "AWS_REGION=" + region, "AWS_DEFAULT_REGION=" + region,
		"AWS_ACCESS_KEY_ID=AKIAIOSFODNN7EXAMPLE", "AWS_SECRET_ACCESS_KEY=secret",
		"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true", "AWS_MAX_ATTEMPTS=1",
		"AWS_PAGER=",
	}
	for _, name := range []string{"PATH", "HOME", "LANG", "TMPDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}
