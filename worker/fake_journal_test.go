package worker

import (
	"context"
	"slices"
	"sync"
	"time"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// fakeJournal is a Journal in memory.
type fakeJournal struct {
	*trail
	mu        sync.Mutex
	entries   map[string]*Entry
	waiting   []*messages.Result
	owed      []snapshot.PendingTags
	success   map[string]time.Time
	loadErr   error
	finishErr error
	intendErr error
	checkErr  error
	removeErr error
}

func newFakeJournal(t *trail) *fakeJournal {
	return &fakeJournal{trail: t, entries: map[string]*Entry{}, success: map[string]time.Time{}}
}

func (j *fakeJournal) Load(id string) (*Entry, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.add("load")
	if j.loadErr != nil {
		return nil, j.loadErr
	}
	if e := j.entries[id]; e != nil {
		c := *e
		c.Attempts = slices.Clone(e.Attempts)
		return &c, nil
	}
	return &Entry{RequestID: id}, nil
}

func (j *fakeJournal) Record(d messages.Delivery, messageID string) snapshot.Record {
	return &fakeRecord{j, d, messageID}
}

func (j *fakeJournal) Unfinished() ([]*Entry, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	var found []*Entry
	for _, e := range j.entries {
		if e.Result == nil && len(e.Attempts) > 0 {
			c := *e
			c.Attempts = slices.Clone(e.Attempts)
			found = append(found, &c)
		}
	}
	return found, nil
}

func (j *fakeJournal) Check() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.checkErr
}

type fakeRecord struct {
	j         *fakeJournal
	d         messages.Delivery
	messageID string
}

func (r *fakeRecord) Intend(_ context.Context, attempt string, volumes []string) error {
	r.j.mu.Lock()
	defer r.j.mu.Unlock()
	if r.j.intendErr != nil {
		return r.j.intendErr
	}
	id := r.d.Request.RequestID
	e := r.j.entries[id]
	if e == nil {
		e = &Entry{RequestID: id}
		r.j.entries[id] = e
	}
	e.Plan, e.Delivery, e.MessageID = r.d.Request.Plan, r.d, r.messageID
	e.Attempts = append(e.Attempts, snapshot.Attempt{ID: attempt, VolumeIDs: volumes, StartedAt: time.Now()})
	return nil
}

func (r *fakeRecord) Sending() {}

func (r *fakeRecord) Settled(context.Context, *messages.Result) error { return nil }

func (j *fakeJournal) Finish(r *messages.Result, owed []snapshot.PendingTags) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.finishErr != nil {
		j.add("finish fails")
		return j.finishErr
	}
	j.add("finish %s", r.Status)
	if !r.DryRun && r.Status != messages.Rejected && r.Status != messages.Skipped {
		e := j.entries[r.RequestID]
		if e == nil {
			e = &Entry{RequestID: r.RequestID, Plan: r.Plan}
			j.entries[r.RequestID] = e
		}
		e.Result = r
	}
	j.owed = append(j.owed, owed...)
	j.waiting = append(j.waiting, r)
	return nil
}

func (j *fakeJournal) Requeue(r *messages.Result) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.waiting = append(j.waiting, r)
	j.add("requeue")
	return nil
}

func (j *fakeJournal) Outbox() ([]*messages.Result, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.waiting), nil
}

func (j *fakeJournal) Published(id string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.removeErr != nil {
		return j.removeErr
	}
	j.waiting = slices.DeleteFunc(j.waiting, func(r *messages.Result) bool { return r.EventID == id })
	j.add("published")
	return nil
}

func (j *fakeJournal) LastSuccess(plan string) (time.Time, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.success[plan], nil
}

func (j *fakeJournal) Owed() ([]snapshot.PendingTags, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.owed), nil
}

func (j *fakeJournal) TagsWritten(id string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.owed = slices.DeleteFunc(j.owed, func(p snapshot.PendingTags) bool { return p.SnapshotID == id })
	return nil
}
