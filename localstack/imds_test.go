package localstack_test

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"stillpoint/localstack"
)

func (c *cloud) metadata() *imds.Client {
	return imds.New(imds.Options{Endpoint: c.URL(), HTTPClient: c.config.HTTPClient})
}

func (c *cloud) read(t *testing.T, path string) string {
	t.Helper()
	out := must(c.metadata().GetMetadata(t.Context(), &imds.GetMetadataInput{Path: path}))(t)
	defer out.Content.Close()
	return string(must(io.ReadAll(out.Content))(t))
}

// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/configuring-instance-metadata-service.html
func TestMetadataTokens(t *testing.T) {
	c := start(t, localstack.Config{})
	c.launch(t, 0)
	const ttl = "X-aws-ec2-metadata-token-ttl-seconds"
	for _, x := range []struct {
		name, method string
		header       map[string]string
		status       int
	}{
		{"no time to live", "PUT", nil, 400},
		{"none at all", "PUT", map[string]string{ttl: "0"}, 400},
		{"more than six hours", "PUT", map[string]string{ttl: "21601"}, 400},
		{"through a proxy", "PUT", map[string]string{ttl: "60", "X-Forwarded-For": "10.0.0.1"}, 403},
		{"by GET", "GET", map[string]string{ttl: "60"}, 405},
		{"six hours", "PUT", map[string]string{ttl: "21600"}, 200},
	} {
		if status, body := c.request(t, x.method, "/latest/api/token", "", x.header); status != x.status {
			t.Errorf("%s: %d %s, want %d", x.name, status, body, x.status)
		}
	}
	_, token := c.request(t, "PUT", "/latest/api/token", "", map[string]string{ttl: "60"})
	get := func(path, token string) int {
		t.Helper()
		header := map[string]string{}
		if token != "" {
			header["X-aws-ec2-metadata-token"] = token
		}
		status, _ := c.request(t, "GET", path, "", header)
		return status
	}
	for _, x := range []struct {
		path, token string
		status      int
	}{
		{"/latest/meta-data/instance-id", token, 200},
		{"/latest/meta-data/instance-id", "", 401},
		{"/latest/meta-data/instance-id", "made up", 401},
		{"/latest/meta-data/nonsense", token, 404},
		{"/latest/meta-data/tags/instance/", token, 404}, // not shown unless that is switched on
		{"/latest/user-data", token, 404},
	} {
		if got := get(x.path, x.token); got != x.status {
			t.Errorf("GET %s with the token %.5q: %d, want %d", x.path, x.token, got, x.status)
		}
	}
	c.MoveClock(time.Minute)
	if got := get("/latest/meta-data/instance-id", token); got != 401 {
		t.Errorf("an expired token got %d", got)
	}
	must(struct{}{}, c.SetMetadata(localstack.Metadata{HTTPTokens: "optional"}))(t)
	if got := get("/latest/meta-data/instance-id", ""); got != 200 {
		t.Errorf("version 1, where tokens are optional, got %d", got)
	}
}

func TestMetadataOfAnInstance(t *testing.T) {
	c := start(t, localstack.Config{Region: "us-east-1"})
	if status, _ := c.request(t, "PUT", "/latest/api/token", "", nil); status != http.StatusNotFound {
		t.Errorf("without an instance: %d", status)
	}
	first, _ := c.launch(t, 2)
	second, _ := c.launch(t, 0)
	must(c.ec2.CreateTags(t.Context(), &ec2.CreateTagsInput{Resources: []string{second}, Tags: []types.Tag{{Key: aws.String("Name"), Value: aws.String("db2")}}}))(t)
	doc := must(c.metadata().GetInstanceIdentityDocument(t.Context(), nil))(t)
	if doc.InstanceID != first || doc.Region != "us-east-1" || doc.AccountID != "111122223333" || doc.AvailabilityZone != "us-east-1a" || doc.InstanceType != "m5.large" || doc.Architecture != "x86_64" || doc.Version != "2017-09-30" || time.Since(doc.PendingTime) > time.Minute {
		t.Errorf("the identity document says %+v", doc.InstanceIdentityDocument)
	}
	if got := must(c.metadata().GetRegion(t.Context(), nil))(t).Region; got != "us-east-1" {
		t.Errorf("the region is %q", got)
	}
	for path, want := range map[string]string{
		"instance-id": first, "placement/availability-zone-id": "use1-az1", "block-device-mapping/": "ami\nebs1\nebs2\nroot",
		"block-device-mapping/ebs1": "/dev/sdf", "services/partition": "aws", "placement/": "availability-zone\navailability-zone-id\nregion",
	} {
		if got := c.read(t, path); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	if list := c.read(t, ""); !strings.Contains(list, "instance-id\n") || !strings.Contains(list, "iam/\n") {
		t.Errorf("the list of what there is: %q", list)
	}
	must(struct{}{}, c.SetMetadata(localstack.Metadata{Instance: second, Tags: true}))(t)
	if got := c.read(t, "instance-id") + " " + c.read(t, "tags/instance/Name"); got != second+" db2" {
		t.Errorf("of the other instance: %q", got)
	}
	if err := c.SetMetadata(localstack.Metadata{Instance: "i-00000000000000000"}); err == nil {
		t.Error("an instance that is not there was taken")
	}
}

// The credentials of an instance are its role's, are renewed in time, and are worth nothing when they have expired.
func TestRoleCredentials(t *testing.T) {
	c := start(t, localstack.Config{})
	instance, _ := c.launch(t, 0)
	must(struct{}{}, c.SetMetadata(localstack.Metadata{Role: "stillpoint-db"}))(t)
	role := ec2rolecreds.New(func(o *ec2rolecreds.Options) { o.Client = c.metadata() })
	old := must(role.Retrieve(t.Context()))(t)
	if !old.CanExpire || !strings.HasPrefix(old.AccessKeyID, "ASIA") || old.SessionToken == "" || time.Until(old.Expires) < 50*time.Minute { // the SDK takes an hour at most
		t.Errorf("the credentials are %+v", old)
	}
	as := func(key aws.Credentials) aws.Config {
		config := c.config.Copy()
		config.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return key, nil })
		return config
	}
	who := must(sts.NewFromConfig(as(old)).GetCallerIdentity(t.Context(), nil))(t)
	if want := "arn:aws:sts::111122223333:assumed-role/stillpoint-db/" + instance; *who.Arn != want || !strings.HasSuffix(*who.UserId, ":"+instance) || *who.Account != "111122223333" {
		t.Errorf("the caller is %s %s %s, want %s", *who.Arn, *who.UserId, *who.Account, want)
	}
	if again := must(role.Retrieve(t.Context()))(t); again.AccessKeyID != old.AccessKeyID {
		t.Error("there are new credentials already")
	}
	c.MoveClock(6*time.Hour - 5*time.Minute)
	renewed := must(role.Retrieve(t.Context()))(t)
	if renewed.AccessKeyID == old.AccessKeyID {
		t.Error("five minutes before their end there are no new credentials")
	}
	must(sts.NewFromConfig(as(old)).GetCallerIdentity(t.Context(), nil))(t)
	c.MoveClock(5 * time.Minute)
	_, err := sts.NewFromConfig(as(old)).GetCallerIdentity(t.Context(), nil)
	wantCode(t, err, "ExpiredToken")
	_, err = ec2.NewFromConfig(as(old)).DescribeVolumes(t.Context(), &ec2.DescribeVolumesInput{})
	wantCode(t, err, "RequestExpired")
	_, err = sqs.NewFromConfig(as(old)).ListQueues(t.Context(), &sqs.ListQueuesInput{})
	wantCode(t, err, "ExpiredToken")
	_, err = sns.NewFromConfig(as(old)).ListTopics(t.Context(), &sns.ListTopicsInput{})
	wantCode(t, err, "ExpiredToken")
	must(sqs.NewFromConfig(as(renewed)).ListQueues(t.Context(), &sqs.ListQueuesInput{}))(t)
	if call := c.last(t, "sqs:ListQueues"); !strings.HasSuffix(call.Principal, "assumed-role/stillpoint-db/"+instance) {
		t.Errorf("the log says that %q called", call.Principal)
	}
}

// https://docs.aws.amazon.com/STS/latest/APIReference/API_GetCallerIdentity.html
func TestCallerIdentity(t *testing.T) {
	c := start(t, localstack.Config{})
	for key, want := range map[string]string{
		"alice":        "arn:aws:iam::111122223333:user/alice",
		"999988887777": "arn:aws:iam::999988887777:root",
	} {
		config := c.config.Copy()
		config.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: key, SecretAccessKey: "x"}, nil
		})
		if got := *must(sts.NewFromConfig(config).GetCallerIdentity(t.Context(), nil))(t).Arn; got != want {
			t.Errorf("the key %s is %s, want %s", key, got, want)
		}
	}
	if status, body := c.request(t, "GET", "/?Action=GetCallerIdentity&Version=2011-06-15", "", nil); status != 403 || !strings.Contains(body, "MissingAuthenticationToken") {
		t.Errorf("unsigned: %d %s", status, body)
	}
}
