package localstack_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/google/go-cmp/cmp"

	"stillpoint/localstack"
)

// allow lets a service send to a queue on behalf of one topic or rule, as a queue policy on AWS has to.
func (c *cloud) allow(t *testing.T, queue, service, source string) {
	t.Helper()
	must(c.sqs.SetQueueAttributes(t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: &queue, Attributes: map[string]string{
		"Policy": fmt.Sprintf(`{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":%q},"Action":"sqs:SendMessage","Resource":%q,"Condition":{"ArnEquals":{"aws:SourceArn":%q}}}}`,
			service, c.attribute(t, queue, "QueueArn"), source),
	}}))(t)
}

// queuesAs is a client for the queues whose caller is the root user of an account, or nobody for "".
func (c *cloud) queuesAs(account string) *sqs.Client {
	config := c.config.Copy()
	config.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: account, SecretAccessKey: "b"}, nil
	})
	if account == "" {
		config.Credentials = aws.AnonymousCredentials{}
	}
	return sqs.NewFromConfig(config)
}

func httpStatus(err error) int {
	var answer *awshttp.ResponseError
	if errors.As(err, &answer) {
		return answer.HTTPStatusCode()
	}
	return 0
}

// A queue that is subscribed to a topic gets nothing until its policy lets SNS send for that topic. The publisher never learns.
func TestTopicNeedsQueuePolicy(t *testing.T) {
	c := start(t, localstack.Config{})
	url := c.queue(t, "results", nil)
	arn := *must(c.sns.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String("results")}))(t).TopicArn
	must(c.sns.Subscribe(t.Context(), &sns.SubscribeInput{TopicArn: &arn, Protocol: aws.String("sqs"), Endpoint: aws.String(c.attribute(t, url, "QueueArn"))}))(t)
	publish := func() {
		t.Helper()
		must(c.sns.Publish(t.Context(), &sns.PublishInput{TopicArn: &arn, Message: aws.String("x")}))(t)
	}
	sent := func() int {
		n := 0
		for _, call := range c.Calls() {
			if call.Operation == "sqs:SendMessage" && call.Principal == "sns.amazonaws.com" {
				n++
			}
		}
		return n
	}
	arrived := func(tries int) string {
		t.Helper()
		eventually(t, "SNS has tried", func() bool { return sent() == tries })
		return c.attribute(t, url, "ApproximateNumberOfMessages")
	}
	publish()
	if got := arrived(1); got != "0" {
		t.Errorf("without a policy %s messages arrived", got)
	}
	c.allow(t, url, "sns.amazonaws.com", arn+"-other")
	publish()
	if got := arrived(2); got != "0" {
		t.Errorf("with a policy for another topic %s messages arrived", got)
	}
	c.allow(t, url, "sns.amazonaws.com", arn)
	publish()
	eventually(t, "the message is there", func() bool { return c.attribute(t, url, "ApproximateNumberOfMessages") == "1" })
}

// A Deny holds for the account's own principals as well, in the words and with the status that were recorded from AWS.
func TestDenyHoldsForTheOwner(t *testing.T) {
	c := start(t, localstack.Config{})
	url := c.queue(t, "q", nil)
	arn := c.attribute(t, url, "QueueArn")
	must(c.sqs.SetQueueAttributes(t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: &url, Attributes: map[string]string{
		"Policy": `{"Statement":{"Effect":"Deny","Principal":"*","Action":["sqs:SendMessage","sqs:DeleteMessage"],"Resource":"` + arn + `"}}`,
	}}))(t)
	_, err := c.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("x")})
	wantCode(t, err, "AccessDenied")
	want := "User: arn:aws:iam::111122223333:user/a is not authorized to perform: sqs:sendmessage on resource: " + arn + " with an explicit deny in a resource-based policy"
	if httpStatus(err) != http.StatusForbidden || !strings.Contains(err.Error(), want) {
		t.Errorf("status %d, %v", httpStatus(err), err)
	}
	batch := sqs.DeleteMessageBatchInput{QueueUrl: &url}
	batch.Entries = append(batch.Entries, batchEntry("a", "handle"))
	_, err = c.sqs.DeleteMessageBatch(t.Context(), &batch)
	wantCode(t, err, "AccessDenied") // the permission of a batch is that of one
	if got := c.receive(t, url); len(got) != 0 {
		t.Errorf("received %v", got)
	}
}

func TestQueuesAndOtherAccounts(t *testing.T) {
	c := start(t, localstack.Config{})
	url := c.queue(t, "q", nil)
	other, nobody := c.queuesAs("222233334444"), c.queuesAs("")
	send := func(client *sqs.Client) error {
		_, err := client.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("x")})
		return err
	}
	wantCode(t, send(other), "AccessDenied")
	wantCode(t, send(nobody), "AccessDenied")
	must(struct{}{}, send(c.queuesAs("111122223333")))(t)

	must(c.sqs.AddPermission(t.Context(), &sqs.AddPermissionInput{QueueUrl: &url, Label: aws.String("them"), AWSAccountIds: []string{"222233334444"}, Actions: []string{"*"}}))(t)
	must(struct{}{}, send(other))(t)
	wantCode(t, send(nobody), "AccessDenied")
	_, err := other.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: &url}) // no policy can allow it
	wantCode(t, err, "AccessDenied")
	_, err = other.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("theirs")})
	wantCode(t, err, "AccessDenied")
	if got := must(other.ListQueues(t.Context(), &sqs.ListQueuesInput{}))(t).QueueUrls; len(got) != 0 {
		t.Errorf("another account sees %v as its own", got)
	}
	_, err = other.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String("q")})
	wantCode(t, err, "AWS.SimpleQueueService.NonExistentQueue")
	if got := must(other.GetQueueUrl(t.Context(), &sqs.GetQueueUrlInput{QueueName: aws.String("q"), QueueOwnerAWSAccountId: aws.String("111122223333")}))(t); *got.QueueUrl != url {
		t.Errorf("to another account the queue has the URL %s", *got.QueueUrl)
	}
	must(c.sqs.RemovePermission(t.Context(), &sqs.RemovePermissionInput{QueueUrl: &url, Label: aws.String("them")}))(t)
	wantCode(t, send(other), "AccessDenied")
}

func TestPermissions(t *testing.T) {
	c := start(t, localstack.Config{})
	url := c.queue(t, "q", nil)
	add := func(label string, accounts, actions []string) error {
		_, err := c.sqs.AddPermission(t.Context(), &sqs.AddPermissionInput{QueueUrl: &url, Label: &label, AWSAccountIds: accounts, Actions: actions})
		return err
	}
	remove := func(label string) error {
		_, err := c.sqs.RemovePermission(t.Context(), &sqs.RemovePermissionInput{QueueUrl: &url, Label: &label})
		return err
	}
	one := []string{"222233334444"}
	must(struct{}{}, add("a", []string{"222233334444", "333344445555"}, []string{"ReceiveMessage"}))(t)
	want := `{"Version":"2008-10-17","Id":"arn:aws:sqs:eu-west-1:111122223333:q/SQSDefaultPolicy","Statement":[` +
		`{"Sid":"a","Effect":"Allow","Principal":{"AWS":["arn:aws:iam::222233334444:root","arn:aws:iam::333344445555:root"]},"Action":"SQS:ReceiveMessage","Resource":"arn:aws:sqs:eu-west-1:111122223333:q"}]}`
	if diff := cmp.Diff(want, c.attribute(t, url, "Policy")); diff != "" {
		t.Errorf("the policy (-want +got):\n%s", diff)
	}
	err := add("a", one, []string{"SendMessage"})
	wantCode(t, err, "InvalidParameterValue")
	if !strings.Contains(err.Error(), "Value a for parameter Label is invalid. Reason: Already exists.") {
		t.Error(err)
	}
	must(struct{}{}, add("b", one, []string{"SendMessage", "DeleteMessage"}))(t)
	must(struct{}{}, remove("a"))(t)
	if got := c.attribute(t, url, "Policy"); strings.Contains(got, `"a"`) || !strings.Contains(got, `"Action":["SQS:SendMessage","SQS:DeleteMessage"]`) {
		t.Errorf("the policy is %s", got)
	}
	must(struct{}{}, remove("b"))(t)
	if got := c.attribute(t, url, "Policy"); got != "" {
		t.Errorf("without permissions the policy is %s", got)
	}
	wantCode(t, remove("b"), "InvalidParameterValue")
	eight := []string{"SendMessage", "DeleteMessage", "ReceiveMessage", "PurgeQueue", "GetQueueUrl", "GetQueueAttributes", "ChangeMessageVisibility", "*"}
	wantCode(t, add("c", one, eight), "OverLimit")
	for name, err := range map[string]error{
		"label":   add("a b", one, []string{"*"}),
		"account": add("c", []string{"12"}, []string{"*"}),
		"action":  add("c", one, []string{"Send"}),
		"owner's": add("c", one, []string{"DeleteQueue"}),
	} {
		t.Run(name, func(t *testing.T) { wantCode(t, err, "InvalidParameterValue") })
	}
}

func TestPolicyIsChecked(t *testing.T) {
	c := start(t, localstack.Config{})
	url := c.queue(t, "q", nil)
	set := func(policy string) error {
		_, err := c.sqs.SetQueueAttributes(t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: &url, Attributes: map[string]string{"Policy": policy}})
		return err
	}
	statement := func(effect, principal, action, rest string) string {
		return `{"Effect":"` + effect + `","Principal":` + principal + `,"Action":` + action + rest + `}`
	}
	resource := `,"Resource":"` + c.attribute(t, url, "QueueArn") + `"`
	good := statement("Allow", `"*"`, `"sqs:SendMessage"`, resource)
	for name, bad := range map[string]string{
		"no JSON":          `nonsense`,
		"no statement":     `{}`,
		"effect":           `{"Statement":` + statement("Maybe", `"*"`, `"sqs:*"`, resource) + `}`,
		"principal":        `{"Statement":` + statement("Allow", `{"AWS":"bob"}`, `"sqs:*"`, resource) + `}`,
		"no resource":      `{"Statement":` + statement("Allow", `"*"`, `"sqs:*"`, "") + `}`,
		"another service":  `{"Statement":` + statement("Allow", `"*"`, `"sns:Publish"`, resource) + `}`,
		"too many actions": `{"Statement":` + statement("Allow", `"*"`, `["sqs:A","sqs:B","sqs:C","sqs:D","sqs:E","sqs:F","sqs:G","sqs:H"]`, resource) + `}`,
		"too long":         `{"Statement":` + good + strings.Repeat(" ", 8192) + `}`,
	} {
		t.Run(name, func(t *testing.T) { wantCode(t, set(bad), "InvalidAttributeValue") })
	}
	wantCode(t, set(`{"Statement":[`+strings.Repeat(good+",", 20)+good+`]}`), "OverLimit")
	if got := c.attribute(t, url, "Policy"); got != "" {
		t.Errorf("a policy that was refused is there: %s", got)
	}
	must(struct{}{}, set(`{"Statement":`+good+`}`))(t)
	if got := c.attribute(t, url, "Policy"); got != `{"Statement":`+good+`}` {
		t.Errorf("the policy came back as %s", got)
	}
	must(struct{}{}, set(""))(t)
	if got := c.attribute(t, url, "Policy"); got != "" {
		t.Errorf("the policy was taken away and is %s", got)
	}
}
