package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// strike hits the cell's victim and looks whether writes flow again, and
// nothing of the victim is left.
func (s *stand) strike(ctx context.Context, r *report) {
	c, w := r.cell, s.worker
	var guardian int
	if c.needsGuardian() {
		alive := guardians(s.program)
		if len(alive) != 1 {
			r.skipped = fmt.Sprintf("%d guardians", len(alive))
			if c.waits() {
				_ = w.proceed()
			}
			return
		}
		guardian = alive[0]
	}
	if events := w.since(0); len(events) > 0 {
		r.where = events[len(events)-1].line
	}
	r.at, r.hit = time.Now(), c.victim
	r.from = r.at
	switch c.victim {
	case killWorker:
		r.signal(w.PID(), unix.SIGKILL)
		s.afterDeath(ctx, r)
	case killGuardian:
		r.signal(guardian, unix.SIGKILL)
		s.goOn(ctx, r)
	case killBoth:
		r.signal(w.PID(), unix.SIGSTOP)
		if !stopped(w.PID()) {
			r.bad("the worker was not stopped")
		}
		r.signal(guardian, unix.SIGKILL)
		r.signal(w.PID(), unix.SIGKILL)
		s.thaw(ctx, r)
		s.afterDeath(ctx, r)
	case stopGuardian:
		r.signal(guardian, unix.SIGSTOP)
		s.goOn(ctx, r)
	case stopWorker:
		r.signal(w.PID(), unix.SIGSTOP)
		s.whileStopped(ctx, r)
	}
}

func (r *report) signal(pid int, sig unix.Signal) {
	if err := unix.Kill(pid, sig); err != nil {
		r.bad("cannot send %v to %d: %v", sig, pid, err)
	}
}

// stopped waits until a process has stopped.
func stopped(pid int) bool {
	for range 200 {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return false
		}
		if _, state, ok := strings.Cut(string(b), ") "); ok && state != "" && (state[0] == 'T' || state[0] == 't') {
			return true
		}
		time.Sleep(time.Millisecond)
	}
	return false
}

// thaw runs the program's own clean-up, as the service manager would when both have ended.
func (s *stand) thaw(ctx context.Context, r *report) {
	for until := time.Now().Add(promise); len(processes(s.program)) > 0 && time.Now().Before(until); sleep(1) {
	}
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	cmd := s.scene.Command(ctx, "thaw", "--runtime-dir", filepath.Join(s.scene.Dir, "runtime"))
	cmd.WaitDelay = time.Second
	r.from = time.Now()
	out, err := cmd.CombinedOutput()
	if err != nil {
		r.bad("stillpoint thaw: %v: %s", err, out)
	}
	if s.quiesced() {
		r.bad("stillpoint thaw left post_thaw owed: %s", out)
	}
}

// hasThaw says whether the program has that command.
func hasThaw(ctx context.Context, program string) bool {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return exec.CommandContext(ctx, program, "thaw", "--help").Run() == nil
}

// hasHooks says whether the program knows the keys of hooks: a file that is
// wrong in another place makes it say so of each that it does not know.
func hasHooks(ctx context.Context, program, dir string) bool {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	file := filepath.Join(dir, "hooks.yaml")
	text := "queue_url: none\ndefault_plan: p\nplans:\n  p:\n    freeze: [/mnt]\n    max_hold: 1s\n    pre_freeze: [/bin/true]\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return false
	}
	out, err := exec.CommandContext(ctx, program, "worker", "--config", file).CombinedOutput()
	return err != nil && strings.Contains(string(out), "max_hold") && !strings.Contains(string(out), "not supported")
}

// afterDeath looks at what a worker that was killed leaves.
func (s *stand) afterDeath(ctx context.Context, r *report) {
	defer s.reaped(r)
	s.calm(ctx, r, "process", func() int { return len(processes(s.program)) })
	r.measure(s)
}

// reaped waits until the end of a worker that was killed is known here too.
func (s *stand) reaped(r *report) {
	select {
	case <-s.worker.Exited():
		<-s.worker.ended
	case <-time.After(promise):
		r.bad("the worker has not ended after SIGKILL")
		return
	}
	if events := s.worker.since(0); len(events) > 0 {
		r.where = events[len(events)-1].line
	}
}

// goOn lets the worker go on without its guardian.
func (s *stand) goOn(ctx context.Context, r *report) {
	c := r.cell
	if c.waits() {
		if c.victim == stopGuardian && c.stuck && c.stage.held {
			s.flowWhileStopped(ctx, r)
		}
		if err := s.worker.proceed(); err != nil {
			r.bad("%v", err)
		}
	}
	s.calm(ctx, r, "guardian", func() int { return len(guardians(s.program)) })
	r.measure(s)
}

// whileStopped waits past max_hold beside a worker that is stopped, and then
// continues or kills it.
func (s *stand) whileStopped(ctx context.Context, r *report) {
	c, w := r.cell, s.worker
	if c.stage.held {
		s.flowWhileStopped(ctx, r)
	} else {
		sleep(300)
	}
	r.measure(s)
	if c.lapse {
		s.scene.AWS.MoveClock(pastVisibility)
	}
	if !c.cont {
		r.signal(w.PID(), unix.SIGKILL)
		s.calmFrom(ctx, r, time.Now(), "process", func() int { return len(processes(s.program)) })
		s.reaped(r)
		return
	}
	mount, foreign := s.scene.Volumes[0].Mount, c.foreign && c.stage.held
	if foreign {
		if err := freezer(mount, ioctlFreeze); err != nil {
			r.bad("cannot freeze as somebody else: %v", err)
			foreign = false
		}
	}
	_ = w.hold("")
	if c.waits() {
		if _, err := w.release.Write([]byte{1}); err != nil {
			r.bad("%v", err)
		}
	}
	r.signal(w.PID(), unix.SIGCONT)
	if foreign {
		// Time enough for a worker that would thaw what is not its own.
		sleep(700)
		if err := freezer(mount, ioctlThaw); err != nil {
			r.bad("a worker that was stopped past max_hold and continued thawed somebody else's freeze: %v", err)
		}
	}
	s.calmFrom(ctx, r, time.Now(), "guardian", func() int { return len(guardians(s.program)) })
}

// flowWhileStopped waits until writes flow although nobody of ours can go on.
func (s *stand) flowWhileStopped(ctx context.Context, r *report) {
	past := r.at.Add(maxHold + 50*time.Millisecond)
	for until := r.at.Add(promise + time.Second); time.Now().Before(until) && ctx.Err() == nil; sleep(5) {
		if time.Now().After(past) && s.flowed(past) {
			return
		}
	}
	r.bad("writes do not flow %s after the kill", time.Since(r.at).Round(time.Millisecond))
}

func (s *stand) flowed(after time.Time) bool {
	for _, m := range s.meters() {
		if !m.flowed(after) {
			return false
		}
	}
	return true
}

// tidyWithin bounds what is not promised to be as quick as the writes: that
// processes and sessions are gone. A worker waits 10 s for a guardian that does
// not greet, with nothing held.
const tidyWithin = promise + 8*time.Second

// calm waits until nothing of the victim is left and writes flow.
func (s *stand) calm(ctx context.Context, r *report, what string, left func() int) {
	s.calmFrom(ctx, r, r.from, what, left)
}

func (s *stand) calmFrom(ctx context.Context, r *report, from time.Time, what string, left func() int) {
	var why error
	for until := from.Add(tidyWithin); time.Now().Before(until) && ctx.Err() == nil; sleep(5) {
		if n := left(); n > 0 {
			why = fmt.Errorf("%d %ss of ours are left", n, what)
			continue
		}
		own, queued, err := s.sessions(ctx)
		if err != nil || own > 0 || queued > 0 {
			why = errors.Join(err, fmt.Errorf("%d sessions of ours are left at the server, and %d requests for the lock", own, queued))
			sleep(10)
			continue
		}
		now := time.Now()
		for ; time.Now().Before(until) && !s.flowed(now); sleep(2) {
		}
		if s.flowed(now) {
			return
		}
		why = errors.New("writes do not flow")
	}
	r.bad("%s after %s: %v", time.Since(from).Round(time.Millisecond), r.cell, why)
}

// measure takes down how long writes waited, and holds it against the promise.
func (r *report) measure(s *stand) {
	r.db = max(r.db, s.db.stall(r.from))
	for _, m := range s.files {
		r.files = max(r.files, m.stall(r.from))
	}
	if longest := max(r.db, r.files); longest > promise {
		r.bad("writes waited for %s, and max_hold is %s", longest.Round(time.Millisecond), maxHold)
	}
}
