package soak

import (
	"path"
	"strings"
	"testing"
	"time"
)

// What is measured in the long form must be seen when it is there.
func TestGrowthIsSeen(t *testing.T) {
	stretch := func(f func(p *sample, part float64)) *growth {
		g := &growth{}
		for i := range 300 {
			p := sample{descriptors: 14 + float64(i%3)*4, goroutines: 17 + float64(i%4), rss: 33 + float64(i%5), heap: 4 + float64(i%3)}
			f(&p, float64(i)/300)
			g.samples = append(g.samples, p)
		}
		return g
	}
	for what, f := range map[string]func(p *sample, part float64){
		"":                  func(*sample, float64) {},
		"descriptors":       func(p *sample, part float64) { p.descriptors += 10 * part },
		"goroutines":        func(p *sample, part float64) { p.goroutines += 10 * part },
		"RSS (MiB)":         func(p *sample, part float64) { p.rss += 20 * part },
		"heap in use (MiB)": func(p *sample, part float64) { p.heap += 10 * part },
	} {
		got := stretch(f).grown(true)
		if what == "" && len(got) > 0 || what != "" && (len(got) != 1 || !strings.HasPrefix(got[0], what)) {
			t.Errorf("growth of %q: %v", what, got)
		}
	}
	if got := (&growth{}).grown(true); len(got) != 1 {
		t.Errorf("no samples: %v", got)
	}
}

// One call in twenty is hit, whatever the operation.
func TestFaultsHitOneCallInTwenty(t *testing.T) {
	for _, operation := range []string{"ec2:CreateSnapshots", "ec2:CreateTags", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sns:Publish"} {
		spared := 1.0
		for _, f := range faults(0.05, 0.01) {
			if hit, _ := path.Match(strings.ReplaceAll(f.Operation, ":", "/"), strings.ReplaceAll(operation, ":", "/")); (hit || f.Operation == "*") && f.Chance > 0 {
				spared *= 1 - f.Chance
			}
			if f.Principal != workerPrincipal {
				t.Errorf("%+v hits others than the worker", f)
			}
		}
		if part := 1 - spared; part < 0.045 || part > 0.06 {
			t.Errorf("%s is hit in %.1f %% of all calls", operation, 100*part)
		}
	}
}

// A write may be blocked for max_hold and a second; where both were killed, until a second after the thaw.
func TestWhatIsBlockedTooLong(t *testing.T) {
	at := func(s float64) time.Time {
		return time.Unix(1700000000, 0).Add(time.Duration(s * float64(time.Second)))
	}
	for _, c := range []struct {
		from, to       float64
		killed, thawed []time.Time
		tooLong        bool
	}{
		{0, 8.9, nil, nil, false},
		{0, 9.1, nil, nil, true},
		{0, 14.9, []time.Time{at(2)}, []time.Time{at(14)}, false},
		{0, 15.1, []time.Time{at(2)}, []time.Time{at(14)}, true},
		{20, 29.1, []time.Time{at(2)}, []time.Time{at(14)}, true}, // another one
		{0, 9.1, []time.Time{at(2)}, nil, true},                   // nobody thawed
	} {
		if got := (stall{at(c.from), at(c.to)}).tooLong(c.killed, c.thawed); got != c.tooLong {
			t.Errorf("%+v: %v", c, got)
		}
	}
}
