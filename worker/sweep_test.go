package worker

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// fakeUnjudged lists what it was told, until it is tagged.
type fakeUnjudged struct {
	mu     sync.Mutex
	found  []snapshot.Existing
	err    error
	tagged map[string]string
}

func (u *fakeUnjudged) Unverified(context.Context) ([]snapshot.Existing, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.err != nil {
		return nil, u.err
	}
	var left []snapshot.Existing
	for _, e := range u.found {
		if u.tagged[e.SnapshotID] == "" {
			left = append(left, e)
		}
	}
	return left, nil
}

func (u *fakeUnjudged) Tag(_ context.Context, id string, tags map[string]string) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.tagged[id] = tags[snapshot.TagStatus] + "/" + tags[snapshot.TagConsistency] + "/" + tags[snapshot.TagVolumeID]
	return nil
}

func (u *fakeUnjudged) answers(err error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.err = err
}

func (u *fakeUnjudged) tags() map[string]string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return maps.Clone(u.tagged)
}

func TestSweep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		u := &fakeUnjudged{tagged: map[string]string{}, err: errors.New("EC2 is away")}
		unverified := func(id, request string, age time.Duration) {
			e := snapshot.Existing{Tags: map[string]string{snapshot.TagRequestID: request}}
			e.SnapshotID, e.VolumeID, e.StartTime = id, "vol-of-"+id, time.Now().Add(-age)
			u.found = append(u.found, e)
		}
		result := func(request string, ids ...string) {
			r := &messages.Result{RequestID: request, Status: messages.Succeeded, Consistency: messages.ConsistencyApplication}
			for _, id := range ids {
				r.Snapshots = append(r.Snapshots, messages.Snapshot{SnapshotID: id})
			}
			b.journal.entries[request] = &Entry{RequestID: request, Result: r, Attempts: []snapshot.Attempt{{ID: "a"}}}
		}
		result("done", "snap-proved", "snap-owed")
		b.journal.owed = []snapshot.PendingTags{{SnapshotID: "snap-owed"}}
		b.journal.entries["open"] = &Entry{RequestID: "open", Attempts: []snapshot.Attempt{{ID: "a", Sent: true}}}
		for id, request := range map[string]string{
			"snap-proved": "done", "snap-owed": "done", "snap-of-another-attempt": "done", "snap-open": "open", "snap-of-a-lost-journal": "unknown",
		} {
			unverified(id, request, sweepAge)
		}
		unverified("snap-young", "unknown", time.Minute)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			(&Sweep{Journal: b.journal, EC2: u, Log: zerolog.Nop()}).Run(ctx)
		}()
		synctest.Wait()
		u.answers(nil)
		time.Sleep(7 * time.Minute) // after an error it looks again soon
		want := map[string]string{
			"snap-proved":             "succeeded/application/vol-of-snap-proved",
			"snap-of-another-attempt": "inconsistent/crash/vol-of-snap-of-another-attempt",
			"snap-of-a-lost-journal":  "inconsistent/crash/vol-of-snap-of-a-lost-journal",
		}
		if d := cmp.Diff(want, u.tags()); d != "" {
			t.Error(d)
		}
		time.Sleep(2 * time.Hour)
		want["snap-young"] = "inconsistent/crash/vol-of-snap-young"
		if d := cmp.Diff(want, u.tags()); d != "" {
			t.Error(d)
		}
		cancel()
		<-done
	})
}
