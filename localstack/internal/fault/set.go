package fault

import (
	"hash/fnv"
	"math/rand/v2"
	"sync"
)

// Set holds the faults that are set. Make one with NewSet.
type Set struct {
	mu     sync.Mutex
	seed   uint64
	faults []*state
}

// state is a fault and what it has seen.
type state struct {
	given Fault
	fault Fault             // as given, but for how many calls it still skips and applies to
	used  bool              // up
	seen  map[string]uint64 // matching calls by operation: each is a throw of the dice of its own
}

// NewSet makes an empty set. The seed decides every throw of the dice.
func NewSet(seed uint64) *Set { return &Set{seed: seed} }

// Seed is what the dice were last set to.
func (s *Set) Seed() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seed
}

// Reseed sets the dice, and lets every fault count its calls anew, also one that was used up.
func (s *Set) Reseed(seed uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seed = seed
	for _, st := range s.faults {
		st.fault, st.used, st.seen = st.given, false, map[string]uint64{}
	}
}

// Replace sets the faults in place of all others; none clears them. If one of them cannot be, nothing changes.
func (s *Set) Replace(faults ...Fault) error {
	next := make([]*state, 0, len(faults))
	for _, f := range faults {
		if err := f.Check(); err != nil {
			return err
		}
		next = append(next, &state{given: f, fault: f, seen: map[string]uint64{}})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = next
	return nil
}

// List returns the faults that are set, with how many calls they still skip and still apply to.
func (s *Set) List() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]Fault, 0, len(s.faults))
	for _, st := range s.faults {
		if !st.used {
			out = append(out, st.fault)
		}
	}
	return out
}

// Take finds the fault for a call and counts it: the first of the list that is meant for it, is not used up and is not spared by
// its chance. The latency of the result includes what its spread drew. The zero Fault: none.
//
// What is drawn for a call depends on the seed, on the fault's place in the list, on the operation and on how many calls of that
// operation the fault has seen; not on what other operations do at the same time.
func (s *Set) Take(operation, principal string) Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, st := range s.faults {
		f := &st.fault
		if st.used || !f.matches(operation, principal) {
			continue
		}
		st.seen[operation]++
		dice := s.dice(i, operation, st.seen[operation])
		if f.Chance > 0 && dice.Float64() >= f.Chance {
			continue
		}
		if f.Skip > 0 {
			f.Skip--
			continue
		}
		out := *f
		if f.Spread != nil {
			out.Latency += f.Spread.draw(dice)
		}
		st.used = f.Times == 1
		f.Times = max(f.Times-1, 0)
		return out
	}
	return Fault{}
}

func (s *Set) dice(place int, operation string, call uint64) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(operation))                                      // never fails
	return rand.New(rand.NewPCG(s.seed^uint64(place)<<56, h.Sum64()^call)) //nolint:gosec // dice, not keys
}
