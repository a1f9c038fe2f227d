package snapshot

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"stillpoint/messages"
)

const (
	// quotaPatience is how long one run goes on asking where EC2's limits stand
	// in the way: the message is kept, and nothing is held between the tries.
	quotaPatience = 10 * time.Minute
	// longestQuotaWait bounds the waits, which double from QuotaError.Wait.
	longestQuotaWait = 2 * time.Minute
)

// quotaWaits is how far the tries against a limit of EC2's have come.
type quotaWaits struct {
	tries int // that EC2 answered with a limit
	since time.Time
	// round is where the stages of the current try begin; warnings is what was
	// warned of before its verdict.
	round, warnings int
	lockTries       int // of the tries before
}

// noteQuota counts an answer that names a limit.
func (a *attempt) noteQuota() {
	q := &a.quota
	q.tries++
	if q.tries == 1 {
		q.since = a.win.opened
	}
}

// quotaWords says how often EC2 was asked, where that was more than once.
func (a *attempt) quotaWords() string {
	if a.quota.tries < 2 {
		return ""
	}
	return fmt.Sprintf(" in %s over %s", count(a.quota.tries, "try"), a.now().Sub(a.quota.since).Round(time.Second))
}

// tryPastQuota waits after an answer that named a limit, with everything let
// go and the verdict "nothing was made" durable, and gets ready for another
// try in the same attempt. It returns false where the run is over: with the
// verdict that stands, or with a new one.
func (a *attempt) tryPastQuota(ctx context.Context, open *undo) bool {
	var limit *QuotaError
	if !errors.As(a.win.createErr, &limit) || limit.Wait <= 0 || !a.recorded {
		return false
	}
	// Where letting go did not go as it should, another window would be one too many.
	if !a.everythingHeld() || a.win.postThaw.err != nil || a.unclean {
		return false
	}
	wait := a.quotaWait(limit.Wait)
	until := a.now().Add(wait)
	if until.Sub(a.quota.since) > quotaPatience || a.staleAt(until) > 0 {
		return false
	}
	a.dropRound()
	a.progress("quota", fmt.Sprintf("EC2 refused with %s: nothing is held, and it is asked again in %s", limit.Code, wait.Round(time.Second)))
	if err := a.stage("quota", func() error { return a.sleep(ctx, wait) }); err != nil {
		a.interrupted(ctx)
		a.result.Message = fmt.Sprintf("EC2 refused with %s, and before it was asked again %s; everything was let go and no snapshots were made; send the request again if it is still wanted", limit.Code, stopWords(ctx))
		return false
	}
	a.quota.round, a.quota.warnings = len(a.result.Stages), len(a.result.Warnings)
	return a.reopen(ctx, open)
}

// quotaWait doubles with every try, and has some jitter: the limits are shared
// by all instances of the account.
func (a *attempt) quotaWait(first time.Duration) time.Duration {
	wait := first
	for range a.quota.tries - 1 {
		wait = min(2*wait, longestQuotaWait)
	}
	return wait + rand.N(wait/4+1)
}

// dropRound takes back what the verdict on this try said, and of its stages all
// but the lock and the call where it was not the first: many tries would leave
// no room for the stages in a result.
func (a *attempt) dropRound() {
	r, q := a.result, &a.quota
	r.Warnings = r.Warnings[:q.warnings]
	q.lockTries = r.Timings.LockTries
	r.Timings = messages.Timings{LockTries: r.Timings.LockTries, WritesBlockedTotal: r.Timings.WritesBlockedTotal}
	a.before, a.again, a.recorded = nil, false, false
	if q.tries == 1 {
		return
	}
	kept := r.Stages[q.round:len(r.Stages):len(r.Stages)]
	lock := -1
	for i, s := range kept {
		if s.Name == "lock" {
			lock = i
		}
	}
	var few []messages.Stage
	for i, s := range kept {
		if i == lock || s.Name == "snapshot" {
			few = append(few, s)
		}
	}
	r.Stages = append(slices.Clone(r.Stages[:q.round]), few...)
}

// reopen notes that the attempt goes on, and opens what was closed for the wait.
func (a *attempt) reopen(ctx context.Context, open *undo) bool {
	if !a.intend(ctx) {
		return false
	}
	if err := a.stage("reopen", func() error { return a.open(ctx, open) }); err != nil {
		return a.preflightFailed(ctx, err)
	}
	return true
}
