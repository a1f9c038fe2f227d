package localstack_test

import (
	"context"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"stillpoint/localstack"
)

func TestStartRefuses(t *testing.T) {
	for _, c := range []localstack.Config{
		{Addr: "0.0.0.0:0"}, {Addr: ":0"}, {Addr: "[::]:0"}, {Addr: "192.0.2.1:0"}, {Addr: "example.com:0"}, {Addr: "127.0.0.1"}, {AccountID: "12"},
	} {
		s, err := localstack.Start(t.Context(), c)
		if err == nil {
			t.Errorf("it started with %+v", c)
			_ = s.Close()
		} else if !strings.HasPrefix(err.Error(), "cannot ") {
			t.Errorf("the error of %+v is %q", c, err)
		}
	}
}

func TestEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := start(t, localstack.Config{})
	s, err := localstack.Start(ctx, localstack.Config{Addr: "localhost:0"})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	eventually(t, "nothing answers", func() bool {
		resp, err := c.config.HTTPClient.(*http.Client).Get(s.URL() + "/_localstack/health")
		if err == nil {
			_ = resp.Body.Close()
		}
		return err != nil
	})
	must(struct{}{}, s.Close())(t)
	must(struct{}{}, s.Close())(t)
}

// request sends a request as it is, and returns the status and the body.
func (c *cloud) request(t *testing.T, method, path, body string, header map[string]string) (int, string) {
	t.Helper()
	req := must(http.NewRequestWithContext(t.Context(), method, c.URL()+path, strings.NewReader(body)))(t)
	for k, v := range header {
		if k == "Host" {
			req.Host = v
		}
		req.Header.Set(k, v)
	}
	resp := must(c.config.HTTPClient.Do(req))(t)
	defer resp.Body.Close()
	return resp.StatusCode, string(must(io.ReadAll(resp.Body))(t))
}

// What the SDKs hide: the errors as they are on the wire.
func TestErrorsOnTheWire(t *testing.T) {
	c := start(t, localstack.Config{})
	form := map[string]string{"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
	scope := func(service string) map[string]string {
		return map[string]string{"Content-Type": form["Content-Type"], "Authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/eu-west-1/" + service + "/aws4_request, SignedHeaders=host, Signature=x"}
	}
	for name, x := range map[string]struct {
		body   string
		header map[string]string
		status int
		want   string
	}{
		"sqs":            {`{"QueueUrl":"http://x/1/nope"}`, map[string]string{"X-Amz-Target": "AmazonSQS.DeleteQueue"}, 400, `{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"The specified queue does not exist."}`},
		"sqs operation":  {`{}`, map[string]string{"X-Amz-Target": "AmazonSQS.NoSuchOperation"}, 400, "UnknownOperationException"},
		"ec2 by version": {"Action=DeleteVolume&VolumeId=vol-0123456789abcdef0&Version=2016-11-15", form, 400, "<Response><Errors><Error><Code>InvalidVolume.NotFound</Code>"},
		"ec2 by scope":   {"Action=CreateVpc", scope("ec2"), 400, "<Code>InvalidAction</Code>"},
		"sns by version": {"Action=Publish&TopicArn=arn:aws:sns:eu-west-1:111122223333:b&Message=m&Version=2010-03-31", form, 404, `<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type><Code>NotFound</Code>`},
		"sts by scope":   {"Action=GetCallerIdentity", scope("sts"), 200, "<Account>111122223333</Account>"},
		"no service":     {"Action=ListUsers&Version=2010-05-08", form, 400, "<Code>InvalidAction</Code>"},
		"browser":        {"", map[string]string{"Origin": "https://example.com"}, 403, "web pages"},
		"rebound name":   {"", map[string]string{"Host": "example.com"}, 403, "loopback names"},
	} {
		t.Run(name, func(t *testing.T) {
			status, body := c.request(t, "POST", "/", x.body, x.header)
			if status != x.status || !strings.Contains(body, x.want) {
				t.Errorf("got %d %s\nwant %d %s", status, body, x.status, x.want)
			}
		})
	}
}

func TestAdmin(t *testing.T) {
	c := start(t, localstack.Config{Region: "us-east-1"})
	_, volumes := c.launch(t, 1)
	for path, want := range map[string]string{
		"health": `"region": "us-east-1"`, "volumes": `"id": "` + volumes[1] + `"`, "calls": `"operation": "ec2:RunInstances"`, "faults": "[]",
	} {
		if status, body := c.request(t, "GET", "/_localstack/"+path, "", nil); status != 200 || !strings.Contains(body, want) {
			t.Errorf("GET %s: %d %s", path, status, body)
		}
	}
	if status, body := c.request(t, "PUT", "/_localstack/faults", `[{"operation":"sts:*"},{"operatoin":"*"}]`, nil); status != 400 {
		t.Errorf("a misspelt fault: %d %s", status, body)
	}
	if status, body := c.request(t, "PUT", "/_localstack/faults", `[{"operation":"sns:ListTopics","code":"Slow","status":503,"latency":"1ms","times":1}]`, nil); status != 200 || !strings.Contains(body, `"latency": "1ms"`) {
		t.Errorf("PUT faults: %d %s", status, body)
	}
	for i, want := range []int{503, 200} {
		if status, body := c.request(t, "GET", "/?Action=ListTopics&Version=2010-03-31", "", map[string]string{"Authorization": "AWS4-HMAC-SHA256 Credential=a/20260101/us-east-1/sns/aws4_request"}); status != want {
			t.Errorf("call %d: %d %s, want %d", i, status, body, want)
		}
	}
	if status, _ := c.request(t, "GET", "/_localstack/nothing", "", nil); status != 404 {
		t.Errorf("an unknown path gave %d", status)
	}
}

// The aws CLI checks nothing that the SDK does not, but builds its requests in its own way.
func TestCLI(t *testing.T) {
	if _, err := exec.LookPath("aws"); err != nil {
		t.Skip("no aws command here: calls by it are left out")
	}
	c := start(t, localstack.Config{})
	aws := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "aws", append([]string{"--endpoint-url", c.URL(), "--output", "text"}, args...)...)
		cmd.Env = append(cmd.Environ(), c.Env()...)
		out, err := cmd.CombinedOutput()
		if err != nil && !strings.Contains(string(out), "DryRunOperation") {
			t.Fatalf("aws %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	url := aws("sqs", "create-queue", "--queue-name", "q", "--tags", "a=b", "--attributes", "VisibilityTimeout=5")
	arn := aws("sns", "create-topic", "--name", "t")
	aws("sns", "subscribe", "--topic-arn", arn, "--protocol", "sqs", "--notification-endpoint", c.attribute(t, url, "QueueArn"), "--attributes", "RawMessageDelivery=true")
	c.allow(t, url, "sns.amazonaws.com", arn)
	aws("sns", "publish", "--topic-arn", arn, "--subject", "s", "--message", "through the topic")
	if got := aws("sqs", "receive-message", "--queue-url", url, "--query", "Messages[].Body"); got != "through the topic" {
		t.Errorf("received %q", got)
	}
	instance, volumes := c.launch(t, 1)
	if got := aws("ec2", "describe-volumes", "--volume-ids", volumes[1], "--query", "Volumes[].Attachments[].Device"); got != "/dev/sdf" {
		t.Errorf("the volume is attached as %q", got)
	}
	if got := aws("ec2", "create-snapshots", "--instance-specification", "InstanceId="+instance, "--dry-run"); !strings.Contains(got, "DryRunOperation") {
		t.Errorf("a dry run said %q", got)
	}
	snap := aws("ec2", "create-snapshots", "--instance-specification", "InstanceId="+instance+",ExcludeBootVolume=true",
		"--tag-specifications", "ResourceType=snapshot,Tags=[{Key=k,Value=v}]", "--query", "Snapshots[].SnapshotId")
	if got := aws("ec2", "describe-snapshots", "--owner-ids", "self", "--filters", "Name=tag:k,Values=v", "--query", "Snapshots[].SnapshotId"); got != snap {
		t.Errorf("found %q, want %q", got, snap)
	}
}
