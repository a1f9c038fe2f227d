package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/rs/zerolog"

	"stillpoint/internal/config"
	"stillpoint/internal/ebs"
	"stillpoint/internal/journal"
	"stillpoint/internal/metrics"
	"stillpoint/internal/notify"
	"stillpoint/internal/queue"
	"stillpoint/messages"
	"stillpoint/worker"
)

type workerCommand struct{}

// startCheck bounds the look at the queue when the worker starts.
const startCheck = 5 * time.Second

func (g *globals) configPath() string {
	if g.Config != "" {
		return g.Config
	}
	return config.DefaultPath
}

// Run is the worker's life.
func (workerCommand) Run(ctx context.Context, g *globals) error {
	log, logs, err := g.logger()
	if err != nil {
		return err
	}
	defer func() { _ = logs.Close() }()
	f, err := config.Load(g.configPath())
	if err != nil {
		return coded(exitConfig, err)
	}
	if err := f.CheckWorker(); err != nil {
		return coded(exitConfig, err)
	}
	cfg, id, err := identify(ctx, f)
	if err != nil {
		return err
	}
	log = log.With().Str("instance_id", id.InstanceID).Logger()
	if err := os.MkdirAll(f.RuntimeDir, 0o755); err != nil {
		return hostError(fmt.Errorf("cannot make the runtime directory: %w", err))
	}
	life, err := journal.LockRun(filepath.Join(f.RuntimeDir, "worker.lock"))
	if err != nil {
		return hostError(err)
	}
	defer func() { _ = life.Unlock() }()
	j, err := journal.Open(f.StateDir, journal.Options{InstanceID: id.InstanceID, Now: clock(), Log: log})
	if err != nil {
		return hostError(err)
	}

	m := metrics.New(agent().Version)
	client := ebs.New(cfg, id.InstanceID)
	client.OnError = m.EC2Error
	run, err := newRunner(f, id, client, m.Frozen, log)
	if err != nil {
		return err
	}
	q := queue.New(cfg, queue.Config{URL: f.QueueURL, DeadLetterURL: f.DeadLetterQueueURL})
	topic, err := notify.New(cfg, f.TopicARN)
	if err != nil {
		return coded(exitConfig, err)
	}
	monitor := worker.NewMonitor(m.Observer())
	outbox := &worker.Outbox{Journal: j, Publisher: topic, Tagger: client, Monitor: monitor, Log: log, Now: clock()}
	loop := &worker.Loop{
		Queue: q, AllowSources: f.AllowEventSources, Monitor: monitor, Log: log, Now: clock(),
		Handler: &worker.Handler{Identity: id, Runner: run, Journal: j, Publisher: topic, Outbox: outbox, Monitor: monitor, Log: log, Now: clock()},
	}
	loop.Between = reloader(g, f, id, client, m.Frozen, loop, log)
	for name := range f.Plans {
		if at, err := j.LastSuccess(name); err == nil {
			m.LastSuccess(name, at)
		}
	}
	stopHTTP, err := serveHTTP(ctx, f.HTTPAddr, m.Handler(monitor.Status), log)
	if err != nil {
		return coded(exitConfig, err)
	}
	defer stopHTTP()

	log.Info().Str("version", agent().Version).Str("region", id.Region).Str("queue_url", f.QueueURL).Msg("worker started")
	_, _ = daemon.SdNotify(false, daemon.SdNotifyReady)
	check, stopCheck := context.WithTimeout(ctx, startCheck)
	if err := q.Check(check); err != nil {
		log.Warn().Err(err).Msg("cannot read the queue's attributes: allow sqs:GetQueueAttributes and check queue_url; trying to poll all the same")
	}
	stopCheck()
	// The outbox goes on until the loop has ended, so that the last result has its chance.
	rest, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var wg sync.WaitGroup
	wg.Go(func() { outbox.Run(rest) })
	go func() {
		<-ctx.Done()
		_, _ = daemon.SdNotify(false, daemon.SdNotifyStopping)
		log.Info().Msg("stopping: waiting for the poll or the request in hand")
	}()
	loop.Run(ctx)
	cancel()
	wg.Wait()
	log.Info().Msg("worker stopped")
	return nil
}

// hostError gives what is wrong with the host's directories and locks its exit code.
func hostError(err error) error {
	switch {
	case errors.As(err, new(*journal.BusyError)):
		return coded(exitBusy, err)
	case errors.As(err, new(*journal.DirError)), errors.As(err, new(*journal.ForeignError)):
		return coded(exitConfig, err)
	case errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0:
		return fmt.Errorf("%w: run it as root", err)
	default:
		return err
	}
}

// reloader makes the function that exchanges the plans on SIGHUP, between
// requests. A file that is wrong leaves the old one in force. What the worker
// is built on (queue, topic, directories, address) needs a restart.
func reloader(g *globals, f *config.File, id messages.Identity, client *ebs.Client, frozen func(bool), loop *worker.Loop, log zerolog.Logger) func() {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	return func() {
		select {
		case <-hup:
		default:
			return
		}
		next, err := config.Load(g.configPath())
		if err == nil {
			err = next.CheckWorker()
		}
		var run *runner
		if err == nil {
			if fixed(next) != fixed(f) {
				log.Warn().Msg("queues, topic, region, instance_id, directories and http_addr change with a restart only")
			}
			// The journal and the locks stay where they are, and so must what is never frozen.
			next.StateDir, next.RuntimeDir = f.StateDir, f.RuntimeDir
			run, err = newRunner(next, id, client, frozen, log)
		}
		if err != nil {
			log.Error().Err(err).Msg("cannot use the changed configuration: the old one stays in force")
			return
		}
		loop.Handler.Runner, loop.AllowSources = run, next.AllowEventSources
		log.Info().Msg("configuration read again")
	}
}

// fixed is what a worker is built on, and cannot change while it runs.
func fixed(f *config.File) [8]string {
	return [8]string{f.QueueURL, f.DeadLetterQueueURL, f.TopicARN, f.Region, f.InstanceID, f.StateDir, f.RuntimeDir, f.HTTPAddr}
}

// serveHTTP serves metrics and health until the returned function is called; addr "" is none.
func serveHTTP(ctx context.Context, addr string, h http.Handler, log zerolog.Logger) (stop func(), err error) {
	if addr == "" {
		return func() {}, nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("cannot serve metrics: %w (http_addr in the file; \"\" turns it off)", err)
	}
	s := &http.Server{Handler: h, ReadHeaderTimeout: 5 * time.Second, WriteTimeout: 30 * time.Second}
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			log.Error().Err(err).Msg("cannot serve metrics any more")
		}
	})
	log.Info().Str("http_addr", l.Addr().String()).Msg("serving metrics and health")
	return func() { _ = s.Close(); wg.Wait() }, nil
}
