package e2e

import (
	"bufio"
	"strings"
	"syscall"
	"testing"

	"stillpoint/localstack"
	"stillpoint/messages"
	"stillpoint/test/scene"
)

// contractMetrics are the contract's names, with their types and labels.
var contractMetrics = map[string]struct {
	kind   string
	labels []string
}{
	"stillpoint_requests_total":                 {"counter", []string{"plan", "source", "status"}},
	"stillpoint_writes_blocked_seconds":         {"histogram", []string{"plan"}},
	"stillpoint_lock_wait_seconds":              {"histogram", []string{"plan"}},
	"stillpoint_frozen_seconds":                 {"histogram", []string{"plan"}},
	"stillpoint_stage_seconds":                  {"histogram", []string{"plan", "stage"}},
	"stillpoint_last_success_timestamp_seconds": {"gauge", []string{"plan"}},
	"stillpoint_lease_lost_total":               {"counter", nil},
	"stillpoint_receive_errors_total":           {"counter", []string{"code"}},
	"stillpoint_ec2_errors_total":               {"counter", []string{"operation", "code"}},
	"stillpoint_duplicates_suppressed_total":    {"counter", nil},
	"stillpoint_outbox_entries":                 {"gauge", nil},
	"stillpoint_outbox_oldest_age_seconds":      {"gauge", nil},
	"stillpoint_frozen":                         {"gauge", nil},
	"stillpoint_build_info":                     {"gauge", []string{"version"}},
}

// scraped is what /metrics says: each family's type, and the samples.
func scraped(t *testing.T, body string) (kinds map[string]string, samples map[string]string) {
	t.Helper()
	kinds, samples = map[string]string{}, map[string]string{}
	for lines := bufio.NewScanner(strings.NewReader(body)); lines.Scan(); {
		line := lines.Text()
		if f := strings.Fields(line); len(f) == 4 && f[1] == "TYPE" {
			kinds[f[2]] = f[3]
		} else if i := strings.LastIndexByte(line, ' '); strings.HasPrefix(line, "stillpoint_") {
			samples[line[:i]] = line[i+1:]
		}
	}
	return kinds, samples
}

// Every metric of the contract, with its type and labels, from a worker that
// has seen requests end in several ways.
func TestMetricsOfARunningWorker(t *testing.T) {
	t.Parallel()
	ctx, s := set(t, scene.Config{FileYAML: anyPort})
	w := work(t, ctx, s)
	send(t, ctx, s, `{"requestId":"good"}`)
	first := next(t, ctx, s).Result
	wants(t, first, messages.Succeeded, "", messages.ConsistencyApplication)
	send(t, ctx, s, `{"requestId":"good"}`) // a duplicate
	if again := next(t, ctx, s).Result; again.EventID != first.EventID {
		t.Errorf("the duplicate is another event: %s", again.EventID)
	}
	send(t, ctx, s, `{"plan":"hostile-label"}`)
	wants(t, next(t, ctx, s).Result, messages.Rejected, messages.ReasonUnknownPlan, messages.ConsistencyNone)

	s.AWS.SetFaults(localstack.Fault{Operation: "ec2:CreateSnapshots", Skip: 1, Code: "SnapshotCreationPerVolumeRateExceeded", Times: 1},
		localstack.Fault{Operation: "sqs:ReceiveMessage", Code: "InternalError", Status: 500})
	send(t, ctx, s, `{"requestId":"slow-down"}`)
	counted := func(sample string) func() bool {
		return func() bool {
			_, body := ask(t, ctx, w, "/metrics")
			_, samples := scraped(t, body)
			return samples[sample] != "" && samples[sample] != "0"
		}
	}
	await(t, ctx, "a failed poll", counted(`stillpoint_receive_errors_total{code="InternalError"}`))
	s.AWS.SetFaults(localstack.Fault{Operation: "ec2:CreateSnapshots", Skip: 1, Code: "SnapshotCreationPerVolumeRateExceeded", Times: 1})
	await(t, ctx, "an error of EC2", counted(`stillpoint_ec2_errors_total{code="SnapshotCreationPerVolumeRateExceeded",operation="CreateSnapshots"}`))

	s.AWS.SetFaults(localstack.Fault{Operation: "sqs:ChangeMessageVisibility", Code: "MessageNotInflight"})
	send(t, ctx, s, `{"requestId":"lost-lease"}`)
	await(t, ctx, "a lost lease", counted(`stillpoint_lease_lost_total`))

	s.AWS.SetFaults(localstack.Fault{Operation: "sns:Publish", Code: "InternalError", Status: 500})
	send(t, ctx, s, `{"requestId":"unheard"}`)
	await(t, ctx, "a result in the outbox", counted(`stillpoint_outbox_entries`))
	await(t, ctx, "its age", counted(`stillpoint_outbox_oldest_age_seconds`))

	_, body := ask(t, ctx, w, "/metrics")
	kinds, samples := scraped(t, body)
	for name, want := range contractMetrics {
		if kinds[name] != want.kind {
			t.Errorf("%s is a %q, want %s", name, kinds[name], want.kind)
		}
		sample := ""
		for k := range samples {
			if base, _, _ := strings.Cut(k, "{"); base == name || base == name+"_count" {
				sample = k
			}
		}
		if sample == "" {
			t.Errorf("%s has no samples", name)
			continue
		}
		_, labels, _ := strings.Cut(sample, "{")
		for _, l := range want.labels {
			if !strings.Contains(labels, l+`="`) {
				t.Errorf("%s lacks the label %s", sample, l)
			}
		}
		if n := strings.Count(labels, `="`); n != len(want.labels) {
			t.Errorf("%s has %d labels, want %v", sample, n, want.labels)
		}
	}
	for name := range kinds {
		if _, ok := contractMetrics[name]; strings.HasPrefix(name, "stillpoint_") && !ok {
			t.Errorf("%s is not in the contract", name)
		}
	}
	for sample, want := range map[string]string{
		`stillpoint_requests_total{plan="nightly",source="sqs",status="succeeded"}`: "",
		`stillpoint_requests_total{plan="",source="sqs",status="rejected"}`:         "1",
		`stillpoint_duplicates_suppressed_total`:                                    "1",
		`stillpoint_frozen`:                                                         "0",
		`stillpoint_stage_seconds_count{plan="nightly",stage="freeze"}`:             "",
	} {
		if got := samples[sample]; got == "" || got == "0" && want != "0" || want != "" && got != want {
			t.Errorf("%s is %q, want %q", sample, got, want)
		}
	}
	if strings.Contains(body, "hostile-label") {
		t.Error("a message has made a label")
	}

	// The last success is kept over a restart.
	last := samples[`stillpoint_last_success_timestamp_seconds{plan="nightly"}`]
	kill(t, w.PID(), syscall.SIGKILL)
	<-w.Exited()
	w = work(t, ctx, s)
	_, body = ask(t, ctx, w, "/metrics")
	if _, samples = scraped(t, body); last == "" || samples[`stillpoint_last_success_timestamp_seconds{plan="nightly"}`] < last {
		t.Errorf("the last success was %s and is %q after a restart", last, samples[`stillpoint_last_success_timestamp_seconds{plan="nightly"}`])
	}
}
