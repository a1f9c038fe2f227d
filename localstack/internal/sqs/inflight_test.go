package sqs

import (
	"testing"
	"time"
)

// The limit of messages in flight: an error for short polls, silence for long ones until there is room.
func TestOverLimit(t *testing.T) {
	s := newService(t)
	s.maxInFlight = 15
	q := makeQueue(t, s, "q", text{"VisibilityTimeout": "60"})
	fill(t, s, q, 20)
	first, second := receive(t, s, q), receive(t, s, q)
	if len(first) != 10 || len(second) != 5 {
		t.Fatalf("received %d and %d, want 10 and the 5 that there was room for", len(first), len(second))
	}
	wantCode(t, do(t, s, "", "ReceiveMessage", object{"QueueUrl": q}, nil), "OverLimit")

	long := make(chan receiveOutput, 1)
	go func() {
		var out receiveOutput
		_ = do(t, s, "", "ReceiveMessage", object{"QueueUrl": q, "WaitTimeSeconds": 20}, &out)
		long <- out
	}()
	waitForPoll(t, s, "q")
	must(t, s, "DeleteMessage", object{"QueueUrl": q, "ReceiptHandle": first[0].ReceiptHandle}, nil)
	if got := <-long; len(got.Messages) != 1 {
		t.Errorf("the long poll got %v once there was room", got)
	}
	s.Clock.Move(61 * time.Second) // all of them are visible again
	if got := receive(t, s, q); len(got) != 10 {
		t.Errorf("received %d after the timeouts", len(got))
	}
}

// Polls are served in the order in which they came, each with one message, however many wait.
func TestPollsAreFair(t *testing.T) {
	s := newService(t)
	q := makeQueue(t, s, "q", nil)
	const n = 20
	got := make([]chan receiveOutput, n)
	for i := range got {
		got[i] = make(chan receiveOutput, 1)
		go func() {
			var out receiveOutput
			_ = do(t, s, "", "ReceiveMessage", object{"QueueUrl": q, "WaitTimeSeconds": 20, "MaxNumberOfMessages": 10}, &out)
			got[i] <- out
		}()
		waitForPolls(t, s, "q", i+1)
	}
	for i := range got {
		must(t, s, "SendMessage", object{"QueueUrl": q, "MessageBody": string(rune('a' + i))}, nil)
	}
	for i := range got {
		if out := <-got[i]; len(out.Messages) != 1 || out.Messages[0].Body != string(rune('a'+i)) {
			t.Errorf("poll %d got %v", i, out)
		}
	}
}

func waitForPoll(t *testing.T, s *Service, name string) { t.Helper(); waitForPolls(t, s, name, 1) }

func waitForPolls(t *testing.T, s *Service, name string, n int) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		s.mu.Lock()
		waiting := len(s.queues[name].polls)
		s.mu.Unlock()
		if waiting == n {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d polls wait, want %d", waiting, n)
		}
	}
}
