package main

import (
	"fmt"
	"io"
	"sync"
	"time"
)

// logBuffer takes log lines without ever waiting for the writer behind it.
// Lines that find it full are dropped and counted. (zerolog's diode would do
// the same, but polls ten times a second, and its Close waits for the writer.)
type logBuffer struct {
	lines chan []byte
	done  chan struct{}
	once  sync.Once

	mu      sync.Mutex
	closed  bool
	dropped int
}

const (
	logBufferLines = 4096
	logFlushWait   = 2 * time.Second
)

func newLogBuffer(w io.Writer) *logBuffer {
	b := &logBuffer{lines: make(chan []byte, logBufferLines), done: make(chan struct{})}
	go func() {
		defer close(b.done)
		for line := range b.lines {
			_, _ = w.Write(line)
			if n := b.takeDropped(); n > 0 {
				_, _ = fmt.Fprintf(w, "{\"level\":\"warn\",\"message\":\"%d log lines were dropped\"}\n", n)
			}
		}
	}()
	return b
}

func (b *logBuffer) takeDropped() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := b.dropped
	b.dropped = 0
	return n
}

// Write never blocks and never fails.
func (b *logBuffer) Write(p []byte) (int, error) {
	line := append(make([]byte, 0, len(p)), p...)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return len(p), nil
	}
	select {
	case b.lines <- line:
	default:
		b.dropped++
	}
	return len(p), nil
}

// Close waits a little for what is buffered; a writer that is stuck is left behind.
func (b *logBuffer) Close() error {
	b.once.Do(func() {
		b.mu.Lock()
		b.closed = true
		close(b.lines)
		b.mu.Unlock()
	})
	select {
	case <-b.done:
	case <-time.After(logFlushWait):
	}
	return nil
}
