package snapshottest

import (
	"context"
	"fmt"
	"maps"
	"time"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// EBS fakes snapshot.EBS: it remembers what was made and finds it again.
type EBS struct {
	Instance []snapshot.Attachment
	// Made is every snapshot that EC2 has, with its tags. A test may fill it beforehand.
	Made []snapshot.Existing
	// Tags are the volumes' own.
	Tags map[string]map[string]string
	// Sets are those that Create was asked for.
	Sets []snapshot.CreateSet

	FindFunc       func(ctx context.Context, requestID string) ([]snapshot.Existing, error)
	AttachedFunc   func(ctx context.Context) ([]snapshot.Attachment, error)
	WarmFunc       func(ctx context.Context, window time.Duration) error
	CreateFunc     func(ctx context.Context, set snapshot.CreateSet) ([]messages.Snapshot, error)
	TagFunc        func(ctx context.Context, snapshotID string, tags map[string]string) error
	VolumeTagsFunc func(ctx context.Context, ids []string) (map[string]map[string]string, error)
	CheckFunc      func(ctx context.Context, set snapshot.CreateSet) error

	rig *Rig
}

var _ snapshot.EBS = (*EBS)(nil)

// Find implements snapshot.EBS. As with real AWS a cancelled context is an outage.
func (e *EBS) Find(ctx context.Context, requestID string) ([]snapshot.Existing, error) {
	e.rig.note("EBS.Find")
	if e.FindFunc != nil {
		return e.FindFunc(ctx, requestID)
	}
	return e.Existing(requestID), away(ctx, "DescribeSnapshots")
}

// Existing is what EC2 has of a request.
func (e *EBS) Existing(requestID string) []snapshot.Existing {
	var found []snapshot.Existing
	for _, s := range e.Made {
		if s.Tags[snapshot.TagRequestID] == requestID {
			found = append(found, s)
		}
	}
	return found
}

func away(ctx context.Context, call string) error {
	if ctx.Err() == nil {
		return nil
	}
	return &snapshot.OutOfReachError{What: "EC2 (" + call + ")", Err: ctx.Err()}
}

// Attached implements snapshot.EBS.
func (e *EBS) Attached(ctx context.Context) ([]snapshot.Attachment, error) {
	e.rig.note("EBS.Attached")
	if e.AttachedFunc != nil {
		return e.AttachedFunc(ctx)
	}
	return e.Instance, away(ctx, "DescribeInstances")
}

// Warm implements snapshot.EBS.
func (e *EBS) Warm(ctx context.Context, window time.Duration) error {
	e.rig.note("EBS.Warm")
	if e.WarmFunc != nil {
		return e.WarmFunc(ctx, window)
	}
	return away(ctx, "credentials")
}

// Create implements snapshot.EBS.
func (e *EBS) Create(ctx context.Context, set snapshot.CreateSet) ([]messages.Snapshot, error) {
	e.rig.note("EBS.Create")
	e.rig.bounded(ctx, "EBS.Create")
	e.Sets = append(e.Sets, set)
	if e.CreateFunc != nil {
		return e.CreateFunc(ctx, set)
	}
	return e.Start(set, len(set.Volumes)), nil
}

// Start makes snapshots of the first n volumes of the set.
func (e *EBS) Start(set snapshot.CreateSet, n int) []messages.Snapshot {
	var made []messages.Snapshot
	for _, v := range set.Volumes[:n] {
		s := messages.Snapshot{SnapshotID: fmt.Sprintf("snap-%017d", len(e.Made)+1), VolumeID: v.ID, SizeGiB: 8, StartTime: time.Now().UTC(), State: "pending"}
		made = append(made, s)
		e.Made = append(e.Made, snapshot.Existing{Snapshot: s, Tags: maps.Clone(set.Tags)})
	}
	return made
}

// Tag implements snapshot.EBS. Like EC2 it refuses more than 50 tags.
func (e *EBS) Tag(ctx context.Context, snapshotID string, tags map[string]string) error {
	e.rig.note("EBS.Tag")
	if e.TagFunc != nil {
		return e.TagFunc(ctx, snapshotID, tags)
	}
	if err := away(ctx, "CreateTags"); err != nil {
		return err
	}
	for i := range e.Made {
		if e.Made[i].SnapshotID != snapshotID {
			continue
		}
		all := maps.Clone(e.Made[i].Tags)
		maps.Copy(all, tags)
		if len(all) > 50 {
			return &snapshot.RefusedError{Sentence: "TagLimitExceeded"}
		}
		e.Made[i].Tags = all
		return nil
	}
	return &snapshot.RefusedError{Sentence: "InvalidSnapshot.NotFound: " + snapshotID}
}

// VolumeTags implements snapshot.EBS.
func (e *EBS) VolumeTags(ctx context.Context, ids []string) (map[string]map[string]string, error) {
	e.rig.note("EBS.VolumeTags")
	if e.VolumeTagsFunc != nil {
		return e.VolumeTagsFunc(ctx, ids)
	}
	return e.Tags, away(ctx, "DescribeVolumes")
}

// CheckCreate implements snapshot.EBS.
func (e *EBS) CheckCreate(ctx context.Context, set snapshot.CreateSet) error {
	e.rig.note("EBS.CheckCreate")
	if e.CheckFunc != nil {
		return e.CheckFunc(ctx, set)
	}
	return away(ctx, "CreateSnapshots")
}

// Record fakes snapshot.Record: it remembers attempts as the journal would.
type Record struct {
	Attempts []snapshot.Attempt

	IntendFunc  func(ctx context.Context, attemptID string, volumeIDs []string) error
	SettledFunc func(ctx context.Context, r *messages.Result) error

	rig *Rig
}

var _ snapshot.Record = (*Record)(nil)

// Intend implements snapshot.Record.
func (r *Record) Intend(ctx context.Context, attemptID string, volumeIDs []string) error {
	r.rig.note("Record.Intend")
	if r.IntendFunc != nil {
		if err := r.IntendFunc(ctx, attemptID, volumeIDs); err != nil {
			return err
		}
	}
	for i := range r.Attempts {
		if r.Attempts[i].ID == attemptID {
			a := &r.Attempts[i]
			if a.Settled != nil && a.Settled.Reason != messages.ReasonQuota {
				r.rig.fault("attempt %s goes on after its verdict %s", attemptID, a.Settled.Reason)
			}
			a.VolumeIDs, a.Settled, a.Sent = volumeIDs, nil, false
			return nil
		}
	}
	r.Attempts = append(r.Attempts, snapshot.Attempt{ID: attemptID, VolumeIDs: volumeIDs})
	return nil
}

// Sending implements snapshot.Record.
func (r *Record) Sending() {
	r.rig.note("Record.Sending")
	if len(r.Attempts) == 0 {
		r.rig.fault("the create call is sent without an intent")
		return
	}
	a := &r.Attempts[len(r.Attempts)-1]
	if a.Settled != nil {
		r.rig.fault("the create call is sent again without an intent")
	}
	a.Sent = true
}

// Settled implements snapshot.Record.
func (r *Record) Settled(ctx context.Context, res *messages.Result) error {
	r.rig.note("Record.Settled")
	if r.rig.Held() {
		r.rig.fault("settled while something is held")
	}
	if r.SettledFunc != nil {
		return r.SettledFunc(ctx, res)
	}
	for i := range r.Attempts {
		if r.Attempts[i].ID == res.AttemptID {
			c := *res
			r.Attempts[i].Settled = &c
			return nil
		}
	}
	return fmt.Errorf("attempt %q is not known", res.AttemptID)
}

// Lease fakes snapshot.Lease.
type Lease struct {
	CoverFunc func(ctx context.Context, window time.Duration) error

	rig *Rig
}

var _ snapshot.Lease = (*Lease)(nil)

// Cover implements snapshot.Lease.
func (l *Lease) Cover(ctx context.Context, window time.Duration) error {
	l.rig.note("Lease.Cover")
	if l.CoverFunc != nil {
		return l.CoverFunc(ctx, window)
	}
	return context.Cause(ctx)
}
