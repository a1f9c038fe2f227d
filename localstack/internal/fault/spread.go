package fault

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// Spread is a distribution of latencies. Kind says which, and so which of the other members count:
//
//	"uniform"      from From to To, each as likely
//	"exponential"  with the mean Mean: many short ones, few long ones
//	"lognormal"    with the median Median and the 99th percentile P99, which is how the latencies of services look
//	"samples"      one of Values, each as likely: what was measured somewhere
//
// Max, if it is not zero, cuts off what is longer.
type Spread struct {
	Kind   string          `json:"kind"`
	From   time.Duration   `json:"from,omitzero"`
	To     time.Duration   `json:"to,omitzero"`
	Mean   time.Duration   `json:"mean,omitzero"`
	Median time.Duration   `json:"median,omitzero"`
	P99    time.Duration   `json:"p99,omitzero"`
	Values []time.Duration `json:"values,omitempty"`
	Max    time.Duration   `json:"max,omitzero"`
}

// z99 is the 99th percentile of the standard normal distribution.
const z99 = 2.3263478740408408

// Check says what is wrong with the distribution.
func (s Spread) Check() error {
	switch s.Kind {
	case "uniform":
		if s.From < 0 || s.To <= s.From {
			return errors.New(`a uniform spread needs a "to" above its "from"`)
		}
	case "exponential":
		if s.Mean <= 0 {
			return errors.New(`an exponential spread needs a "mean"`)
		}
	case "lognormal":
		if s.Median <= 0 || s.P99 <= s.Median {
			return errors.New(`a lognormal spread needs a "median", and a "p99" above it`)
		}
	case "samples":
		if len(s.Values) == 0 {
			return errors.New(`a spread of samples needs "values"`)
		}
	default:
		return fmt.Errorf("there is no spread %q; there are uniform, exponential, lognormal and samples", s.Kind)
	}
	return nil
}

// draw picks a latency.
func (s Spread) draw(r *rand.Rand) time.Duration {
	var d float64
	switch s.Kind {
	case "uniform":
		d = float64(s.From) + r.Float64()*float64(s.To-s.From)
	case "exponential":
		d = r.ExpFloat64() * float64(s.Mean)
	case "lognormal":
		sigma := math.Log(float64(s.P99)/float64(s.Median)) / z99
		d = float64(s.Median) * math.Exp(r.NormFloat64()*sigma)
	case "samples":
		d = float64(s.Values[r.IntN(len(s.Values))])
	}
	const longest = float64(time.Hour)
	out := time.Duration(min(max(d, 0), longest))
	if s.Max > 0 {
		out = min(out, s.Max)
	}
	return out
}
