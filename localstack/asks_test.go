package localstack_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials/ec2rolecreds"
	"github.com/aws/aws-sdk-go-v2/feature/ec2/imds"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"stillpoint/localstack"
	"stillpoint/localstack/iam"
)

// asksOf are the questions about the last call of an operation, each as action, resource and the values of some keys.
func (c *cloud) asksOf(t *testing.T, operation string, keys ...string) (out []string) {
	t.Helper()
	for _, a := range c.last(t, operation).Asks {
		text := a.Action + " " + strings.TrimPrefix(a.Resource, "arn:aws:")
		for _, k := range keys {
			if v, ok := a.Context[k]; ok {
				text += fmt.Sprintf(" %s=%s", k, strings.Join(v, ","))
			}
		}
		out = append(out, text)
	}
	return out
}

func wantAsks(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestWhatIAMIsAskedOfSnapshots(t *testing.T) {
	c := start(t, localstack.Config{})
	instance, volumes := c.launch(t, 1)
	data := volumes[1] // the first is the root's
	here := "ec2:eu-west-1:111122223333:"
	tags := []ec2types.Tag{{Key: aws.String("b"), Value: aws.String("2")}}
	must(c.ec2.CreateTags(t.Context(), &ec2.CreateTagsInput{Resources: []string{data}, Tags: []ec2types.Tag{{Key: aws.String("a"), Value: aws.String("1")}}}))(t)
	wantAsks(t, c.asksOf(t, "ec2:CreateTags", "aws:RequestTag/a", "aws:TagKeys", "ec2:CreateAction"), "ec2:CreateTags "+here+"volume/"+data+" aws:RequestTag/a=1 aws:TagKeys=a")

	in := &ec2.CreateSnapshotsInput{
		InstanceSpecification: &ec2types.InstanceSpecification{InstanceId: aws.String(instance), ExcludeBootVolume: aws.Bool(true)},
		TagSpecifications:     []ec2types.TagSpecification{{ResourceType: "snapshot", Tags: tags}},
	}
	want := []string{
		"ec2:CreateSnapshots " + here + "instance/" + instance, "ec2:CreateSnapshots " + here + "volume/" + data + " aws:ResourceTag/a=1",
		"ec2:CreateSnapshots ec2:eu-west-1::snapshot/* aws:RequestTag/b=2", "ec2:CreateTags ec2:eu-west-1::snapshot/* aws:RequestTag/b=2 ec2:CreateAction=CreateSnapshots",
	}
	keys := []string{"aws:ResourceTag/a", "aws:RequestTag/b", "ec2:CreateAction"}
	for _, dry := range []bool{true, false} { // a dry run is authorized alike
		in.DryRun = aws.Bool(dry)
		_, err := c.ec2.CreateSnapshots(t.Context(), in)
		if dry {
			wantCode(t, err, "DryRunOperation")
		}
		wantAsks(t, c.asksOf(t, "ec2:CreateSnapshots", keys...), want...)
	}
	one := must(c.ec2.CreateSnapshot(t.Context(), &ec2.CreateSnapshotInput{VolumeId: aws.String(data)}))(t)
	wantAsks(t, c.asksOf(t, "ec2:CreateSnapshot", keys...), "ec2:CreateSnapshot "+here+"volume/"+data+" aws:ResourceTag/a=1", "ec2:CreateSnapshot ec2:eu-west-1::snapshot/*")
	must(c.ec2.CreateTags(t.Context(), &ec2.CreateTagsInput{Resources: []string{*one.SnapshotId}, Tags: tags}))(t)
	must(c.ec2.CreateTags(t.Context(), &ec2.CreateTagsInput{Resources: []string{*one.SnapshotId}, Tags: tags}))(t)
	wantAsks(t, c.asksOf(t, "ec2:CreateTags", "aws:ResourceTag/b", "aws:RequestTag/b", "ec2:ParentVolume"),
		"ec2:CreateTags ec2:eu-west-1::snapshot/"+*one.SnapshotId+" aws:ResourceTag/b=2 aws:RequestTag/b=2 ec2:ParentVolume=arn:aws:"+here+"volume/"+data)
	must(c.ec2.DescribeVolumes(t.Context(), &ec2.DescribeVolumesInput{}))(t)
	wantAsks(t, c.asksOf(t, "ec2:DescribeVolumes", "ec2:Region"), "ec2:DescribeVolumes * ec2:Region=eu-west-1")
}

func TestWhatIAMIsAskedOfMessages(t *testing.T) {
	c := start(t, localstack.Config{})
	queue := must(c.sqs.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("q")}))(t)
	must(c.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: queue.QueueUrl, MessageBody: aws.String("m")}))(t)
	wantAsks(t, c.asksOf(t, "sqs:SendMessage"), "sqs:SendMessage sqs:eu-west-1:111122223333:q")
	const key = "arn:aws:kms:eu-west-1:111122223333:key/k"
	for _, under := range []string{"", key} {
		topic := must(c.sns.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String("t" + under[max(0, len(under)-1):]), Attributes: map[string]string{"KmsMasterKeyId": under}}))(t)
		must(c.sns.Publish(t.Context(), &sns.PublishInput{TopicArn: topic.TopicArn, Message: aws.String("m")}))(t)
		want := []string{"sns:Publish " + strings.TrimPrefix(*topic.TopicArn, "arn:aws:")}
		if under != "" {
			for _, action := range []string{"kms:GenerateDataKey", "kms:Decrypt"} {
				want = append(want, action+" kms:eu-west-1:111122223333:key/k kms:ViaService=sns.eu-west-1.amazonaws.com")
			}
		}
		wantAsks(t, c.asksOf(t, "sns:Publish", "kms:ViaService"), want...)
	}
}

// An instance's role is known by the instance, as in AWS's own policy AWSEC2VssSnapshotPolicy.
func TestPolicyOfAnInstance(t *testing.T) {
	c := start(t, localstack.Config{})
	instance, _ := c.launch(t, 1)
	config := c.config
	config.Credentials = ec2rolecreds.New(func(o *ec2rolecreds.Options) {
		o.Client = imds.NewFromConfig(aws.Config{}, func(o *imds.Options) { o.Endpoint = c.URL() })
	})
	_, err := ec2.NewFromConfig(config).CreateSnapshots(t.Context(), &ec2.CreateSnapshotsInput{
		InstanceSpecification: &ec2types.InstanceSpecification{InstanceId: aws.String(instance)}, DryRun: aws.Bool(true),
	})
	wantCode(t, err, "DryRunOperation")
	p := must(iam.Parse([]byte(`{"Version":"2012-10-17","Statement":[{"Sid":"own","Effect":"Allow","Action":"ec2:CreateSnapshots","Resource":"arn:aws:ec2:*:*:instance/*",
		"Condition":{"ArnLike":{"ec2:SourceInstanceARN":"arn:aws:ec2:*:*:instance/${ec2:InstanceId}"}}}]}`)))(t)
	ask := c.last(t, "ec2:CreateSnapshots").Asks[0]
	if ok, sid := p.Allows(ask); !ok || sid != "own" {
		t.Errorf("its own instance is denied: %v", ask)
	}
	ask.Context["ec2:InstanceID"] = []string{"i-0fffffffffffffff0"}
	if ok, _ := p.Allows(ask); ok {
		t.Error("another instance is allowed")
	}
	for what, text := range map[string]string{
		"a Principal":               `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"sqs:*","Resource":"*"}}`,
		"neither a Resource nor":    `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sqs:*"}}`,
		"is neither Allow nor Deny": `{"Version":"2012-10-17","Statement":{"Effect":"allow","Action":"sqs:*","Resource":"*"}}`,
	} {
		if _, err := iam.Parse([]byte(text)); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("got %v, want %q", err, what)
		}
	}
}

func TestCallsWithWhatIAMIsAsked(t *testing.T) {
	c := start(t, localstack.Config{})
	must(c.sqs.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("q")}))(t)
	must(c.sqs.ListQueueTags(t.Context(), &sqs.ListQueueTagsInput{QueueUrl: aws.String(c.URL() + "/111122223333/q")}))(t)
	for query, want := range map[string]int{"": 0, "&iam=true": 1} {
		answer := must(http.Get(c.URL() + "/_localstack/calls?operation=sqs:ListQueueTags" + query))(t)
		text := must(io.ReadAll(answer.Body))(t)
		answer.Body.Close()
		var calls []struct {
			IAM []struct{ Action, Resource string }
		}
		if err := json.Unmarshal(text, &calls); err != nil || len(calls) != 1 || len(calls[0].IAM) != want {
			t.Errorf("%q: %v %s", query, err, text)
		}
	}
}
