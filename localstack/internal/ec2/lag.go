package ec2

import (
	"math/rand/v2"
	"slices"
	"time"

	"stillpoint/localstack/internal/wire"
)

// EC2 is eventually consistent: what was made, changed or deleted shows in Describe calls later. How much later nobody documents.
// https://docs.aws.amazon.com/ec2/latest/devguide/eventual-consistency.html

func sequence(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) } //nolint:gosec // repeatable on purpose

// lag draws how long it takes until Describe calls show a change.
func (s *Service) lag() time.Duration {
	low, high := s.behaviour.DescribeLagMin, s.behaviour.DescribeLagMax
	if high <= low {
		return low
	}
	return low + time.Duration(s.lags.Int64N(int64(high-low)+1))
}

// oldTags are the tags that a snapshot had before a change that is not shown yet.
type oldTags struct {
	Until time.Time // when the change is shown
	Tags  []tag
}

// shownTags are the tags of x as Describe calls show them: those before the first change that is still to be shown.
func (x *snapshot) shownTags(now time.Time) []tag {
	for _, old := range x.Before {
		if now.Before(old.Until) {
			return old.Tags
		}
	}
	return x.Tags
}

// lagging is an operation that changes tags, of which snapshots remember what they had.
func lagging(change operation) operation {
	return func(s *Service, q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
		ids := q.List("ResourceId")
		before := map[string][]tag{}
		for _, id := range ids {
			x, ok := s.snapshots[id]
			if !ok {
				continue
			}
			if _, apiErr := s.ownSnapshot(id); apiErr != nil {
				return nil, apiErr
			}
			before[id] = slices.Clone(x.Tags)
		}
		out, apiErr := change(s, q, c)
		if apiErr != nil {
			return nil, apiErr
		}
		now := s.Clock.Now()
		for _, id := range ids {
			x, ok := s.snapshots[id]
			if !ok {
				continue
			}
			x.Before = slices.DeleteFunc(x.Before, func(old oldTags) bool { return !now.Before(old.Until) })
			if lag := s.lag(); lag > 0 {
				x.Before = append(x.Before, oldTags{now.Add(lag), before[id]})
			}
		}
		return out, nil
	}
}

// bury keeps a deleted snapshot for as long as Describe calls show it or its upload is in progress, and forgets those for which
// that is over.
func (s *Service) bury(x *snapshot) {
	now := s.Clock.Now()
	for id, ghost := range s.ghosts {
		if !now.Before(ghost.Gone) && !now.Before(ghost.Ends) {
			delete(s.ghosts, id)
		}
	}
	x.Gone = now.Add(s.lag())
	delete(s.snapshots, x.ID)
	s.ghosts[x.ID] = x
}

// shown are the snapshots of the caller's region that Describe calls show by now, whoever owns them.
func (s *Service) shown() map[string]*snapshot {
	now, out := s.Clock.Now(), map[string]*snapshot{}
	for _, x := range s.snapshots {
		if x.Region == s.caller.Region && !now.Before(x.Visible) {
			out[x.ID] = x
		}
	}
	for _, x := range s.ghosts {
		if x.Region == s.caller.Region && !now.Before(x.Visible) && now.Before(x.Gone) {
			out[x.ID] = x
		}
	}
	return out
}

// ownShown are those of them that belong to the caller.
func (s *Service) ownShown() map[string]*snapshot {
	out := s.shown()
	for id, x := range out {
		if x.Account != s.caller.Account {
			delete(out, id)
		}
	}
	return out
}
