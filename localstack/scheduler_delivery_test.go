package localstack_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	schtypes "github.com/aws/aws-sdk-go-v2/service/scheduler/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/rs/zerolog"

	"stillpoint/localstack"
)

func TestContextAttributes(t *testing.T) {
	p := startPlanner(t, localstack.Config{})
	expression, due := p.once(time.Hour)
	in := at("nightly", expression)
	in.Target.Input = aws.String(`plain text: <aws.scheduler.schedule-arn>/<aws.scheduler.scheduled-time> <aws.scheduler.execution-id> <aws.scheduler.attempt-number> <aws.scheduler.other>`)
	arn := p.create(t, in)
	// The first attempt arrives, but its answer is lost; the second fails; the third works.
	p.SetFaults(localstack.Fault{Operation: "sqs:SendMessage", After: true, Drop: true, Times: 1}, localstack.Fault{Operation: "sqs:SendMessage", Code: "ThrottlingException", Times: 1})
	p.MoveClock(time.Hour + 4*time.Second)
	got := bodies(p.drain(t, p.jobs))
	if len(got) != 2 {
		t.Fatalf("got %q, want two", got)
	}
	var executions []string
	for i, body := range got {
		f := strings.Fields(body)
		if want := "plain text: " + arn + "/" + due.Format("2006-01-02T15:04:05Z"); strings.Join(f[:3], " ") != want {
			t.Errorf("got %s, want %s", body, want)
		}
		if len(f[3]) != 16 || f[4] != fmt.Sprint(1+2*i) || f[5] != "<aws.scheduler.other>" {
			t.Errorf("got %s", body)
		}
		executions = append(executions, f[3])
	}
	if executions[0] == executions[1] {
		t.Error("two attempts have one execution id")
	}
}

func TestDeadLettersOfSchedules(t *testing.T) {
	var log bytes.Buffer
	logger := zerolog.New(&log)
	p := startPlanner(t, localstack.Config{Logger: &logger})
	dead := p.queue(t, "dead", nil)
	deadARN := aws.String("arn:aws:sqs:eu-west-1:111122223333:dead")
	letter := func() map[string]string {
		t.Helper()
		got := p.drain(t, dead)
		if len(got) != 1 {
			t.Fatalf("%d dead letters", len(got))
		}
		out := map[string]string{"body": *got[0].Body}
		for name, a := range got[0].MessageAttributes {
			out[name] = *a.StringValue
		}
		return out
	}
	expression, due := p.once(time.Hour)
	in := at("gone", expression)
	in.Target.Arn, in.Target.Input, in.Target.DeadLetterConfig = aws.String(jobsARN+"-gone"), aws.String("x <aws.scheduler.execution-id>"), &schtypes.DeadLetterConfig{Arn: deadARN}
	arn := p.create(t, in)
	p.MoveClock(time.Hour)
	got := letter()
	execution := got["EXECUTION_ID"]
	want := map[string]string{
		"body": "x " + execution, "SCHEDULE_ARN": arn, "TARGET_ARN": jobsARN + "-gone", "SCHEDULED_TIME": due.Format("2006-01-02T15:04:05Z"),
		"RETRY_ATTEMPTS": "0", "ERROR_CODE": "AWS.SimpleQueueService.NonExistentQueue", "ERROR_MESSAGE": got["ERROR_MESSAGE"],
		"IS_PAYLOAD_TRUNCATED": "false", "EXECUTION_ID": execution,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) || len(execution) != 16 || got["ERROR_MESSAGE"] == "" {
		t.Errorf("got %v, want %v", got, want)
	}

	expression, _ = p.once(time.Hour)
	in = at("tries", expression)
	in.Target.RetryPolicy, in.Target.DeadLetterConfig = &schtypes.RetryPolicy{MaximumRetryAttempts: aws.Int32(2)}, &schtypes.DeadLetterConfig{Arn: deadARN}
	in.ActionAfterCompletion = schtypes.ActionAfterCompletionDelete
	p.create(t, in)
	p.SetFaults(localstack.Fault{Operation: "scheduler:Invoke", Code: "InternalServerException", Times: 3}) // at 0, 1 and 3 seconds
	p.MoveClock(time.Hour)
	if p.gone(t, "tries") {
		t.Error("deleted while it is still tried")
	}
	p.MoveClock(4 * time.Second)
	if got := letter(); got["RETRY_ATTEMPTS"] != "2" || got["EXHAUSTED_RETRY_CONDITION"] != "MaximumRetryAttempts" || got["ERROR_CODE"] != "InternalServerException" {
		t.Errorf("got %v", got)
	}
	if !p.gone(t, "tries") || len(p.drain(t, p.jobs)) != 0 {
		t.Error("it is still there, or was delivered")
	}

	expression, _ = p.once(time.Hour)
	in = at("lost", expression)
	in.Target.Arn = aws.String(jobsARN + "-gone")
	p.create(t, in)
	log.Reset()
	p.MoveClock(time.Hour)
	if text := log.String(); !strings.Contains(text, "invocation lost") || !strings.Contains(text, "schedule/default/lost") {
		t.Errorf("the log says %s", text)
	}
}

// Both services may send twice for the same time.
func TestScheduleRunsTwiceOnDemand(t *testing.T) {
	for name, fault := range map[string]localstack.Fault{
		"at once":              {Operation: "scheduler:Invoke", Wrong: "twice", Times: 1},
		"after an answer lost": {Operation: "scheduler:Invoke", After: true, Drop: true, Times: 1},
	} {
		p := startPlanner(t, localstack.Config{})
		expression, due := p.once(time.Hour)
		in := at("nightly", expression)
		in.Target.Input = aws.String(`<aws.scheduler.scheduled-time>`)
		p.create(t, in)
		if err := p.SetFaults(fault); err != nil {
			t.Fatal(err)
		}
		p.MoveClock(2 * time.Hour)
		want := due.Format("2006-01-02T15:04:05Z")
		if got := bodies(p.drain(t, p.jobs)); fmt.Sprint(got) != fmt.Sprint([]string{want, want}) {
			t.Errorf("%s: got %s, want %s twice", name, got, want)
		}
	}
}

func TestScheduleWithATopicForItsTarget(t *testing.T) {
	p := startPlanner(t, localstack.Config{})
	topicARN := *must(p.sns.CreateTopic(t.Context(), &sns.CreateTopicInput{Name: aws.String("topic")}))(t).TopicArn
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},"Action":"sqs:SendMessage","Resource":"` + jobsARN + `"}]}`
	must(p.sqs.SetQueueAttributes(t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: &p.jobs, Attributes: map[string]string{"Policy": policy}}))(t)
	must(p.sns.Subscribe(t.Context(), &sns.SubscribeInput{
		TopicArn: &topicARN, Protocol: aws.String("sqs"), Endpoint: aws.String(jobsARN), Attributes: map[string]string{"RawMessageDelivery": "true"},
	}))(t)
	expression, _ := p.once(time.Hour)
	in := at("nightly", expression)
	in.Target.Arn, in.Target.Input = &topicARN, aws.String(`{"plan":"nightly"}`)
	p.create(t, in)
	p.MoveClock(time.Hour)
	if got := bodies(p.drain(t, p.jobs)); fmt.Sprint(got) != `[{"plan":"nightly"}]` {
		t.Errorf("got %s", got)
	}
}
