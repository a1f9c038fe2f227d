// Package metrics shows the worker to Prometheus and to health checks.
package metrics

import (
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"stillpoint/messages"
	"stillpoint/worker"
)

// Metrics are the contract's, on a registry of their own.
type Metrics struct {
	registry    *prometheus.Registry
	requests    *prometheus.CounterVec
	blocked     *prometheus.HistogramVec
	lockWait    *prometheus.HistogramVec
	frozen      *prometheus.HistogramVec
	stage       *prometheus.HistogramVec
	lastSuccess *prometheus.GaugeVec
	leaseLost   prometheus.Counter
	receive     *prometheus.CounterVec
	ec2         *prometheus.CounterVec
	duplicates  prometheus.Counter
	entries     prometheus.Gauge
	oldest      prometheus.GaugeFunc
	oldestAt    *since
	held        prometheus.Gauge

	mu        sync.Mutex
	successes map[string]time.Time // by plan
}

// windowBuckets are seconds: what is ours in the window is milliseconds, EC2's
// answer a fraction of a second, and max_hold its end.
var windowBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .2, .3, .5, .75, 1, 2, 5, 10, 20, 45, 90}

// New makes them.
func New(version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), oldestAt: &since{}, successes: map[string]time.Time{}}
	histogram := func(name, help string, labels ...string) *prometheus.HistogramVec {
		return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name, Help: help, Buckets: windowBuckets}, labels)
	}
	m.requests = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "stillpoint_requests_total", Help: "Requests by how they ended."}, []string{"plan", "source", "status"})
	m.blocked = histogram("stillpoint_writes_blocked_seconds", "From the start of the winning lock try to the unlock.", "plan")
	m.lockWait = histogram("stillpoint_lock_wait_seconds", "How long the winning try waited for its lock.", "plan")
	m.frozen = histogram("stillpoint_frozen_seconds", "From the start of the freeze to the end of the thaw.", "plan")
	m.stage = histogram("stillpoint_stage_seconds", "How long each stage took.", "plan", "stage")
	m.lastSuccess = prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "stillpoint_last_success_timestamp_seconds", Help: "When the plan last succeeded; kept over restarts."}, []string{"plan"})
	m.leaseLost = prometheus.NewCounter(prometheus.CounterOpts{Name: "stillpoint_lease_lost_total", Help: "Messages that stopped being ours while we worked on them."})
	m.receive = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "stillpoint_receive_errors_total", Help: "Polls that failed."}, []string{"code"})
	m.ec2 = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "stillpoint_ec2_errors_total", Help: "EC2 calls that failed."}, []string{"operation", "code"})
	m.duplicates = prometheus.NewCounter(prometheus.CounterOpts{Name: "stillpoint_duplicates_suppressed_total", Help: "Finished requests that were delivered again and not run again."})
	m.entries = prometheus.NewGauge(prometheus.GaugeOpts{Name: "stillpoint_outbox_entries", Help: "Results that wait for SNS."})
	m.oldest = prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "stillpoint_outbox_oldest_age_seconds", Help: "How long the oldest of them has waited."}, m.oldestAt.seconds)
	m.held = prometheus.NewGauge(prometheus.GaugeOpts{Name: "stillpoint_frozen", Help: "1 while file systems are frozen."})
	build := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "stillpoint_build_info", Help: "1, with the version."}, []string{"version"})
	build.WithLabelValues(version).Set(1)
	m.registry.MustRegister(m.requests, m.blocked, m.lockWait, m.frozen, m.stage, m.lastSuccess, m.leaseLost, m.receive, m.ec2,
		m.duplicates, m.entries, m.oldest, m.held, build, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Observer feeds the metrics from the worker.
func (m *Metrics) Observer() worker.Observer {
	return worker.Observer{
		Finished:     m.finished,
		Duplicate:    m.duplicates.Inc,
		LeaseLost:    m.leaseLost.Inc,
		ReceiveError: func(code string) { m.receive.WithLabelValues(code).Inc() },
		Outbox: func(entries int, oldest time.Time) {
			m.entries.Set(float64(entries))
			m.oldestAt.set(oldest)
		},
	}
}

// EC2Error counts an EC2 call that failed; code is "" where there was no answer.
func (m *Metrics) EC2Error(operation, code string) {
	if code == "" {
		code = "unreachable"
	}
	m.ec2.WithLabelValues(operation, code).Inc()
}

// Frozen says whether file systems are frozen now. It takes no lock that
// anything slow holds, so that it may be called inside the window.
func (m *Metrics) Frozen(on bool) {
	if on {
		m.held.Set(1)
	} else {
		m.held.Set(0)
	}
}

// LastSuccess tells of a success, also of one that was before this start; zero:
// none. One that is older than what is known changes nothing, unless that is
// ahead of the clock.
func (m *Metrics) LastSuccess(plan string, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if known := m.successes[plan]; at.IsZero() || !at.After(known) && !known.After(time.Now()) {
		return
	}
	m.successes[plan] = at
	m.lastSuccess.WithLabelValues(plan).Set(float64(at.UnixMilli()) / 1000)
}

func (m *Metrics) finished(r *messages.Result) {
	plan := r.Plan
	// A message must not be able to make labels: what was rejected, or was not
	// looked at because the journal could not be used, has the message's word for its plan.
	unchecked := r.Status == messages.Rejected || r.Reason == messages.ReasonInternal && r.AttemptID == ""
	if unchecked {
		plan = ""
	}
	m.requests.WithLabelValues(plan, string(r.Source), string(r.Status)).Inc()
	if unchecked || r.DryRun {
		return
	}
	for _, s := range r.Stages {
		m.stage.WithLabelValues(plan, s.Name).Observe(s.DurationMS / 1000)
	}
	observe := func(h *prometheus.HistogramVec, ms float64) {
		if ms > 0 { // else it did not happen
			h.WithLabelValues(plan).Observe(ms / 1000)
		}
	}
	observe(m.blocked, r.Timings.WritesBlocked)
	observe(m.lockWait, r.Timings.LockWait)
	observe(m.frozen, r.Timings.Frozen)
	if r.Status == messages.Succeeded {
		m.LastSuccess(plan, r.FinishedAt)
	}
}

// Handler serves /metrics, /healthz (every loop gives signs of life) and /readyz
// (requests can be taken, and results get out).
func (m *Metrics) Handler(status func() worker.Status) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		s := status()
		answer(w, s.Stalled(time.Now()), s)
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		s := status()
		answer(w, unready(s, time.Now()), s)
	})
	return mux
}
