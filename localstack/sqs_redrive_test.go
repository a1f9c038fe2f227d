package localstack_test

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	"github.com/aws/aws-sdk-go-v2/service/sqs/types"
	"github.com/google/go-cmp/cmp"

	"stillpoint/localstack"
)

const sqsARN = "arn:aws:sqs:eu-west-1:111122223333:"

func redriveTo(name string, count int) map[string]string {
	return map[string]string{"RedrivePolicy": `{"deadLetterTargetArn":"` + sqsARN + name + `","maxReceiveCount":` + strconv.Itoa(count) + `}`}
}

func (c *cloud) set(t *testing.T, queue, name, value string) error {
	t.Helper()
	_, err := c.sqs.SetQueueAttributes(t.Context(), &sqs.SetQueueAttributesInput{QueueUrl: &queue, Attributes: map[string]string{name: value}})
	return err
}

// bury sends messages to a queue with the count 1 and has them moved to its dead-letter queue.
func (c *cloud) bury(t *testing.T, queue string, bodies ...string) {
	t.Helper()
	for _, body := range bodies {
		c.send(t, queue, body)
	}
	for range 2 { // the second receive moves them
		for _, m := range c.receive(t, queue) {
			must(struct{}{}, c.hide(queue, m.ReceiptHandle, 0))(t)
		}
	}
}

func TestRedrivePolicyIsChecked(t *testing.T) {
	c := start(t, localstack.Config{})
	url := c.queue(t, "q", nil)
	c.queue(t, "dead", nil)
	for policy, reason := range map[string]string{
		`nonsense`:              "Redrive policy is not a valid JSON map.",
		`{}`:                    "Redrive policy does not contain mandatory attribute: maxReceiveCount.",
		`{"maxReceiveCount":1}`: "Redrive policy does not contain mandatory attribute: deadLetterTargetArn.",
		`{"deadLetterTargetArn": "dummy", "maxReceiveCount": 42}`:                                        "Invalid value for deadLetterTargetArn.",
		`{"deadLetterTargetArn":"` + sqsARN + `dead","maxReceiveCount":0}`:                               "Invalid value for maxReceiveCount: 0, valid values are from 1 to 1000 both inclusive.",
		`{"deadLetterTargetArn":"` + sqsARN + `dead","maxReceiveCount":1001}`:                            "Invalid value for maxReceiveCount: 1001, valid values are from 1 to 1000 both inclusive.",
		`{"deadLetterTargetArn":"` + sqsARN + `dead.fifo","maxReceiveCount":1}`:                          "Dead-letter queue must be same type of queue as the source..",
		`{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:222233334444:dead","maxReceiveCount":1}`:          "Dead letter target owner should be same as the source.",
		`{"deadLetterTargetArn":"` + sqsARN + `none","maxReceiveCount":1}`:                               "Dead letter target does not exist.",
		`{"deadLetterTargetArn":"` + sqsARN + `dead","maxReceiveCount":1,"deadLetterTargetArn":"twice"}`: "Redrive policy is not a valid JSON map.",
	} {
		t.Run(policy, func(t *testing.T) {
			err := c.set(t, url, "RedrivePolicy", policy)
			wantCode(t, err, "InvalidParameterValue")
			if want := "Value " + policy + " for parameter RedrivePolicy is invalid. Reason: " + reason; !strings.Contains(err.Error(), want) {
				t.Errorf("%v, want %s", err, want)
			}
		})
	}
	must(struct{}{}, c.set(t, url, "RedrivePolicy", `{"maxReceiveCount":"3","deadLetterTargetArn":"`+sqsARN+`dead"}`))(t)
	if got := c.attribute(t, url, "RedrivePolicy"); got != redriveTo("dead", 3)["RedrivePolicy"] {
		t.Errorf("the policy came back as %s", got)
	}
	must(struct{}{}, c.set(t, url, "RedrivePolicy", ""))(t)
	if got := c.attribute(t, url, "RedrivePolicy"); got != "" {
		t.Errorf("the policy was taken away and is %s", got)
	}
}

// A dead-letter queue says who may use it as such.
func TestRedriveAllowPolicy(t *testing.T) {
	c := start(t, localstack.Config{})
	dead := c.queue(t, "dead", map[string]string{"RedriveAllowPolicy": `{"redrivePermission":"denyAll"}`})
	create := func(name string) error {
		_, err := c.sqs.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: &name, Attributes: redriveTo("dead", 1)})
		return err
	}
	wantCode(t, create("a"), "InvalidParameterValue")
	must(struct{}{}, c.set(t, dead, "RedriveAllowPolicy", `{"redrivePermission":"byQueue","sourceQueueArns":["`+sqsARN+`b"]}`))(t)
	wantCode(t, create("a"), "InvalidParameterValue")
	must(struct{}{}, create("b"))(t)
	must(struct{}{}, c.set(t, dead, "RedriveAllowPolicy", `{"redrivePermission":"allowAll"}`))(t)
	must(struct{}{}, create("a"))(t)
	for _, bad := range []string{
		`nonsense`, `{}`, `{"redrivePermission":"some"}`, `{"redrivePermission":"byQueue"}`,
		`{"redrivePermission":"allowAll","sourceQueueArns":["` + sqsARN + `b"]}`,
		`{"redrivePermission":"byQueue","sourceQueueArns":["` + strings.Repeat(sqsARN+`b","`, 10) + sqsARN + `b"]}`,
	} {
		wantCode(t, c.set(t, dead, "RedriveAllowPolicy", bad), "InvalidParameterValue")
	}

	list := func(token *string) *sqs.ListDeadLetterSourceQueuesOutput {
		t.Helper()
		return must(c.sqs.ListDeadLetterSourceQueues(t.Context(), &sqs.ListDeadLetterSourceQueuesInput{QueueUrl: &dead, MaxResults: aws.Int32(1), NextToken: token}))(t)
	}
	first := list(nil)
	second := list(first.NextToken)
	if diff := cmp.Diff([]string{c.URL() + "/111122223333/a", c.URL() + "/111122223333/b"}, append(first.QueueUrls, second.QueueUrls...)); diff != "" || second.NextToken != nil {
		t.Errorf("sources (-want +got), token %v:\n%s", second.NextToken, diff)
	}
}

// Every receive counts, whoever made it and whatever came of it; a message that expires or is released has been received.
func TestEveryReceiveCounts(t *testing.T) {
	c := start(t, localstack.Config{})
	dead := c.queue(t, "dead", nil)
	attributes := redriveTo("dead", 3)
	attributes["VisibilityTimeout"] = "10"
	url := c.queue(t, "q", attributes)
	c.send(t, url, "x")
	c.receive(t, url) // and nothing more: its consumer has died
	c.MoveClock(11 * time.Second)
	must(struct{}{}, c.hide(url, c.receive(t, url)[0].ReceiptHandle, 0))(t) // released
	if got := c.receive(t, url); len(got) != 1 || got[0].Attributes["ApproximateReceiveCount"] != "3" {
		t.Fatalf("the third receive got %v", got)
	}
	c.MoveClock(11 * time.Second)
	if got := c.attribute(t, url, "ApproximateNumberOfMessages"); got != "1" {
		t.Errorf("%s messages in the queue: it is the next receive that moves it", got)
	}
	if got := c.receive(t, url); len(got) != 0 {
		t.Fatalf("the fourth receive got %v", got)
	}
	got := c.receive(t, dead)
	if len(got) != 1 || got[0].Attributes["ApproximateReceiveCount"] != "4" || got[0].Attributes["DeadLetterQueueSourceArn"] != sqsARN+"q" {
		t.Errorf("the dead-letter queue has %v", got)
	}
}

// A message beyond its count does not stand in the way of those behind it, and one whose dead-letter queue is gone stays.
func TestRedriveInPassing(t *testing.T) {
	c := start(t, localstack.Config{})
	dead := c.queue(t, "dead", nil)
	url := c.queue(t, "q", redriveTo("dead", 1))
	c.send(t, url, "poison")
	must(struct{}{}, c.hide(url, c.receive(t, url)[0].ReceiptHandle, 0))(t)
	c.send(t, url, "next")
	if got := c.receive(t, url); len(got) != 1 || *got[0].Body != "next" {
		t.Fatalf("received %v", got)
	}
	if got := c.attribute(t, dead, "ApproximateNumberOfMessages"); got != "1" {
		t.Errorf("%s messages in the dead-letter queue", got)
	}
	must(c.sqs.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: &dead}))(t)
	c.MoveClock(31 * time.Second)
	for n := 2; n < 4; n++ {
		got := c.receive(t, url)
		if len(got) != 1 || got[0].Attributes["ApproximateReceiveCount"] != strconv.Itoa(n) {
			t.Fatalf("without a dead-letter queue: %v", got)
		}
		c.MoveClock(31 * time.Second)
	}
}

func TestMoveTask(t *testing.T) {
	c := start(t, localstack.Config{})
	dead := c.queue(t, "dead", nil)
	url := c.queue(t, "q", redriveTo("dead", 1))
	old := c.send(t, url, "1")
	c.bury(t, url, "2")
	c.MoveClock(time.Hour)
	before := c.attribute(t, dead, "ApproximateNumberOfMessages")
	started := must(c.sqs.StartMessageMoveTask(t.Context(), &sqs.StartMessageMoveTaskInput{SourceArn: aws.String(sqsARN + "dead")}))(t)
	if before != "2" || aws.ToString(started.TaskHandle) == "" {
		t.Fatalf("%s messages were to be moved, by the task %v", before, started)
	}
	eventually(t, "the task is done", func() bool { return *c.moves(t, 1)[0].Status == "COMPLETED" })
	m := c.moves(t, 1)[0]
	if m.ApproximateNumberOfMessagesMoved != 2 || *m.ApproximateNumberOfMessagesToMove != 2 || m.TaskHandle != nil || m.DestinationArn != nil || m.MaxNumberOfMessagesPerSecond != nil ||
		*m.SourceArn != sqsARN+"dead" || time.UnixMilli(m.StartedTimestamp).Before(c.Now().Add(-time.Minute)) {
		t.Errorf("the task is %+v", m)
	}
	got := c.receive(t, url)
	if len(got) != 2 || *got[0].Body != "1" || got[0].Attributes["ApproximateReceiveCount"] != "1" || got[0].Attributes["DeadLetterQueueSourceArn"] != "" {
		t.Fatalf("moved back: %v", got)
	}
	// They are new messages, of now.
	millis, err := strconv.ParseInt(got[0].Attributes["SentTimestamp"], 10, 64)
	if *got[0].MessageId == old || err != nil || time.UnixMilli(millis).Before(c.Now().Add(-time.Minute)) {
		t.Errorf("moved back: %s, once %s, sent at %s", *got[0].MessageId, old, got[0].Attributes["SentTimestamp"])
	}
}

func (c *cloud) moves(t *testing.T, n int32) []types.ListMessageMoveTasksResultEntry {
	t.Helper()
	return must(c.sqs.ListMessageMoveTasks(t.Context(), &sqs.ListMessageMoveTasksInput{SourceArn: aws.String(sqsARN + "dead"), MaxResults: &n}))(t).Results
}

// A task with a rate goes by AWS's time; it can be watched, cancelled, and fail.
func TestMoveTaskTakesItsTime(t *testing.T) {
	c := start(t, localstack.Config{})
	dead := c.queue(t, "dead", nil)
	url := c.queue(t, "q", redriveTo("dead", 1))
	other := c.queue(t, "other", nil)
	c.bury(t, url, "1", "2", "3", "4", "5")
	begin := func(to string, rate int32) (string, error) {
		in := sqs.StartMessageMoveTaskInput{SourceArn: aws.String(sqsARN + "dead"), MaxNumberOfMessagesPerSecond: &rate}
		if to != "" {
			in.DestinationArn = aws.String(sqsARN + to)
		}
		out, err := c.sqs.StartMessageMoveTask(t.Context(), &in)
		if err != nil {
			return "", err
		}
		return *out.TaskHandle, nil
	}
	moved := func(n int64) {
		t.Helper()
		eventually(t, strconv.FormatInt(n, 10)+" are moved", func() bool { return c.moves(t, 1)[0].ApproximateNumberOfMessagesMoved == n })
	}
	handle := must(begin("other", 1))(t)
	moved(1)
	if m := c.moves(t, 1)[0]; *m.Status != "RUNNING" || *m.TaskHandle != handle || *m.DestinationArn != sqsARN+"other" || *m.MaxNumberOfMessagesPerSecond != 1 || *m.ApproximateNumberOfMessagesToMove != 5 {
		t.Errorf("the task that runs is %+v", m)
	}
	_, err := begin("other", 1)
	wantCode(t, err, "InvalidParameterValue")
	c.MoveClock(time.Second)
	moved(2)
	cancel := func(handle string) (*sqs.CancelMessageMoveTaskOutput, error) {
		return c.sqs.CancelMessageMoveTask(t.Context(), &sqs.CancelMessageMoveTaskInput{TaskHandle: &handle})
	}
	if got := must(cancel(handle))(t); got.ApproximateNumberOfMessagesMoved != 2 {
		t.Errorf("cancelled after %d", got.ApproximateNumberOfMessagesMoved)
	}
	c.MoveClock(time.Minute)
	if m := c.moves(t, 1)[0]; *m.Status != "CANCELLED" || m.ApproximateNumberOfMessagesMoved != 2 || c.attribute(t, dead, "ApproximateNumberOfMessages") != "3" {
		t.Errorf("after it was cancelled: %+v", m)
	}
	_, err = cancel(handle)
	wantCode(t, err, "InvalidParameterValue")

	must(begin("other", 1))(t)
	moved(1)
	must(c.sqs.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: &other}))(t)
	c.MoveClock(time.Second)
	if m := c.moves(t, 1)[0]; *m.Status != "FAILED" || aws.ToString(m.FailureReason) != "AWS.SimpleQueueService.NonExistentQueue" {
		t.Errorf("without its destination: %+v", m)
	}
	c.send(t, dead, "sent here, not moved here")
	must(begin("", 500))(t)
	eventually(t, "it fails", func() bool { return *c.moves(t, 1)[0].Status == "FAILED" })
	if m := c.moves(t, 1)[0]; aws.ToString(m.FailureReason) != "CouldNotDetermineMessageSource" || m.ApproximateNumberOfMessagesMoved != 2 {
		t.Errorf("with a message from nowhere: %+v", m)
	}
	if got := len(c.moves(t, 10)); got != 3 {
		t.Errorf("%d tasks are listed", got)
	}
}

func TestMoveTaskRefuses(t *testing.T) {
	c := start(t, localstack.Config{})
	c.queue(t, "dead", nil)
	c.queue(t, "plain", nil)
	c.queue(t, "q", redriveTo("dead", 1))
	begin := func(from, to string, rate int32) error {
		_, err := c.sqs.StartMessageMoveTask(t.Context(), &sqs.StartMessageMoveTaskInput{SourceArn: &from, DestinationArn: &to, MaxNumberOfMessagesPerSecond: &rate})
		return err
	}
	err := begin(sqsARN+"none", sqsARN+"q", 1)
	wantCode(t, err, "ResourceNotFoundException")
	if httpStatus(err) != 404 {
		t.Errorf("status %d", httpStatus(err))
	}
	wantCode(t, begin(sqsARN+"dead", sqsARN+"none", 1), "ResourceNotFoundException")
	wantCode(t, begin(sqsARN+"plain", sqsARN+"q", 1), "InvalidParameterValue")
	wantCode(t, begin(sqsARN+"dead", sqsARN+"q", 501), "InvalidParameterValue")
	for handle, code := range map[string]string{
		"foobared": "InvalidParameterValue",
		// {"taskId":"10f57157-fc38-4da9-a113-4de7e12d05aa","sourceArn":"arn:aws:sqs:eu-west-1:111122223333:none"}, and the same with dead
		"eyJ0YXNrSWQiOiIxMGY1NzE1Ny1mYzM4LTRkYTktYTExMy00ZGU3ZTEyZDA1YWEiLCJzb3VyY2VBcm4iOiJhcm46YXdzOnNxczpldS13ZXN0LTE6MTExMTIyMjIzMzMzOm5vbmUifQ==": "ResourceNotFoundException",
		"eyJ0YXNrSWQiOiIxMGY1NzE1Ny1mYzM4LTRkYTktYTExMy00ZGU3ZTEyZDA1YWEiLCJzb3VyY2VBcm4iOiJhcm46YXdzOnNxczpldS13ZXN0LTE6MTExMTIyMjIzMzMzOmRlYWQifQ==": "ResourceNotFoundException",
	} {
		_, err := c.sqs.CancelMessageMoveTask(t.Context(), &sqs.CancelMessageMoveTaskInput{TaskHandle: &handle})
		wantCode(t, err, code)
	}
}
