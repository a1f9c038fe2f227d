package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"

	"stillpoint/messages"
	"stillpoint/test/rig"
)

// matrix is a run of the whole.
type matrix struct {
	options
	program string
	marker  string // see stand
	rcu     string
	lengths stageLengths
	sum     *summary
	stand   *stand
	on      int       // kills on this stand
	all     []*report // of them
	good    []*report // those that succeeded on it
}

// torture kills n times. The error says how many things were wrong.
func torture(ctx context.Context, o options) (err error) {
	if o.seed == 0 {
		o.seed = rand.Uint64N(1 << 32) //nolint:gosec // dice, not keys
	}
	dir, err := os.MkdirTemp("", "stillpoint-torture-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return err
	}
	m := &matrix{options: o, rcu: rig.Expedited(), lengths: stageLengths{}, sum: newSummary()}
	if m.program, err = build(ctx, dir, o.race); err != nil {
		return err
	}
	reap, err := startReaper(m.program, dir)
	if err != nil {
		return err
	}
	defer reap()
	if hasHooks(ctx, m.program, dir) {
		m.marker = filepath.Join(dir, "quiesced")
	}
	random := rand.New(rand.NewPCG(o.seed, 1)) //nolint:gosec // dice, not keys
	all, without := cells(o.only, random)
	if !hasThaw(ctx, m.program) {
		fmt.Fprintln(o.out, "the program has no command thaw: kills of both are left out")
		all = slices.DeleteFunc(all, func(c cell) bool { return c.victim == killBoth })
	}
	if m.marker == "" {
		fmt.Fprintln(o.out, "the program knows no hooks: their stages are left out")
		all = slices.DeleteFunc(all, func(c cell) bool { return c.stage.hook })
	}
	if o.short {
		all = short(all)
		m.n = min(m.n, len(all))
	}
	if len(all) == 0 {
		return fmt.Errorf("no cell is named by %q: write victim/stage/moment, or a part of it, such as both/freeze", o.only)
	}
	fmt.Fprintf(o.out, "%d kills, %d cells to choose from, seed %d; max_hold %s\n", m.n, len(all), o.seed, maxHold)
	begun := time.Now()
	err = m.kills(ctx, all, random)
	about := fmt.Sprintf("%d kills with seed %d in %s on %d cores (`make torture ARGS=\"-n %d -seed %d\"`): XFS and ext4 on loop devices, MariaDB with four writers, `max_hold` %s, EC2 answering CreateSnapshots after 200 to 800 ms.",
		m.sum.n, o.seed, time.Since(begun).Round(time.Second), runtime.NumCPU(), m.n, o.seed, maxHold)
	m.sum.print(o.out, len(without))
	fmt.Fprintf(o.out, "%s, seed %d\n", time.Since(begun).Round(time.Second), o.seed)
	if o.markdown != "" {
		f, ferr := os.Create(o.markdown)
		if ferr == nil {
			m.sum.markdown(f, len(without), about)
			ferr = f.Close()
		}
		err = errors.Join(err, ferr)
	}
	if n := len(m.sum.faults); n > 0 {
		err = errors.Join(err, fmt.Errorf("%d kills left something wrong", n))
	}
	return err
}

func (m *matrix) kills(ctx context.Context, all []cell, random *rand.Rand) (err error) {
	defer func() {
		if err != nil || ctx.Err() != nil {
			m.proofs = 0
		}
		err = errors.Join(err, m.leave(context.WithoutCancel(ctx)))
	}()
	for i := 0; m.sum.n < m.n && i < 2*m.n; i++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if m.stand == nil {
			if m.stand, err = m.newStand(ctx); err != nil {
				return err
			}
			m.on, m.all, m.good = 0, nil, nil
		}
		c := all[i%len(all)].dice(random)
		r := m.stand.run(ctx, c, fmt.Sprintf("kill-%d-%d", m.seed, i+1))
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		m.sum.add(r)
		show(m.out, m.sum.n, m.n, r)
		m.all = append(m.all, r)
		if r.final != nil && r.final.Status == messages.Succeeded {
			m.good = append(m.good, r)
		}
		if m.on++; m.on >= m.perScene || len(r.faults) > 0 { // what went wrong may have left more behind
			if err := m.leave(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// leave takes the stand down, after the restore of some sets.
func (m *matrix) leave(ctx context.Context) (err error) {
	s := m.stand
	if s == nil {
		return nil
	}
	m.stand = nil
	for _, r := range m.all {
		if known := len(r.faults); ctx.Err() == nil && known == 0 {
			if s.late(ctx, r); len(r.faults) > known {
				m.sum.faults = append(m.sum.faults, r)
				show(m.out, m.sum.n, m.n, r)
			}
		}
	}
	for i := range min(m.proofs, len(m.good)) {
		r := m.good[len(m.good)-1-i*len(m.good)/max(m.proofs, 1)]
		if err := m.prove(ctx, s, r); err != nil && ctx.Err() == nil {
			r.bad("the set that was called consistent is not: %v", err)
			m.sum.faults = append(m.sum.faults, r)
			fmt.Fprintf(m.out, "WRONG with %s (%s): %s\n", r.id, r.cell, r.faults[len(r.faults)-1])
		}
	}
	dir := s.scene.Dir
	if err = s.close(); err != nil {
		err = fmt.Errorf("cannot take the scene down: %w", err)
	}
	if left, lerr := rig.LeftUnder(dir); lerr != nil || len(left) > 0 {
		err = errors.Join(err, lerr, fmt.Errorf("left behind: %v", left))
	}
	return err
}

// prove restores a set and compares it with the binlog.
func (m *matrix) prove(ctx context.Context, s *stand, r *report) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	restored, err := s.scene.Restore(ctx, r.final)
	if err != nil {
		return err
	}
	p, err := s.scene.Prove(ctx, restored, r.final)
	if err == nil && !p.OK() {
		err = errors.New(p.String())
	}
	if err == nil {
		line := fmt.Sprintf("Restored %s (%s): %s.", r.id, r.cell, p)
		fmt.Fprintln(m.out, line)
		m.sum.proved = append(m.sum.proved, line)
	}
	return errors.Join(err, restored.Close())
}
