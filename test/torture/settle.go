package main

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"golang.org/x/sys/unix"

	"stillpoint/messages"
	"stillpoint/test/rig"
)

// pastVisibility is more than a message is hidden.
const pastVisibility = 140 * time.Second

// settle lets the request come to its end: a worker where none is left, the
// redelivery, and then the look at what there is.
func (s *stand) settle(ctx context.Context, r *report) {
	if err := s.scene.AWS.SetFaults(); err != nil {
		r.bad("%v", err)
	}
	dead := !s.worker.alive()
	if err := s.ensureWorker(ctx); err != nil {
		r.bad("%v", err)
		return
	}
	if dead {
		r.follow(s.worker)
		s.scene.AWS.MoveClock(pastVisibility)
	}
	_ = s.worker.hold("")
	if dead && r.skipped == "" && r.cell.second != "" {
		s.strikeAgain(ctx, r)
	}
	if s.settled(ctx, r, 0) && r.cell.again && r.messageID != "" {
		_, before, _ := s.results.of(r.id)
		if err := s.scene.AWS.DeliverAgain(path.Base(s.scene.QueueURL), r.messageID); err == nil {
			s.settled(ctx, r, before+1)
		}
	}
	results, _, err := s.results.of(r.id)
	if err != nil {
		r.bad("%v", err)
	}
	all, err := setsOf(ctx, s.scene, r.id)
	if err != nil {
		r.bad("%v", err)
	}
	var faults []string
	r.final, faults = judge(results, all, len(s.scene.Volumes))
	r.faults = append(r.faults, faults...)
	if r.final == nil {
		return
	}
	r.classify()
	s.nothingLeft(ctx, r)
	if r.final.Status != messages.Succeeded {
		s.drop(ctx, all)
	}
	if r.cell.victim == stopWorker || r.cell.victim == stopGuardian || r.cell.moment != within {
		return // what waited for us is no measure
	}
	for _, t := range r.tails {
		s.lengths.learn(t.w.since(t.mark))
	}
}

// strikeAgain kills the worker that got the redelivery, where it comes to the
// cell's second boundary, or while it starts.
func (s *stand) strikeAgain(ctx context.Context, r *report) {
	w := s.worker
	if r.cell.second == atStart {
		time.Sleep(time.Duration(r.cell.nudge * float64(150*time.Millisecond)))
	} else if !s.comesTo(ctx, r, r.cell.second) {
		return
	}
	r.at, r.where, r.hit, r.second = time.Now(), r.cell.second, killWorker, true
	r.from = r.at
	r.signal(w.PID(), unix.SIGKILL)
	s.afterDeath(ctx, r)
	if err := s.ensureWorker(ctx); err != nil {
		r.bad("%v", err)
		return
	}
	r.follow(s.worker)
	s.scene.AWS.MoveClock(pastVisibility)
}

// comesTo has the worker wait at a line, and says whether it came there before the request had a result.
func (s *stand) comesTo(ctx context.Context, r *report, line string) bool {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Second)
	defer cancel()
	if err := s.worker.hold(line); err != nil {
		r.bad("%v", err)
		return false
	}
	watched := make(chan struct{})
	defer func() { cancel(); <-watched }()
	go func() {
		defer close(watched)
		for ; ctx.Err() == nil; sleep(10) {
			if results, _, _ := s.results.of(r.id); len(results) > 0 {
				cancel()
			}
		}
	}()
	mark := r.tails[len(r.tails)-1].mark
	if _, err := s.worker.await(ctx, mark, line); err == nil {
		return true
	}
	_ = s.worker.hold("")
	// It may have come there at this very moment.
	last, cancelLast := context.WithTimeout(context.WithoutCancel(ctx), 100*time.Millisecond)
	defer cancelLast()
	_, err := s.worker.await(last, mark, line)
	return err == nil
}

// late looks once more at a request of which nothing more should have been heard.
func (s *stand) late(ctx context.Context, r *report) {
	if r.final == nil {
		return
	}
	results, _, _ := s.results.of(r.id)
	all, err := setsOf(ctx, s.scene, r.id)
	if err != nil {
		r.bad("%v", err)
		return
	}
	if r.final.Status != messages.Succeeded { // its snapshots were deleted
		if len(all) > 0 {
			r.bad("%d snapshots came to be after the end", len(all))
		}
		if results[len(results)-1].EventID != r.final.EventID {
			r.bad("another result came after the end: %s/%s", results[len(results)-1].Status, results[len(results)-1].Reason)
		}
		return
	}
	_, faults := judge(results, all, len(s.scene.Volumes))
	for _, f := range faults {
		r.bad("after the end: %s", f)
	}
}

// settled waits until the request has its result, the queue and the outbox are
// empty, and every snapshot has its verdict.
func (s *stand) settled(ctx context.Context, r *report, deliveries int) bool {
	var why string
	told, quiet := -1, time.Now()
	for until := time.Now().Add(2 * patience); time.Now().Before(until) && ctx.Err() == nil; sleep(15) {
		if !s.worker.alive() {
			r.bad("the worker ended by itself")
			if err := s.ensureWorker(ctx); err != nil {
				return false
			}
			r.follow(s.worker)
		}
		results, delivered, _ := s.results.of(r.id)
		visible, hidden, err := s.scene.Depth(ctx, s.scene.QueueURL)
		all, err2 := setsOf(ctx, s.scene, r.id)
		why = fmt.Sprintf("%d results, %s messages visible and %s hidden, %d in the outbox, %d snapshots of %d without a verdict (%v %v)",
			len(results), visible, hidden, s.outboxLeft(), verdictless(all), len(all), err, err2)
		if len(results) > 0 && delivered >= deliveries && visible == "0" && hidden == "0" && s.outboxLeft() == 0 && err == nil && err2 == nil && verdictless(all) == 0 {
			return true
		}
		// A message that was given back, or whose worker was killed, is not waited for.
		if now := s.worker.mark(); now != told {
			told, quiet = now, time.Now()
		} else if hidden != "0" && time.Since(quiet) > 1500*time.Millisecond {
			s.scene.AWS.MoveClock(pastVisibility)
			quiet = time.Now()
		}
	}
	r.bad("the request does not come to its end: %s", why)
	return false
}

// classify says how it ended, and holds that against what the kill must have broken.
func (r *report) classify() {
	r.outcome = string(r.final.Status)
	if r.skipped != "" {
		return
	}
	redone := r.redone()
	if redone && r.final.Status == messages.Succeeded {
		r.outcome = "again"
	}
	if !redone && r.final.Status == messages.Succeeded && r.brokeHold() {
		r.bad("called consistent, although the kill fell between the lock and EC2's answer (%s)", r.where)
	}
}

// redone says that a window was entered anew after the kill.
func (r *report) redone() bool {
	looked := false
	for _, t := range r.tails {
		for _, e := range t.w.since(t.mark) {
			if e.at.After(r.at) {
				looked = looked || e.line == "begin look-up"
				if looked && e.line == "begin lock" {
					return true
				}
			}
		}
	}
	return false
}

// brokeHold says that what was held when the victim was hit cannot have been
// held, or cannot be known to have been, when EC2 had answered.
func (r *report) brokeHold() bool {
	frozen := slices.Contains([]string{"end freeze", "begin snapshot"}, r.where)
	if frozen && r.cell.moment == within && !r.second { // it may have ended just before
		for _, e := range r.tails[0].w.since(r.tails[0].mark) {
			frozen = frozen && (e.line != "end snapshot" || e.at.After(r.at.Add(5*time.Millisecond)))
		}
	}
	switch r.hit {
	case killWorker, killBoth: // nobody is left who could have proved it
		if r.where == "end unlock" && r.cell.moment == within && !r.second {
			return false // the verdict may have been written by then
		}
		name, _ := strings.CutPrefix(strings.TrimPrefix(r.where, "end "), "begin ")
		i := order(name)
		return i >= 0 && stages[i].held
	case killGuardian:
		return frozen
	case stopGuardian:
		return frozen && r.cell.stuck && r.cell.moment != within
	case stopWorker: // elsewhere it is not stopped for long
		return frozen && r.cell.stage.held
	}
	return false
}

// nothingLeft looks at what the promise says of afterwards.
func (s *stand) nothingLeft(ctx context.Context, r *report) {
	if own, queued, err := s.sessions(ctx); err != nil || own+queued > 0 {
		r.bad("at the end %d sessions of ours are at the server, and %d requests for the lock (%v)", own, queued, err)
	}
	var left []string
	for until := time.Now().Add(2 * time.Second); time.Now().Before(until); sleep(20) {
		left = s.runtimeLeft()
		if n := len(guardians(s.program)); n > 0 {
			left = append(left, fmt.Sprintf("%d guardians", n))
		}
		if n := len(processes(s.program)); n > 1 {
			left = append(left, fmt.Sprintf("%d processes beside the worker", n-1))
		}
		if s.quiesced() {
			left = append(left, "what pre_freeze did")
		}
		if now := rig.Expedited(); now != s.rcu { // other programs of this host raise it for moments too
			left = append(left, fmt.Sprintf("rcu_expedited at %s instead of %s", now, s.rcu))
		}
		if len(left) == 0 {
			break
		}
	}
	if len(left) > 0 {
		r.bad("left at the end: %s", strings.Join(left, ", "))
	}
	now := time.Now()
	for until := now.Add(2 * time.Second); time.Now().Before(until) && !s.flowed(now); sleep(5) {
	}
	if !s.flowed(now) {
		r.bad("writes do not flow at the end")
	}
	for _, m := range s.meters() {
		if err := m.failed(); err != nil {
			r.bad("a writing client failed: %v", err)
		}
	}
	if err := s.scene.Load.Err(); err != nil {
		r.bad("the load failed: %v", err)
	}
}

// drop deletes snapshots that nobody looks at any more.
func (s *stand) drop(ctx context.Context, all []made) {
	for _, m := range all {
		_, _ = s.scene.EC2.DeleteSnapshot(ctx, &ec2.DeleteSnapshotInput{SnapshotId: aws.String(m.id)})
	}
}
