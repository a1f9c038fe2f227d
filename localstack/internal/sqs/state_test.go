package sqs

import (
	"fmt"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
)

// A dump tells all that there is, and is the same while nothing happens.
func TestState(t *testing.T) {
	s := newService(t)
	makeQueue(t, s, "dead", nil)
	q := makeQueue(t, s, "a", text{"RedrivePolicy": `{"deadLetterTargetArn":"arn:aws:sqs:eu-west-1:111122223333:dead","maxReceiveCount":5}`})
	must(t, s, "TagQueue", object{"QueueUrl": q, "Tags": text{"k": "v"}}, nil)
	for _, body := range []string{"first", "second"} {
		must(t, s, "SendMessage", object{"QueueUrl": q, "MessageBody": body}, nil)
	}
	must(t, s, "SendMessage", object{"QueueUrl": q, "MessageBody": "third", "DelaySeconds": 60}, nil)
	var got receiveOutput
	must(t, s, "ReceiveMessage", object{"QueueUrl": q}, &got)
	must(t, s, "StartMessageMoveTask", object{"SourceArn": "arn:aws:sqs:eu-west-1:111122223333:dead"}, nil)
	s.Clock.Move(time.Second)

	dump := func() string {
		text, err := json.Marshal(s.State(), json.Deterministic(true))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	var state struct {
		Queues    []QueueState
		MoveTasks []MoveTask
	}
	if err := json.Unmarshal([]byte(dump()), &state); err != nil {
		t.Fatal(err)
	}
	if len(state.Queues) != 2 || state.Queues[0].Name != "a" || state.Queues[0].Tags["k"] != "v" || state.Queues[0].Attributes["RedrivePolicy"] == "" || state.Queues[0].URL != q {
		t.Fatalf("the queues are %+v", state.Queues)
	}
	var bodies, states []string
	for _, m := range state.Queues[0].Messages {
		bodies, states = append(bodies, m.Body), append(states, m.State)
	}
	if len(bodies) != 3 || bodies[2] != "third" || states[0] != "in flight" || states[1] != "visible" || states[2] != "delayed" {
		t.Errorf("the messages are %v, %v", bodies, states)
	}
	if m := state.Queues[0].Messages[0]; m.Receipt != got.Messages[0].ReceiptHandle || m.Receives != 1 {
		t.Errorf("the message that was received is %+v", m)
	}
	if len(state.MoveTasks) != 1 || state.MoveTasks[0].Status != "COMPLETED" {
		t.Errorf("the tasks are %+v", state.MoveTasks)
	}
	if first, second := dump(), dump(); first != second {
		t.Errorf("two dumps differ:\n%s\n%s", first, second)
	}
}

// A delay of zero that a message has of its own is one; SDKs for Go do not send it.
func TestDelayOfZero(t *testing.T) {
	s := newService(t)
	q := makeQueue(t, s, "q", text{"DelaySeconds": "60"})
	must(t, s, "SendMessage", object{"QueueUrl": q, "MessageBody": "the queue's"}, nil)
	must(t, s, "SendMessage", object{"QueueUrl": q, "MessageBody": "none", "DelaySeconds": 0}, nil)
	if got := receive(t, s, q); len(got) != 1 || got[0].Body != "none" {
		t.Errorf("received %v", got)
	}
	for _, bad := range []int{-1, 901} {
		wantCode(t, do(t, s, "", "SendMessage", object{"QueueUrl": q, "MessageBody": "x", "DelaySeconds": bad}, nil), "InvalidParameterValue")
	}
}

// Without MaxResults a list ends at a thousand, and says nothing of the rest.
func TestThousandQueues(t *testing.T) {
	s := newService(t)
	for i := range 1001 {
		makeQueue(t, s, fmt.Sprint("q", i), nil)
	}
	var all, some listQueuesOutput
	must(t, s, "ListQueues", object{}, &all)
	must(t, s, "ListQueues", object{"MaxResults": 1000}, &some)
	if len(all.QueueUrls) != 1000 || all.NextToken != "" || len(some.QueueUrls) != 1000 || some.NextToken == "" {
		t.Errorf("%d with the token %q; when asked for a thousand, %d with %q", len(all.QueueUrls), all.NextToken, len(some.QueueUrls), some.NextToken)
	}
}
