package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"stillpoint/test/rig"
)

// event is a stage's beginning or end, as the worker told it.
type event struct {
	line string // "begin lock"
	at   time.Time
}

// traced is a worker that tells its stages.
type traced struct {
	*rig.Child
	log      string
	holdFile string
	release  io.WriteCloser // descriptor 4

	mu      sync.Mutex
	events  []event
	changed chan struct{} // closed with the next event
	ended   chan struct{} // closed when the stream has ended
}

// startWorker starts a worker of the scene that tells its stages.
func (s *stand) startWorker(ctx context.Context) (*traced, error) {
	log, err := os.CreateTemp(s.scene.Dir, "worker-*.log")
	if err != nil {
		return nil, fmt.Errorf("cannot make the worker's log: %w", err)
	}
	defer func() { _ = log.Close() }()
	tell, told, err := os.Pipe() // read, write
	if err != nil {
		return nil, err
	}
	let, letting, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	cmd := s.scene.Command(context.WithoutCancel(ctx), "worker", "--config", s.scene.ConfigPath, "--log-format", "json")
	cmd.Env = append(cmd.Env, "STILLPOINT_TRACE=1", "STILLPOINT_TRACE_HOLD_FILE="+s.holdFile, "STILLPOINT_LOOKUP="+lookupDelay.String())
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, []*os.File{told, let}
	child, err := rig.StartChild(cmd)
	_ = told.Close()
	_ = let.Close()
	if err != nil {
		_ = tell.Close()
		_ = letting.Close()
		return nil, err
	}
	w := &traced{Child: child, log: log.Name(), holdFile: s.holdFile, release: letting, changed: make(chan struct{}), ended: make(chan struct{})}
	go w.read(tell)
	return w, nil
}

func (w *traced) read(tell *os.File) {
	for lines := bufio.NewScanner(tell); lines.Scan(); {
		w.mu.Lock()
		w.events = append(w.events, event{lines.Text(), time.Now()})
		close(w.changed)
		w.changed = make(chan struct{})
		w.mu.Unlock()
	}
	_ = tell.Close()
	close(w.ended)
}

// mark is a place in the stream: now.
func (w *traced) mark() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.events)
}

// since returns the events from a mark on.
func (w *traced) since(mark int) []event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]event(nil), w.events[mark:]...)
}

// await waits for a line after the mark. The error is ctx's, or that the worker has ended.
func (w *traced) await(ctx context.Context, mark int, line string) (event, error) {
	for {
		w.mu.Lock()
		for ; mark < len(w.events); mark++ {
			if w.events[mark].line == line {
				defer w.mu.Unlock()
				return w.events[mark], nil
			}
		}
		changed := w.changed
		w.mu.Unlock()
		select {
		case <-changed:
		case <-w.ended:
			return event{}, fmt.Errorf("the worker ended before %q", line)
		case <-ctx.Done():
			return event{}, fmt.Errorf("no %q: %w", line, context.Cause(ctx))
		}
	}
}

// hold makes the worker wait at a line from now on; "" at none.
func (w *traced) hold(line string) error { return os.WriteFile(w.holdFile, []byte(line), 0o600) }

// proceed lets a worker go on that waits at a line, and at no further one.
func (w *traced) proceed() error {
	if err := w.hold(""); err != nil {
		return err
	}
	_, err := w.release.Write([]byte{1})
	return err
}

// alive says that the worker has not ended.
func (w *traced) alive() bool {
	select {
	case <-w.Exited():
		return false
	default:
		return true
	}
}

// text is what the worker has logged, from an offset on.
func (w *traced) text(from int) string {
	b, err := os.ReadFile(w.log)
	if err != nil {
		return err.Error()
	}
	return string(b[min(from, len(b)):])
}

// stageLengths keeps how long each stage usually takes.
type stageLengths map[string]time.Duration

// learn takes in what a worker told.
func (l stageLengths) learn(events []event) {
	begun := map[string]time.Time{}
	for _, e := range events {
		what, name, _ := strings.Cut(e.line, " ")
		if what == "begin" {
			begun[name] = e.at
			continue
		}
		if at, ok := begun[name]; ok {
			took := e.at.Sub(at)
			if old, ok := l[name]; ok {
				took = (3*old + took) / 4
			}
			l[name] = took
			delete(begun, name)
		}
	}
}

// of is the usual length, and a few milliseconds where nothing is known.
func (l stageLengths) of(name string) time.Duration {
	if d, ok := l[name]; ok {
		return d
	}
	return 3 * time.Millisecond
}
