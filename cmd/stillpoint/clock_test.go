//go:build torture

package main

import (
	"testing"
	"time"
)

// A clock that was set tells another time of day, and durations stay what they are.
func TestWallShifted(t *testing.T) {
	for _, d := range []time.Duration{time.Hour, -time.Hour, 0} {
		before := time.Now()
		after := wallShifted(time.Now(), d)
		if took := after.Sub(before); took < 0 || took > time.Second {
			t.Errorf("%s: the monotonic clock jumped by %s", d, took)
		}
		if jump := after.Round(0).Sub(before.Round(0)); jump < d || jump > d+time.Second {
			t.Errorf("%s: the wall clock jumped by %s", d, jump)
		}
	}
}
