package ec2

import (
	"maps"
	"slices"
	"strings"
	"time"

	"stillpoint/localstack/internal/wire"
)

// Bucket is the size of a token bucket and how many tokens it gets in a second. A size of zero or less is no limit.
type Bucket struct {
	Size      float64 `json:"size"`
	PerSecond float64 `json:"perSecond"`
}

// The token buckets of https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-throttling.html, for each account and region.
var (
	reading    = Bucket{100, 20} // Describe, Get, List, Search
	unfiltered = Bucket{50, 10}  // the same without filter and pages, for the actions below
	changing   = Bucket{50, 5}   // all others
	listed     = map[string]Bucket{
		"CreateSnapshot":                   {100, 5},
		"CreateSnapshots":                  {100, 5},
		"DeleteSnapshot":                   {100, 5},
		"ModifySnapshotAttribute":          {100, 5},
		"CreateVolume":                     {100, 5},
		"DeleteVolume":                     {100, 5},
		"CreateTags":                       {100, 10},
		"DeleteTags":                       {100, 10},
		"EnableSnapshotBlockPublicAccess":  {1, 0.1},
		"DisableSnapshotBlockPublicAccess": {1, 0.1},
		"RunInstances":                     {5, 2},
		"StartInstances":                   {5, 2},
		"TerminateInstances":               {100, 5},
	}
	// byInstance are those that are also counted by the instances that a call is about.
	byInstance = map[string]Bucket{
		"RunInstances":       {1000, 2},
		"StartInstances":     {1000, 2},
		"StopInstances":      {1000, 20},
		"TerminateInstances": {1000, 20},
	}
	listings = []string{"DescribeInstances", "DescribeInstanceStatus", "DescribeSnapshots", "DescribeVolumes"}
)

const (
	unfilteredBucket = ":unfiltered"
	resourcesBucket  = ":resources"

	rounding = 1e-9 // of tokens, which are added in fractions
)

// isBucket tells whether there is a bucket of that name.
func isBucket(name string) bool {
	action, kind, _ := strings.Cut(name, ":")
	switch ":" + kind {
	case unfilteredBucket:
		return slices.Contains(listings, action)
	case resourcesBucket:
		return slices.Contains(slices.Collect(maps.Keys(byInstance)), action)
	case ":":
		_, ok := operationOf(action)
		return ok
	}
	return false
}

// bucket is how full a bucket was at a time.
type bucket struct {
	tokens float64
	at     time.Time
}

// throttle takes a token, or tokens, for a call of action from the caller's buckets, or refuses it. A call that is refused takes
// none. That a dry run takes one is a guess, and so is that calls which name ids count as filtered.
func (s *Service) throttle(action string, q wire.Query) *wire.Error {
	if s.behaviour.Unthrottled {
		return nil
	}
	name := action
	if slices.Contains(listings, action) && bare(q) {
		name += unfilteredBucket
	}
	need := map[string]float64{name: 1}
	if _, ok := byInstance[action]; ok {
		n, _ := q.Number("MaxCount")
		need[action+resourcesBucket] = float64(max(n, len(q.List("InstanceId"))))
	}
	for name, tokens := range need {
		if b := s.refill(name); b != nil && b.tokens+rounding < tokens {
			return wire.Errorf("RequestLimitExceeded", "Request limit exceeded.")
		}
	}
	for name, tokens := range need {
		if b := s.refill(name); b != nil {
			b.tokens -= tokens
		}
	}
	return nil
}

// bare tells whether a call has neither filter, ids nor pages.
func bare(q wire.Query) bool {
	for name := range q {
		switch first, _, _ := strings.Cut(name, "."); first {
		case "Filter", "MaxResults", "NextToken", "SnapshotId", "VolumeId", "InstanceId":
			return false
		}
	}
	return true
}

// refill returns the caller's bucket, with the tokens that it got meanwhile; nil if it has no limit. AWS adds them "every second",
// this does so all the time.
func (s *Service) refill(name string) *bucket {
	size := s.sizeOf(name)
	if size.Size <= 0 {
		return nil
	}
	now := s.Clock.Now()
	id := key(name, s.caller.Account, s.caller.Region)
	b := s.buckets[id]
	if b == nil {
		b = &bucket{size.Size, now}
		s.buckets[id] = b
	}
	b.tokens = min(size.Size, b.tokens+size.PerSecond*now.Sub(b.at).Seconds())
	b.at = now
	return b
}

func (s *Service) sizeOf(name string) Bucket {
	if b, ok := s.behaviour.Buckets[name]; ok {
		return b
	}
	action, kind, _ := strings.Cut(name, ":")
	if b, ok := listed[action]; ok && kind == "" {
		return b
	}
	switch ":" + kind {
	case unfilteredBucket:
		return unfiltered
	case resourcesBucket:
		return byInstance[action]
	}
	for _, prefix := range []string{"Describe", "Get", "List", "Search"} {
		if strings.HasPrefix(action, prefix) {
			return reading
		}
	}
	return changing
}
