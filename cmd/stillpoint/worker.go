package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/rs/zerolog"

	"stillpoint/cmd/stillpoint/parts"
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

// life is what a worker has from its start to its end.
type life struct {
	path     string
	file     *config.File
	inForce  atomic.Pointer[config.File] // file, or what SIGHUP made of it
	topic    *notify.Topic
	manager  *manager
	watchdog time.Duration
	metrics  *metrics.Metrics
	monitor  *worker.Monitor
	teller   *teller
	hup      chan os.Signal
	log      zerolog.Logger
}

// work is what can be built once it is known who this is.
type work struct {
	loop   *worker.Loop
	outbox *worker.Outbox
	resume *worker.Resumption
	sweep  *worker.Sweep
	queue  *queue.Queue
	reload *reloader
}

// Run is the worker's life. It is ready (Type=notify) when the freezes of a dead
// worker are settled and the configuration is read, without a call to AWS: an
// outage there is for /readyz, and no reason to be started again and again.
func (workerCommand) Run(ctx context.Context, g *globals) error {
	log, logs, err := g.logger()
	if err != nil {
		return err
	}
	defer func() { _ = logs.Close() }()
	f, err := loadForWorker(g.configPath())
	if err != nil {
		return err
	}
	m := metrics.New(agent().Version)
	l := &life{path: g.configPath(), file: f, manager: openManager(log), metrics: m, monitor: worker.NewMonitor(m.Observer()), watchdog: watchdogInterval(log), hup: hangups(), log: log}
	defer l.manager.close()
	l.teller = newTeller(l.monitor, l.manager)

	if err := os.MkdirAll(f.RuntimeDir, 0o755); err != nil {
		return hostError(fmt.Errorf("cannot make the runtime directory: %w", err))
	}
	lock, err := journal.LockRun(filepath.Join(f.RuntimeDir, "worker.lock"))
	if err != nil {
		return hostError(fmt.Errorf("cannot be the worker of this host: %w", err))
	}
	defer func() { _ = lock.Unlock() }()
	var stopSettling func()
	l.manager.waiting("looking for what a dead worker left frozen", func() { stopSettling = settleFreezes(ctx, f, settleWithin, log) })
	defer stopSettling()
	defer settleAppliers(ctx, f.RuntimeDir, log)()

	cfg, err := awsConfig(ctx, f.Region)
	if err != nil {
		return err
	}
	id := messages.Identity{InstanceID: f.InstanceID, Region: cfg.Region, Agent: agent()}
	if err := noMetadata(cfg, id); err != nil {
		return err
	}
	if l.topic, err = notify.New(cfg, f.TopicARN); err != nil {
		return coded(exitConfig, err)
	}
	plans, err := newRunner(f, id, nil, nil, log) // whoever this is, the plans must make sense
	if err != nil {
		return err
	}
	if err := plans.fit(); err != nil { // the others are not to wait for it, and whoever asks for it is to hear why
		log.Error().Err(err).Msg("a plan is not fit to run: each request for it is refused until this is mended")
	}
	var w *work
	if missing(cfg.Region, id.InstanceID) == "" {
		if w, err = l.build(cfg, id); err != nil && !isUnclaimed(err) {
			return err
		}
	}
	stopHTTP, err := serveHTTP(ctx, f.HTTPAddr, m.Handler(l.monitor.Status), l.monitor, log)
	if err != nil {
		return err
	}
	defer stopHTTP()
	l.use(f)
	return l.live(ctx, cfg, id, w)
}

// use is told of each file that comes into force.
func (l *life) use(f *config.File) {
	l.inForce.Store(f)
	checkWatchdog(l.watchdog, f, l.log)
	l.log.Info().Str("stop_within", parts.StopBudget(f).String()).
		Msgf("a stop takes no longer than stop_within; TimeoutStopSec=%d in the unit leaves room for it", timeoutStopSec(f))
}

// build makes what takes requests. Its error is one of the host.
func (l *life) build(cfg aws.Config, id messages.Identity) (*work, error) {
	log := l.log.With().Str("instance_id", id.InstanceID).Logger()
	j, err := journal.Open(l.file.StateDir, journal.Options{InstanceID: id.InstanceID, Region: id.Region, Now: clock(), Log: log})
	if err != nil {
		return nil, hostError(err)
	}
	client := ebs.New(cfg, id.InstanceID)
	client.OnError = l.metrics.EC2Error
	frozen := func(on bool) {
		l.metrics.Frozen(on)
		l.teller.setFrozen(on)
	}
	runnerFor := func(f *config.File) (*runner, error) {
		run, err := newRunner(f, id, client, frozen, log)
		if err != nil {
			return nil, err
		}
		run.announce(l.monitor)
		for name := range f.Plans {
			if at, err := j.LastSuccess(name); err == nil {
				l.metrics.LastSuccess(name, at)
				l.monitor.Succeeded(at)
			}
		}
		return run, nil
	}
	run, err := runnerFor(l.file)
	if err != nil {
		return nil, err
	}
	w := &work{queue: queue.New(cfg, queue.Config{URL: l.file.QueueURL, DeadLetterURL: l.file.DeadLetterQueueURL})}
	w.outbox = &worker.Outbox{Journal: j, Publisher: l.topic, Tagger: client, Monitor: l.monitor, Log: log, Now: clock()}
	w.loop = &worker.Loop{
		Queue: w.queue, AllowSources: l.file.AllowEventSources, Monitor: l.monitor, Log: log, Now: clock(),
		Handler: &worker.Handler{Identity: id, Runner: run, Journal: j, Publisher: l.topic, Outbox: w.outbox, Monitor: l.monitor, Log: log, Now: clock()},
	}
	w.reload = &reloader{
		path: l.path, start: l.file, build: runnerFor, loop: w.loop, monitor: l.monitor, manager: l.manager, used: l.use, log: log, hup: l.hup,
	}
	w.loop.Between = w.reload.between
	w.loop.Admit = admission(w.queue, id, log)
	resumer := newResumer(l, cfg, id, log)
	w.resume = &worker.Resumption{Handler: w.loop.Handler, Resumer: resumer, Log: log}
	w.sweep = &worker.Sweep{Journal: j, EC2: resumer.client, Log: log, Now: clock()}
	return w, nil
}

// live tells that the worker is ready, and works until ctx ends and what is in
// hand is settled, or the stop's time is up. w is nil where it is not known yet
// who this is.
func (l *life) live(ctx context.Context, cfg aws.Config, id messages.Identity, w *work) error {
	var beside sync.WaitGroup
	rest, end := context.WithCancel(context.WithoutCancel(ctx))
	defer beside.Wait()
	defer end()
	l.manager.ready("started")
	guard := &watchdog{
		interval: l.watchdog, log: l.log, feed: func() { l.manager.send("WATCHDOG=1") },
		stalled: func(now time.Time) []string { return l.monitor.Status().Stalled(now) },
	}
	if l.manager != nil {
		beside.Go(func() { guard.run(rest) })
		told, stopTelling := context.WithCancel(ctx) // what is said after STOPPING=1 is that
		defer stopTelling()
		beside.Go(func() { l.teller.run(told) })
	}
	err := endInTime(ctx, l.stopping, func() error { return l.work(ctx, rest, cfg, id, w) })
	switch {
	case errors.Is(err, errOverdue):
		s := l.monitor.Status()
		return fmt.Errorf("%w; left behind: %s; its message comes back, and what is frozen or locked is let go with this process",
			err, statusLine(s, l.teller.frozen.Load(), time.Now()))
	case err == nil:
		l.log.Info().Msg("worker stopped")
	}
	return err
}

// stopping is told when the stop begins, and says how long it may take.
func (l *life) stopping() time.Duration {
	within := parts.StopBudget(l.inForce.Load())
	l.manager.stopping(within + logFlushWait)
	l.log.Info().Str("within", within.String()).Msg("stopping: waiting for the poll or the request in hand")
	return within
}

// work finds out who this is, where that is not known, and takes requests until ctx ends.
func (l *life) work(ctx, rest context.Context, cfg aws.Config, id messages.Identity, w *work) error {
	if w == nil {
		if missing(cfg.Region, id.InstanceID) != "" {
			if err := awaitIdentity(ctx, &cfg, &id, l.monitor, l.log); err != nil {
				return nil //nolint:nilerr // ctx has ended: stopped before it was known
			}
		}
		var err error
		w, err = awaitClaim(ctx, func() (*work, error) { return l.build(cfg, id) }, l.monitor, l.log)
		if w == nil {
			return err
		}
	}
	log := w.loop.Log
	if r := config.QueueRegion(l.file.QueueURL); r != "" && r != id.Region {
		log.Warn().Str("queue_region", r).Str("region", id.Region).Msg("queue_url names another region than this worker's, whose SQS is asked: correct queue_url or region in the file")
	}
	log.Info().Str("version", agent().Version).Str("region", id.Region).Str("queue_url", l.file.QueueURL).Msg("worker started")
	// The outbox goes on until the loop has ended, so that the last result has its chance.
	rest, end := context.WithCancel(rest)
	var beside sync.WaitGroup
	beside.Go(func() { w.outbox.Run(rest) })
	beside.Go(func() { w.resume.Run(ctx) })
	beside.Go(func() { w.sweep.Run(ctx) })
	beside.Go(func() { w.reload.run(ctx) })
	beside.Go(func() { l.lookAtQueue(ctx, w.queue, log) })
	w.loop.Run(ctx)
	end()
	beside.Wait()
	return nil
}

// lookAtQueue asks SQS whether the queue is there: a poll of an empty one takes
// 20 s to say so.
func (l *life) lookAtQueue(ctx context.Context, q *queue.Queue, log zerolog.Logger) {
	check, cancel := context.WithTimeout(ctx, startCheck)
	defer cancel()
	err := q.Check(check)
	switch {
	case err == nil:
		l.monitor.Answered(time.Now())
	case ctx.Err() == nil:
		log.Warn().Err(err).Msg("cannot read the queue's attributes: allow sqs:GetQueueAttributes and check queue_url; trying to poll all the same")
	}
}

// hostError gives what is wrong with the host's directories and locks its exit code.
func hostError(err error) error {
	switch {
	case errors.As(err, new(*journal.BusyError)):
		return coded(exitBusy, err)
	case errors.As(err, new(*journal.DirError)), errors.As(err, new(*journal.UnclaimedError)):
		return coded(exitConfig, err)
	case errors.Is(err, fs.ErrPermission) && os.Geteuid() != 0:
		return fmt.Errorf("%w: run it as root", err)
	default:
		return err
	}
}
