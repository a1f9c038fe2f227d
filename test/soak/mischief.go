package soak

import (
	"context"
	"math/rand/v2"
	"slices"
	"syscall"
	"time"
)

// deed is one thing that is done to the worker when so many messages are sent.
type deed struct {
	at int
	do func(ctx context.Context, dice *rand.Rand) error
}

// mischief kills, reloads and moves the clock until so many messages are sent.
func (s *soak) mischief(ctx context.Context, until int) {
	dice := s.dice(2)
	var deeds []deed
	at := func() int { return 1 + dice.IntN(max(until-3, 1)) }
	for i := range s.Kills {
		do := s.killWorker
		switch i % 10 { // so that every kind comes in a short run too
		case 1, 6:
			do = s.killGuardian
		case 2, 7:
			do = s.terminate
		case 3:
			do = s.killBoth
		}
		deeds = append(deeds, deed{at(), do})
	}
	for range 1 + until/60 {
		deeds = append(deeds, deed{at(), s.reload})
	}
	for range 1 + until/400 {
		deeds = append(deeds, deed{at(), s.jump})
	}
	slices.SortFunc(deeds, func(a, b deed) int { return a.at - b.at })
	for _, d := range deeds {
		for {
			if n, _, _ := s.ledger.count(); n >= d.at {
				break
			}
			if !rest(ctx, 10*time.Millisecond) {
				return
			}
		}
		if !rest(ctx, time.Duration(dice.Int64N(int64(300*time.Millisecond)))) {
			return
		}
		if err := d.do(ctx, dice); err != nil {
			s.Say("%v", err)
		}
	}
}

// aim is at which moment to strike.
type aim int

const (
	anytime aim = iota
	// attempting: while there is a guardian, at a random moment of its life.
	attempting
	// holding: while writes are blocked, or if that does not come about, attempting.
	holding
)

// inWindow is for how long a write is blocked before it counts as that.
const inWindow = 25 * time.Millisecond

// victim is the worker that runs and, where aimed, its guardian, which may be 0.
func (s *soak) victim(ctx context.Context, dice *rand.Rand, at aim) (worker, guard int, err error) {
	patience := time.Now().Add(10 * time.Second)
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		if worker, err = s.keeper.running(ctx); err != nil {
			return 0, 0, err
		}
		switch guard = guardian(worker); {
		case at == anytime:
			return worker, 0, nil
		case guard == 0:
		case at == holding && time.Now().Before(patience):
			if s.beat.blocked() > inWindow {
				return worker, guard, nil
			}
		default:
			rest(ctx, time.Duration(dice.Int64N(int64(120*time.Millisecond))))
			return worker, guardian(worker), nil
		}
		if !rest(ctx, time.Millisecond) {
			return worker, 0, nil
		}
	}
}

func (s *soak) killed(what string) { s.count(func() { s.done.kills[what]++ }) }

func (s *soak) killWorker(ctx context.Context, dice *rand.Rand) error {
	_, guard, err := s.victim(ctx, dice, []aim{anytime, attempting, holding}[dice.IntN(3)])
	if err != nil {
		return err
	}
	what := "SIGKILL of the worker"
	if guard != 0 {
		what += ", its guardian alive"
	}
	s.killed(what)
	return s.keeper.end(ctx, syscall.SIGKILL)
}

func (s *soak) killGuardian(ctx context.Context, dice *rand.Rand) error {
	for range 20 {
		_, guard, err := s.victim(ctx, dice, holding)
		if err != nil {
			return err
		}
		if guard != 0 && syscall.Kill(guard, syscall.SIGKILL) == nil {
			s.killed("SIGKILL of the guardian")
			return nil
		}
	}
	return nil
}

func (s *soak) killBoth(ctx context.Context, dice *rand.Rand) error {
	for range 20 {
		_, guard, err := s.victim(ctx, dice, holding)
		if err != nil {
			return err
		}
		if guard != 0 {
			s.killed("SIGKILL of both")
			return s.keeper.both(ctx, guard)
		}
	}
	return nil
}

func (s *soak) terminate(ctx context.Context, dice *rand.Rand) error {
	if _, _, err := s.victim(ctx, dice, aim(dice.IntN(2))); err != nil {
		return err
	}
	s.killed("SIGTERM of the worker")
	ctx, cancel := context.WithTimeout(ctx, stopWithin)
	defer cancel()
	return s.keeper.end(ctx, syscall.SIGTERM)
}

// stopWithin is how long a worker may take for SIGTERM: a poll of 20 s, or a request with all of its timeouts.
const stopWithin = 60 * time.Second

func (s *soak) reload(ctx context.Context, dice *rand.Rand) error {
	worker, _, err := s.victim(ctx, dice, aim(dice.IntN(2)))
	if err != nil {
		return err
	}
	// A worker that has not come so far as to listen for it would end.
	if !s.healthy(ctx) {
		return nil
	}
	s.count(func() { s.done.reloads++ })
	return syscall.Kill(worker, syscall.SIGHUP)
}

// jump makes everything that is in flight visible again, also what the worker
// is busy with: SQS owes nobody more than at least one delivery.
func (s *soak) jump(ctx context.Context, dice *rand.Rand) error {
	if _, _, err := s.victim(ctx, dice, attempting); err != nil {
		return err
	}
	s.count(func() { s.done.jumps++ })
	s.AWS.MoveClock(redelivery)
	return nil
}

// redelivery is more than the worker hides a message for without a new extension.
const redelivery = 130 * time.Second

func rest(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
