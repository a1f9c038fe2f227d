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

// victim is the worker that runs and, where aimed, its guardian, at a random
// moment of that one's life. The guardian may be 0.
func (s *soak) victim(ctx context.Context, dice *rand.Rand, aimed bool) (worker, guard int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		if worker, err = s.keeper.running(ctx); err != nil {
			return 0, 0, err
		}
		if !aimed {
			return worker, 0, nil
		}
		if guard = guardian(worker); guard != 0 {
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
	_, guard, err := s.victim(ctx, dice, dice.IntN(3) > 0)
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
		_, guard, err := s.victim(ctx, dice, true)
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
		_, guard, err := s.victim(ctx, dice, true)
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
	if _, _, err := s.victim(ctx, dice, dice.IntN(2) > 0); err != nil {
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
	worker, _, err := s.victim(ctx, dice, dice.IntN(2) > 0)
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
	if _, _, err := s.victim(ctx, dice, true); err != nil {
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
