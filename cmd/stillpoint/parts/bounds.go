package parts

import (
	"time"

	"stillpoint/internal/config"
	"stillpoint/internal/snapshot"
)

// LongestWindow is how long writes may be blocked at the most, and by which plan.
func LongestWindow(f *config.File) (longest time.Duration, plan string) {
	for name, p := range f.Plans {
		d := p.MaxHold
		if p.MySQL != nil {
			d += p.MySQL.LockTimeout
		}
		if d > longest || d == longest && name < plan {
			longest, plan = d, name
		}
	}
	return longest, plan
}

// stopCalls is what a stop may wait for beside the window: the extension under
// way (5 s), the unlock and the farewells of guardian and sessions (15 s), the
// verdict tags (10 s), the one try to publish (5 s), and three tries to delete the
// message (16.5 s). Everything else that a request waits for ends with the
// stop: the tries, the flush, the look-ups, the waits. It also covers a stop
// between requests, which waits for a poll (30 s and 5 s) that must not be
// cancelled, and for the release of what it brought (5 s).
const stopCalls = time.Minute

// StopBudget is the longest that a stop takes. What has not ended by then is
// left behind: what is durable stays so, what is frozen the guardian thaws, and
// the database's sessions end with the process.
func StopBudget(f *config.File) time.Duration {
	longest, _ := LongestWindow(f)
	for _, p := range f.Plans {
		if p.MySQL != nil && p.MySQL.Replica == config.ReplicaStopApplier {
			return longest + stopCalls + snapshot.StartApplierWithin + ApplierWithin
		}
	}
	return longest + stopCalls
}

// ApplierWithin bounds one try to start a replica's applier.
const ApplierWithin = 10 * time.Second
