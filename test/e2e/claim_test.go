package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"stillpoint/messages"
	"stillpoint/test/scene"
)

func calls(s *scene.Scene, operation string) int {
	n := 0
	for _, c := range s.AWS.Calls() {
		if c.Operation == operation {
			n++
		}
	}
	return n
}

// An instance from an image of another worker: ready, not polling, nothing
// published, until it is claimed; then it goes on by itself.
func TestACloneWaitsForItsClaim(t *testing.T) {
	t.Parallel()
	ctx, s := set(t, scene.Config{FileYAML: anyPort, NoDatabase: true})
	// The builder of the image: another instance's file, and a result that is not published.
	file, err := os.ReadFile(s.ConfigPath)
	if err != nil {
		t.Fatal(err)
	}
	builder := filepath.Join(s.Dir, "builder.yaml")
	other := strings.NewReplacer("instance_id: "+s.InstanceID, "instance_id: i-0123456789abcdef0", s.TopicARN, s.TopicARN+"-gone").Replace(string(file))
	if err := os.WriteFile(builder, []byte(other), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, errs, code := cli(t, ctx, s, "claim", "--config", builder); code != 0 || !strings.Contains(out, "was empty") {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	if out, errs, code := cli(t, ctx, s, "snapshot", "nightly", "--config", builder, "--request-id", "builder"); code == 0 || code == 78 || code == 75 {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}

	published := calls(s, "sns:Publish")
	w := work(t, ctx, s)
	send(t, ctx, s, `{"requestId":"clone"}`)
	await(t, ctx, "the worker's error", func() bool { return strings.Contains(w.Log(), "run `stillpoint claim` here") })
	code, body := ask(t, ctx, w, "/readyz")
	if code != 503 || !strings.Contains(body, "i-0123456789abcdef0") || !strings.Contains(body, "stillpoint claim") {
		t.Errorf("/readyz: %d %s", code, body)
	}
	if code, body := ask(t, ctx, w, "/healthz"); code != 200 {
		t.Errorf("/healthz: %d %s", code, body)
	}
	out, errs, exit := cli(t, ctx, s, "snapshot", "nightly", "--config", s.ConfigPath)
	if exit != 78 || !strings.Contains(errs, "stillpoint claim") {
		t.Errorf("snapshot: exit %d: %s%s", exit, out, errs)
	}
	if n := calls(s, "sqs:ReceiveMessage") + calls(s, "sns:Publish") - published; n != 0 || published == 0 {
		t.Errorf("%d calls before the claim", n)
	}

	out, errs, exit = cli(t, ctx, s, "claim", "--config", s.ConfigPath)
	if exit != 0 || !strings.Contains(out, "i-0123456789abcdef0") || !strings.Contains(out, filepath.Join(s.Dir, "state", "foreign-")) {
		t.Errorf("claim: exit %d: %s%s", exit, out, errs)
	}
	d := next(t, ctx, s)
	wants(t, d.Result, messages.Succeeded, "", messages.ConsistencyFilesystem)
	if d.Result.RequestID != "clone" {
		t.Errorf("it published the result of %s", d.Result.RequestID)
	}
	if out, errs, exit := cli(t, ctx, s, "claim", "--config", s.ConfigPath); exit != 0 || !strings.Contains(out, "nothing was changed") {
		t.Errorf("a second claim: exit %d: %s%s", exit, out, errs)
	}
	await(t, ctx, "readiness", func() bool { code, _ := ask(t, ctx, w, "/readyz"); return code == 200 })
}

// A worker that waits for its claim ends at once when it is told to.
func TestAnUnclaimedWorkerStopsAtOnce(t *testing.T) {
	ctx, s := set(t, scene.Config{FileYAML: anyPort, NoDatabase: true})
	if out, errs, code := cli(t, ctx, s, "claim", "--config", s.ConfigPath, "--instance-id", "i-0123456789abcdef0"); code != 0 {
		t.Fatalf("exit %d: %s%s", code, out, errs)
	}
	// An empty directory that is bound to another instance is another's too.
	w := work(t, ctx, s)
	await(t, ctx, "the worker's error", func() bool { return strings.Contains(w.Log(), "run `stillpoint claim` here") })
	at := time.Now()
	kill(t, w.PID(), syscall.SIGTERM)
	if err := w.Wait(ctx); err != nil {
		t.Errorf("the worker ended with %v", err)
	}
	t.Logf("ended %s after SIGTERM", time.Since(at))
}

// A queue that bears the id of another instance is not polled; the outbox and
// the rest go on.
func TestAQueueOfAnotherInstance(t *testing.T) {
	t.Parallel()
	ctx, s := set(t, scene.Config{FileYAML: anyPort, NoDatabase: true})
	if _, err := s.SQS.TagQueue(ctx, &sqs.TagQueueInput{QueueUrl: &s.QueueURL, Tags: map[string]string{"stillpoint:instance-id": "i-0123456789abcdef0"}}); err != nil {
		t.Fatal(err)
	}
	w := work(t, ctx, s)
	send(t, ctx, s, `{}`)
	await(t, ctx, "the worker's error", func() bool { return strings.Contains(w.Log(), "no message is taken from this queue") })
	code, body := ask(t, ctx, w, "/readyz")
	if code != 503 || !strings.Contains(body, "stillpoint:instance-id=i-0123456789abcdef0") {
		t.Errorf("/readyz: %d %s", code, body)
	}
	if n := calls(s, "sqs:ReceiveMessage"); n != 0 {
		t.Errorf("%d polls", n)
	}
	kill(t, w.PID(), syscall.SIGTERM)
	if err := w.Wait(ctx); err != nil {
		t.Errorf("the worker ended with %v", err)
	}
	if _, err := s.SQS.TagQueue(ctx, &sqs.TagQueueInput{QueueUrl: &s.QueueURL, Tags: map[string]string{"stillpoint:instance-id": s.InstanceID}}); err != nil {
		t.Fatal(err)
	}
	work(t, ctx, s)
	wants(t, next(t, ctx, s).Result, messages.Succeeded, "", messages.ConsistencyFilesystem)
}

// A worker is killed inside the window and its message never comes back: the
// next start settles the request. So it does with a `stillpoint snapshot`.
func TestWhatWasKilledIsSettledWithoutARedelivery(t *testing.T) {
	t.Parallel()
	ctx, s := set(t, scene.Config{NoDatabase: true})
	w := work(t, ctx, s)
	inWindow(t, ctx, s, "killed", 3*time.Second)
	kill(t, w.PID(), syscall.SIGKILL)
	<-w.Exited()
	await(t, ctx, "the late set", func() bool { return len(sets(t, ctx, s)["killed"]) == 1 })
	s.AWS.SetFaults()
	if _, err := s.SQS.PurgeQueue(ctx, &sqs.PurgeQueueInput{QueueUrl: &s.QueueURL}); err != nil {
		t.Fatal(err)
	}

	work(t, ctx, s)
	d := next(t, ctx, s)
	wants(t, d.Result, messages.Inconsistent, messages.ReasonInterrupted, messages.ConsistencyCrash)
	if d.Result.RequestID != "killed" || d.Result.Source != messages.SourceSQS {
		t.Errorf("%+v", d.Result)
	}
	if n := sets(t, ctx, s)["killed"]; len(n) != 1 || tag(n[0], "stillpoint:status") != "inconsistent" {
		t.Errorf("%d snapshots, the first tagged %q", len(n), tag(n[0], "stillpoint:status"))
	}
	send(t, ctx, s, `{"requestId":"killed"}`) // and if it comes after all
	again := next(t, ctx, s)
	if again.Result.EventID != d.Result.EventID || len(sets(t, ctx, s)["killed"]) != 1 {
		t.Errorf("the redelivery: %+v", again.Result)
	}
}

// The same for a run at the terminal, which no message would ever bring back:
// one that was killed while it waited for the lock has failed.
func TestAKilledRunAtTheTerminalIsSettledByTheWorker(t *testing.T) {
	ctx, s := set(t, scene.Config{Writers: 1, MySQLYAML: "lock_tries: 1000\nlock_timeout: 100ms\nlock_sleep: 100ms"})
	loaded(t, ctx, s)
	unlock := lockTable(t, ctx, s, "account")
	cmd := s.Command(ctx, "snapshot", "nightly", "--config", s.ConfigPath, "--request-id", "cli-killed", "--log-level", "debug")
	log, err := os.Create(filepath.Join(s.Dir, "cli.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	await(t, ctx, "a lock try", func() bool {
		b, err := os.ReadFile(log.Name())
		return err == nil && strings.Contains(string(b), `"stage":"lock"`)
	})
	// The other one says who is busy, and with what.
	if _, errs, code := cli(t, ctx, s, "snapshot", "nightly", "--config", s.ConfigPath); code != 75 || !strings.Contains(errs, "request cli-killed of plan nightly") {
		t.Errorf("exit %d: %s", code, errs)
	}
	kill(t, cmd.Process.Pid, syscall.SIGKILL)
	_ = cmd.Wait()
	unlock()
	work(t, ctx, s)
	d := next(t, ctx, s)
	wants(t, d.Result, messages.Failed, messages.ReasonInterrupted, messages.ConsistencyNone)
	if d.Result.RequestID != "cli-killed" || d.Result.Source != messages.SourceCLI || d.Result.AttemptID == "" {
		t.Errorf("%+v", d.Result)
	}
}
