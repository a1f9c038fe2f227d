package ec2

import (
	"slices"
	"time"

	"stillpoint/localstack/internal/wire"
)

// Limits are quotas of an account in a region. For each, zero is AWS's default, and below zero is no limit.
type Limits struct {
	// PendingPerVolume is how many snapshots of a volume can be in progress, 5 by default. It is never more than 1 for st1 and sc1.
	// Those in the state "error" count, and so do those that were deleted while they were pending.
	// https://docs.aws.amazon.com/ebs/latest/userguide/ebs-creating-snapshot.html, https://repost.aws/knowledge-center/ebs-snapshot-stuck
	PendingPerVolume int `json:"pendingPerVolume"`

	// Pending is how many snapshots can be pending, 100 by default: https://github.com/pingcap/tidb/issues/44325. That copies
	// count is a guess.
	Pending int `json:"pending"`

	// Snapshots is how many snapshots there can be, 100,000 by default: https://docs.aws.amazon.com/ebs/latest/userguide/ebs-resource-quotas.html
	Snapshots int `json:"snapshots"`

	// Copies is how many copies can be pending, 20 by default: https://docs.aws.amazon.com/ebs/latest/userguide/ebs-copy-snapshot.html
	Copies int `json:"copies"`

	// FastRestores is how many snapshots can have fast restore, 5 by default; older documents say 50:
	// https://docs.aws.amazon.com/ebs/latest/userguide/ebs-fast-snapshot-restore.html
	FastRestores int `json:"fastRestores"`
}

// over tells whether n is more than limit, which is fallback where it is zero, and none below.
func over(n, limit, fallback int) bool {
	if limit == 0 {
		limit = fallback
	}
	return limit >= 0 && n > limit
}

// counts is how many snapshots the caller has in the region of the call.
type counts struct {
	all, pending, copies int
	inProgress           map[string]int // by volume
	last                 map[string]time.Time
}

func (s *Service) count() counts {
	now := s.Clock.Now()
	n := counts{inProgress: map[string]int{}, last: map[string]time.Time{}}
	add := func(x *snapshot, deleted bool) {
		if x.Account != s.caller.Account || x.Region != s.caller.Region {
			return
		}
		if !deleted {
			n.all++
		}
		if x.Started.After(n.last[x.Volume]) {
			n.last[x.Volume] = x.Started
		}
		if x.pending(now) {
			n.pending++
			if x.Transfer != "" {
				n.copies++
			}
		}
		if x.pending(now) || x.Failed && !deleted {
			n.inProgress[x.Volume]++
		}
	}
	for _, x := range s.snapshots {
		add(x, false)
	}
	for _, x := range s.ghosts {
		add(x, true)
	}
	return n
}

// mayCreate refuses snapshots of volumes that would exceed a limit: all of them if one does. The codes and texts are those of
// https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-error-codes.html, as far as they are there.
func (s *Service) mayCreate(volumes []*volume) *wire.Error {
	now, n, l := s.Clock.Now(), s.count(), s.behaviour.Limits
	for _, v := range volumes {
		if last := n.last[v.ID]; now.Sub(last) < s.behaviour.VolumeSpacing {
			// The text is from https://support.n2ws.com/portal/en/kb/articles/volume-sna.
			return wire.Errorf("SnapshotCreationPerVolumeRateExceeded", "The maximum per volume CreateSnapshot request rate has been exceeded. Use an increasing or variable sleep interval between requests.")
		}
	}
	for _, v := range volumes {
		limit, fallback := l.PendingPerVolume, 5
		if slices.Contains([]string{"st1", "sc1"}, v.Type) {
			fallback = 1
			limit = min(limit, 1)
		}
		if over(n.inProgress[v.ID]+1, limit, fallback) {
			return wire.Errorf("ConcurrentSnapshotLimitExceeded", "Maximum allowed in-progress snapshots for a single volume exceeded.")
		}
	}
	if over(n.pending+len(volumes), l.Pending, 100) {
		return wire.Errorf("PendingSnapshotLimitExceeded", "You've reached the limit on the number of Amazon EBS snapshots that you can have in the pending state.")
	}
	if over(n.all+len(volumes), l.Snapshots, 100_000) {
		return tooManySnapshots()
	}
	return nil
}

func tooManySnapshots() *wire.Error {
	return wire.Errorf("SnapshotLimitExceeded", "You've reached the limit on the number of Amazon EBS snapshots that you can create.")
}

// mayCopy refuses a copy that would exceed a limit. The text is from https://github.com/aws-samples/copy-encrypted-ami/issues/3.
func (s *Service) mayCopy() *wire.Error {
	n, l := s.count(), s.behaviour.Limits
	switch {
	case over(n.copies+1, l.Copies, 20):
		limit := max(l.Copies, 0)
		if limit == 0 {
			limit = 20
		}
		return wire.Errorf("ResourceLimitExceeded", "Too many snapshot copies in progress. The limit is %d for this destination region.", limit)
	case over(n.pending+1, l.Pending, 100):
		return wire.Errorf("PendingSnapshotLimitExceeded", "You've reached the limit on the number of Amazon EBS snapshots that you can have in the pending state.")
	case over(n.all+1, l.Snapshots, 100_000):
		return tooManySnapshots()
	}
	return nil
}

// mayRestore refuses fast restore of one more snapshot than there may be. The code is a guess.
func (s *Service) mayRestore(id string) *wire.Error {
	ids := map[string]bool{id: true}
	for _, r := range s.Restores {
		if r.on() && r.Account == s.caller.Account && r.Region == s.caller.Region {
			ids[r.Snapshot] = true
		}
	}
	if over(len(ids), s.behaviour.Limits.FastRestores, 5) {
		return wire.Errorf("ResourceLimitExceeded", "The limit on the number of snapshots with fast restore is %d for this region.", len(ids)-1)
	}
	return nil
}
