// Package soak keeps a worker busy for a long time under everything that can
// go wrong at once, and holds the end against the promises: a real XFS, a real
// MariaDB that is written to, the local AWS with one call in twenty faulty,
// duplicates, bad messages, and kills of the worker, of its guardian and of both.
//
// Run is the whole of it; what it sends is in traffic.go, what it does to the
// worker in mischief.go, and what must be true in the end in audit.go.
package soak

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"stillpoint/localstack"
	"stillpoint/test/rig"
	"stillpoint/test/scene"
)

// Config says how long and how hard.
type Config struct {
	// Stillpoint is the program under test, built with the tag torture.
	Stillpoint string
	// Messages is how many are sent, duplicates and bad ones included.
	Messages int
	// Kills is how many signals end the worker, its guardian or both.
	Kills int
	// Storm is the part of the messages that is sent while things are killed;
	// the rest is the stretch over which growth is measured.
	Storm float64
	// Faulty is the part of the worker's calls that a fault hits, and Hangs
	// how many of these get no answer at all: each costs its whole timeout.
	Faulty, Hangs float64
	// Seed decides what is sent and killed, and the dice of the faults. The
	// same seed is not the same run: which call comes when is up to the machine.
	Seed uint64
	// CheckMemory holds the growth of memory against its tolerance too, for
	// which the stretch must be long.
	CheckMemory bool
	// DrainWithin bounds the time from the last message sent until all are accounted for.
	DrainWithin time.Duration
	// Keep is a directory that gets the worker's log and state_dir in the end; "": none.
	Keep string
	// Say is told how it goes.
	Say func(format string, args ...any)
}

// The plan's times. Small ones, so that a hanging call costs little.
const (
	maxHold   = 8 * time.Second
	planYAML  = "snapshot_timeout: 3s\nmax_hold: 8s\nrequest_tags: [ticket]"
	mysqlYAML = "lock_sleep: 500ms\nlock_tries: 10"
)

// soak is one run.
type soak struct {
	Config
	*scene.Scene
	ledger ledger
	keeper *keeper
	calls  tally
	beat   *beat
	growth growth
	quiet  atomic.Bool // nothing is delivered again any more
	done   struct {
		sync.Mutex
		kills    map[string]int
		reloads  int
		again    int // deleted messages that were delivered again
		outages  int
		jumps    int // of AWS's clock, while the worker had a message
		thaws    int // runs of `stillpoint thaw` between death and restart
		thawless bool
	}
}

// Run sets the stage, soaks and audits. The error says that it could not be
// carried out; what the product did wrong stands in the Report.
func Run(ctx context.Context, c Config) (_ *Report, err error) {
	begun := time.Now()
	port, err := freePort(ctx)
	if err != nil {
		return nil, err
	}
	stage, err := scene.New(ctx, scene.Config{
		Stillpoint: c.Stillpoint, Extra: "ext4", VolumeMiB: 1024, Writers: 3, Pause: 200 * time.Millisecond, SnapshotTime: 200 * time.Millisecond,
		PlanYAML: planYAML, MySQLYAML: mysqlYAML, FileYAML: fmt.Sprintf("http_addr: 127.0.0.1:%d", port), Say: c.Say,
	})
	if err != nil {
		return nil, err
	}
	r := &Report{Config: c}
	defer func() {
		c.Say("taking everything down")
		err = errors.Join(err, stage.Close())
		left, leftErr := rig.LeftUnder(stage.Dir)
		err = errors.Join(err, leftErr)
		for _, l := range left {
			r.wrong("left behind: %s", l)
		}
	}()
	s := &soak{Config: c, Scene: stage}
	s.done.kills = map[string]int{}
	if err := s.prepare(ctx, port); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.keep()) }()
	if err := s.play(ctx); err != nil {
		return nil, fmt.Errorf("%w\nthe worker's last words:\n%s", err, s.keeper.tail())
	}
	r.Took = time.Since(begun)
	if err := s.audit(ctx, r); err != nil {
		return nil, err
	}
	return r, nil
}

// prepare does what the scene does not do by itself.
func (s *soak) prepare(ctx context.Context, port int) (err error) {
	b := s.AWS.EC2Behaviour()
	b.Unthrottled = true                       // limits come as faults
	b.DescribeLagMax = 1500 * time.Millisecond // what was made and tagged shows itself late
	b.Limits = localstack.EC2Limits{PendingPerVolume: -1, Pending: -1, Snapshots: -1, Copies: -1, FastRestores: -1}
	if err := s.AWS.BehaveEC2(b); err != nil {
		return err
	}
	if err := s.addPlan(); err != nil {
		return err
	}
	s.thawAtTheEnd()
	if s.beat, err = startBeat(ctx, s.Scene); err != nil {
		return err
	}
	s.keeper, err = startKeeper(ctx, s, port)
	return err
}

// play sends everything and waits until all of it is settled.
func (s *soak) play(ctx context.Context) error {
	storm := int(float64(s.Messages) * s.Storm)
	s.done.outages = 6 + storm/60
	if err := s.AWS.SetFaults(append(strewn(s.dice(4), s.done.outages, storm), faults(s.Faulty, s.Hangs)...)...); err != nil {
		return err
	}
	if err := s.reseed(ctx); err != nil {
		return err
	}
	work, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer func() { stop(); wg.Wait() }()
	wg.Go(func() { s.collect(work) })
	wg.Go(func() { s.calls.watch(work, s.AWS) })
	wg.Go(func() { s.progress(work) })
	wg.Go(func() { s.purge(work) })

	send := &sender{soak: s, dice: s.dice(1)}
	s.Say("the storm: %d messages, with %d kills", storm, s.Kills)
	var mischief sync.WaitGroup
	mischief.Go(func() { s.mischief(work, storm) })
	err := send.upTo(ctx, storm)
	if err == nil {
		mischief.Wait() // each kill waits for its message, and all of these are sent
		s.Say("no more kills: %d messages with one worker, whose growth is measured", s.Messages-storm)
		err = s.steady(ctx, send)
	}
	if err != nil {
		return err
	}
	return s.drain(ctx)
}

// dice are those of one of the goroutines that throw some.
func (s *soak) dice(stream uint64) *rand.Rand {
	return rand.New(rand.NewPCG(s.Seed, stream)) //nolint:gosec // dice, not keys
}

// count adds to what was done, under its lock.
func (s *soak) count(f func()) {
	s.done.Lock()
	defer s.done.Unlock()
	f()
}
