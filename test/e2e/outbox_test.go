package e2e

import (
	"syscall"
	"testing"

	"stillpoint/localstack"
	"stillpoint/messages"
	"stillpoint/test/scene"
)

// A result that SNS does not take waits in the outbox, survives a SIGKILL, and
// is published by the next worker as the same event.
func TestResultSurvivesUntilSNSTakesIt(t *testing.T) {
	t.Parallel()
	ctx, s := set(t, scene.Config{})
	s.AWS.SetFaults(localstack.Fault{Operation: "sns:Publish", Code: "InternalError", Status: 500})
	w := work(t, ctx, s)
	send(t, ctx, s, `{"requestId":"unheard"}`)
	await(t, ctx, "the message's deletion", func() bool {
		for _, c := range s.AWS.Calls() {
			if c.Operation == "sqs:DeleteMessage" && c.Effect {
				return true
			}
		}
		return false
	})
	kill(t, w.PID(), syscall.SIGKILL)
	<-w.Exited()
	s.AWS.SetFaults()
	work(t, ctx, s)
	d := next(t, ctx, s)
	wants(t, d.Result, messages.Succeeded, "", messages.ConsistencyApplication)
	if d.Result.RequestID != "unheard" {
		t.Errorf("request %s", d.Result.RequestID)
	}
}
