package main

import (
	"sync"
	"time"
)

// span is one operation of a client that writes.
type span struct{ begun, ended time.Time }

// meter keeps what a writing client went through.
type meter struct {
	mu      sync.Mutex
	current time.Time // when the operation under way began; zero: none
	last    time.Time // when the last one that was completed began
	long    []span    // those that took noticeably long
	err     error
}

// noticeable is from when on an operation is kept.
const noticeable = time.Millisecond

func (m *meter) begin(at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.current = at
}

func (m *meter) end(at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if at.Sub(m.current) >= noticeable {
		m.long = append(m.long, span{m.current, at})
	}
	m.last, m.current = m.current, time.Time{}
}

func (m *meter) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err == nil {
		m.err = err
	}
}

// flowed says that an operation that began after a moment was completed.
func (m *meter) flowed(after time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.last.After(after)
}

// stall is the longest wait from a moment on: of operations that were under way
// then, only what came after counts.
func (m *meter) stall(from time.Time) (longest time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := m.long
	if !m.current.IsZero() {
		all = append(all[:len(all):len(all)], span{m.current, time.Now()})
	}
	for _, s := range all {
		if s.ended.After(from) {
			begun := s.begun
			if from.After(begun) {
				begun = from
			}
			longest = max(longest, s.ended.Sub(begun))
		}
	}
	return longest
}

// forget drops what ended before a moment.
func (m *meter) forget(before time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	kept := m.long[:0]
	for _, s := range m.long {
		if s.ended.After(before) {
			kept = append(kept, s)
		}
	}
	m.long = kept
}

func (m *meter) failed() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}
