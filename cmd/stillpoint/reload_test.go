package main

import (
	"errors"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/rs/zerolog"

	"stillpoint/internal/config"
	"stillpoint/worker"
)

const fileForReload = `queue_url: https://sqs.eu-west-1.amazonaws.com/111122223333/q
topic_arn: arn:aws:sns:eu-west-1:111122223333:t
default_plan: nightly
plans:
  nightly:
    freeze: [/srv]
`

// The file is read at once between requests, never while one is in hand, and
// comes into force on the loop's own goroutine.
func TestReload(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(fileForReload)
	start, err := loadForWorker(path)
	if err != nil {
		t.Fatal(err)
	}
	monitor := worker.NewMonitor(worker.Observer{})
	loop := &worker.Loop{Handler: &worker.Handler{}}
	built, refuse := 0, false
	r := &reloader{
		path: path, start: start, loop: loop, monitor: monitor, log: zerolog.Nop(), hup: make(chan os.Signal, 1),
		build: func(f *config.File) (*runner, error) {
			if refuse {
				return nil, errors.New("no")
			}
			built++
			return &runner{file: f}, nil
		},
	}
	force := func() worker.Runner { r.between(); return loop.Handler.Runner }

	r.heard()
	if built != 1 || loop.Handler.Runner != nil {
		t.Errorf("idle: read %d times, in force %v", built, loop.Handler.Runner)
	}
	first := force()
	if first == nil || force() != first {
		t.Error("it did not come into force between requests, once")
	}

	refuse = true
	r.heard()
	if force() != first {
		t.Error("what was refused came into force")
	}
	refuse = false
	write("plans: [")
	r.heard()
	if force() != first || built != 1 {
		t.Error("a broken file came into force")
	}

	// Not heard yet when the next message is looked at: it holds for that message.
	write(fileForReload)
	r.hup <- syscall.SIGHUP
	if force() == first || built != 2 {
		t.Error("a SIGHUP before the message did not hold for it")
	}

	// Many at once, from both sides, under the race detector.
	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() { r.heard() })
	}
	for range 20 {
		force()
	}
	wg.Wait()
}
