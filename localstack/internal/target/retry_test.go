package target

import (
	"context"
	"fmt"
	"testing"
	"time"

	"stillpoint/localstack/internal/clock"
	"stillpoint/localstack/internal/host"
	"stillpoint/localstack/internal/sqs"
	"stillpoint/localstack/internal/wire"
)

func targets() *Targets {
	return &Targets{Host: host.Host{Clock: clock.New(), Life: context.Background()}}
}

func TestRetryWithoutAPolicy(t *testing.T) {
	x := targets()
	begin, tries := x.Clock.Now(), 0
	var end time.Time
	var got Outcome
	var none *RetryPolicy
	x.Retry(none.Limits(), begin, func(n int) *wire.Error {
		if tries++; n != tries {
			t.Fatalf("try %d has the number %d", tries, n)
		}
		return wire.Errorf("InternalFailure", "down")
	}, func(o Outcome) { got, end = o, x.Clock.Now() })
	x.Clock.Move(48 * time.Hour)
	if tries != 186 || got.Retries != 185 || got.Exhausted != ByRetries || got.Err.Code != "InternalFailure" {
		t.Errorf("%d tries, then %+v", tries, got)
	}
	if d := end.Sub(begin); d < 23*time.Hour || d > 24*time.Hour {
		t.Errorf("185 retries took %s", d)
	}
}

func TestRetryEndsOnce(t *testing.T) {
	number := func(n int) *int { return &n }
	for _, c := range []struct {
		policy  RetryPolicy
		codes   []string // of the tries; then they work
		tries   int
		retries int
		why     string
		failed  bool
	}{
		{RetryPolicy{}, nil, 1, 0, "", false},
		{RetryPolicy{}, []string{"Dropped", "ThrottlingException"}, 3, 2, "", false},
		{RetryPolicy{}, []string{"AccessDenied"}, 1, 0, "", true},
		{RetryPolicy{}, []string{"InternalFailure", "InvalidParameterValue"}, 2, 1, "", true},
		{RetryPolicy{MaximumRetryAttempts: number(0)}, []string{"Dropped"}, 1, 0, ByRetries, true},
		{RetryPolicy{MaximumEventAgeInSeconds: number(60)}, []string{"Dropped", "Dropped", "Dropped", "Dropped", "Dropped", "Dropped", "Dropped"}, 6, 5, ByAge, true},
	} {
		x := targets()
		tries, ends := 0, 0
		var got Outcome
		x.Retry(c.policy.Limits(), x.Clock.Now(), func(int) *wire.Error {
			if tries++; tries <= len(c.codes) {
				return wire.Errorf(c.codes[tries-1], "no")
			}
			return nil
		}, func(o Outcome) { got = o; ends++ })
		x.Clock.Move(48 * time.Hour)
		if tries != c.tries || ends != 1 || got.Retries != c.retries || got.Exhausted != c.why || (got.Err != nil) != c.failed {
			t.Errorf("%s: %d tries, %d ends, %+v", c.codes, tries, ends, got)
		}
	}
}

func TestRefuse(t *testing.T) {
	x := targets()
	const queue, topic = "arn:aws:sqs:eu-west-1:111122223333:q", "arn:aws:sns:eu-west-1:111122223333:t"
	if why := x.Refuse(queue); why != "" {
		t.Error(why)
	}
	if x.Refuse(topic) == "" {
		t.Error("a topic is taken though there is nothing to publish with")
	}
	x.Queue = func(arn string, m sqs.Message) wire.Operation {
		return wire.Operation{Name: "queue " + arn + " " + m.Body}
	}
	x.Topic = func(arn, text string) wire.Operation { return wire.Operation{Name: "topic " + arn + " " + text} }
	for _, arn := range []string{queue, topic} {
		if why := x.Refuse(arn); why != "" {
			t.Error(why)
		}
	}
	if got := fmt.Sprint(x.Call(queue, "a").Name, x.Call(topic, "b").Name); got != "queue "+queue+" atopic "+topic+" b" {
		t.Errorf("got %s", got)
	}
	for _, arn := range []string{queue + ".fifo", topic + ".fifo", "arn:aws:scheduler:::aws-sdk:sqs:sendMessage", "arn:aws:lambda:eu-west-1:111122223333:function:f", "x"} {
		if x.Refuse(arn) == "" {
			t.Errorf("%s is taken", arn)
		}
	}
}
