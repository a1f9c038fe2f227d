package soak

import (
	"context"
	"fmt"
	"sync"
	"time"

	"stillpoint/test/scene"
)

// stall is a write that took long.
type stall struct{ from, to time.Time }

func (s stall) took() time.Duration { return s.to.Sub(s.from) }

// beat is a client that writes a row all the time, and notes what took long.
type beat struct {
	mu     sync.Mutex
	since  time.Time // of the write under way
	writes int
	stalls []stall // of more than notable
	err    error
}

// notable is from where on a write is kept.
const notable = 250 * time.Millisecond

func startBeat(ctx context.Context, s *scene.Scene) (*beat, error) {
	for _, q := range []string{
		"CREATE DATABASE IF NOT EXISTS soak", "CREATE TABLE soak.beat (id INT PRIMARY KEY, n BIGINT) ENGINE=InnoDB", "INSERT INTO soak.beat VALUES (1, 0)",
	} {
		if _, err := s.Server.DB().ExecContext(ctx, q); err != nil {
			return nil, fmt.Errorf("cannot prepare the writing client: %w", err)
		}
	}
	b := &beat{}
	life, stop := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for rest(life, 20*time.Millisecond) {
			from := time.Now()
			b.begin(from)
			_, err := s.Server.DB().ExecContext(life, "UPDATE soak.beat SET n = n + 1")
			b.end(stall{from, time.Now()}, err, life.Err() != nil)
		}
	}()
	s.Defer("the writing client", func(context.Context) error { stop(); <-done; return nil })
	return b, nil
}

func (b *beat) begin(at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.since = at
}

func (b *beat) end(s stall, err error, stopping bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.since = time.Time{}
	if stopping {
		return
	}
	if err != nil && b.err == nil {
		b.err = err
	}
	b.writes++
	if s.took() > notable {
		b.stalls = append(b.stalls, s)
	}
}

// blocked is for how long the write under way has waited; zero where none has for long.
func (b *beat) blocked() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.since.IsZero() {
		return 0
	}
	return time.Since(b.since)
}

// read returns what was noted, with the write that is still under way.
func (b *beat) read() (stalls []stall, writes int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	stalls = append(stalls, b.stalls...)
	if now := time.Now(); !b.since.IsZero() && now.Sub(b.since) > notable {
		stalls = append(stalls, stall{b.since, now})
	}
	return stalls, b.writes, b.err
}
