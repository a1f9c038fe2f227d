package main

import (
	"bytes"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"stillpoint/worker"
)

func listenAt(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func heard(t *testing.T, c *net.UnixConn) string {
	t.Helper()
	b := make([]byte, 4096)
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	n, err := c.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestNoServiceManager(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	m := openManager(zerolog.Nop())
	if m != nil {
		t.Fatal("there is one")
	}
	m.ready("x")
	m.stopping(time.Second)
	done := false
	if m.waiting("y", func() { done = true }); !done {
		t.Error("nothing was done")
	}
	m.close()
}

// A start that waits asks for more time, so that it is not ended half-way.
func TestWaitingExtendsTheStart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	c := listenAt(t, path)
	t.Setenv("NOTIFY_SOCKET", path)
	m := openManager(zerolog.Nop())
	defer m.close()
	m.waiting("thawing", func() {
		if got := heard(t, c); got != "STATUS=thawing" {
			t.Errorf("heard %q", got)
		}
		if got := heard(t, c); got != "EXTEND_TIMEOUT_USEC=60000000" {
			t.Errorf("heard %q", got)
		}
	})
}

// A service manager that is gone, that was started anew behind the same name,
// or that does not read, costs a warning and a second.
func TestServiceManagerThatDoesNotListen(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "s")
	t.Setenv("NOTIFY_SOCKET", path)
	var log bytes.Buffer
	m := openManager(zerolog.New(&log))
	defer m.close()
	m.send("WATCHDOG=1")
	m.send("WATCHDOG=1")
	if n := strings.Count(log.String(), "cannot tell the service manager"); n != 1 {
		t.Errorf("%d warnings: %s", n, &log)
	}
	first := listenAt(t, path)
	m.send("one")
	if got := heard(t, first); got != "one" {
		t.Errorf("heard %q", got)
	}
	_ = first.Close()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	second := listenAt(t, path)
	m.send("two")
	if got := heard(t, second); got != "two" {
		t.Errorf("heard %q", got)
	}
	at := time.Now()
	for range 2000 { // nobody reads: the queue fills (net.unix.max_dgram_qlen)
		m.send(strings.Repeat("x", 1000))
		if m.failed {
			break
		}
	}
	if !m.failed {
		t.Fatal("the queue did not fill")
	}
	if took := time.Since(at); took > 20*time.Second {
		t.Errorf("it waited for %s", took)
	}
}

func TestNotASocket(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "vsock:2:1234")
	var log bytes.Buffer
	if m := openManager(zerolog.New(&log)); m != nil || !strings.Contains(log.String(), "vsock") {
		t.Errorf("%v, %s", m, &log)
	}
}

func TestStatusLine(t *testing.T) {
	now := time.Date(2026, 5, 5, 12, 0, 0, 0, time.UTC)
	doing := map[string]worker.Mark{worker.LoopRequests: {Doing: "lock (try 3 of 60)"}}
	for _, c := range []struct {
		s      worker.Status
		frozen bool
		want   string
	}{
		{worker.Status{}, false, "idle, no success yet"},
		{worker.Status{LastSuccess: now.Add(-9 * time.Hour)}, false, "idle, last success 03:00 UTC"},
		{worker.Status{LastSuccess: now.Add(-33 * time.Hour), Outbox: 2}, false, "idle, last success 2026-05-04 03:00 UTC, 2 of the results wait for SNS"},
		{worker.Status{Loops: doing, InHand: true, Handling: "nightly-1"}, false, "request nightly-1: lock (try 3 of 60)"},
		{worker.Status{Loops: doing, InHand: true, Handling: "nightly-1"}, true, "request nightly-1: writes blocked: waiting for EC2"},
		{worker.Status{PollError: "AccessDenied"}, false, "the queue does not answer (AccessDenied): trying again"},
		{worker.Status{NotPolling: "no id"}, false, "not taking requests: no id"},
		{worker.Status{Handling: strings.Repeat("r", 256)}, true, "request " + strings.Repeat("r", 57) + "...: writes blocked: waiting for EC2"},
	} {
		if got := statusLine(c.s, c.frozen, now); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}
