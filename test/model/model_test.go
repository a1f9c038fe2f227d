// Package model holds the property test of journal plus worker: the real
// journal, event loop, outbox and pipeline, on a model of SQS, SNS, EC2 and the
// host, against any interleaving of crashes, redeliveries and late answers.
//
// What must hold, whatever happens: one request makes one set of snapshots, and
// every request received ends in one result that reaches SNS.
package model

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

// counts is what the sequences came to, over all of a test.
type counts struct {
	mu sync.Mutex
	n  map[string]int
}

func (c *counts) add(what string, n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n[what] += n
}

func (c *counts) table() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var lines []string
	for what, n := range c.n {
		lines = append(lines, fmt.Sprintf("%-60s %d", what, n))
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// lanes are played at the same time, each with all of rapid's checks and a disk of its own.
const lanes = 3

// The long form: go test ./test/model -v -timeout 1h -rapid.checks=5000
func TestOneSetAndOneResultWhateverHappens(t *testing.T) {
	c := &counts{n: map[string]int{}}
	t.Run("sequences", func(t *testing.T) {
		for i := range lanes {
			t.Run(fmt.Sprint(i), func(t *testing.T) {
				t.Parallel()
				check(t, c)
			})
		}
	})
	if testing.Verbose() {
		t.Logf("what happened:\n%s", c.table())
	}
}

func check(t *testing.T, c *counts) {
	d := newDisk(t)
	n, first := 0, ""
	defer func() {
		if first != "" { // goroutines of a worker take turns as they like: not every failure comes again
			t.Logf("the first sequence that failed, before it was made smaller:\n%s", first)
		}
	}()
	rapid.Check(t, func(rt *rapid.T) {
		s := scripts.Draw(rt, "script")
		n++
		c.add("sequences", 1)
		state := filepath.Join(d.root, fmt.Sprint("state-", n))
		defer func() { _ = os.RemoveAll(state) }()
		w := newWorld(d, state, c)
		play(t, w, s)
		if len(w.broken) > 0 {
			report := fmt.Sprintf("%s\n\nscript:%s\n\nwhat happened:\n  %s", strings.Join(w.broken, "\n"), s, strings.Join(w.trail, "\n  "))
			if first == "" {
				first = report
			}
			rt.Log(report)
			rt.Fatal(w.first) // without names: rapid shrinks to what fails in the same words
		}
	})
}

// play plays a script in a bubble of its own.
func play(t *testing.T, w *world, s script) {
	synctest.Test(t, func(*testing.T) {
		defer func() { // a panic here would end the whole test instead of this sequence
			if r := recover(); r != nil {
				w.breach("panic: %v\n%s", r, debug.Stack())
			}
		}()
		w.wake = make(chan struct{}) // of the bubble, so that a wait for it lets time pass
		st := &stage{world: w}
		err := st.start()
		for _, a := range s {
			if err == nil {
				err = st.act(a)
			}
		}
		err = errors.Join(err, st.end())
		w.disk.free()
		if err != nil {
			w.breach("the harness: %v", err)
		}
	})
}

// stage is the worker that lives at the moment.
type stage struct {
	*world
	life *life
}

func (st *stage) start() (err error) {
	st.life, err = st.startWorker()
	return err
}

func (st *stage) isDead() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.life.isDead
}

// revive starts the worker again, if it is dead: as soon as nothing of the old one moves any more.
func (st *stage) revive() error {
	synctest.Wait()
	for try := 0; ; try++ {
		select {
		case <-st.life.ended: // killed, or stopped
		default:
			if !st.isDead() {
				return nil
			}
		}
		err := st.start()
		if err == nil || try > 100 {
			return err
		}
		st.say("cannot start: %v", err) // the service manager tries again
		time.Sleep(time.Minute)
	}
}

// pass lets time pass; whoever dies meanwhile is started again.
func (st *stage) pass(d time.Duration) error {
	for end := time.Now().Add(d); ; {
		if err := st.revive(); err != nil {
			return err
		}
		left := time.Until(end)
		if left <= 0 {
			return nil
		}
		t := time.NewTimer(left)
		select {
		case <-t.C:
		case <-st.life.gone:
		}
		t.Stop()
	}
}

func (st *stage) act(a action) error {
	st.say("--- %s", a)
	switch a.what {
	case "wait":
		return st.pass(a.d)
	case "send":
		st.send(request(a.text, a.n))
	case "show":
		st.mu.Lock()
		defer st.mu.Unlock()
		if len(st.queue) > 0 {
			if m := st.queue[a.n%len(st.queue)]; !m.redriven {
				st.show(m)
			}
		}
	case "fault":
		st.mu.Lock()
		defer st.mu.Unlock()
		f := a.fault
		st.faults = append(st.faults, &f)
	case "kill soon":
		st.mu.Lock()
		defer st.mu.Unlock()
		st.killIn, st.killHow = a.n, a.text
	case "cli":
		return st.cli(a.text, plans[0])
	case "kill":
		st.mu.Lock()
		st.note("SIGKILL of %s while nothing moves", st.life.name)
		st.counts.add("kill at rest", 1)
		st.life.end()
		if a.text == reboot {
			st.restarted()
		}
		st.mu.Unlock()
		synctest.Wait()
		time.Sleep(a.d)
		return st.revive()
	case "stop":
		st.counts.add("stops", 1)
		st.life.stop()
		<-st.life.ended
		time.Sleep(a.d)
		return st.revive()
	}
	return nil
}

// end lets everything heal and checks what it came to: first when all is done,
// then when every message was delivered once more, in a healthy world.
func (st *stage) end() error {
	st.say("--- heal")
	st.mu.Lock()
	st.faults, st.killIn = nil, 0
	st.mu.Unlock()
	st.disk.free()
	if err := st.drain(); err != nil {
		return err
	}
	st.check(false)
	time.Sleep(30 * time.Minute) // whatever was late is there now
	st.say("--- once more")
	st.mu.Lock()
	for _, m := range st.queue {
		m.MaxReceives, m.redriven = 0, false // an operator moves back what SQS gave up
		st.show(m)
	}
	st.mu.Unlock()
	for _, id := range []string{"one", "two", "three"} {
		if st.byHand[id] { // nothing brings it back but another message
			st.send(request(id, 0))
		}
	}
	if err := st.drain(); err != nil {
		return err
	}
	st.check(true)
	st.life.stop()
	<-st.life.ended
	time.Sleep(10 * time.Minute) // what is left of the dead ends at its next step
	return nil
}

func (st *stage) check(seenAgain bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.settled(seenAgain)
}

// drain waits until nothing is to be done any more.
func (st *stage) drain() error {
	for range 24 * 12 {
		if err := st.pass(5 * time.Minute); err != nil {
			return err
		}
		if st.idle(st.life) == "" {
			return nil
		}
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.breach("after a healthy day %s", st.idleLocked())
	return nil
}

func (st *stage) idleLocked() string {
	st.mu.Unlock()
	defer st.mu.Lock()
	return st.idle(st.life)
}
