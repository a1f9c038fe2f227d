package cloudformation

import (
	"context"
	"encoding/xml"
	"fmt"
	"io"
	"maps"
	"net/http"
	neturl "net/url"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"stillpoint/localstack/mototest"
	"stillpoint/test/stack"
)

// TestMoto has moto's CloudFormation read the templates: parameters, conditions,
// imports and attributes as somebody else understands them. It passes over
// policies of queues and topics, subscriptions, schedules and alarms without a
// word, which the other tests are for.
func TestMoto(t *testing.T) {
	t.Parallel()
	url := mototest.Start(t)
	_, want := both(t, stack.Env{})
	readme(t, url)
	fleet, db1 := outputs(t, url, stack.FleetName), outputs(t, url, "stillpoint-db1")
	create(t, url, "instance.yaml", "stillpoint-db2", map[string]string{
		"Role": "db2", "ScheduleBy": "rule", "JoinFleet": "no", "NoSuccessHours": "0", "InstanceId": "i-0123456789abcdef0", "VolumeIds": "vol-0a,vol-0b",
	})
	db2 := outputs(t, url, "stillpoint-db2")
	if fleet["ResultsTopic"] != theirs(want.Outputs["Next3WriteTheFile"], "topic_arn") {
		t.Errorf("moto's topic is %s", fleet["ResultsTopic"])
	}
	// What needs no attribute of a resource that moto makes up is the same as ours.
	for id, ours := range want.Outputs {
		if got := strings.ReplaceAll(db1[id], url+"/"+mototest.Account, "https://sqs.eu-west-1.amazonaws.com/"+mototest.Account); strings.HasPrefix(id, "Next3") && got != accountless(ours) {
			t.Errorf("%s\nmoto %q\nours %q", id, got, accountless(ours))
		}
		if db1[id] == "" {
			t.Errorf("moto prints no %s", id)
		}
	}
	if db2["Next2TagTheVolumes"] != "" {
		t.Error("with the volumes by name the stack says to tag them")
	}
	queues := sqs.NewFromConfig(aws.Config{
		Region: stack.Region, BaseEndpoint: aws.String(url),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b"}, nil
		}),
	})
	got, err := queues.GetQueueAttributes(t.Context(), &sqs.GetQueueAttributesInput{QueueUrl: aws.String(db1["QueueUrl"]), AttributeNames: []types.QueueAttributeName{"All"}})
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{"VisibilityTimeout": "120", "MaximumMessageSize": "65536", "SqsManagedSseEnabled": "true"} {
		if got.Attributes[name] != value {
			t.Errorf("the queue has %s %s, want %s", name, got.Attributes[name], value)
		}
	}
	tags, err := queues.ListQueueTags(t.Context(), &sqs.ListQueueTagsInput{QueueUrl: aws.String(db2["QueueUrl"])})
	if err != nil || tags.Tags["stillpoint:instance-id"] != "i-0123456789abcdef0" {
		t.Errorf("the queue has the tags %v (%v)", tags, err)
	}
	var version struct {
		Document string `xml:"GetPolicyVersionResult>PolicyVersion>Document"`
	}
	post(t, url, "iam", map[string]string{"Action": "GetPolicyVersion", "Version": "2010-05-08", "PolicyArn": db2["PolicyArn"], "VersionId": "v1"}, &version)
	document, err := neturl.QueryUnescape(version.Document)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"arn:*:ec2:*:*:volume/vol-0a", "arn:*:ec2:*:*:volume/vol-0b", "${ec2:InstanceId}", "${aws:ResourceTag/stillpoint:instance-id}"} {
		if !strings.Contains(document, part) {
			t.Errorf("the policy has no %s: %s", part, document)
		}
	}
}

// accountless is a text with moto's account in place of ours.
func accountless(text string) string {
	return strings.ReplaceAll(text, stack.Account, mototest.Account)
}

// theirs is the value of a line of a file, in moto's account.
func theirs(file, key string) string {
	_, rest, _ := strings.Cut(accountless(file), key+": ")
	value, _, _ := strings.Cut(rest, "\n")
	return value
}

// readme does what the commands of README.md do. (moto forgets the exports of a stack that is made by "deploy" itself, through a
// change set.)
func readme(t *testing.T, url string) {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	deploys := regexp.MustCompile(`(?m)^aws cloudformation deploy --stack-name (\S+) --template-file (\S+) --parameter-overrides ((?: ?\w+=\S+)+)(?: --capabilities CAPABILITY_IAM)?$`).FindAllStringSubmatch(string(text), -1)
	if len(deploys) != 2 {
		t.Fatalf("README.md has %d commands that deploy", len(deploys))
	}
	for _, d := range deploys {
		parameters := map[string]string{}
		for _, p := range strings.Fields(d[3]) {
			k, v, _ := strings.Cut(p, "=")
			parameters[k] = v
		}
		create(t, url, d[2], d[1], parameters)
	}
}

const cloudformation = "2010-05-15"

// create makes a stack.
func create(t *testing.T, url, template, name string, parameters map[string]string) {
	t.Helper()
	body, err := os.ReadFile(template)
	if err != nil {
		t.Fatal(err)
	}
	form := map[string]string{
		"Action": "CreateStack", "Version": cloudformation, "StackName": name, "TemplateBody": string(body), "Capabilities.member.1": "CAPABILITY_IAM",
	}
	for i, k := range slices.Sorted(maps.Keys(parameters)) {
		form[fmt.Sprintf("Parameters.member.%d.ParameterKey", i+1)], form[fmt.Sprintf("Parameters.member.%d.ParameterValue", i+1)] = k, parameters[k]
	}
	post(t, url, "cloudformation", form, &struct{}{})
}

// outputs are those of a stack that was made.
func outputs(t *testing.T, url, name string) map[string]string {
	t.Helper()
	var described struct {
		Status  string `xml:"DescribeStacksResult>Stacks>member>StackStatus"`
		Outputs []struct {
			Key   string `xml:"OutputKey"`
			Value string `xml:"OutputValue"`
		} `xml:"DescribeStacksResult>Stacks>member>Outputs>member"`
	}
	post(t, url, "cloudformation", map[string]string{"Action": "DescribeStacks", "Version": cloudformation, "StackName": name}, &described)
	if described.Status != "CREATE_COMPLETE" {
		t.Fatalf("%s is %s", name, described.Status)
	}
	out := map[string]string{}
	for _, o := range described.Outputs {
		out[o.Key] = o.Value
	}
	return out
}

// post makes a call of the query protocol and reads its answer.
func post(t *testing.T, url, service string, form map[string]string, answer any) {
	t.Helper()
	values := neturl.Values{}
	for k, v := range form {
		values.Set(k, v)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(values.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=a/20260101/"+stack.Region+"/"+service+"/aws4_request, SignedHeaders=host, Signature=0")
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	text, err := io.ReadAll(got.Body)
	if err != nil || got.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v\n%s", form["Action"], got.Status, err, text)
	}
	if err := xml.Unmarshal(text, answer); err != nil {
		t.Fatalf("%s: %v\n%s", form["Action"], err, text)
	}
}
