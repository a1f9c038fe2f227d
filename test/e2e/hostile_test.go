package e2e

import (
	"strings"
	"testing"

	"stillpoint/messages"
	"stillpoint/messages/messagestest"
	"stillpoint/test/scene"
)

// Fifty and more hostile or broken messages each end in `rejected` and on the
// dead-letter queue, and the next good one succeeds.
func TestHostileMessagesAreRejectedAndTheNextOneSucceeds(t *testing.T) {
	t.Parallel()
	ctx, s := set(t, scene.Config{})
	work(t, ctx, s)
	bodies := map[string]bool{}
	sent := 0
	for _, m := range append(messagestest.Hostile(), messagestest.RefusedByWorker()...) {
		if !m.Sendable() || bodies[m.Body] {
			continue // SQS itself refuses it
		}
		bodies[m.Body] = true
		send(t, ctx, s, m.Body)
		sent++
	}
	if sent < 50 {
		t.Fatalf("only %d hostile messages", sent)
	}
	for range sent {
		d := next(t, ctx, s)
		if d.Result.Status != messages.Rejected || d.Result.Reason == "" || d.Result.Message == "" || d.Attributes["severity"] != "warning" || !strings.HasPrefix(d.Subject, "[REJECTED] ") {
			t.Errorf("%s: %s", d.Subject, d.Body)
		}
	}
	for range sent {
		dead, err := s.NextDeadLetter(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if !bodies[dead.Body] {
			t.Errorf("a body on the dead-letter queue that was not sent, or twice: %.80q", dead.Body)
		}
		delete(bodies, dead.Body)
		if dead.Attributes["stillpoint-reason"] == "" {
			t.Errorf("no reason on %.80q: %v", dead.Body, dead.Attributes)
		}
	}
	send(t, ctx, s, `{"plan":"nightly"}`)
	wants(t, next(t, ctx, s).Result, messages.Succeeded, "", messages.ConsistencyApplication)
	await(t, ctx, "an empty queue", func() bool {
		visible, inFlight, err := s.Depth(ctx, s.QueueURL)
		return err == nil && visible == "0" && inFlight == "0"
	})
	t.Logf("%d hostile messages", sent)
}
