package localstack_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"stillpoint/localstack"
)

// Twelve hours count from the receive, and no extension makes them more; a value beyond them is refused, not cut.
func TestTwelveHours(t *testing.T) {
	c := start(t, localstack.Config{})
	url := c.queue(t, "q", nil)
	c.send(t, url, "x")
	c.MoveClock(2 * time.Hour) // in the queue, which does not count
	handle := c.receive(t, url)[0].ReceiptHandle
	must(struct{}{}, c.hide(url, handle, 43_190))(t)
	c.MoveClock(time.Hour)
	wantCode(t, c.hide(url, handle, 43_200), "InvalidParameterValue")
	wantCode(t, c.hide(url, handle, 39_601), "InvalidParameterValue")
	must(struct{}{}, c.hide(url, handle, 39_590))(t)
	c.MoveClock(11*time.Hour - 20*time.Second)
	if got := c.receive(t, url); len(got) != 0 {
		t.Fatalf("before the twelve hours were over: %v", got)
	}
	must(struct{}{}, c.hide(url, handle, 5))(t)
	wantCode(t, c.hide(url, handle, 30), "InvalidParameterValue")
	c.MoveClock(6 * time.Second)
	again := c.receive(t, url)
	if len(again) != 1 {
		t.Fatal("it did not come back")
	}
	must(struct{}{}, c.hide(url, again[0].ReceiptHandle, 43_000))(t) // twelve hours of its own
}

// A change counts from the call, holds for this receive only, and is no default for the next.
func TestVisibilityCountsFromTheCall(t *testing.T) {
	c := start(t, localstack.Config{})
	url := c.queue(t, "q", map[string]string{"VisibilityTimeout": "60"})
	c.send(t, url, "x")
	handle := c.receive(t, url)[0].ReceiptHandle
	c.MoveClock(50 * time.Second)
	must(struct{}{}, c.hide(url, handle, 20))(t)
	c.MoveClock(15 * time.Second)
	if got := c.receive(t, url); len(got) != 0 {
		t.Fatalf("15 of 20 s after the change: %v", got)
	}
	c.MoveClock(6 * time.Second)
	if got := c.receive(t, url); len(got) != 1 {
		t.Fatal("21 s after the change it is still hidden")
	}
	c.MoveClock(55 * time.Second)
	if got := c.receive(t, url); len(got) != 0 {
		t.Fatal("the change outlived its receive")
	}
	c.MoveClock(6 * time.Second)
	if got := c.receive(t, url); len(got) != 1 {
		t.Fatal("the queue's timeout has passed")
	}
}

// Messages live for the retention of their queue from when they were sent, hidden or not; a delete comes too late without an error.
func TestRetention(t *testing.T) {
	for name, retention := range map[string]struct {
		attributes map[string]string
		lives      time.Duration
	}{
		"four days":     {nil, 4 * 24 * time.Hour},
		"a minute":      {map[string]string{"MessageRetentionPeriod": "60"}, time.Minute},
		"fourteen days": {map[string]string{"MessageRetentionPeriod": "1209600"}, 14 * 24 * time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			c := start(t, localstack.Config{})
			url := c.queue(t, "q", retention.attributes)
			c.send(t, url, "hidden")
			c.send(t, url, "visible")
			hidden := must(c.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, VisibilityTimeout: 43_200}))(t).Messages[0]
			c.MoveClock(retention.lives - 10*time.Second)
			if got := c.attribute(t, url, "ApproximateNumberOfMessages"); got != "2" && retention.lives > 12*time.Hour || got == "0" {
				t.Errorf("%s messages are visible before their time is over", got)
			}
			c.MoveClock(11 * time.Second)
			for _, of := range []string{"", "NotVisible"} {
				if got := c.attribute(t, url, "ApproximateNumberOfMessages"+of); got != "0" {
					t.Errorf("ApproximateNumberOfMessages%s is %s after their time", of, got)
				}
			}
			if got := c.receive(t, url); len(got) != 0 {
				t.Errorf("received %v after their time", got)
			}
			must(c.sqs.DeleteMessage(t.Context(), &sqs.DeleteMessageInput{QueueUrl: &url, ReceiptHandle: hidden.ReceiptHandle}))(t)
			wantCode(t, c.hide(url, hidden.ReceiptHandle, 10), "InvalidParameterValue")
		})
	}
}

// A shorter retention drops what is too old for it.
func TestShorterRetention(t *testing.T) {
	c := start(t, localstack.Config{})
	url := c.queue(t, "q", nil)
	c.send(t, url, "old")
	c.MoveClock(2 * time.Minute)
	c.send(t, url, "new")
	must(struct{}{}, c.set(t, url, "MessageRetentionPeriod", "60"))(t)
	if got := c.receive(t, url); len(got) != 1 || *got[0].Body != "new" {
		t.Errorf("received %v", got)
	}
}

// In a dead-letter queue the retention counts from when the message was first sent: a day in its queue leaves three of four.
func TestRetentionOfTheDead(t *testing.T) {
	c := start(t, localstack.Config{})
	dead := c.queue(t, "dead", nil)
	url := c.queue(t, "q", redriveTo("dead", 1))
	c.send(t, url, "x")
	c.MoveClock(24 * time.Hour)
	must(struct{}{}, c.hide(url, c.receive(t, url)[0].ReceiptHandle, 0))(t)
	c.receive(t, url)
	c.MoveClock(3*24*time.Hour - time.Minute)
	if got := c.attribute(t, dead, "ApproximateNumberOfMessages"); got != "1" {
		t.Fatalf("%s messages before the fourth day is over", got)
	}
	c.MoveClock(2 * time.Minute)
	if got := c.attribute(t, dead, "ApproximateNumberOfMessages"); got != "0" {
		t.Errorf("%s messages after four days", got)
	}
}

// A delay is the message's own, if it has one, zero included, and else the queue's. The longest is fifteen minutes.
func TestDelays(t *testing.T) {
	c := start(t, localstack.Config{})
	url := c.queue(t, "q", map[string]string{"DelaySeconds": "60"})
	c.send(t, url, "the queue's")
	must(c.sqs.SendMessage(t.Context(), &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("long"), DelaySeconds: 900}))(t)
	if got := c.attribute(t, url, "ApproximateNumberOfMessagesDelayed"); got != "2" {
		t.Errorf("%s messages are delayed", got)
	}
	if got := c.attribute(t, url, "ApproximateNumberOfMessagesNotVisible"); got != "0" {
		t.Errorf("%s messages are in flight", got)
	}
	c.MoveClock(61 * time.Second)
	if got := c.receive(t, url); len(got) != 1 || *got[0].Body != "the queue's" {
		t.Errorf("after a minute: %v", got)
	}
	c.MoveClock(13 * time.Minute)
	must(c.sqs.PurgeQueue(t.Context(), &sqs.PurgeQueueInput{QueueUrl: &url}))(t)
	c.MoveClock(time.Hour)
	if got := c.receive(t, url); len(got) != 0 {
		t.Errorf("purged, and then: %v", got)
	}
}

// A long poll wakes when the clock is moved to the time of its message.
func TestPollWakesByTheClock(t *testing.T) {
	c := start(t, localstack.Config{})
	url := c.queue(t, "q", map[string]string{"DelaySeconds": "900"})
	c.send(t, url, "x")
	got := make(chan int, 1)
	go func() {
		out, err := c.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &url, WaitTimeSeconds: 20})
		if err != nil {
			t.Error(err)
			got <- 0
			return
		}
		got <- len(out.Messages)
	}()
	eventually(t, "the poll waits", func() bool { return c.counted("sqs:ReceiveMessage", "waiting") == 1 })
	began := time.Now()
	c.MoveClock(901 * time.Second)
	if n := <-got; n != 1 || time.Since(began) > 10*time.Second {
		t.Errorf("%d messages after %v", n, time.Since(began))
	}
}

// A name is free again a minute after its queue was deleted, and a queue can be purged once a minute.
func TestAMinute(t *testing.T) {
	c := start(t, localstack.Config{})
	url := c.queue(t, "q", nil)
	purge := func() error {
		_, err := c.sqs.PurgeQueue(t.Context(), &sqs.PurgeQueueInput{QueueUrl: &url})
		return err
	}
	must(struct{}{}, purge())(t)
	err := purge()
	wantCode(t, err, "AWS.SimpleQueueService.PurgeQueueInProgress")
	if httpStatus(err) != 403 {
		t.Errorf("status %d", httpStatus(err))
	}
	c.MoveClock(time.Minute)
	must(struct{}{}, purge())(t)

	must(c.sqs.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: &url}))(t)
	create := func() error {
		_, err := c.sqs.CreateQueue(t.Context(), &sqs.CreateQueueInput{QueueName: aws.String("q")})
		return err
	}
	wantCode(t, create(), "AWS.SimpleQueueService.QueueDeletedRecently")
	c.MoveClock(59 * time.Second)
	wantCode(t, create(), "AWS.SimpleQueueService.QueueDeletedRecently")
	c.MoveClock(2 * time.Second)
	must(struct{}{}, create())(t)
}
