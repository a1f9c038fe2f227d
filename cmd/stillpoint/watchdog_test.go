package main

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"stillpoint/cmd/stillpoint/parts"
	"stillpoint/internal/config"
	"stillpoint/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A loop that stops giving signs of life stops the meals, and nothing else
// does; when it goes on, so do they.
func TestWatchdogStarvesWithALoopThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		monitor := worker.NewMonitor(worker.Observer{})
		var mu sync.Mutex
		var meals []time.Time
		var log bytes.Buffer
		w := &watchdog{
			interval: 90 * time.Second, log: zerolog.New(&log),
			stalled: func(now time.Time) []string { return monitor.Status().Stalled(now) },
			feed: func() {
				mu.Lock()
				defer mu.Unlock()
				meals = append(meals, time.Now())
			},
		}
		since := func(at time.Time) (n int) {
			mu.Lock()
			defer mu.Unlock()
			for _, m := range meals {
				if !m.Before(at) {
					n++
				}
			}
			return n
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { w.run(ctx) })

		// The fake loop makes progress once a minute for an hour, then hangs.
		start := time.Now()
		for range 60 {
			monitor.Expect(worker.LoopRequests, "request r: lock", 2*time.Minute)
			time.Sleep(time.Minute)
		}
		if n := since(start); n < 118 || n > 122 {
			t.Errorf("%d meals in an hour, want one each 30 s", n)
		}
		time.Sleep(90 * time.Second) // its two minutes are over
		hung := time.Now()
		time.Sleep(time.Hour)
		if n := since(hung); n != 0 {
			t.Errorf("%d meals while a loop hung", n)
		}
		monitor.Expect(worker.LoopRequests, "waiting", time.Hour)
		time.Sleep(time.Minute)
		if since(hung) == 0 {
			t.Error("no meal although the loop goes on")
		}
		cancel()
		wg.Wait()
		if !strings.Contains(log.String(), "request r: lock") || strings.Count(log.String(), "a loop hangs") != 1 {
			t.Errorf("the log says %s", &log)
		}
	})
}

func TestWatchdogThatIsTooShort(t *testing.T) {
	f := config.Default()
	long := config.NewPlan("long")
	long.MySQL = config.NewMySQL()
	long.MaxHold, long.MySQL.LockTimeout = 90*time.Second, 10*time.Second
	f.Plans = map[string]*config.Plan{"short": config.NewPlan("short"), "long": long}
	for interval, warns := range map[time.Duration]string{
		0: "", 101 * time.Second: "", 100 * time.Second: "WatchdogSec=150", time.Second: "WatchdogSec=150",
	} {
		var log bytes.Buffer
		checkWatchdog(interval, f, zerolog.New(&log))
		if (log.Len() > 0) != (warns != "") || !strings.Contains(log.String(), warns) {
			t.Errorf("%s: %q", interval, &log)
		}
	}
	if got := parts.StopBudget(f); got != 160*time.Second {
		t.Errorf("a stop takes %s", got)
	}
	if got := timeoutStopSec(f); got != 180 {
		t.Errorf("TimeoutStopSec=%d", got)
	}
}

func TestSilence(t *testing.T) {
	p := config.NewPlan("p")
	p.StartWithin = 2 * time.Hour
	p.MySQL = config.NewMySQL()
	for _, stage := range []string{"look-up", "resolve", "preflight", "intent", "lock", "flush", "reconcile", "tag", "spread", "quota", "something new"} {
		if d := silence(p, stage); d < 2*time.Minute {
			t.Errorf("%s may be silent for %s only", stage, d)
		}
	}
	if d := silence(p, "spread"); d <= p.StartWithin {
		t.Errorf("the spread may take %s, and silence %s", p.StartWithin, d)
	}
	if d := silence(p, "quota"); d < 5*time.Minute || d > 10*time.Minute {
		t.Errorf("a wait at a limit of EC2's may be silent for %s", d)
	}
	if d := silence(p, "lock"); d < p.MaxHold+p.MySQL.LockTimeout+p.MySQL.LockSleep+5*time.Minute {
		t.Errorf("a try may be silent for %s", d)
	}
	if d := silence(p, "stop-applier"); d != silence(p, "lock") {
		t.Errorf("after an applier was stopped, a try may be silent for %s", d)
	}
	p.PostThaw, p.HookTimeout, p.MaxHold = []string{"/bin/true"}, time.Hour, time.Hour+15*time.Second
	if d := silence(p, "lock"); d < p.MaxHold+p.HookTimeout+5*time.Minute {
		t.Errorf("with a post_thaw that is run again after max_hold, a try may be silent for %s", d)
	}
}
