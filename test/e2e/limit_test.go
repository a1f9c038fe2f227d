package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"stillpoint/localstack"
	"stillpoint/messages"
	"stillpoint/test/scene"
)

// SIGKILL, and SIGTERM, while a limit of EC2's is waited out: EC2's answer had
// proved that nothing was made, and the journal says so, so that the next
// worker makes the set at once instead of looking for one.
func TestEndedWhileALimitIsWaitedOut(t *testing.T) {
	t.Parallel()
	ctx, s := set(t, scene.Config{Writers: 2, Pause: 50 * time.Millisecond})
	for _, tc := range []struct {
		id  string
		sig syscall.Signal
	}{{"limit-killed", syscall.SIGKILL}, {"limit-stopped", syscall.SIGTERM}} {
		t.Run(tc.id, func(t *testing.T) {
			w := work(t, ctx, s)
			if err := s.AWS.SetFaults(localstack.Fault{Operation: "ec2:CreateSnapshots", Skip: 1, Code: "PendingSnapshotLimitExceeded", Status: 400, Times: 1}); err != nil {
				t.Fatal(err)
			}
			send(t, ctx, s, `{"requestId":"`+tc.id+`"}`)
			await(t, ctx, "the wait", func() bool { return strings.Contains(w.Log(), `"stage":"quota"`) })
			flows(t, ctx, s, time.Now())
			kill(t, w.PID(), tc.sig)
			err := w.Wait(ctx)
			if tc.sig == syscall.SIGTERM && err != nil {
				t.Errorf("the worker ended with %v", err)
			}
			next1 := work(t, ctx, s)
			if tc.sig == syscall.SIGKILL {
				send(t, ctx, s, `{"requestId":"`+tc.id+`"}`) // the redelivery, without the wait for the visibility timeout
			}
			r := next(t, ctx, s).Result
			wants(t, r, messages.Succeeded, "", messages.ConsistencyApplication)
			if n := len(sets(t, ctx, s)[tc.id]); n != 1 || r.RequestID != tc.id {
				t.Errorf("EC2 has %d snapshots, the result is of %s", n, r.RequestID)
			}
			kill(t, next1.PID(), syscall.SIGTERM)
			if err := next1.Wait(ctx); err != nil {
				t.Errorf("the worker ended with %v", err)
			}
		})
	}
}
