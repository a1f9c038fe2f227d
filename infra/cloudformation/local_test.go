package cloudformation

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"stillpoint/internal/config"
	"stillpoint/internal/notify"
	"stillpoint/localstack"
	"stillpoint/messages"
	"stillpoint/test/stack"
)

// local is both stacks on a local AWS.
type local struct {
	*testing.T
	aws             *localstack.Server
	config          aws.Config
	cloud           stack.Cloud
	fleet, instance *stack.Stack
}

func deploy(t *testing.T, parameters map[string]string) *local {
	t.Helper()
	server, err := localstack.Start(context.Background(), localstack.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	l := &local{T: t, aws: server, config: aws.Config{
		Region: stack.Region, BaseEndpoint: aws.String(server.URL()),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "a", SecretAccessKey: "b"}, nil
		}),
	}}
	l.cloud = stack.Cloud{
		SQS: sqs.NewFromConfig(l.config), SNS: sns.NewFromConfig(l.config), Events: eventbridge.NewFromConfig(l.config), Scheduler: scheduler.NewFromConfig(l.config),
	}
	l.fleet, l.instance = both(t, stack.Env{Parameters: parameters, QueueURL: l.url})
	for _, s := range []*stack.Stack{l.fleet, l.instance} {
		if err := s.Deploy(t.Context(), l.cloud); err != nil {
			t.Fatal(err)
		}
	}
	return l
}

func (l *local) url(queue string) string {
	return l.aws.URL() + "/" + stack.Account + "/" + queue
}

// bodies takes what a queue holds.
func (l *local) bodies(queue string) (out []string) {
	l.Helper()
	for {
		// An empty receive would poll for as long as the queue says.
		depth, err := l.cloud.SQS.GetQueueAttributes(l.Context(), &sqs.GetQueueAttributesInput{
			QueueUrl: aws.String(l.url(queue)), AttributeNames: []types.QueueAttributeName{types.QueueAttributeNameApproximateNumberOfMessages},
		})
		if err != nil {
			l.Fatal(err)
		}
		if depth.Attributes["ApproximateNumberOfMessages"] == "0" {
			return out
		}
		got, err := l.cloud.SQS.ReceiveMessage(l.Context(), &sqs.ReceiveMessageInput{QueueUrl: aws.String(l.url(queue)), MaxNumberOfMessages: 10})
		if err != nil {
			l.Fatal(err)
		}
		for _, m := range got.Messages {
			out = append(out, aws.ToString(m.Body))
			if _, err := l.cloud.SQS.DeleteMessage(l.Context(), &sqs.DeleteMessageInput{QueueUrl: aws.String(l.url(queue)), ReceiptHandle: m.ReceiptHandle}); err != nil {
				l.Fatal(err)
			}
		}
	}
}

// eventually takes what a queue holds once it holds something.
func (l *local) eventually(queue string, n int) (out []string) {
	l.Helper()
	for end := time.Now().Add(10 * time.Second); len(out) < n && time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		out = append(out, l.bodies(queue)...)
	}
	if len(out) != n {
		l.Fatalf("%s held %d messages, want %d: %v", queue, len(out), n, out)
	}
	return out
}

// Every combination of the parameters is something that SQS, SNS and
// EventBridge take.
func TestEveryCombinationDeploys(t *testing.T) {
	for _, by := range []string{"scheduler", "rule", "nothing"} {
		for _, joins := range []string{"yes", "no"} {
			t.Run(by+" "+joins, func(t *testing.T) {
				deploy(t, map[string]string{"ScheduleBy": by, "JoinFleet": joins, "NoSuccessHours": "13", "InstanceId": "i-0123456789abcdef0", "ScheduleWindowMinutes": "15"})
			})
		}
	}
}

// Both kinds of a schedule ask for the plan, under an id that is the same for
// the same tick and by which the alarm knows a success.
func TestSchedules(t *testing.T) {
	for by, prefix := range map[string]string{
		"scheduler": "arn:aws:scheduler:eu-west-1:111122223333:schedule/default/stillpoint-db1/", "rule": "arn:aws:events:eu-west-1:111122223333:rule/stillpoint-db1/",
	} {
		t.Run(by, func(t *testing.T) {
			l := deploy(t, map[string]string{"ScheduleBy": by, "ScheduleExpression": "cron(15 3 * * ? *)", "Plan": "weekly"})
			l.aws.MoveClock(24 * time.Hour)
			body := l.eventually("stillpoint-db1", 1)[0]
			d, err := messages.Decode([]byte(body), messages.Meta{MessageID: "m", SentAt: l.aws.Now(), Now: l.aws.Now()})
			if err != nil {
				t.Fatalf("%v in %s", err, body)
			}
			at, err := time.Parse(time.RFC3339, strings.TrimPrefix(d.Request.RequestID, prefix))
			if err != nil || at.Format("15:04:05") != "03:15:00" || !d.RequestedAt.Equal(at) || d.Request.Plan != "weekly" {
				t.Errorf("got %+v", d)
			}
			result := &messages.Result{SchemaVersion: "1", Type: messages.ResultType, Status: messages.Succeeded, RequestID: d.Request.RequestID}
			l.publish(result)
			l.eventually("stillpoint-db1-success", 1)
			for _, other := range []func(r *messages.Result){
				func(r *messages.Result) { r.Status = messages.Failed },
				func(r *messages.Result) { r.Status = messages.Inconsistent },
				func(r *messages.Result) { r.DryRun = true },
				func(r *messages.Result) { r.RequestID = "by-hand" },
				func(r *messages.Result) { r.RequestID = strings.Replace(r.RequestID, "db1", "db10", 1) },
			} {
				r := *result
				other(&r)
				l.publish(&r)
			}
			l.eventually("stillpoint-inconsistent", 1)
			if got := l.bodies("stillpoint-db1-success"); len(got) > 0 {
				t.Errorf("what is no success of the schedule counts as one: %s", got)
			}
		})
	}
}

func (l *local) publish(r *messages.Result) {
	l.Helper()
	topic, err := notify.New(l.config, l.fleet.Outputs["ResultsTopic"])
	if err == nil {
		err = topic.Publish(l.Context(), r)
	}
	if err != nil {
		l.Fatal(err)
	}
}

// Each subscriber hears what its parameter says, tried with a queue in its place.
func TestWhoHearsWhat(t *testing.T) {
	l := deploy(t, nil)
	want := map[string]string{
		"OnCallByEmail": "failed inconsistent", "OnCallByUrl": "failed inconsistent", "TeamByEmail": "rejected skipped failed inconsistent",
		"EverythingByEmail": "succeeded rejected skipped failed inconsistent",
	}
	for id := range want {
		p := l.fleet.Resources[id].Properties
		queue := l.fleet.Resources["Inconsistent"].Properties
		made := &stack.Stack{Resources: map[string]stack.Resource{
			"Queue": {Type: "AWS::SQS::Queue", Properties: map[string]any{"QueueName": id}},
			"Policy": {Type: "AWS::SQS::QueuePolicy", Properties: map[string]any{"Queues": []any{l.url(id)}, "PolicyDocument": map[string]any{
				"Version": "2012-10-17", "Statement": []any{map[string]any{"Effect": "Allow", "Principal": map[string]any{"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage", "Resource": "*"}},
			}}},
			"Subscription": {Type: "AWS::SNS::Subscription", Properties: with(p, map[string]any{
				"Protocol": "sqs", "Endpoint": "arn:aws:sqs:" + stack.Region + ":" + stack.Account + ":" + id, "RawMessageDelivery": true,
			})},
		}}
		if err := made.Deploy(t.Context(), l.cloud); err != nil {
			t.Fatalf("%s %v: %v", id, queue, err)
		}
	}
	for _, status := range []messages.Status{messages.Succeeded, messages.Rejected, messages.Skipped, messages.Failed, messages.Inconsistent} {
		l.publish(&messages.Result{SchemaVersion: "1", Type: messages.ResultType, Status: status, RequestID: "r"})
	}
	for id, statuses := range want {
		heard := l.eventually(id, len(strings.Fields(statuses)))
		for _, status := range strings.Fields(statuses) {
			if !strings.Contains(fmt.Sprint(heard), `"status":"`+status+`"`) {
				t.Errorf("%s did not hear %s", id, status)
			}
		}
	}
}

// One address may be given for several: SNS takes it once for a topic, with the widest filter.
func TestOneAddressForAll(t *testing.T) {
	for what, given := range map[string]map[string]string{
		"OnCallByEmail TeamByEmail EverythingByEmail": {"OnCallEmail": "a@example.com", "TeamEmail": "b@example.com", "EverythingEmail": "c@example.com"},
		"TeamByEmail":       {"OnCallEmail": "a@example.com", "TeamEmail": "a@example.com"},
		"EverythingByEmail": {"OnCallEmail": "a@example.com", "TeamEmail": "a@example.com", "EverythingEmail": "a@example.com"},
		"":                  {},
	} {
		l := deploy(t, nil)
		fleet, err := stack.Fleet(stack.Env{Parameters: given, QueueURL: l.url})
		if err != nil {
			t.Fatal(err)
		}
		var heard []string
		for _, id := range []string{"OnCallByEmail", "TeamByEmail", "EverythingByEmail"} {
			if _, ok := fleet.Resources[id]; ok {
				heard = append(heard, id)
			}
		}
		if got := strings.Join(heard, " "); got != what {
			t.Errorf("with %v there are the subscriptions %q, want %q", given, got, what)
		}
		if _, ok := fleet.Resources["AlarmsByEmail"]; ok != (given["OnCallEmail"] != "") {
			t.Errorf("with %v alarms by mail: %t", given, ok)
		}
		if err := fleet.Deploy(t.Context(), l.cloud); err != nil {
			t.Errorf("with %v: %v", given, err)
		}
	}
}

func with(p, more map[string]any) map[string]any {
	out := map[string]any{}
	for _, m := range []map[string]any{p, more} {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

// The commands that the stacks print, as they are typed.
func TestOutputs(t *testing.T) {
	t.Parallel()
	l := deploy(t, nil)
	t.Run("the file", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "stillpoint.yaml")
		if err := os.WriteFile(path, []byte(l.instance.Outputs["Next3WriteTheFile"]), 0o600); err != nil {
			t.Fatal(err)
		}
		f, err := config.Load(path)
		if err != nil {
			t.Fatal(err)
		}
		if f.QueueURL != l.url("stillpoint-db1") || f.TopicARN != l.fleet.Outputs["ResultsTopic"] || f.DefaultPlan != "nightly" {
			t.Errorf("got %+v", f)
		}
	})
	if got := l.instance.Outputs["Next4SeeWhetherAllIsWell"]; got != "sudo stillpoint doctor" { // test/doctor runs it on these stacks
		t.Errorf("the doctor is called by %q", got)
	}
	if _, err := exec.LookPath("aws"); err != nil {
		t.Skip("there is no aws command on this machine: the commands that the stacks print are not tried")
	}
	typed := func(name, command string) {
		t.Helper()
		// Version 1 of the command does not heed AWS_ENDPOINT_URL for SQS.
		cmd := exec.CommandContext(t.Context(), "bash", "-c", strings.Replace(command, "aws ", "aws --endpoint-url "+l.aws.URL()+" ", 1))
		cmd.Env = append(append(os.Environ(), "AWS_PAGER=", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null"), l.aws.Env()...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s\n%s", name, err, command, out)
		}
	}
	typed("Next5AskForASnapshot", l.instance.Outputs["Next5AskForASnapshot"])
	typed("SnapshotOfEveryInstance", l.fleet.Outputs["SnapshotOfEveryInstance"])
	for _, body := range l.eventually("stillpoint-db1", 2) {
		if _, err := messages.Decode([]byte(body), messages.Meta{MessageID: "m", SentAt: l.aws.Now(), Now: l.aws.Now()}); err != nil {
			t.Errorf("%v in %s", err, body)
		}
	}
	typed("SubscribeMore", l.fleet.Outputs["SubscribeMore"])
	typed("LookAtDeadLetters", l.instance.Outputs["LookAtDeadLetters"])
	typed("InconsistentResults", l.fleet.Outputs["InconsistentResults"])
	typed("SendDeadLettersAgain", l.instance.Outputs["SendDeadLettersAgain"])
}
