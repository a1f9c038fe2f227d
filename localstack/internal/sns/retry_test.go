package sns

import (
	"slices"
	"testing"
	"time"
)

func TestDelays(t *testing.T) {
	with := func(function string) retries {
		return retries{MinDelayTarget: 1, MaxDelayTarget: 16, NumRetries: 5, BackoffFunction: function}
	}
	for name, x := range map[string]struct {
		r    retries
		want []float64 // seconds
	}{
		"default":     {defaultRetries, []float64{20, 20, 20}},
		"none":        {retries{MinDelayTarget: 1, MaxDelayTarget: 1}, nil},
		"one":         {retries{MinDelayTarget: 1, MaxDelayTarget: 9, NumRetries: 1, BackoffFunction: "exponential"}, []float64{1}},
		"linear":      {with("linear"), []float64{1, 4.75, 8.5, 12.25, 16}},
		"arithmetic":  {with("arithmetic"), []float64{1, 2.5, 5.5, 10, 16}},
		"geometric":   {with("geometric"), []float64{1, 2, 4, 8, 16}},
		"exponential": {with("exponential"), []float64{1, 2, 4, 8, 16}},
		"flat":        {retries{MinDelayTarget: 3, MaxDelayTarget: 3, NumRetries: 2, BackoffFunction: "geometric"}, []float64{3, 3}},
		// The example of https://docs.aws.amazon.com/sns/latest/dg/sns-message-delivery-retries.html, made shorter.
		"all phases": {
			retries{MinDelayTarget: 1, MaxDelayTarget: 60, NumRetries: 10, NumNoDelayRetries: 3, NumMinDelayRetries: 2, NumMaxDelayRetries: 3, BackoffFunction: "linear"},
			[]float64{0, 0, 0, 1, 1, 1, 60, 60, 60, 60},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var got []float64
			var sum time.Duration
			for n := 1; ; n++ {
				d, ok := x.r.delay(n)
				if !ok {
					break
				}
				got, sum = append(got, d.Seconds()), sum+d
			}
			if !slices.Equal(got, x.want) || x.r.total() != sum {
				t.Errorf("the delays are %v, %v in all, want %v", got, x.r.total(), x.want)
			}
		})
	}
}

// "100,015 times, over 23 days".
func TestManagedRetries(t *testing.T) {
	if total := managedRetries.total(); total < 23*24*time.Hour || total > 24*24*time.Hour {
		t.Errorf("in all they take %v", total)
	}
	if _, ok := managedRetries.delay(100_015); !ok {
		t.Error("retry 100,015 is missing")
	}
	if _, ok := managedRetries.delay(100_016); ok {
		t.Error("there are more than 100,015")
	}
}
