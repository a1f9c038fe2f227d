// Package clock is a clock that goes as the machine's does, and can be moved forward. Everything that AWS does by time goes by it:
// visibility timeouts, retention, schedules, uploads, token buckets. What a client waits for on its connection does not.
package clock

import (
	"container/heap"
	"sync"
	"time"
)

// Clock tells the time and runs functions when it comes. Make one with New.
type Clock struct {
	mu     sync.Mutex
	ahead  time.Duration // of the machine's clock
	due    timers
	serial int         // of the last timer made: those for one time run in the order in which they were made
	wake   *time.Timer // for the first of due
	ended  bool
	moving sync.Mutex // one Move at a time

	inMove  bool       // Move runs what comes due, and nothing rings
	running int        // functions that run
	idle    *sync.Cond // with mu: running has become zero
}

// Timer is a function that runs later. It is made by Clock.AfterFunc.
type Timer struct {
	clock  *Clock
	at     time.Time
	serial int
	index  int // in the heap; below zero: it has run or was stopped
	f      func()
}

// New makes a clock that shows the time of the machine.
func New() *Clock {
	c := &Clock{}
	c.idle = sync.NewCond(&c.mu)
	return c
}

// Now is the time, without the reading of a monotonic clock, as it may be moved.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now()
}

func (c *Clock) now() time.Time { return time.Now().Add(c.ahead).Round(0) }

// Ahead is how far the clock was moved.
func (c *Clock) Ahead() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ahead
}

// AfterFunc runs f in a goroutine of its own, or in that of Move, once d has passed.
func (c *Clock) AfterFunc(d time.Duration, f func()) *Timer {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.serial++
	t := &Timer{clock: c, at: c.now().Add(d), serial: c.serial, index: -1, f: f}
	if !c.ended {
		heap.Push(&c.due, t)
		if t.index == 0 {
			c.rest()
		}
	}
	return t
}

// Stop keeps the function from running, and tells whether it did: false means that it has run, runs, or was stopped before.
func (t *Timer) Stop() bool {
	c := t.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	if t.index < 0 {
		return false
	}
	heap.Remove(&c.due, t.index)
	return true
}

// Move puts the clock forward by d and runs what comes due on the way, one after the other, each with the clock at its own time.
// What such a function sets up runs too, if it is due by then. Below zero it does nothing: AWS's time does not go back.
//
// It first waits for functions that run already: one that sets up its next time would otherwise find that it has passed. So a
// function must not call it, or wait for somebody who does.
func (c *Clock) Move(d time.Duration) {
	c.moving.Lock()
	defer c.moving.Unlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.inMove = true
	c.wait()
	end, ahead := c.now().Add(d), c.ahead+d
	for len(c.due) > 0 && !c.due[0].at.After(end) {
		t := heap.Pop(&c.due).(*Timer)
		c.ahead += max(t.at.Sub(c.now()), 0)
		c.running++
		c.mu.Unlock()
		t.run()
		c.mu.Lock()
	}
	c.ahead = max(c.ahead, ahead)
	c.inMove = false
	c.rest()
}

// wait waits for functions that run. The lock is held.
func (c *Clock) wait() {
	for c.running > 0 {
		c.idle.Wait()
	}
}

// run runs the function of a timer, which is counted as running.
func (t *Timer) run() {
	c := t.clock
	defer func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.running--; c.running == 0 {
			c.idle.Broadcast()
		}
	}()
	t.f()
}

// rest sets the alarm for the next timer. The lock is held.
func (c *Clock) rest() {
	if c.wake != nil {
		c.wake.Stop()
		c.wake = nil
	}
	if len(c.due) > 0 && !c.ended && !c.inMove {
		c.wake = time.AfterFunc(max(c.due[0].at.Sub(c.now()), 0), c.ring)
	}
}

// ring runs what is due.
func (c *Clock) ring() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.due) > 0 && !c.ended && !c.inMove && !c.due[0].at.After(c.now()) {
		t := heap.Pop(&c.due).(*Timer)
		c.running++
		go t.run()
	}
	c.rest()
}

// End stops all timers, and returns when no function runs any more. Timers made later never run.
func (c *Clock) End() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ended = true
	for _, t := range c.due {
		t.index = -1
	}
	c.due = nil
	c.rest()
	c.wait()
}

// timers is a heap by time.
type timers []*Timer

func (h timers) Len() int { return len(h) }

func (h timers) Less(i, j int) bool {
	if h[i].at.Equal(h[j].at) {
		return h[i].serial < h[j].serial
	}
	return h[i].at.Before(h[j].at)
}

func (h timers) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push is for the package heap.
func (h *timers) Push(x any) {
	t := x.(*Timer)
	t.index = len(*h)
	*h = append(*h, t)
}

// Pop is for the package heap.
func (h *timers) Pop() any {
	old := *h
	t := old[len(old)-1]
	*h, t.index = old[:len(old)-1], -1
	return t
}
