package e2e

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"stillpoint/localstack"
	"stillpoint/messages"
	"stillpoint/test/rig"
	"stillpoint/test/scene"
)

// inWindow makes EC2 slow, sends a request and returns when its create call is
// under way, with everything held.
func inWindow(t *testing.T, ctx context.Context, s *scene.Scene, id string, latency time.Duration) {
	t.Helper()
	s.AWS.SetFaults(localstack.Fault{Operation: "ec2:CreateSnapshots", Latency: latency})
	send(t, ctx, s, fmt.Sprintf(`{"requestId":%q}`, id))
	await(t, ctx, "the create call", func() bool { return creating(s) })
}

// creating says whether a create call that is no dry run is under way.
func creating(s *scene.Scene) bool {
	for _, c := range s.AWS.Calls() {
		if c.Operation == "ec2:CreateSnapshots" && c.State == "running" && c.Params["DryRun"] != "true" {
			return true
		}
	}
	return false
}

// guardian is the worker's child.
func guardian(t *testing.T, w *scene.Worker) int {
	t.Helper()
	dirs, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", w.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		b, _ := os.ReadFile(d)
		if f := strings.Fields(string(b)); len(f) > 0 {
			pid, err := strconv.Atoi(f[0])
			if err != nil {
				t.Fatal(err)
			}
			return pid
		}
	}
	t.Fatal("the worker has no guardian")
	return 0
}

// probe is a process that appends a line a moment to a file on the volume, and
// counts; a frozen file system blocks it.
type probe struct{ lines atomic.Int64 }

// startProbe starts the writer as a process of its own: what is blocked on a
// frozen file system cannot be killed, and must not be a thread of the test.
func startProbe(t *testing.T, ctx context.Context, s *scene.Scene) *probe {
	t.Helper()
	cmd := shell(ctx, fmt.Sprintf(`while :; do echo x >>%s/probe; echo x; done`, s.Volumes[0].Mount))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	child, err := rig.StartChild(cmd)
	if err != nil {
		t.Fatal(err)
	}
	p := &probe{}
	read := make(chan struct{})
	go func() {
		defer close(read)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.lines.Add(1)
		}
	}()
	s.Defer("the probe", func(context.Context) error {
		_ = child.Kill()
		<-child.Exited()
		<-read
		return nil
	})
	return p
}

// flows returns how long it took until the load and a plain writer on the
// volume got on again.
func flows(t *testing.T, ctx context.Context, s *scene.Scene, since time.Time) time.Duration {
	t.Helper()
	before := s.Load.Stats().Transactions
	await(t, ctx, "the next transaction", func() bool { return s.Load.Stats().Transactions > before+int64(s.Config.Writers) })
	return time.Since(since)
}

func blocked(t *testing.T, s *scene.Scene) {
	t.Helper()
	a := s.Load.Stats().Transactions
	time.Sleep(50 * time.Millisecond) // nothing announces that nothing happens
	if b := s.Load.Stats().Transactions; b != a {
		t.Fatalf("writes were not blocked inside the window: %d transactions", b-a)
	}
}

func kill(t *testing.T, pid int, sig syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(pid, sig); err != nil {
		t.Fatal(err)
	}
}

// SIGKILL of the worker inside the window: writes flow again at once, and the
// next worker says that the set cannot be trusted.
func TestWorkerKilledInsideTheWindow(t *testing.T) {
	ctx, s := set(t, scene.Config{Writers: 8, PlanYAML: "max_hold: 20s"})
	w := work(t, ctx, s)
	loaded(t, ctx, s)
	inWindow(t, ctx, s, "killed", 3*time.Second)
	blocked(t, s)
	at := time.Now()
	kill(t, w.PID(), syscall.SIGKILL)
	took := flows(t, ctx, s, at)
	t.Logf("writes flowed again %s after SIGKILL of the worker", took)
	if took > 2*time.Second {
		t.Errorf("writes flowed again only after %s", took)
	}
	// EC2 goes on, and makes the set half-way through its latency, when nothing is held any more.
	await(t, ctx, "the late set", func() bool { return len(sets(t, ctx, s)["killed"]) == 1 })
	s.AWS.SetFaults()

	work(t, ctx, s)
	send(t, ctx, s, `{"requestId":"killed"}`) // the redelivery, without the wait for the visibility timeout
	d := next(t, ctx, s)
	wants(t, d.Result, messages.Inconsistent, messages.ReasonInterrupted, messages.ConsistencyCrash)
	if n := sets(t, ctx, s)["killed"]; len(n) != 1 || tag(n[0], "stillpoint:status") != "inconsistent" {
		t.Errorf("%d snapshots, the first tagged %q", len(n), tag(n[0], "stillpoint:status"))
	}
}

// SIGKILL of the guardian inside the window: the worker thaws at once, and
// says so.
func TestGuardianKilledInsideTheWindow(t *testing.T) {
	ctx, s := set(t, scene.Config{Writers: 8})
	w := work(t, ctx, s)
	loaded(t, ctx, s)
	p := startProbe(t, ctx, s)
	await(t, ctx, "the probe's first line", func() bool { return p.lines.Load() > 0 })
	inWindow(t, ctx, s, "guardian", 2*time.Second)
	blocked(t, s)
	stuck := p.lines.Load()
	time.Sleep(50 * time.Millisecond) // nothing announces that nothing happens
	if now := p.lines.Load(); now != stuck {
		t.Fatalf("the file system was not frozen: %d lines", now-stuck)
	}
	at := time.Now()
	kill(t, guardian(t, w), syscall.SIGKILL)
	// The database stays locked until EC2 has answered; the file system is free at once.
	await(t, ctx, "the probe's next line", func() bool { return p.lines.Load() > stuck+1 })
	thawed := time.Since(at)
	t.Logf("a plain writer got on %s after SIGKILL of the guardian", thawed)
	if thawed > time.Second {
		t.Errorf("the file system was free only after %s", thawed)
	}
	d := next(t, ctx, s)
	wants(t, d.Result, messages.Inconsistent, messages.ReasonThawedEarly, messages.ConsistencyDatabase)
	if d.Attributes["severity"] != "critical" {
		t.Errorf("severity %q", d.Attributes["severity"])
	}
	t.Logf("the load got on %s after that", flows(t, ctx, s, time.Now()))
}

// A guardian that is stopped answers nobody: the worker thaws itself.
func TestGuardianStoppedInsideTheWindow(t *testing.T) {
	ctx, s := set(t, scene.Config{Writers: 4})
	w := work(t, ctx, s)
	loaded(t, ctx, s)
	inWindow(t, ctx, s, "stopped", time.Second)
	g := guardian(t, w)
	kill(t, g, syscall.SIGSTOP)
	d := next(t, ctx, s)
	wants(t, d.Result, messages.Inconsistent, messages.ReasonThawedEarly, messages.ConsistencyDatabase)
	if blocked := d.Result.Timings.WritesBlocked; blocked > 10_000 { // max_hold is 45 s
		t.Errorf("writes were blocked for %.0f ms", blocked)
	}
	flows(t, ctx, s, time.Now())
}

// SIGTERM inside the window is not heard until everything was let go, and the
// request is finished.
func TestStopInsideTheWindowFinishesTheRequest(t *testing.T) {
	ctx, s := set(t, scene.Config{Writers: 4})
	w := work(t, ctx, s)
	loaded(t, ctx, s)
	inWindow(t, ctx, s, "stop", time.Second)
	kill(t, w.PID(), syscall.SIGTERM)
	wants(t, next(t, ctx, s).Result, messages.Succeeded, "", messages.ConsistencyApplication)
	if err := w.Wait(ctx); err != nil {
		t.Errorf("the worker ended with %v", err)
	}
}

// SIGTERM before the lock releases the message within seconds; the next worker carries it out.
func TestStopBeforeTheLockReleasesTheMessage(t *testing.T) {
	ctx, s := set(t, scene.Config{Writers: 2, MySQLYAML: "lock_tries: 1000\nlock_timeout: 100ms\nlock_sleep: 100ms"})
	w := work(t, ctx, s)
	loaded(t, ctx, s)
	unlock := lockTable(t, ctx, s, "account")
	send(t, ctx, s, `{"requestId":"stop-early"}`)
	await(t, ctx, "a lock try", func() bool { return strings.Contains(w.Log(), `"stage":"lock"`) })
	at := time.Now()
	kill(t, w.PID(), syscall.SIGTERM)
	if err := w.Wait(ctx); err != nil {
		t.Errorf("the worker ended with %v", err)
	}
	t.Logf("the worker ended %s after SIGTERM", time.Since(at))
	unlock()
	work(t, ctx, s)
	d := next(t, ctx, s)
	wants(t, d.Result, messages.Succeeded, "", messages.ConsistencyApplication)
	if d.Result.RequestID != "stop-early" {
		t.Errorf("request %s", d.Result.RequestID)
	}
}
