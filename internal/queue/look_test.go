package queue

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"stillpoint/internal/snapshot"
	"stillpoint/localstack"
	"stillpoint/worker"
)

func TestLook(t *testing.T) {
	l := start(t, "dead")
	q := New(l.cfg, Config{URL: l.url})
	if _, err := q.Send(t.Context(), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	got, err := q.Look(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := Attributes{
		ARN: "arn:aws:sqs:eu-west-1:111122223333:requests", Visibility: 30 * time.Second, Retention: 96 * time.Hour, MaxBytes: 1 << 20,
		Visible: 1, Encrypted: true, DeadLetters: "arn:aws:sqs:eu-west-1:111122223333:dead", MaxReceives: 10,
	}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	url, dead, err := q.LookAtDeadLetters(t.Context())
	if err != nil || url != l.dead || dead.ARN != want.DeadLetters || dead.DeadLetters != "" {
		t.Errorf("%s, %+v, %v", url, dead, err)
	}
	if _, _, err := New(l.cfg, Config{URL: l.dead}).LookAtDeadLetters(t.Context()); !errors.Is(err, worker.ErrNoDeadLetterQueue) {
		t.Errorf("a queue without one: %v", err)
	}
}

// What is tried with the handle of no message changes nothing, and tells who may
// from who may not.
func TestTry(t *testing.T) {
	l := start(t, "")
	q := New(l.cfg, Config{URL: l.url})
	if _, err := q.Send(t.Context(), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	l.receive(t, q, time.Minute)
	for name, try := range map[string]func() error{
		"sqs:ChangeMessageVisibility": func() error { return q.TryExtend(t.Context()) }, "sqs:DeleteMessage": func() error { return q.TryDelete(t.Context()) },
	} {
		if err := try(); !errors.As(err, new(*snapshot.LeaseLostError)) || !strings.Contains(err.Error(), "ReceiptHandleIsInvalid") {
			t.Errorf("%s: %v", name, err)
		}
		if err := l.server.SetFaults(localstack.Fault{Operation: name, Code: "AccessDenied", Status: 403}); err != nil {
			t.Fatal(err)
		}
		if err := try(); err == nil || errors.As(err, new(*snapshot.LeaseLostError)) {
			t.Errorf("%s, denied: %v", name, err)
		}
		if err := l.server.SetFaults(); err != nil {
			t.Fatal(err)
		}
	}
	if got := l.hidden(t); got != "0 visible, 1 hidden" {
		t.Errorf("the message is no longer as it was: %s", got)
	}
	if _, err := l.client.DeleteQueue(t.Context(), &sqs.DeleteQueueInput{QueueUrl: &l.url}); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Look(t.Context()); err == nil || !strings.Contains(err.Error(), l.url) {
		t.Errorf("a queue that is gone: %v", err)
	}
}
