package soak

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// left is what is still to be settled.
type left struct {
	visible, inFlight string
	missing           int // messages without their result
	outbox, tags      int
	handling          string
}

func (l left) none() bool {
	return l.queueEmpty() && l.missing == 0 && l.outbox == 0 && l.tags == 0 && l.handling == ""
}

func (l left) queueEmpty() bool { return l.visible == "0" && l.inFlight == "0" }

func (l left) String() string {
	return fmt.Sprintf("queue %s visible and %s in flight, %d messages without a result, %d results in the outbox, tags of %d snapshots owed, in hand %q",
		l.visible, l.inFlight, l.missing, l.outbox, l.tags, l.handling)
}

// drain lets the worker end what was begun, with AWS well, and starts it once
// more, since the next start settles what one that was killed has left.
func (s *soak) drain(ctx context.Context) error {
	s.quiet.Store(true)
	if err := s.AWS.SetFaults(); err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	s.Say("the last start")
	ended := make(chan error, 1)
	stopping, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	go func() { ended <- s.keeper.end(stopping, syscall.SIGTERM) }()
	rest(ctx, 300*time.Millisecond)
	// It ends the poll under way, goes back untouched and is the next worker's.
	if err := s.put(ctx, "after SIGTERM", toReject, `{"requestId":"soak/last","plan":"no-such-plan"}`); err != nil {
		return err
	}
	if err := <-ended; err != nil {
		return err
	}
	return s.settle(ctx)
}

// settle waits until nothing is left, or nothing changes any more: then the
// audit tells what is wrong.
func (s *soak) settle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.DrainWithin)
	defer cancel()
	var last left
	changed, idle := time.Now(), 0
	for {
		now, err := s.left(ctx)
		if ctx.Err() != nil {
			s.Say("not settled after %s: %s", s.DrainWithin, last)
			return nil //nolint:nilerr // the audit tells what of it is wrong
		}
		if err != nil { // a worker that is just starting
			rest(ctx, 100*time.Millisecond)
			continue
		}
		if now.none() {
			return nil
		}
		if now != last {
			last, changed, idle = now, time.Now(), 0
		}
		if now.handling == "" && now.visible == "0" {
			idle++
		}
		switch {
		case idle > 4 && now.inFlight != "0": // hidden, and nobody works on it
			s.AWS.MoveClock(redelivery)
			idle = 0
		case time.Since(changed) > 45*time.Second:
			s.Say("nothing changes any more: %s", now)
			return nil
		}
		rest(ctx, 250*time.Millisecond)
	}
}

func (s *soak) left(ctx context.Context) (l left, err error) {
	if l.visible, l.inFlight, err = s.Depth(ctx, s.QueueURL); err != nil {
		return l, err
	}
	l.missing = len(s.ledger.missing())
	l.outbox, l.tags = len(s.state("outbox")), len(s.state("tags"))
	body, err := get(ctx, s.keeper.port, "/healthz")
	if err != nil {
		return l, err
	}
	var health struct{ Handling string }
	if err := json.Unmarshal([]byte(body), &health); err != nil {
		return l, fmt.Errorf("cannot read what /healthz says: %w", err)
	}
	l.handling = health.Handling
	return l, nil
}

// state lists the records in one folder of the journal. What a kill left
// half-written, under another name, is none.
func (s *soak) state(folder string) (files []string) {
	all, _ := filepath.Glob(filepath.Join(s.Dir, "state", folder, "*"))
	for _, f := range all {
		if !strings.HasPrefix(filepath.Base(f), ".") {
			files = append(files, f)
		}
	}
	return files
}
