package metrics

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"stillpoint/messages"
	"stillpoint/worker"
)

func get(t *testing.T, m *Metrics, path string, s worker.Status) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler(func() worker.Status { return s }).ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	b, err := io.ReadAll(w.Body)
	if err != nil {
		t.Fatal(err)
	}
	return w.Code, string(b)
}

// samples are the program's own, by name and labels.
func samples(t *testing.T, m *Metrics) map[string]string {
	t.Helper()
	code, body := get(t, m, "/metrics", worker.Status{})
	if code != http.StatusOK {
		t.Fatal(code, body)
	}
	out := map[string]string{}
	for s := bufio.NewScanner(strings.NewReader(body)); s.Scan(); {
		if line := s.Text(); strings.HasPrefix(line, "stillpoint_") {
			i := strings.LastIndexByte(line, ' ')
			out[line[:i]] = line[i+1:]
		}
	}
	return out
}

func result(s messages.Status, r messages.Reason) *messages.Result {
	return &messages.Result{
		Status: s, Reason: r, Plan: "nightly", Source: messages.SourceSQS, AttemptID: "a-1", FinishedAt: time.Unix(1700000000, 500e6),
		Timings: messages.Timings{WritesBlocked: 212, LockWait: 12, Frozen: 180},
		Stages:  []messages.Stage{{Name: "freeze", DurationMS: 1.5}, {Name: "snapshot", DurationMS: 170}},
	}
}

func TestEveryMetricOfTheContract(t *testing.T) {
	m := New("1.2.3")
	o := m.Observer()
	o.Finished(result(messages.Succeeded, ""))
	o.Duplicate()
	o.LeaseLost()
	o.ReceiveError("timeout")
	o.Outbox(2, time.Now().Add(-time.Minute))
	m.EC2Error("CreateSnapshots", "InternalError")
	m.Frozen(true)
	got := samples(t, m)
	for sample, want := range map[string]string{
		`stillpoint_requests_total{plan="nightly",source="sqs",status="succeeded"}`:     "1",
		`stillpoint_writes_blocked_seconds_sum{plan="nightly"}`:                         "0.212",
		`stillpoint_writes_blocked_seconds_bucket{plan="nightly",le="0.2"}`:             "0",
		`stillpoint_writes_blocked_seconds_bucket{plan="nightly",le="0.3"}`:             "1",
		`stillpoint_lock_wait_seconds_sum{plan="nightly"}`:                              "0.012",
		`stillpoint_frozen_seconds_sum{plan="nightly"}`:                                 "0.18",
		`stillpoint_stage_seconds_sum{plan="nightly",stage="freeze"}`:                   "0.0015",
		`stillpoint_stage_seconds_count{plan="nightly",stage="snapshot"}`:               "1",
		`stillpoint_last_success_timestamp_seconds{plan="nightly"}`:                     "1.7000000005e+09",
		`stillpoint_lease_lost_total`:                                                   "1",
		`stillpoint_receive_errors_total{code="timeout"}`:                               "1",
		`stillpoint_ec2_errors_total{code="InternalError",operation="CreateSnapshots"}`: "1",
		`stillpoint_duplicates_suppressed_total`:                                        "1",
		`stillpoint_outbox_entries`:                                                     "2",
		`stillpoint_frozen`:                                                             "1",
		`stillpoint_build_info{version="1.2.3"}`:                                        "1",
	} {
		if got[sample] != want {
			t.Errorf("%s is %q, want %s", sample, got[sample], want)
		}
	}
	var age float64
	if _, err := fmt.Sscan(got["stillpoint_outbox_oldest_age_seconds"], &age); err != nil || age < 60 || age > 70 {
		t.Errorf("the oldest is %v s old, %v", age, err)
	}
	m.Frozen(false)
	o.Outbox(0, time.Time{})
	got = samples(t, m)
	if got["stillpoint_frozen"] != "0" || got["stillpoint_outbox_oldest_age_seconds"] != "0" {
		t.Errorf("afterwards: %v", got)
	}
}

// What did not happen is not observed, and what does not count does not.
func TestWhatCounts(t *testing.T) {
	noDB := result(messages.Succeeded, "")
	noDB.Timings.LockWait = 0
	noFreeze := result(messages.Succeeded, "")
	noFreeze.Timings.Frozen = 0
	dry := result(messages.Succeeded, "")
	dry.DryRun = true
	for name, tc := range map[string]struct {
		r                              *messages.Result
		blocked, wait, frozen, success bool
	}{
		"succeeded":    {result(messages.Succeeded, ""), true, true, true, true},
		"inconsistent": {result(messages.Inconsistent, messages.ReasonThawedEarly), true, true, true, false},
		"failed":       {result(messages.Failed, messages.ReasonFreezeFailed), true, true, true, false},
		"no database":  {noDB, true, false, true, true},
		"no freeze":    {noFreeze, true, true, false, true},
		"dry run":      {dry, false, false, false, false},
	} {
		m := New("v")
		m.Observer().Finished(tc.r)
		got := samples(t, m)
		for sample, want := range map[string]bool{
			`stillpoint_writes_blocked_seconds_count{plan="nightly"}`:   tc.blocked,
			`stillpoint_lock_wait_seconds_count{plan="nightly"}`:        tc.wait,
			`stillpoint_frozen_seconds_count{plan="nightly"}`:           tc.frozen,
			`stillpoint_last_success_timestamp_seconds{plan="nightly"}`: tc.success,
		} {
			if _, ok := got[sample]; ok != want {
				t.Errorf("%s: %s is there: %v", name, sample, ok)
			}
		}
	}
}

// A thousand hostile messages make no more labels than one.
func TestMessagesMakeNoLabels(t *testing.T) {
	m := New("v")
	var before int
	for i := range 1000 {
		for _, r := range []*messages.Result{
			{Status: messages.Rejected, Reason: messages.ReasonUnknownPlan},
			{Status: messages.Rejected, Reason: messages.ReasonConflict, AttemptID: "a"},
			{Status: messages.Failed, Reason: messages.ReasonInternal}, // the journal could not be read
		} {
			r.Source, r.RequestID, r.Plan = messages.SourceSQS, fmt.Sprint("r-", i), fmt.Sprint("plan-", i)
			r.Stages = []messages.Stage{{Name: fmt.Sprint("stage-", i)}}
			m.Observer().Finished(r)
		}
		if i == 0 {
			before = len(samples(t, m))
		}
	}
	if after := len(samples(t, m)); after != before {
		t.Errorf("%d samples became %d", before, after)
	}
}

func TestLastSuccessBeforeThisStart(t *testing.T) {
	m := New("v")
	m.LastSuccess("never", time.Time{})
	m.LastSuccess("nightly", time.Unix(1600000000, 0))
	want := map[string]string{`stillpoint_last_success_timestamp_seconds{plan="nightly"}`: "1.6e+09"}
	got := samples(t, m)
	for k := range got {
		if !strings.Contains(k, "last_success") {
			delete(got, k)
		}
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// What a dead run owed is settled after a newer success, and a clock that was
// wrong for a moment must not silence the alarm on the absence of success.
func TestTheLastSuccessIsTheNewest(t *testing.T) {
	m := New("v")
	now := time.Now().Truncate(time.Second)
	for _, step := range []struct{ told, want time.Time }{
		{now.Add(-time.Hour), now.Add(-time.Hour)},
		{now.Add(-2 * time.Hour), now.Add(-time.Hour)},
		{now.Add(24 * time.Hour), now.Add(24 * time.Hour)},
		{now, now},
	} {
		m.LastSuccess("nightly", step.told)
		got, err := m.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range got {
			if f.GetName() == "stillpoint_last_success_timestamp_seconds" && f.GetMetric()[0].GetGauge().GetValue() != float64(step.want.Unix()) {
				t.Errorf("after %s: %s", step.told, f)
			}
		}
	}
}

func TestHealth(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		now := time.Now()
		ok := worker.Status{LastPoll: now}
		with := func(f func(*worker.Status)) worker.Status { s := ok; f(&s); return s }
		for name, tc := range map[string]struct {
			s     worker.Status
			ready bool
			says  string
		}{
			"fine":                {ok, true, ""},
			"not polled yet":      {worker.Status{PollError: "AccessDenied"}, false, "allow sqs:ReceiveMessage"},
			"no answer ever":      {worker.Status{PollError: "unreachable", PollDetail: "no route to host"}, false, "no route to host"},
			"not identified":      {worker.Status{NotPolling: "set instance_id"}, false, "set instance_id"},
			"just handled":        {with(func(s *worker.Status) { s.LastPoll, s.HandledAt = now.Add(-time.Hour), now }), true, ""},
			"polled two min ago":  {with(func(s *worker.Status) { s.LastPoll = now.Add(-2 * time.Minute) }), true, ""},
			"polled long ago":     {with(func(s *worker.Status) { s.LastPoll = now.Add(-2*time.Minute - 1) }), false, "queue has not answered"},
			"busy for long":       {with(func(s *worker.Status) { s.LastPoll, s.Handling = now.Add(-time.Hour), "r-1" }), true, ""},
			"journal":             {with(func(s *worker.Status) { s.JournalError = "no space" }), false, "no space"},
			"outbox for a while":  {with(func(s *worker.Status) { s.Outbox, s.OutboxOldest = 1, now.Add(-15*time.Minute) }), true, ""},
			"outbox for too long": {with(func(s *worker.Status) { s.Outbox, s.OutboxOldest = 1, now.Add(-16*time.Minute) }), false, "wait for SNS"},
			"outbox empty":        {with(func(s *worker.Status) { s.OutboxOldest = now.Add(-time.Hour) }), true, ""},
		} {
			m := New("v")
			if code, body := get(t, m, "/healthz", tc.s); code != http.StatusOK {
				t.Errorf("%s: /healthz says %d %s", name, code, body)
			}
			code, body := get(t, m, "/readyz", tc.s)
			var a struct {
				OK  bool
				Why []string
			}
			if err := json.Unmarshal([]byte(body), &a); err != nil || a.Why == nil {
				t.Errorf("%s: %v in %s", name, err, body)
			}
			if (code == http.StatusOK) != tc.ready || a.OK != tc.ready || !strings.Contains(body, tc.says) || (len(a.Why) == 0) != tc.ready {
				t.Errorf("%s: /readyz says %d %s", name, code, body)
			}
		}
	})
}

// A loop that hangs is unhealthy and not ready, whatever it has in hand.
func TestHealthOfALoopThatHangs(t *testing.T) {
	now := time.Now()
	s := worker.Status{LastPoll: now, Handling: "r-1", Loops: map[string]worker.Mark{
		worker.LoopRequests: {Doing: "request r-1: settle", Until: now.Add(-time.Minute)},
		worker.LoopOutbox:   {Doing: "waiting", Until: now.Add(time.Minute)},
	}}
	for _, path := range []string{"/healthz", "/readyz"} {
		code, body := get(t, New("v"), path, s)
		if code != http.StatusServiceUnavailable || !strings.Contains(body, "requests loop hangs (request r-1: settle") || strings.Contains(body, "outbox loop") {
			t.Errorf("%s says %d %s", path, code, body)
		}
	}
}

func TestOtherPaths(t *testing.T) {
	if code, _ := get(t, New("v"), "/debug/pprof/", worker.Status{}); code != http.StatusNotFound {
		t.Errorf("it is %d", code)
	}
	w := httptest.NewRecorder()
	New("v").Handler(func() worker.Status { return worker.Status{} }).ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/metrics", nil))
	if w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST is %d", w.Code)
	}
}
