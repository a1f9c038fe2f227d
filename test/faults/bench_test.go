package faults

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"stillpoint/test/rig"
	"stillpoint/test/scene"
)

// The bounds of the plan, as short as its file allows, so that what hangs does not take long.
const (
	lockTimeout     = 300 * time.Millisecond
	snapshotTimeout = 2 * time.Second
	maxHold         = 7 * time.Second
	// promise is what the design says of any writer, whatever fails.
	promise = maxHold + time.Second
)

// stateMiB is the size of the file system under state_dir, which some cells fill.
const stateMiB = 16

// bench is one stage on which cells are tried one after the other.
type bench struct {
	ctx     context.Context
	s       *scene.Scene
	w       *worker
	workers int
	mail    *mailbox
	clock   string // the file of STILLPOINT_CLOCK
	state   string // the mount point of state_dir
	cells   int
	// stall is the longest statement of a writer in the cell under way, longest that of all cells whose writers are ours to keep going.
	stall, longest time.Duration
	close          func()
	spoilt         bool      // by a cell that left it in a state that nobody can vouch for
	began          time.Time // the cell under way
	sent           time.Time // when its message was last put where a poll gets it
}

// set makes a bench for the test t that is taken down with its group.
func set(t, group *testing.T, c scene.Config) *bench {
	t.Helper()
	if missing := rig.Missing(); len(missing) > 0 {
		t.Skipf("this machine lacks %s", strings.Join(missing, ", "))
	}
	ctx, cancel := context.WithTimeout(group.Context(), patience())
	group.Cleanup(cancel)
	c.Stillpoint, c.VolumeMiB = program, 512
	if !c.NoDatabase {
		c.Writers, c.Pause = 4, 100*time.Millisecond
		c.MySQLYAML = fmt.Sprintf("lock_timeout: %s\nlock_tries: 20\nlock_sleep: 200ms", lockTimeout)
	}
	c.PlanYAML = fmt.Sprintf("max_hold: %s\nsnapshot_timeout: %s\ncopy_tags: true", maxHold, snapshotTimeout)
	expedited := rig.Expedited()
	s, err := scene.New(ctx, c)
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{ctx: ctx, s: s, clock: filepath.Join(s.Dir, "clock"), state: filepath.Join(s.Dir, "state")}
	b.close = sync.OnceFunc(func() {
		_ = s.AWS.SetFaults()
		for _, v := range s.Volumes {
			_ = thaw(v.Mount) // what a cell that failed half-way left behind
		}
		if err := s.Close(); err != nil {
			group.Error(err)
		}
		if left, err := rig.LeftUnder(s.Dir); err != nil || len(left) > 0 {
			group.Errorf("left behind: %v %v", left, err)
		}
		if now := rig.Expedited(); now != expedited {
			group.Errorf("rcu_expedited is %s and was %s", now, expedited)
		}
	})
	group.Cleanup(b.close)
	for _, step := range []func() error{
		// EC2's token buckets would meet one cell and not the next.
		func() error {
			behaviour := s.AWS.EC2Behaviour()
			behaviour.Unthrottled = true
			return s.AWS.BehaveEC2(behaviour)
		},
		func() error { return os.WriteFile(b.clock, nil, 0o600) },
		b.makeStateDisk,
		func() error { b.mail = collect(ctx, s); return nil },
		func() error { return b.startWorker("", true) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// makeStateDisk puts state_dir on a file system of its own.
func (b *bench) makeStateDisk() error {
	image := filepath.Join(b.s.Dir, "state.img")
	f, err := os.Create(image)
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(stateMiB<<20), f.Close()); err != nil {
		return err
	}
	if err := rig.Format(b.ctx, image, "ext4"); err != nil {
		return err
	}
	if err := os.MkdirAll(b.state, 0o700); err != nil {
		return err
	}
	if err := rig.Mount(b.ctx, image, b.state, "ext4", "loop"); err != nil {
		return err
	}
	b.s.Defer("the disk of state_dir", func(context.Context) error { return rig.Unmount(b.state) })
	return os.Chmod(b.state, 0o700)
}

// patience bounds a whole bench.
func patience() time.Duration {
	if *long {
		return 50 * time.Minute
	}
	return 5 * time.Minute
}

// await polls a condition that no event announces.
func (b *bench) await(limit time.Duration, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeout(b.ctx, limit)
	defer cancel()
	tick := time.NewTicker(25 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("cannot see %s: %w", what, context.Cause(ctx))
		case <-tick.C:
		}
	}
	return nil
}
