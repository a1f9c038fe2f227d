package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/rs/zerolog"

	"stillpoint/internal/config"
	"stillpoint/internal/journal"
	"stillpoint/internal/queue"
	"stillpoint/messages"
	"stillpoint/worker"
)

type claimCommand struct {
	StateDir   string `help:"Where the journal is kept (default: the file's)." placeholder:"DIR"`
	Region     string `help:"(default: the file's, the AWS configuration, then the instance's metadata)" placeholder:"REGION"`
	InstanceID string `help:"(default: the file's, then the instance's metadata)" placeholder:"i-..."`
}

// Run confirms that this instance may answer its queue. A worker that waits for
// it goes on by itself.
func (c claimCommand) Run(ctx context.Context, g *globals) error {
	log, logs, err := g.logger()
	if err != nil {
		return err
	}
	defer func() { _ = logs.Close() }()
	f, err := config.Load(g.configPath())
	if errors.Is(err, os.ErrNotExist) && g.Config == "" { // as for a snapshot with flags alone
		f, err = config.Default(), nil
	}
	if err != nil {
		return coded(exitConfig, err)
	}
	override(&f.StateDir, c.StateDir)
	override(&f.Region, c.Region)
	override(&f.InstanceID, c.InstanceID)
	_, id, err := identify(ctx, f)
	if err != nil {
		return err
	}
	found, err := journal.Claim(f.StateDir, journal.Options{InstanceID: id.InstanceID, Region: id.Region, Log: log.Level(zerolog.WarnLevel)})
	if err != nil {
		return hostError(err)
	}
	switch {
	case found.Back:
		_, err = fmt.Fprintf(g.out, "%s may answer its queue now: its own state, which had been set aside in %s, is in use again. What %s left meanwhile is set aside in %s.\n",
			id.InstanceID, f.StateDir, cmp.Or(found.Owner, "another instance"), found.SetAside)
	case found.SetAside != "":
		owner := "another instance, nobody can say which,"
		if found.Owner != "" {
			owner = found.Owner
		}
		_, err = fmt.Fprintf(g.out, "%s may answer its queue now. What %s left in %s is set aside in %s: nothing of it is published; look at it, and delete it when it is not wanted any more.\n",
			id.InstanceID, owner, f.StateDir, found.SetAside)
	case found.Already:
		_, err = fmt.Fprintf(g.out, "%s may answer its queue: %s was its own before, and nothing was changed.\n", id.InstanceID, f.StateDir)
	default:
		_, err = fmt.Fprintf(g.out, "%s may answer its queue: %s was empty.\n", id.InstanceID, f.StateDir)
	}
	return err
}

// claimCheck is how often a worker looks whether it was claimed.
const claimCheck = time.Second

func isUnclaimed(err error) bool { return errors.As(err, new(*journal.UnclaimedError)) }

// awaitClaim builds what takes requests as soon as this instance was claimed,
// where that is needed. It returns nil where ctx ended before.
func awaitClaim(ctx context.Context, build func() (*work, error), monitor *worker.Monitor, log zerolog.Logger) (*work, error) {
	for said := false; ; said = true {
		w, err := build()
		if !isUnclaimed(err) {
			if err == nil {
				monitor.NotPolling("")
			}
			if said && err == nil {
				log.Info().Msg("the instance was claimed: going on")
			}
			return w, err
		}
		if !said {
			monitor.NotPolling(err.Error())
			log.Error().Err(err).Msg("no message is taken, and nothing is published, before this instance was claimed: run `stillpoint claim` here, and the worker goes on by itself")
		}
		monitor.Expect(worker.LoopRequests, "waiting for stillpoint claim", claimCheck+time.Minute)
		select {
		case <-ctx.Done():
			return nil, nil
		case <-time.After(claimCheck):
		}
	}
}

// admission makes the question whose queue it is. Where the tags may not be
// read the queue is taken for ours: the tag is a safeguard that not everybody uses.
func admission(q *queue.Queue, id messages.Identity, log zerolog.Logger) func(context.Context) error {
	return func(ctx context.Context) error {
		owner, err := q.Owner(ctx)
		switch {
		case errors.Is(err, queue.ErrTagsHidden):
			log.Warn().Err(err).Msgf("cannot tell whether the queue is another instance's: allow sqs:ListQueueTags, if queues bear the tag %s", queue.TagInstanceID)
			return nil
		case err != nil:
			return err
		case owner != "" && owner != id.InstanceID:
			return &worker.ForeignQueueError{Sentence: fmt.Sprintf(
				"the queue bears the tag %s=%s and this is %s: set queue_url to this instance's own queue and restart, or correct the tag, which is looked at every minute",
				queue.TagInstanceID, owner, id.InstanceID)}
		}
		return nil
	}
}

// busyWait is how long a run at the terminal waits for a run lock that is held
// for no request: a worker that runs nothing has it for moments only.
const busyWait = time.Second

// lockSoon takes the run lock. The error is a *journal.BusyError where another
// run has it.
func lockSoon(ctx context.Context, path string) (*journal.RunLock, error) {
	end := time.Now().Add(busyWait)
	for {
		lock, err := journal.LockRun(path)
		var busy *journal.BusyError
		if !errors.As(err, &busy) || busy.Holder.RequestID != "" || time.Now().After(end) || ctx.Err() != nil {
			return lock, err
		}
		select {
		case <-ctx.Done():
		case <-time.After(busyWait / 20):
		}
	}
}
