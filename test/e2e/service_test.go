package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"stillpoint/localstack"
	"stillpoint/messages"
	"stillpoint/test/rig"
	"stillpoint/test/scene"
)

// manager stands in for systemd: it listens where NOTIFY_SOCKET points to.
type manager struct {
	mu   sync.Mutex
	said []note
}

type note struct {
	at   time.Time
	text string
}

// listen sets NOTIFY_SOCKET, and WATCHDOG_USEC where watchdog is not zero, for
// the programs that the scene starts from now on.
func listen(t *testing.T, s *scene.Scene, watchdog time.Duration) *manager {
	t.Helper()
	dir, err := os.MkdirTemp("", "notify-")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	m := &manager{}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b := make([]byte, 1<<16)
		for {
			n, err := c.Read(b)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.said = append(m.said, note{time.Now(), string(b[:n])})
			m.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = c.Close()
		<-done
		_ = os.RemoveAll(dir)
		if t.Failed() {
			t.Logf("what the service manager heard: %q", m.texts())
		}
	})
	s.Env = append(s.Env, "NOTIFY_SOCKET="+path)
	if watchdog > 0 {
		s.Env = append(s.Env, fmt.Sprintf("WATCHDOG_USEC=%d", watchdog.Microseconds()))
	}
	return m
}

func (m *manager) all() []note {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]note(nil), m.said...)
}

func (m *manager) texts() []string {
	var out []string
	for _, n := range m.all() {
		out = append(out, n.text)
	}
	return out
}

// heard says whether a message from the nth on begins with a text, and which is the one after it.
func (m *manager) heard(from int, text string) (next int, ok bool) {
	for i, n := range m.all() {
		if i >= from && strings.HasPrefix(n.text, text) {
			return i + 1, true
		}
	}
	return 0, false
}

// hears waits for a message that begins with text and comes after the nth.
func (m *manager) hears(t *testing.T, ctx context.Context, from int, text string) (next int) {
	t.Helper()
	await(t, ctx, "the message "+text, func() (ok bool) {
		next, ok = m.heard(from, text)
		return ok
	})
	return next
}

var servedAt = regexp.MustCompile(`"http_addr":"([^"]+)"`)

// ask asks a running worker over HTTP.
func ask(t *testing.T, ctx context.Context, w *scene.Worker, path string) (code int, body string) {
	t.Helper()
	await(t, ctx, "the address of its HTTP", func() bool { return servedAt.MatchString(w.Log()) })
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+servedAt.FindStringSubmatch(w.Log())[1]+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

const anyPort = "http_addr: 127.0.0.1:0"

// ended waits for the worker's end and returns its exit code and how long it took.
func ended(t *testing.T, ctx context.Context, w *scene.Worker, since time.Time) (code int, took time.Duration) {
	t.Helper()
	select {
	case <-w.Exited():
	case <-ctx.Done():
		t.Fatalf("the worker did not end: %v", context.Cause(ctx))
	}
	took = time.Since(since)
	return exitCode(w.Wait(ctx)), took
}

// What the service manager hears from the start to the end of a worker.
func TestWhatTheServiceManagerHears(t *testing.T) {
	const watchdog = 1500 * time.Millisecond
	ctx, s := set(t, scene.Config{NoDatabase: true, FileYAML: anyPort})
	m := listen(t, s, watchdog)
	w := work(t, ctx, s)
	n := m.hears(t, ctx, 0, "READY=1\n")
	for _, before := range m.texts()[:n-1] {
		if !strings.HasPrefix(before, "STATUS=") && !strings.HasPrefix(before, "EXTEND_TIMEOUT_USEC=") {
			t.Errorf("before READY=1 it says %q", before)
		}
	}
	m.hears(t, ctx, n, "STATUS=idle, no success yet")
	await(t, ctx, "the warning about the watchdog", func() bool { return strings.Contains(w.Log(), "set WatchdogSec=90 in the unit") })

	// Through a window that is longer than the interval it goes on, and says what it waits for.
	inWindow(t, ctx, s, "heard", 2*watchdog)
	n = m.hears(t, ctx, n, "STATUS=request heard: writes blocked: waiting for EC2")
	if code, body := ask(t, ctx, w, "/metrics"); code != 200 || !strings.Contains(body, "\nstillpoint_frozen 1\n") {
		t.Errorf("inside the window: /metrics says %d, frozen 1: %v", code, strings.Contains(body, "\nstillpoint_frozen 1\n"))
	}
	for _, path := range []string{"/healthz", "/readyz"} {
		if code, body := ask(t, ctx, w, path); code != 200 || !strings.Contains(body, `"handling":"heard"`) {
			t.Errorf("inside the window: %s says %d %s", path, code, body)
		}
	}
	kill(t, w.PID(), syscall.SIGHUP) // not inside the window
	n = m.hears(t, ctx, n, "RELOADING=1\nMONOTONIC_USEC=")
	if _, read := m.heard(n, "READY=1"); read || strings.Contains(w.Log(), "configuration read again") || !creating(s) {
		t.Errorf("read inside the window, or the window was over: %v, %v", read, creating(s))
	}
	n = m.hears(t, ctx, n, "READY=1\nSTATUS=configuration read again")
	if creating(s) {
		t.Error("the configuration was read inside the window")
	}
	wants(t, next(t, ctx, s).Result, messages.Succeeded, "", messages.ConsistencyFilesystem)
	n = m.hears(t, ctx, n, "STATUS=idle, last success ")
	s.AWS.SetFaults()

	// SIGHUP while a poll is under way: answered at once.
	at := time.Now()
	kill(t, w.PID(), syscall.SIGHUP)
	n = m.hears(t, ctx, n, "RELOADING=1\nMONOTONIC_USEC=")
	n = m.hears(t, ctx, n, "READY=1\nSTATUS=configuration read again")
	if took := time.Since(at); took > 10*time.Second { // the poll takes 20 s
		t.Errorf("the reload took %s", took)
	}
	good, err := os.ReadFile(s.ConfigPath)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(s.ConfigPath, append(good, "    freeeze: [/x]\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	kill(t, w.PID(), syscall.SIGHUP)
	n = m.hears(t, ctx, n, "RELOADING=1\nMONOTONIC_USEC=")
	n = m.hears(t, ctx, n, "READY=1\nSTATUS=the changed configuration cannot be used")

	kill(t, w.PID(), syscall.SIGTERM)
	n = m.hears(t, ctx, n, "STOPPING=1\nEXTEND_TIMEOUT_USEC=")
	at = time.Now()
	send(t, ctx, s, `{"requestId":"too-late"}`) // ends the poll
	if code, took := ended(t, ctx, w, at); code != 0 || took > 15*time.Second {
		t.Errorf("exit %d after %s", code, took)
	}
	if _, late := m.heard(n, "STATUS="); late {
		t.Error("a status after STOPPING=1 hides it")
	}

	var last time.Time
	longest, meals := time.Duration(0), 0
	for _, note := range m.all() {
		if note.text == "WATCHDOG=1" {
			if !last.IsZero() {
				longest = max(longest, note.at.Sub(last))
			}
			last = note.at
			meals++
		}
	}
	t.Logf("%d times WATCHDOG=1, at most %s apart (interval %s)", meals, longest, watchdog)
	if meals < 5 || longest > watchdog {
		t.Errorf("%d times WATCHDOG=1, up to %s apart", meals, longest)
	}
}

// What is wrong is said by the exit code, and never after READY=1.
func TestNotReadyWhatCannotWork(t *testing.T) {
	t.Parallel()
	ctx, s := set(t, scene.Config{NoDatabase: true})
	m := listen(t, s, 0)
	good, err := os.ReadFile(s.ConfigPath)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, text string
		code       int
	}{
		{"an unknown key", string(good) + "    freeeze: [/x]\n", 78},
		{"no queue", strings.Replace(string(good), "queue_url:", "# queue_url:", 1), 78},
		{"a topic that is none", strings.Replace(string(good), "topic_arn: arn:aws:sns:", "topic_arn: arn:aws:sqs:", 1), 78},
		{"an address of somebody else's", strings.Replace(string(good), `http_addr: ""`, "http_addr: 192.0.2.1:1", 1), 78},
	} {
		if err := os.WriteFile(s.ConfigPath, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, errs, code := cli(t, ctx, s, "worker", "--config", s.ConfigPath); code != c.code {
			t.Errorf("%s: exit %d\n%s", c.name, code, errs)
		}
	}
	if _, ready := m.heard(0, "READY=1"); ready {
		t.Errorf("it said that it was ready: %q", m.texts())
	}
	if err := os.WriteFile(s.ConfigPath, good, 0o600); err != nil {
		t.Fatal(err)
	}
	w := work(t, ctx, s)
	m.hears(t, ctx, 0, "READY=1")
	if _, errs, code := cli(t, ctx, s, "worker", "--config", s.ConfigPath); code != 75 || !strings.Contains(errs, fmt.Sprint(w.PID())) {
		t.Errorf("a second worker: exit %d\n%s", code, errs)
	}
	if n := strings.Count(strings.Join(m.texts(), "\n"), "READY=1"); n != 1 {
		t.Errorf("ready %d times", n)
	}
}

type health struct {
	OK  bool
	Why []string
}

func readiness(t *testing.T, ctx context.Context, w *scene.Worker) (code int, h health) {
	t.Helper()
	code, body := ask(t, ctx, w, "/readyz")
	if err := json.Unmarshal([]byte(body), &h); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return code, h
}

// An outage of everything at boot is no reason not to start, and is over when it is over.
func TestOutageAtBoot(t *testing.T) {
	t.Parallel()
	ctx, s := set(t, scene.Config{NoDatabase: true, FileYAML: anyPort})
	m := listen(t, s, 0)
	if err := s.AWS.SetFaults(localstack.Fault{Operation: "*", Drop: true}); err != nil {
		t.Fatal(err)
	}
	w := work(t, ctx, s)
	m.hears(t, ctx, 0, "READY=1")
	if code, body := ask(t, ctx, w, "/healthz"); code != 200 {
		t.Errorf("/healthz says %d %s", code, body)
	}
	await(t, ctx, "the reason", func() bool {
		code, h := readiness(t, ctx, w)
		return code == 503 && !h.OK && len(h.Why) == 1 && strings.Contains(h.Why[0], "check the network to SQS")
	})
	m.hears(t, ctx, 0, "STATUS=the queue does not answer (unreachable)")
	s.AWS.SetFaults()
	send(t, ctx, s, `{"requestId":"after-the-outage"}`)
	wants(t, next(t, ctx, s).Result, messages.Succeeded, "", messages.ConsistencyFilesystem)
	await(t, ctx, "readiness", func() bool {
		code, h := readiness(t, ctx, w)
		return code == 200 && h.OK && len(h.Why) == 0
	})
}

// unsaid takes region and instance out of the file and the environment.
func unsaid(t *testing.T, s *scene.Scene) {
	t.Helper()
	text, err := os.ReadFile(s.ConfigPath)
	if err != nil {
		t.Fatal(err)
	}
	kept := regexp.MustCompile(`(?m)^(region|instance_id):.*\n`).ReplaceAll(text, nil)
	if err := os.WriteFile(s.ConfigPath, kept, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Where only the instance's metadata know who this is, and do not answer at
// boot, the worker is up, says so, and begins when they do.
func TestMetadataOutageAtBoot(t *testing.T) {
	t.Parallel()
	ctx, s := set(t, scene.Config{NoDatabase: true, FileYAML: anyPort})
	m := listen(t, s, 0)
	unsaid(t, s)
	s.AWS.SetFaults(localstack.Fault{Operation: "imds:*", Drop: true})
	w := work(t, ctx, s)
	m.hears(t, ctx, 0, "READY=1")
	await(t, ctx, "the reason", func() bool {
		code, h := readiness(t, ctx, w)
		return code == 503 && len(h.Why) == 1 && strings.Contains(h.Why[0], "set region and instance_id in the file")
	})
	m.hears(t, ctx, 0, "STATUS=not taking requests: cannot learn")
	at := time.Now()
	kill(t, w.PID(), syscall.SIGTERM)
	if code, took := ended(t, ctx, w, at); code != 0 || took > 10*time.Second {
		t.Errorf("stopped meanwhile: exit %d after %s", code, took)
	}

	w = work(t, ctx, s)
	await(t, ctx, "the question", func() bool { return strings.Contains(w.Log(), "trying again until the instance's metadata answer") })
	s.AWS.SetFaults()
	send(t, ctx, s, `{"requestId":"at-last"}`)
	wants(t, next(t, ctx, s).Result, messages.Succeeded, "", messages.ConsistencyFilesystem)
}

// start starts a program that the scene ends, should it still run then.
func start(t *testing.T, s *scene.Scene, cmd *exec.Cmd) *rig.Child {
	t.Helper()
	child, err := rig.StartChild(cmd)
	if err != nil {
		t.Fatal(err)
	}
	s.Defer("the program", func(context.Context) error {
		_ = child.Kill()
		<-child.Exited()
		return nil
	})
	return child
}

func sources(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func exitCode(err error) int {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return exit.ExitCode()
	}
	return 0
}

// lockedWriter is a buffer that may be read while a program writes to it.
type lockedWriter struct {
	mu sync.Mutex
	b  strings.Builder
}

func (w *lockedWriter) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.Write(p)
}

func (w *lockedWriter) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.b.String()
}
