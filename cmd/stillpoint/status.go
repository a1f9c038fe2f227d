package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"stillpoint/worker"
)

// teller keeps the service manager's status line. It stands beside the
// window: what happens there only leaves a mark for it.
type teller struct {
	monitor *worker.Monitor
	manager *manager
	frozen  atomic.Bool
	poke    chan struct{}
}

func newTeller(monitor *worker.Monitor, m *manager) *teller {
	return &teller{monitor: monitor, manager: m, poke: make(chan struct{}, 1)}
}

// setFrozen never waits.
func (t *teller) setFrozen(on bool) {
	t.frozen.Store(on)
	select {
	case t.poke <- struct{}{}:
	default:
	}
}

// tellEvery bounds how often the status is told.
const tellEvery = 100 * time.Millisecond

// run tells each change until ctx ends.
func (t *teller) run(ctx context.Context) {
	last := ""
	for {
		if now := statusLine(t.monitor.Status(), t.frozen.Load(), time.Now()); now != last {
			t.manager.status(now)
			last = now
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(tellEvery):
		}
		select {
		case <-ctx.Done():
			return
		case <-t.monitor.Changed():
		case <-t.poke:
		}
	}
}

// statusLine is what a person reads in `systemctl status`.
func statusLine(s worker.Status, frozen bool, now time.Time) string {
	doing := s.Loops[worker.LoopRequests].Doing
	switch {
	case frozen:
		return fmt.Sprintf("request %s: writes blocked: waiting for EC2", shortened(s.Handling))
	case s.Handling != "":
		return fmt.Sprintf("request %s: %s", shortened(s.Handling), doing)
	case s.InHand:
		return doing
	case s.NotPolling != "":
		return "not taking requests: " + s.NotPolling
	case s.PollError != "":
		return fmt.Sprintf("the queue does not answer (%s): trying again", s.PollError)
	}
	text := "idle, no success yet"
	if at := s.LastSuccess.UTC(); !s.LastSuccess.IsZero() {
		layout := "15:04 UTC"
		if now.Sub(at) > 20*time.Hour {
			layout = "2006-01-02 15:04 UTC"
		}
		text = "idle, last success " + at.Format(layout)
	}
	if s.Outbox > 0 {
		text += fmt.Sprintf(", %d of the results wait for SNS", s.Outbox)
	}
	return text
}

// shortened keeps the status line one line: a request id may have 256 characters.
func shortened(id string) string {
	if len(id) > 60 {
		return id[:57] + "..."
	}
	return id
}
