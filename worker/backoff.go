package worker

import (
	"context"
	"math/rand/v2"
	"time"
)

// fullJitter is a delay between low and low*2^n, at most high. random is in [0, 1).
func fullJitter(low, high time.Duration, n int, random float64) time.Duration {
	top := doubled(low, high, n)
	return low + time.Duration(random*float64(top-low))
}

// growing is base*2^n and up to a quarter more, at most high.
func growing(base, high time.Duration, n int, random float64) time.Duration {
	d := doubled(base, high*4/5, n)
	return d + time.Duration(random*float64(d)/4)
}

func doubled(d, high time.Duration, n int) time.Duration {
	for ; n > 0 && d < high; n-- {
		d *= 2
	}
	return min(d, high)
}

// sleep waits for d or until ctx ends, and says whether it waited to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func orNow(f func() time.Time) func() time.Time {
	if f != nil {
		return f
	}
	return time.Now
}

func orRandom(f func() float64) func() float64 {
	if f != nil {
		return f
	}
	return rand.Float64
}
