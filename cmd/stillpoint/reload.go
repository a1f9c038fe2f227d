package main

import (
	"context"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"github.com/rs/zerolog"

	"stillpoint/internal/config"
	"stillpoint/worker"
)

// reloader exchanges the plans on SIGHUP, between requests: the file is read
// at once where no message is in hand, else when that is settled. A file that is
// wrong leaves the old one in force. What the worker is built on (queue, topic,
// directories, address) needs a restart.
type reloader struct {
	path string
	// start is the file that the worker started with.
	start *config.File
	// build makes the runner for a file; its error is one of the configuration.
	build   func(*config.File) (*runner, error)
	loop    *worker.Loop
	monitor *worker.Monitor
	manager *manager
	// used is told of each file that has come into force; it may be nil.
	used func(*config.File)
	log  zerolog.Logger
	hup  chan os.Signal

	mu    sync.Mutex // held while the file is read, and while it is exchanged
	asked bool       // to be read when the message in hand is settled
	next  *runner    // read, and not in force yet
}

// hangups are the SIGHUPs from now on; before, nobody hears them.
func hangups() chan os.Signal {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	return hup
}

// run looks at the file as soon as it is asked to, until ctx ends.
func (r *reloader) run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.hup:
			r.heard()
		}
	}
}

func (r *reloader) heard() {
	r.manager.reloading()
	r.mu.Lock()
	defer r.mu.Unlock()
	// A message that arrives now waits in between for mu, and one that is in
	// hand has passed it: the file is never read while a request runs.
	if r.monitor.Status().InHand {
		r.asked = true
		r.log.Info().Msg("the configuration is read again when the request in hand is settled")
		return
	}
	r.read()
}

// between is Loop.Between.
func (r *reloader) between() {
	r.mu.Lock()
	defer r.mu.Unlock()
	select {
	case <-r.hup: // not heard yet, and sent before the message that is looked at now
		r.manager.reloading()
		r.asked = true
	default:
	}
	if r.asked {
		r.read()
	}
	if r.next != nil {
		r.loop.Handler.Runner, r.loop.AllowSources = r.next, r.next.file.AllowEventSources
		r.next = nil
	}
}

// read is called with mu held.
func (r *reloader) read() {
	r.asked = false
	next, err := loadForWorker(r.path)
	var run *runner
	if err == nil {
		if fixed(next) != fixed(r.start) {
			r.log.Warn().Msg("queues, topic, region, instance_id, directories and http_addr change with a restart only")
		}
		// The journal and the locks stay where they are, and so must what is never frozen.
		next.StateDir, next.RuntimeDir = r.start.StateDir, r.start.RuntimeDir
		run, err = r.build(next)
	}
	if err == nil {
		err = run.fit()
	}
	if err != nil {
		r.log.Error().Err(err).Msg("cannot use the changed configuration: the old one stays in force")
		r.manager.ready("the changed configuration cannot be used, the old one stays in force: see the log")
		return
	}
	r.next = run
	if r.used != nil {
		r.used(next)
	}
	r.log.Info().Msg("configuration read again")
	r.manager.ready("configuration read again")
}

// fixed is what a worker is built on, and cannot change while it runs.
func fixed(f *config.File) [8]string {
	return [8]string{f.QueueURL, f.DeadLetterQueueURL, f.TopicARN, f.Region, f.InstanceID, f.StateDir, f.RuntimeDir, f.HTTPAddr}
}

// loadForWorker reads a file that has all that the worker needs.
func loadForWorker(path string) (*config.File, error) {
	f, err := config.Load(path)
	if err == nil {
		err = f.CheckWorker()
	}
	return f, coded(exitConfig, err)
}
