package metrics

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"stillpoint/worker"
)

// quiet is a queue without messages that may be out of reach.
type quiet struct {
	worker.Queue
	down atomic.Bool
}

func (q *quiet) Receive(ctx context.Context, _ time.Duration) (*worker.Message, error) {
	if q.down.Load() {
		return nil, errors.New("no route to host")
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-time.After(20 * time.Second):
		return nil, nil
	}
}

// An outage of SQS turns /readyz after two minutes, and its end turns it back;
// the worker stays healthy throughout.
func TestReadinessThroughAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := &quiet{}
		m := New("v")
		monitor := worker.NewMonitor(m.Observer())
		loop := &worker.Loop{Queue: q, Handler: &worker.Handler{}, Monitor: monitor, Log: zerolog.Nop()}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); loop.Run(ctx) }()
		defer func() { cancel(); <-done }()
		ready := func() (int, string) {
			if code, body := get(t, m, "/healthz", monitor.Status()); code != http.StatusOK {
				t.Errorf("/healthz says %d %s", code, body)
			}
			return get(t, m, "/readyz", monitor.Status())
		}
		time.Sleep(time.Hour)
		if code, body := ready(); code != http.StatusOK {
			t.Fatalf("in good times: %d %s", code, body)
		}
		q.down.Store(true)
		turned := time.Duration(0)
		for begun := time.Now(); time.Since(begun) < 3*time.Hour; time.Sleep(5 * time.Second) {
			code, body := ready()
			switch {
			case code == http.StatusServiceUnavailable && turned == 0:
				turned = time.Since(begun)
				if !strings.Contains(body, "no route to host") || !strings.Contains(body, "check the network to SQS") {
					t.Errorf("it says %s", body)
				}
			case code == http.StatusOK && turned != 0:
				t.Fatalf("ready %s after the outage began", time.Since(begun))
			}
		}
		if turned < 100*time.Second || turned > 150*time.Second {
			t.Errorf("not ready %s after the outage began", turned)
		}
		q.down.Store(false)
		time.Sleep(90 * time.Second) // the longest wait between polls, and a poll
		if code, body := ready(); code != http.StatusOK {
			t.Errorf("after the outage: %d %s", code, body)
		}
	})
}
