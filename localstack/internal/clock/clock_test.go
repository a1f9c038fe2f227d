package clock

import (
	"slices"
	"sync"
	"testing"
	"time"
)

func TestMoveRunsWhatComesDueInOrder(t *testing.T) {
	c := New()
	defer c.End()
	start := c.Now()
	var ran []string
	var at []time.Duration
	note := func(name string) func() {
		return func() { ran, at = append(ran, name), append(at, c.Now().Sub(start).Round(time.Second)) }
	}
	c.AfterFunc(3*time.Hour, note("c"))
	c.AfterFunc(time.Hour, func() {
		note("a")()
		c.AfterFunc(time.Hour, note("b, set up by a"))
	})
	stopped := c.AfterFunc(2*time.Hour, note("stopped"))
	c.AfterFunc(5*time.Hour, note("not yet"))
	if !stopped.Stop() || stopped.Stop() {
		t.Error("Stop does not tell whether it stopped it")
	}
	c.Move(4 * time.Hour)
	if want := []string{"a", "b, set up by a", "c"}; !slices.Equal(ran, want) {
		t.Errorf("ran %q, want %q", ran, want)
	}
	if want := []time.Duration{time.Hour, 2 * time.Hour, 3 * time.Hour}; !slices.Equal(at, want) {
		t.Errorf("the clock showed %v, want %v", at, want)
	}
	if ahead := c.Ahead().Round(time.Second); ahead != 4*time.Hour {
		t.Errorf("it is %s ahead", ahead)
	}
	if now := c.Now().Sub(start).Round(time.Second); now != 4*time.Hour {
		t.Errorf("it shows %s later", now)
	}
}

func TestTimersRunByThemselves(t *testing.T) {
	c := New()
	defer c.End()
	c.Move(24 * time.Hour)
	ran := make(chan string, 2)
	c.AfterFunc(40*time.Millisecond, func() { ran <- "second" })
	c.AfterFunc(5*time.Millisecond, func() { ran <- "first" })
	for _, want := range []string{"first", "second"} {
		select {
		case got := <-ran:
			if got != want {
				t.Errorf("%s ran when %s was due", got, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%s did not run", want)
		}
	}
}

func TestMovingNeverGoesBack(t *testing.T) {
	c := New()
	defer c.End()
	before := c.Now()
	c.Move(-time.Hour)
	if c.Now().Before(before) {
		t.Error("it went back")
	}
}

func TestEndStopsEverything(t *testing.T) {
	c := New()
	timer := c.AfterFunc(time.Hour, func() { t.Error("it ran") })
	c.End()
	c.AfterFunc(time.Minute, func() { t.Error("it ran") })
	c.Move(2 * time.Hour)
	if timer.Stop() {
		t.Error("a timer was still to run")
	}
}

func TestManyAtOnce(t *testing.T) {
	c := New()
	defer c.End()
	var mu sync.Mutex
	var group sync.WaitGroup
	ran := 0
	for range 8 {
		group.Go(func() {
			for i := range 200 {
				timer := c.AfterFunc(time.Duration(i)*time.Second, func() { mu.Lock(); ran++; mu.Unlock() })
				if i%2 == 1 {
					timer.Stop()
				}
				c.Move(time.Millisecond)
			}
		})
	}
	group.Wait()
	c.Move(time.Hour)
	mu.Lock()
	defer mu.Unlock()
	if ran < 8*100-8 { // the first of each may still be about to run in a goroutine of its own
		t.Errorf("ran %d of 800 that were not stopped", ran)
	}
}
