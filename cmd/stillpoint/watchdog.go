package main

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/rs/zerolog"

	"stillpoint/cmd/stillpoint/parts"
	"stillpoint/internal/config"
)

// watchdog tells the service manager that the worker is alive, for as long as
// every loop gives its signs of life in time. It is a goroutine of its own:
// what is inside the window neither feeds it nor waits for it.
type watchdog struct {
	// interval is the service manager's; zero: there is none.
	interval time.Duration
	stalled  func(now time.Time) []string
	feed     func()
	log      zerolog.Logger
}

// watchdogInterval is WatchdogSec of the unit; zero: none.
func watchdogInterval(log zerolog.Logger) time.Duration {
	d, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn().Err(err).Msg("cannot read WATCHDOG_USEC: there is no watchdog")
	}
	return d
}

// run feeds until ctx ends. Three meals fit into an interval, so that one may come late.
func (w *watchdog) run(ctx context.Context) {
	if w.interval <= 0 {
		return
	}
	t := time.NewTicker(max(w.interval/3, time.Millisecond))
	defer t.Stop()
	hungry := false
	for {
		why := w.stalled(time.Now())
		switch {
		case len(why) == 0:
			if hungry {
				w.log.Info().Msg("every loop gives signs of life again")
			}
			hungry = false
			w.feed()
		case !hungry:
			hungry = true
			w.log.Error().Strs("why", why).Msg("a loop hangs: the watchdog is not fed any more, and the service manager will restart the worker")
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// watchdogBeyond is how much longer than the longest window WatchdogSec is to
// be, so that a host under load does not have its worker killed inside it.
const watchdogBeyond = 30 * time.Second

// checkWatchdog warns of an interval that might end the worker inside a window.
func checkWatchdog(interval time.Duration, f *config.File, log zerolog.Logger) {
	longest, plan := parts.LongestWindow(f)
	if interval == 0 || interval > longest {
		return
	}
	log.Warn().Str("plan", plan).Str("watchdog_sec", interval.String()).Str("longest_window", longest.String()).
		Msgf("WatchdogSec is shorter than writes may be blocked, so that a worker on a busy host could be killed inside the window: set WatchdogSec=%d in the unit, or lower max_hold",
			int(roundUp(longest+watchdogBeyond, 30*time.Second)/time.Second))
}

func roundUp(d, to time.Duration) time.Duration {
	if over := d % to; over > 0 {
		d += to - over
	}
	return d
}
