package look

import (
	"context"
)

// InTheWay is what would block the lock at this moment, each in words.
type InTheWay struct {
	// Long are those that have reached long_query_after, as the plan counts.
	Long []string
	// Ended are those of Long that a run would end (long_queries: kill).
	Ended []string
	// Young is how many there are that have not, and would be waited for.
	Young int
	// Blind says that a session which sleeps on what it holds is not seen on this
	// server: MariaDB without metadata_lock_info.
	Blind bool
}

// Now looks for what would block the lock, for one who only wants to know: nothing
// is waited for, told of or ended.
func (w *Watcher) Now(ctx context.Context) (InTheWay, error) {
	found := InTheWay{Blind: w.Server.IsMariaDB() && w.heldLocks() == "" && !w.nobodyWaits}
	all, err := w.Blockers(ctx, 0)
	if err != nil {
		return found, err
	}
	all = Clients(all)
	long := older(all, w.After)
	found.Young = len(all) - len(long)
	now := map[string]running{}
	if len(long) > 0 && w.Long == Kill {
		if now, err = w.recheck(ctx, long); err != nil {
			return found, err
		}
	}
	for _, b := range long {
		if w.Long == Kill {
			if b.spared = w.spare(b, now[b.key()]); b.spared == "" {
				found.Ended = append(found.Ended, b.String())
			}
		}
		found.Long = append(found.Long, b.String())
	}
	return found, nil
}
