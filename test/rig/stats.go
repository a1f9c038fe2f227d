package rig

import (
	"sync"
	"time"
)

// Stall is how long one statement took.
type Stall struct {
	Writer    int
	Duration  time.Duration
	At        time.Time // when the statement was sent
	Statement string    // such as "COMMIT" or "insert ledger"
}

// WriterStats are the counts of one writer since the start of the load, and its
// longest statement since the last ResetStalls.
type WriterStats struct {
	Writer       int
	Rounds       int64 // of which each is one pass over all tables
	Transactions int64 // commits, autocommits of single statements included
	Statements   int64
	Retries      int64 // after a deadlock or a lock wait timeout
	Longest      Stall // a statement that is still running included
	Running      bool  // false once the writer has ended
}

// Stats are the counts of all writers. Longest is the longest of theirs.
type Stats struct {
	Rounds, Transactions, Statements, Retries int64
	Longest                                   Stall
	Writers                                   []WriterStats
}

// meter is one writer's book-keeping.
type meter struct {
	mu      sync.Mutex
	stats   WriterStats
	current Stall // the statement under way; At is zero when there is none
}

func (m *meter) begin(statement string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.current = Stall{Writer: m.stats.Writer, At: time.Now(), Statement: statement}
}

func (m *meter) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.current.Duration = time.Since(m.current.At)
	if m.current.Duration > m.stats.Longest.Duration {
		m.stats.Longest = m.current
	}
	m.current = Stall{}
	m.stats.Statements++
}

func (m *meter) count(change func(*WriterStats)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	change(&m.stats)
}

func (m *meter) reset() {
	m.count(func(stats *WriterStats) { stats.Longest = Stall{} })
}

func (m *meter) snapshot() WriterStats {
	m.mu.Lock()
	defer m.mu.Unlock()
	stats := m.stats
	if !m.current.At.IsZero() {
		if elapsed := time.Since(m.current.At); elapsed > stats.Longest.Duration {
			stats.Longest = m.current
			stats.Longest.Duration = elapsed
		}
	}
	return stats
}

// Stats returns the counts as they are now.
func (l *Load) Stats() Stats {
	var total Stats
	for _, w := range l.writers {
		stats := w.meter.snapshot()
		total.Rounds += stats.Rounds
		total.Transactions += stats.Transactions
		total.Statements += stats.Statements
		total.Retries += stats.Retries
		if stats.Longest.Duration > total.Longest.Duration {
			total.Longest = stats.Longest
		}
		total.Writers = append(total.Writers, stats)
	}
	return total
}

// ResetStalls forgets the longest statements. One that is under way counts in
// full when it ends, with the time before the reset.
func (l *Load) ResetStalls() {
	for _, w := range l.writers {
		w.meter.reset()
	}
}
