// Package e2e tests the whole thing on real parts: XFS and ext4 on loop
// devices, MariaDB under load, the worker as a process, and kill -9.
package e2e

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"stillpoint/messages"
	"stillpoint/test/rig"
	"stillpoint/test/scene"
)

// program is the program under test, built once with the race detector.
var program string

// atOnce is how many of the tests that may run beside each other do: most of
// their time they wait, for polls, limits of EC2's and servers that start. Those
// that are not parallel look at how fast something happens, and run before them.
const atOnce = "4"

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", atOnce); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(rig.Main(m, &program, "-race"))
}

// patience bounds a whole test.
const patience = 3 * time.Minute

// set makes a scene that is taken down with the test, and checks that nothing of it is left.
func set(t *testing.T, c scene.Config) (context.Context, *scene.Scene) {
	t.Helper()
	if missing := rig.Missing(); len(missing) > 0 {
		t.Skipf("this machine lacks %s", strings.Join(missing, ", "))
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	c.Stillpoint = program
	expedited := rig.Expedited()
	s, err := scene.New(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		left, err := rig.LeftUnder(s.Dir)
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %v %v", left, err)
		}
		if now := rig.Expedited(); now != expedited {
			t.Errorf("rcu_expedited is %s and was %s", now, expedited)
		}
	})
	return ctx, s
}

// work starts a worker; its log is shown where the test fails.
func work(t *testing.T, ctx context.Context, s *scene.Scene) *scene.Worker {
	t.Helper()
	w, err := s.StartWorker(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the worker's log:\n%s", w.Log())
		}
		if strings.Contains(w.Log(), scene.Password) {
			t.Error("the worker's log holds the database password")
		}
		if strings.Contains(w.Log(), "DATA RACE") {
			t.Errorf("the worker has a data race:\n%s", w.Log())
		}
	})
	return w
}

func send(t *testing.T, ctx context.Context, s *scene.Scene, body string) string {
	t.Helper()
	id, err := s.Send(ctx, body)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func next(t *testing.T, ctx context.Context, s *scene.Scene) *scene.Delivered {
	t.Helper()
	d, err := s.NextResult(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(d.Body, scene.Password) {
		t.Error("the result holds the database password")
	}
	return d
}

// wants is what a test asserts of a result at the least.
func wants(t *testing.T, r *messages.Result, status messages.Status, reason messages.Reason, c messages.Consistency) {
	t.Helper()
	if r.Status != status || r.Reason != reason || r.Consistency != c {
		t.Fatalf("got %s/%s/%s, want %s/%s/%s: %s\nwarnings: %v\nstages: %+v", r.Status, r.Reason, r.Consistency, status, reason, c, r.Message, r.Warnings, r.Stages)
	}
}

// await polls a condition that no event announces, until the context ends.
func await(t *testing.T, ctx context.Context, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s did not happen: %v", what, context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// cli runs the program to its end.
func cli(t *testing.T, ctx context.Context, s *scene.Scene, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := s.Command(ctx, args...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}
