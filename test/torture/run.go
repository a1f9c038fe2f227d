package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"stillpoint/localstack"
	"stillpoint/messages"
)

// report is what became of one kill.
type report struct {
	cell    cell
	id      string
	skipped string // why nobody was hit; "": somebody was
	where   string // the worker's last word before
	hit     victim // of the last kill, where there were two
	second  bool   // there were two
	db      time.Duration
	files   time.Duration
	outcome string
	final   *messages.Result
	took    time.Duration
	faults  []string

	messageID string
	at        time.Time // of the kill
	from      time.Time // what the promise counts from: the kill, or the start of thaw
	logs      []logPart
	tails     []tail // what each worker told since the request was sent
}

// logPart is a worker's log from where this request began.
type logPart struct {
	w    *traced
	from int
}

// tail is a worker's stream from a mark on.
type tail struct {
	w    *traced
	mark int
}

func (r *report) bad(format string, args ...any) {
	r.faults = append(r.faults, fmt.Sprintf(format, args...))
}

// follow takes in a worker that has to do with this request.
func (r *report) follow(w *traced) {
	r.logs = append(r.logs, logPart{w, len(w.text(0))})
	r.tails = append(r.tails, tail{w, w.mark()})
}

var errNotReached = errors.New("the request ended before")

// run carries out one cell: a request, the kill at its moment, the look at what
// is left, and the redelivery.
func (s *stand) run(ctx context.Context, c cell, id string) *report {
	begun := time.Now()
	ctx, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	r := &report{cell: c, id: id}
	defer func() { r.took = time.Since(begun) }()
	for _, m := range s.meters() {
		m.forget(begun)
	}
	if err := s.ensureWorker(ctx); err != nil {
		r.bad("%v", err)
		return r
	}
	r.follow(s.worker)
	if err := s.prepare(c); err != nil {
		r.bad("%v", err)
		return r
	}
	unblock, err := s.reach(ctx, r)
	defer unblock()
	switch {
	case errors.Is(err, errNotReached):
		r.skipped = "not reached"
	case err != nil:
		r.bad("cannot come to %s: %v", c, err)
		_ = s.worker.proceed()
	default:
		s.strike(ctx, r)
	}
	unblock()
	s.settle(ctx, r)
	return r
}

// prepare makes AWS as slow as the cell wants it, and has the worker wait at the boundary.
func (s *stand) prepare(c cell) error {
	faults := []localstack.Fault{{Operation: "ec2:CreateSnapshots", Skip: 1, Latency: c.latency, Moment: c.moments}}
	if c.stage.call != "" && c.stage.name != "snapshot" && (c.moment == within || c.stage.called) {
		slow := localstack.Fault{Operation: c.stage.call, Skip: c.stage.skip, Latency: c.latency / 4, Moment: c.moments}
		if c.stage.call == faults[0].Operation { // the dry run before the real call
			slow.Times = 1
			faults[0].Skip = 0
		}
		faults = append([]localstack.Fault{slow}, faults...)
	}
	if err := s.scene.AWS.SetFaults(faults...); err != nil {
		return err
	}
	line := string(c.moment) + " " + c.stage.name
	switch {
	case c.stage.called:
		line = ""
	case c.moment == within && c.stage.name == "lock":
		line = "begin lock"
	case c.moment == within:
		line = ""
	}
	return s.worker.hold(line)
}

// reach sends the request and returns at the cell's moment. The function that it
// returns takes back what it put in the server's way, and may be called more than once.
func (s *stand) reach(ctx context.Context, r *report) (unblock func(), err error) {
	unblock = func() {}
	c, w, mark := r.cell, s.worker, r.tails[0].mark
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	sent := time.Now()
	if r.messageID, err = s.scene.Send(ctx, fmt.Sprintf(`{"requestId":%q}`, r.id)); err != nil {
		return unblock, err
	}
	watching := make(chan struct{})
	defer func() { cancel(nil); <-watching }()
	go func() {
		defer close(watching)
		s.watch(ctx, cancel, r)
	}()
	switch {
	case c.stage.called:
		return unblock, s.reachCall(ctx, c, sent)
	case c.moment != within:
		_, err := w.await(ctx, mark, string(c.moment)+" "+c.stage.name)
		return unblock, err
	}
	begin, err := w.await(ctx, mark, "begin "+c.stage.name)
	if err != nil {
		return unblock, err
	}
	length := s.lengths.of(c.stage.name)
	if c.stage.call != "" {
		length = c.latency
		if c.stage.name != "snapshot" {
			length /= 4
		}
	}
	if c.stage.name == "lock" { // a request that has to wait, with all writers behind it
		length = 100 * time.Millisecond
		if unblock, err = s.block(ctx); err != nil {
			return unblock, err
		}
		if err := w.proceed(); err != nil {
			return unblock, err
		}
		begin.at = time.Now()
	}
	time.Sleep(time.Until(begin.at.Add(time.Duration(c.nudge * float64(length)))))
	return unblock, nil
}

// watch ends the wait for the cell's moment where the request has ended before it, or it takes too long.
func (s *stand) watch(ctx context.Context, cancel context.CancelCauseFunc, r *report) {
	w, mark, begun := s.worker, r.tails[0].mark, time.Now()
	for again := begun.Add(time.Second); ctx.Err() == nil; sleep(20) {
		if results, _, _ := s.results.of(r.id); len(results) > 0 && !r.cell.stage.called {
			cancel(errNotReached)
		}
		// The poll of a worker that was killed in it takes the next message with it.
		if time.Now().After(again) && w.mark() == mark {
			again = time.Now().Add(time.Second)
			if _, hidden, err := s.scene.Depth(ctx, s.scene.QueueURL); err == nil && hidden != "0" {
				s.scene.AWS.MoveClock(pastVisibility)
			}
		}
		if time.Since(begun) > patience {
			cancel(errors.New("it takes too long"))
		}
	}
}

// reachCall waits for what only the log of calls shows.
func (s *stand) reachCall(ctx context.Context, c cell, sent time.Time) error {
	for ; ctx.Err() == nil; sleep(5) {
		calls := s.scene.AWS.Calls()
		for i := len(calls) - 1; i >= 0 && calls[i].Time.After(sent); i-- {
			call := calls[i]
			if call.Operation != c.stage.call || call.Params["QueueUrl"] != "" && call.Params["QueueUrl"] != s.scene.QueueURL {
				continue
			}
			switch {
			case c.moment == atEnd && call.State != "done":
			case c.moment == within:
				time.Sleep(time.Until(call.Time.Add(time.Duration(c.nudge * float64(c.latency/4)))))
				return nil
			default:
				return nil
			}
		}
	}
	return context.Cause(ctx)
}

// block holds a table, so that a global read lock has to wait for it.
func (s *stand) block(ctx context.Context) (unblock func(), err error) {
	ctx = context.WithoutCancel(ctx)
	conn, err := s.scene.Server.DB().Conn(ctx)
	if err != nil {
		return func() {}, err
	}
	let := func() {
		_, _ = conn.ExecContext(ctx, "UNLOCK TABLES")
		_ = conn.Close()
	}
	if _, err := conn.ExecContext(ctx, "LOCK TABLES torture.idle WRITE"); err != nil {
		let()
		return func() {}, err
	}
	timer := time.AfterFunc(blockedFor, let)
	return func() {
		if timer.Stop() {
			let()
		}
	}, nil
}

// blockedFor is how long a request for the lock has to wait at most; it is more
// than the server may keep an orphaned one.
const blockedFor = 2500 * time.Millisecond

func sleep(ms int) { time.Sleep(time.Duration(ms) * time.Millisecond) }

// outboxLeft counts what waits in the worker's outbox.
func (s *stand) outboxLeft() int {
	entries, err := os.ReadDir(filepath.Join(s.scene.Dir, "state", "outbox"))
	if err != nil {
		return 0
	}
	return len(entries)
}
