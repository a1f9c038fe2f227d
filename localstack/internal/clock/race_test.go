package clock

import (
	"sync/atomic"
	"testing"
	"time"
)

// A function that has just been rung, and has not yet set up its next time, must not make a Move miss what comes after it.
func TestMoveWaitsForWhatRuns(t *testing.T) {
	c := New()
	defer c.End()
	var ran atomic.Int64
	rings, goOn := make(chan struct{}), make(chan struct{})
	due := c.Now().Add(time.Millisecond)
	var tick func()
	tick = func() {
		if ran.Load() == 0 {
			close(rings)
			<-goOn
		}
		due = due.Add(time.Minute)
		c.AfterFunc(due.Sub(c.Now()), tick)
		ran.Add(1)
	}
	c.AfterFunc(time.Millisecond, tick)
	<-rings
	moved := make(chan struct{})
	go func() {
		defer close(moved)
		c.Move(time.Hour)
	}()
	select {
	case <-moved:
		t.Error("Move did not wait")
	case <-time.After(20 * time.Millisecond):
	}
	close(goOn)
	<-moved
	if n := ran.Load(); n < 60 {
		t.Errorf("%d of 60 had run when Move returned", n)
	}
}

// What comes due at once while Move is at work is done by Move, and not beside it.
func TestNothingRingsBesideMove(t *testing.T) {
	c := New()
	defer c.End()
	busy := false // only a function at a time has it
	for range 1000 {
		c.AfterFunc(time.Hour, func() {
			busy = true
			c.AfterFunc(0, func() {
				if busy {
					t.Error("a function ran beside another")
				}
			})
			time.Sleep(10 * time.Microsecond)
			busy = false
		})
	}
	c.Move(2 * time.Hour)
}

func TestEndWaitsForWhatRuns(t *testing.T) {
	c := New()
	rings := make(chan struct{})
	ended := false
	c.AfterFunc(time.Millisecond, func() {
		close(rings)
		time.Sleep(20 * time.Millisecond)
		ended = true
	})
	<-rings
	c.End()
	if !ended {
		t.Error("End did not wait")
	}
}
