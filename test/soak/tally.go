package soak

import (
	"context"
	"strings"
	"sync"
	"time"

	"stillpoint/localstack"
)

// tally counts the worker's calls, and what happened to them. The log of the
// local AWS keeps the last 10,000 calls, so it is read while they come.
type tally struct {
	mu     sync.Mutex
	until  time.Time                 // calls that came before are counted
	calls  map[string]int            // by operation
	faults map[string]map[string]int // by operation, then by what was done
}

// settled is the age at which every call has ended: a poll of 20 s that a fault left hanging until the client went away.
const settled = 45 * time.Second

func (t *tally) watch(ctx context.Context, aws *localstack.Server) {
	for rest(ctx, 15*time.Second) {
		t.read(aws, settled)
	}
}

// read counts the calls that are older than that.
func (t *tally) read(aws *localstack.Server, age time.Duration) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.calls == nil {
		t.calls, t.faults = map[string]int{}, map[string]map[string]int{}
	}
	until := time.Now().Add(-age)
	for _, c := range aws.Calls() {
		if !c.Time.After(t.until) || c.Time.After(until) || !strings.HasSuffix(c.Principal, strings.TrimPrefix(workerPrincipal, "*")) {
			continue
		}
		t.calls[c.Operation]++
		if c.Fault == "" || isOrdinary(c) {
			continue
		}
		if t.faults[c.Operation] == nil {
			t.faults[c.Operation] = map[string]int{}
		}
		what := c.Fault
		if c.Effect {
			what += ", after the effect"
		}
		t.faults[c.Operation][what]++
	}
	t.until = until
}

// isOrdinary says that the call was no slower than EC2 is on any day: the log
// does not tell one latency from another.
func isOrdinary(c localstack.Call) bool {
	return c.Operation == ordinary.Operation && c.Fault == "latency"
}

// totals are all calls, and those that a fault hit.
func (t *tally) totals() (calls, hit int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, n := range t.calls {
		calls += n
	}
	for _, kinds := range t.faults {
		for _, n := range kinds {
			hit += n
		}
	}
	return calls, hit
}
