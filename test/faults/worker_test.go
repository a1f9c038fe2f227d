package faults

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	"stillpoint/test/rig"
)

// worker is a worker process that tells of its stages, and may be held at one.
type worker struct {
	*rig.Child
	log   string
	stage chan string // "begin lock", "end lock", ...
	free  *os.File    // closing it lets the worker go on where it is held, for good
	read  chan struct{}
}

// lookup is the wait between look-ups after an ambiguous answer: long enough for one that shows itself late (see rows_create_test.go).
const lookup = time.Second

// startWorker starts the worker; hold is the boundary at which it is to wait,
// "" for none. With ready it returns when the worker polls.
func (b *bench) startWorker(hold string, ready bool) error {
	log, err := os.Create(filepath.Join(b.s.Dir, fmt.Sprintf("worker-%d.log", b.workers)))
	if err != nil {
		return err
	}
	b.workers++
	defer func() { _ = log.Close() }()
	told, tell, err := os.Pipe()
	if err != nil {
		return err
	}
	defer func() { _ = tell.Close() }()
	wait, free, err := os.Pipe()
	if err != nil {
		return errors.Join(err, told.Close())
	}
	defer func() { _ = wait.Close() }()
	cmd := b.s.Command(context.WithoutCancel(b.ctx), "worker", "--config", b.s.ConfigPath, "--log-format", "json")
	cmd.Stdout, cmd.Stderr, cmd.ExtraFiles = log, log, []*os.File{tell, wait}
	cmd.Env = append(cmd.Env, "STILLPOINT_TRACE=1", "STILLPOINT_TRACE_HOLD="+hold, "STILLPOINT_LOOKUP="+lookup.String(), "STILLPOINT_CLOCK="+b.clock)
	child, err := rig.StartChild(cmd)
	if err != nil {
		return errors.Join(err, told.Close(), free.Close())
	}
	w := &worker{Child: child, log: log.Name(), stage: make(chan string, 4096), free: free, read: make(chan struct{})}
	go func() {
		defer close(w.read)
		for lines := bufio.NewScanner(told); lines.Scan(); {
			select {
			case w.stage <- lines.Text():
			default: // nobody waits for one
			}
		}
		_ = told.Close()
	}()
	b.w = w
	b.s.Defer("worker "+filepath.Base(w.log), func(context.Context) error {
		_ = w.free.Close()
		_ = w.Kill()
		<-w.Exited()
		<-w.read
		return nil
	})
	if !ready {
		return nil
	}
	return b.await(30*time.Second, "the first poll", func() bool { return b.polls() > 0 && b.polling() })
}

// stopWorker ends the worker that is idle. A poll is never cancelled, so it
// gets a message that goes back untouched and is taken off the queue here.
func (b *bench) stopWorker() error {
	w := b.w
	if w == nil {
		return nil
	}
	b.w = nil
	_ = w.free.Close()
	select {
	case <-w.Exited():
		return nil
	default:
	}
	if err := w.Signal(os.Interrupt); err != nil {
		return err
	}
	// Without the line the message might be worked on, which does no harm.
	_ = b.await(3*time.Second, "the worker to hear", func() bool { return strings.Contains(w.Log(), "stopping") })
	if _, err := b.s.Send(b.ctx, `{"plan":"nobody-works-on-this"}`); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(b.ctx, 15*time.Second)
	defer cancel()
	if err := w.Wait(ctx); err != nil {
		return errors.Join(fmt.Errorf("the worker did not end well: %w", err), w.Kill())
	}
	return b.drain()
}

// drain takes what is left off the worker's queue.
func (b *bench) drain() error {
	for {
		out, err := b.s.SQS.ReceiveMessage(b.ctx, &sqs.ReceiveMessageInput{QueueUrl: aws.String(b.s.QueueURL), MaxNumberOfMessages: 10})
		if err != nil || len(out.Messages) == 0 {
			return err
		}
		for _, m := range out.Messages {
			if _, err := b.s.SQS.DeleteMessage(b.ctx, &sqs.DeleteMessageInput{QueueUrl: aws.String(b.s.QueueURL), ReceiptHandle: m.ReceiptHandle}); err != nil {
				return err
			}
		}
	}
}

// restartWorker exchanges the worker for one that is held at a boundary.
func (b *bench) restartWorker(hold string, ready bool) error {
	if err := b.stopWorker(); err != nil {
		return err
	}
	return b.startWorker(hold, ready)
}

// reach waits until the worker tells of a boundary.
func (w *worker) reach(ctx context.Context, boundary string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		select {
		case line := <-w.stage:
			if line == boundary {
				return nil
			}
		case <-w.Exited():
			return fmt.Errorf("the worker ended before %q", boundary)
		case <-ctx.Done():
			return fmt.Errorf("the worker did not reach %q: %w", boundary, context.Cause(ctx))
		}
	}
}

// Log is what the worker has logged so far.
func (w *worker) Log() string {
	text, err := os.ReadFile(w.log)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
