package sns

import (
	"math"
	"time"
)

// retries is when a delivery that failed is tried again: the "healthy retry policy" of a delivery policy. Its form is that of the
// attribute. Delays are in seconds.
// https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html
//
// AWS spreads the delays by jitter; here they are exact.
type retries struct {
	MinDelayTarget     int    `json:"minDelayTarget"`
	MaxDelayTarget     int    `json:"maxDelayTarget"`
	NumRetries         int    `json:"numRetries"`
	NumMaxDelayRetries int    `json:"numMaxDelayRetries"`
	NumNoDelayRetries  int    `json:"numNoDelayRetries"`
	NumMinDelayRetries int    `json:"numMinDelayRetries"`
	BackoffFunction    string `json:"backoffFunction"`
}

// defaultRetries are those of web hooks (recorded), managedRetries those of SQS: "3 times, without delay; 2 times, 1 second apart;
// 10 times, with exponential backoff, from 1 second to 20 seconds; 100,000 times, 20 seconds apart", over 23 days.
var (
	defaultRetries = retries{MinDelayTarget: 20, MaxDelayTarget: 20, NumRetries: 3, BackoffFunction: "linear"}
	managedRetries = retries{
		MinDelayTarget: 1, MaxDelayTarget: 20, NumRetries: 100_015, NumNoDelayRetries: 3, NumMinDelayRetries: 2, NumMaxDelayRetries: 100_000,
		BackoffFunction: "exponential",
	}
)

// delay is how long to wait before retry n, from 1. It is false if there is none.
func (r retries) delay(n int) (time.Duration, bool) {
	if n > r.NumRetries {
		return 0, false
	}
	low, high := float64(r.MinDelayTarget), float64(r.MaxDelayTarget)
	if n -= r.NumNoDelayRetries; n <= 0 {
		return 0, true
	}
	if n -= r.NumMinDelayRetries; n <= 0 {
		return seconds(low), true
	}
	between := r.backoffs()
	if n > between {
		return seconds(high), true
	}
	return seconds(low + (high-low)*rise(r.BackoffFunction, n-1, between-1, high/low)), true
}

// backoffs is how many retries are between the pre-backoff and the post-backoff phase.
func (r retries) backoffs() int {
	return r.NumRetries - r.NumNoDelayRetries - r.NumMinDelayRetries - r.NumMaxDelayRetries
}

// total is how long all of the delays take.
func (r retries) total() (sum time.Duration) {
	for n := 1; n <= r.NumRetries; n++ {
		d, _ := r.delay(n)
		sum += d
	}
	return sum
}

// rise is how far step i of 0 to last is from the smallest delay to the largest, from 0 to 1. ratio is the largest delay by the
// smallest. The document names the functions and draws them, and has no formulas: that linear goes by equal steps and geometric by
// equal factors is what the words say, that arithmetic is steps which grow by equal amounts and exponential steps which double is a
// guess.
func rise(function string, i, last int, ratio float64) float64 {
	if last <= 0 {
		return 0
	}
	x, n := float64(i), float64(last)
	switch {
	case function == "arithmetic":
		return x * (x + 1) / (n * (n + 1))
	case function == "exponential":
		return (math.Exp2(x) - 1) / (math.Exp2(n) - 1)
	case function == "geometric" && ratio > 1:
		return (math.Pow(ratio, x/n) - 1) / (ratio - 1)
	}
	return x / n
}

func seconds(n float64) time.Duration {
	return time.Duration(n * float64(time.Second)).Round(time.Millisecond)
}
