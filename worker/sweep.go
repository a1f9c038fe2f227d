package worker

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// Unjudged is what a Sweep needs of EC2. The adapter is internal/ebs.
type Unjudged interface {
	// Unverified lists this instance's snapshots whose tags say that there is no verdict yet.
	Unverified(ctx context.Context) ([]snapshot.Existing, error)
	Tagger
}

// Sweep gives snapshots their verdict tags that no run gives any more: those
// that EC2 showed only when the last look-up was over, and those of a journal
// that was lost. It looks when it starts, and again from time to time.
type Sweep struct {
	Journal Journal
	EC2     Unjudged
	Log     zerolog.Logger
	// Every is how often it looks; zero: 1 h. After an error it is the tenth of that.
	Every time.Duration
	// Now is the clock; nil: time.Now.
	Now func() time.Time
}

const (
	sweepEvery = time.Hour
	// sweepAge is after how long `unverified` counts as inconsistent.
	sweepAge = 15 * time.Minute
	// sweepCall bounds the list, and each of the tags.
	sweepCall = 30 * time.Second
)

// Run works until ctx ends.
func (s *Sweep) Run(ctx context.Context) {
	every := s.Every
	if every == 0 {
		every = sweepEvery
	}
	said := ""
	for {
		wait := every
		if err := s.pass(ctx); err == nil {
			said = ""
		} else {
			wait = every / 10
			if err.Error() != said && ctx.Err() == nil {
				said = err.Error()
				s.Log.Warn().Err(err).Msg("cannot look for snapshots without a verdict: trying again")
			}
		}
		if !sleep(ctx, wait) {
			return
		}
	}
}

func (s *Sweep) pass(ctx context.Context) error {
	var found []snapshot.Existing
	err := bounded(ctx, sweepCall, func(ctx context.Context) (err error) {
		found, err = s.EC2.Unverified(ctx)
		return err
	})
	if err != nil {
		return err
	}
	now := orNow(s.Now)()
	found = slices.DeleteFunc(found, func(e snapshot.Existing) bool { return now.Sub(e.StartTime) < sweepAge })
	if len(found) == 0 {
		return nil
	}
	owed, err := s.Journal.Owed()
	if err != nil {
		return fmt.Errorf("cannot tell which tags are owed: %w", err)
	}
	var failed error
	for _, e := range found {
		if slices.ContainsFunc(owed, func(p snapshot.PendingTags) bool { return p.SnapshotID == e.SnapshotID }) {
			continue // the outbox writes them
		}
		if err := s.judge(ctx, e); err != nil {
			failed = err
		}
	}
	return failed
}

// judge writes what the journal can prove of a snapshot, which is nothing where
// it does not know it.
func (s *Sweep) judge(ctx context.Context, e snapshot.Existing) error {
	requestID := e.Tags[snapshot.TagRequestID]
	entry, err := s.Journal.Load(requestID)
	if err != nil {
		return fmt.Errorf("cannot read the journal: %w", err)
	}
	if entry.Result == nil && len(entry.Attempts) > 0 {
		return nil // its verdict is still to come
	}
	status, consistency := messages.Inconsistent, messages.ConsistencyCrash
	if r := entry.Result; r != nil && slices.ContainsFunc(r.Snapshots, func(m messages.Snapshot) bool { return m.SnapshotID == e.SnapshotID }) {
		status, consistency = r.Status, r.Consistency
	}
	err = bounded(ctx, sweepCall, func(ctx context.Context) error {
		return s.EC2.Tag(ctx, e.SnapshotID, map[string]string{
			snapshot.TagStatus: string(status), snapshot.TagConsistency: string(consistency), snapshot.TagVolumeID: e.VolumeID,
		})
	})
	if err != nil {
		return fmt.Errorf("cannot tag %s: %w", e.SnapshotID, err)
	}
	s.Log.Warn().Str("snapshot_id", e.SnapshotID).Str("volume_id", e.VolumeID).Str("request_id", requestID).Str("status", string(status)).
		Msg("a snapshot was left without a verdict: tagged with what the journal can prove")
	return nil
}
