package e2e

import (
	"context"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"stillpoint/localstack"
	"stillpoint/messages"
	"stillpoint/test/scene"
)

var stopWithin = regexp.MustCompile(`"stop_within":"([^"]+)"`)

// stopped sends SIGTERM and returns how long the worker took, which must not
// be longer than what it has said at its start.
func stopped(t *testing.T, ctx context.Context, w *scene.Worker) time.Duration {
	t.Helper()
	said := stopWithin.FindStringSubmatch(w.Log())
	if said == nil {
		t.Fatal("the worker did not say how long a stop takes")
	}
	within, err := time.ParseDuration(said[1])
	if err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	kill(t, w.PID(), syscall.SIGTERM)
	code, took := ended(t, ctx, w, at)
	t.Logf("the worker ended %s after SIGTERM (it said: within %s)", took.Round(time.Millisecond), within)
	if code != 0 || took > within {
		t.Errorf("exit %d after %s, and it said %s", code, took, within)
	}
	return took
}

func started(t *testing.T, ctx context.Context, s *scene.Scene) *scene.Worker {
	t.Helper()
	w := work(t, ctx, s)
	await(t, ctx, "the start", func() bool { return strings.Contains(w.Log(), "worker started") })
	return w
}

func called(s *scene.Scene, operation string, state string) int {
	n := 0
	for _, c := range s.AWS.Calls() {
		if c.Operation == operation && (state == "" || c.State == state) {
			n++
		}
	}
	return n
}

// Wherever a stop finds the worker, it takes no longer than the worker says:
// beside a queue, and an AWS, that does not answer.
func TestStopTakesNoLongerThanItSays(t *testing.T) {
	t.Parallel()
	bare := scene.Config{NoDatabase: true, PlanYAML: "max_hold: 20s"}
	t.Run("idle", func(t *testing.T) {
		t.Parallel()
		ctx, s := set(t, bare)
		w := started(t, ctx, s)
		await(t, ctx, "a poll", func() bool { return called(s, "sqs:ReceiveMessage", "waiting") > 0 })
		stopped(t, ctx, w)
	})
	t.Run("the queue hangs", func(t *testing.T) {
		t.Parallel()
		ctx, s := set(t, bare)
		s.AWS.SetFaults(localstack.Fault{Operation: "sqs:ReceiveMessage", Hang: true}, localstack.Fault{Operation: "sqs:GetQueueAttributes", Hang: true})
		defer s.AWS.SetFaults()
		w := started(t, ctx, s)
		await(t, ctx, "a poll", func() bool { return called(s, "sqs:ReceiveMessage", "running") > 0 })
		stopped(t, ctx, w)
	})
	t.Run("nothing AWS answers, and results wait", func(t *testing.T) {
		t.Parallel()
		ctx, s := set(t, bare)
		s.AWS.SetFaults(localstack.Fault{Operation: "sns:Publish", Hang: true}, localstack.Fault{Operation: "sqs:DeleteMessage", Hang: true},
			localstack.Fault{Operation: "ec2:CreateTags", Hang: true}, localstack.Fault{Operation: "sqs:ChangeMessageVisibility", Skip: 1, Hang: true})
		defer s.AWS.SetFaults()
		w := started(t, ctx, s)
		send(t, ctx, s, `{"requestId":"deaf"}`)
		await(t, ctx, "the tags", func() bool { return called(s, "ec2:CreateTags", "running") > 0 })
		stopped(t, ctx, w)
	})
}

// The same on the way of a request.
func TestStopOfARequest(t *testing.T) {
	ctx, s := set(t, scene.Config{Writers: 2, Pause: 20 * time.Millisecond, PlanYAML: "max_hold: 20s", MySQLYAML: "lock_tries: 1000\nlock_timeout: 100ms\nlock_sleep: 10s"})
	loaded(t, ctx, s)
	t.Run("between two tries for the lock", func(t *testing.T) {
		unlock := lockTable(t, ctx, s, "account")
		w := started(t, ctx, s)
		send(t, ctx, s, `{"requestId":"between"}`)
		await(t, ctx, "a failed try", func() bool { return strings.Count(w.Log(), `"stage":"lock"`) > 1 })
		if took := stopped(t, ctx, w); took > 9*time.Second {
			t.Errorf("it waited for the next try")
		}
		unlock()
	})
	t.Run("in the window", func(t *testing.T) {
		w := started(t, ctx, s)
		wants(t, next(t, ctx, s).Result, messages.Succeeded, "", messages.ConsistencyApplication) // the one from between
		inWindow(t, ctx, s, "window", 3*time.Second)
		stopped(t, ctx, w)
		wants(t, next(t, ctx, s).Result, messages.Succeeded, "", messages.ConsistencyApplication)
		s.AWS.SetFaults()
	})
	t.Run("while it looks for what a lost answer made", func(t *testing.T) {
		b := s.AWS.EC2Behaviour()
		b.DescribeLagMin, b.DescribeLagMax = time.Hour, time.Hour
		if err := s.AWS.BehaveEC2(b); err != nil {
			t.Fatal(err)
		}
		s.AWS.SetFaults(localstack.Fault{Operation: "ec2:CreateSnapshots", Skip: 1, Drop: true, After: true, Times: 1})
		w := started(t, ctx, s)
		send(t, ctx, s, `{"requestId":"lost"}`)
		await(t, ctx, "the look", func() bool { return strings.Contains(w.Log(), `"stage":"reconcile"`) })
		if took := stopped(t, ctx, w); took > 20*time.Second {
			t.Error("it went on looking")
		}
		b.DescribeLagMin, b.DescribeLagMax = 0, 0
		if err := s.AWS.BehaveEC2(b); err != nil {
			t.Fatal(err)
		}
		s.AWS.MoveClock(time.Hour)
	})
}

// Exit code 130 says that a run by hand was interrupted before anything was held.
func TestInterruptedByHand(t *testing.T) {
	t.Parallel()
	ctx, s := set(t, scene.Config{MySQLYAML: "lock_tries: 1000\nlock_timeout: 100ms\nlock_sleep: 100ms"})
	if _, err := s.Server.DB().ExecContext(ctx, "CREATE DATABASE IF NOT EXISTS mine"); err != nil {
		t.Fatal(err)
	}
	c, err := s.Server.DB().Conn(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, q := range []string{"CREATE TABLE mine.t (id INT PRIMARY KEY) ENGINE=InnoDB", "LOCK TABLES mine.t WRITE"} {
		if _, err := c.ExecContext(ctx, q); err != nil {
			t.Fatal(err)
		}
	}
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		cmd := s.Command(context.WithoutCancel(ctx), "snapshot", "--config", s.ConfigPath, "--log-level", "debug", "--log-format", "json")
		told := &lockedWriter{}
		cmd.Stderr = told
		child := start(t, s, cmd)
		await(t, ctx, "a failed try", func() bool { return strings.Count(told.String(), `"stage":"lock"`) > 1 })
		kill(t, child.PID(), sig)
		err := child.Wait(ctx)
		if code := exitCode(err); code != 130 {
			t.Errorf("%s: exit %d (%v)\n%s", sig, code, err, told.String())
		}
	}
}
