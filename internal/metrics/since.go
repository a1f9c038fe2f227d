package metrics

import (
	"sync"
	"time"
)

// since is the age of a moment that may not be.
type since struct {
	mu sync.Mutex
	at time.Time
}

func (s *since) set(at time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.at = at
}

func (s *since) seconds() float64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at.IsZero() {
		return 0
	}
	return max(0, time.Since(s.at).Seconds()) // the clock may have been put back
}
