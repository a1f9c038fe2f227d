package fault

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func set(t *testing.T, seed uint64, faults ...Fault) *Set {
	t.Helper()
	s := NewSet(seed)
	if err := s.Replace(faults...); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestTakeChoosesTheFirstThatIsMeant(t *testing.T) {
	s := set(t, 1,
		Fault{Operation: "ec2:Describe*", Code: "A", Skip: 1, Times: 2},
		Fault{Operation: "*", Principal: "sns.amazonaws.com", Code: "B"},
		Fault{Operation: "sqs:*", Principal: "arn:aws:iam::*:user/x", Code: "C"},
		Fault{Operation: "ec2:DescribeVolumes", Code: "D"},
	)
	for i, x := range []struct{ operation, principal, want string }{
		{"ec2:DescribeSnapshots", "", ""}, // skipped
		{"ec2:DescribeVolumes", "", "A"},
		{"ec2:DescribeSnapshots", "", "A"},
		{"ec2:DescribeSnapshots", "", ""}, // used up
		{"ec2:DescribeVolumes", "", "D"},
		{"sqs:SendMessage", "sns.amazonaws.com", "B"},
		{"sqs:SendMessage", "arn:aws:iam::111122223333:user/x", "C"},
		{"sqs:SendMessage", "arn:aws:iam::111122223333:user/xy", ""},
		{"ec2:CreateTags", "", ""},
	} {
		if got := s.Take(x.operation, x.principal).Code; got != x.want {
			t.Errorf("call %d, %s by %q: got the fault %q, want %q", i, x.operation, x.principal, got, x.want)
		}
	}
	if got := s.List(); len(got) != 3 {
		t.Errorf("left are %+v", got)
	}
}

// The same seed gives an operation the same fate, whatever happens to other operations meanwhile.
func TestSeedRepeatsARun(t *testing.T) {
	faults := []Fault{
		{Operation: "other:Call", Code: "Gone", Times: 3},
		{Operation: "ec2:CreateSnapshots", Chance: 0.3, Code: "RequestLimitExceeded"},
		{Operation: "*", Spread: &Spread{Kind: "lognormal", Median: 50 * time.Millisecond, P99: time.Second}},
	}
	run := func(seed uint64, others int) []Fault {
		s := set(t, seed, faults...)
		var out []Fault
		for i := range 200 {
			for range others * (i % 3) {
				s.Take("other:Call", "")
			}
			out = append(out, s.Take("ec2:CreateSnapshots", ""))
		}
		return out
	}
	first := run(7, 0)
	if !slices.Equal(first, run(7, 0)) || !slices.Equal(first, run(7, 2)) {
		t.Error("the same seed gave another run")
	}
	if slices.Equal(first, run(8, 0)) {
		t.Error("another seed gave the same run")
	}
	failed := 0
	for _, f := range first {
		if f.Fails() {
			failed++
		}
	}
	if failed < 30 || failed > 90 {
		t.Errorf("%d of 200 calls failed at a chance of 0.3", failed)
	}
	s := set(t, 7, faults...)
	var again []Fault
	for range 5 {
		s.Take("ec2:CreateSnapshots", "")
	}
	s.Reseed(7)
	for range 200 {
		again = append(again, s.Take("ec2:CreateSnapshots", ""))
	}
	if !slices.Equal(first, again) {
		t.Error("the dice were set anew, and the run was another")
	}
}

func TestSpreadsAreWhatTheySay(t *testing.T) {
	ms := time.Millisecond
	for name, x := range map[string]struct {
		spread            Spread
		median, p99, most time.Duration
	}{
		"uniform":     {Spread{Kind: "uniform", From: 10 * ms, To: 20 * ms}, 15 * ms, 20 * ms, 20 * ms},
		"exponential": {Spread{Kind: "exponential", Mean: 100 * ms}, 69 * ms, 461 * ms, time.Hour},
		"lognormal":   {Spread{Kind: "lognormal", Median: 50 * ms, P99: 400 * ms, Max: time.Second}, 50 * ms, 400 * ms, time.Second},
		"samples":     {Spread{Kind: "samples", Values: []time.Duration{ms, ms, ms, 9 * ms}}, ms, 9 * ms, 9 * ms},
	} {
		t.Run(name, func(t *testing.T) {
			s := set(t, 3, Fault{Operation: "*", Spread: &x.spread})
			var all []time.Duration
			for range 20_000 {
				all = append(all, s.Take("a:b", "").Latency)
			}
			slices.Sort(all)
			near := func(what string, got, want time.Duration) {
				if math.Abs(float64(got-want)) > 0.1*float64(want) {
					t.Errorf("the %s is %s, want about %s", what, got, want)
				}
			}
			near("median", all[len(all)/2], x.median)
			near("99th percentile", all[len(all)*99/100], x.p99)
			if all[0] < 0 || all[len(all)-1] > x.most {
				t.Errorf("drawn from %s to %s", all[0], all[len(all)-1])
			}
		})
	}
}

func TestCheckNamesWhatIsWrong(t *testing.T) {
	for want, f := range map[string]Fault{
		"no operation":         {},
		"names no service":     {Operation: "CreateSnapshots"},
		"several ends":         {Operation: "a:b", Drop: true, Code: "X"},
		"does nothing":         {Operation: "a:b", Times: 2},
		"a status and no code": {Operation: "a:b", Drop: true, Status: 500},
		"not that of an error": {Operation: "a:b", Code: "X", Status: 200},
		"from 0 to 1":          {Operation: "a:b", Drop: true, Chance: 2},
		"below zero":           {Operation: "a:b", Drop: true, Times: -1},
		"not what then":        {Operation: "a:b", Latency: 1, After: true},
		"the moment":           {Operation: "a:b", Latency: 1, Moment: "soon"},
		"above its":            {Operation: "a:b", Spread: &Spread{Kind: "uniform", From: 2, To: 1}},
		"a \"mean\"":           {Operation: "a:b", Spread: &Spread{Kind: "exponential"}},
		"a \"median\"":         {Operation: "a:b", Spread: &Spread{Kind: "lognormal", Median: 3, P99: 2}},
		"needs \"values\"":     {Operation: "a:b", Spread: &Spread{Kind: "samples"}},
		"no spread \"normal\"": {Operation: "a:b", Spread: &Spread{Kind: "normal"}},
	} {
		if err := f.Check(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: got %v, want one with %q", f, err, want)
		}
	}
	s := set(t, 1, Fault{Operation: "a:b", Code: "X"})
	if s.Replace(Fault{Operation: "c:d", Code: "Y"}, Fault{}) == nil || s.Take("a:b", "").Code != "X" {
		t.Error("a bad list of faults replaced the good one")
	}
}

func TestMomentSplitsTheLatency(t *testing.T) {
	for moment, before := range map[string]time.Duration{"": 5, Middle: 5, First: 0, Last: 10} {
		if b, a := (Fault{Latency: 10, Moment: moment}).Waits(); b != before || a != 10-before {
			t.Errorf("%q: %d before the effect and %d after it", moment, b, a)
		}
	}
}

// A run is repeated by setting the seed again, with the faults as they were given.
func TestReseedGivesBackWhatWasUsedUp(t *testing.T) {
	s := set(t, 1, Fault{Operation: "a:b", Code: "X", Skip: 1, Times: 2})
	for range 2 {
		var got []string
		for range 4 {
			got = append(got, s.Take("a:b", "").Code)
		}
		if want := []string{"", "X", "X", ""}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		s.Reseed(1)
	}
}
