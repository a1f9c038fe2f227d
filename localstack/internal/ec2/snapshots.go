package ec2

import (
	"slices"
	"strconv"
	"time"

	"stillpoint/localstack/internal/wire"
)

// snapshot is a clone of a volume's file, or of another snapshot's.
type snapshot struct {
	Serial      int
	ID          string
	Region      string
	Account     string // the owner
	Volume      string
	GiB         int
	Encrypted   bool
	Key         string // ARN of the key; empty unless encrypted
	Description string
	Tags        []tag
	Started     time.Time // when its volume was cloned
	Ends        time.Time // until then it is pending
	Failed      bool      // it ends, or ended, in the state "error"
	Stuck       int       // the percentage at which a failed one stays
	Message     string    // why it failed; empty: AWS does not say
	Set         string    // of the CreateSnapshots that it was made by; else empty

	Transfer string // of a copy: "standard" or "time-based"; else empty
	Minutes  int    // of a copy: within how many it was to be completed; zero: not said

	Shared []string // the accounts that may make volumes of it
	Public bool     // all may
	Lock   lock

	Visible time.Time // when Describe calls begin to show it
	Gone    time.Time // deleted: when they no longer show it
	Before  []oldTags // tags as they show them
}

func (x *snapshot) pending(now time.Time) bool { return now.Before(x.Ends) }

func (x *snapshot) completed(now time.Time) bool { return !x.pending(now) && !x.Failed }

func (x *snapshot) state(now time.Time) string {
	switch {
	case x.pending(now):
		return "pending"
	case x.Failed:
		return "error"
	}
	return "completed"
}

// percent is the progress.
func (x *snapshot) percent(now time.Time) int {
	if !x.pending(now) {
		if x.Failed {
			return x.Stuck
		}
		return 100
	}
	lasts := x.Ends.Sub(x.Started)
	return max(0, min(99, int(100*(float64(now.Sub(x.Started))/float64(lasts)))))
}

func (x *snapshot) progress(now time.Time) string { return strconv.Itoa(x.percent(now)) + "%" }

// fail ends x, in the state "error".
func (x *snapshot) fail(message string, now time.Time) {
	x.Stuck = x.percent(now)
	x.Failed, x.Message = true, message
	if x.pending(now) {
		x.Ends = now
	}
}

// usable tells whether an account may make volumes and copies of x.
func (s *Service) usable(x *snapshot, account string) bool {
	return x.Account == account || slices.Contains(x.Shared, account) || s.public(x)
}

// snapshotKind is how the caller sees snapshots: tags are for their owner. That tags do not come with a shared snapshot is a guess,
// after what AWS says of images.
func (s *Service) snapshotKind() kind[snapshot] {
	now := s.Clock.Now()
	return kind[snapshot]{
		// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSnapshots.html
		fields: fields[snapshot]{
			"description":   func(x *snapshot) []string { return []string{x.Description} },
			"encrypted":     func(x *snapshot) []string { return []string{strconv.FormatBool(x.Encrypted)} },
			"owner-alias":   func(*snapshot) []string { return nil }, // none is Amazon's
			"owner-id":      func(x *snapshot) []string { return []string{x.Account} },
			"progress":      func(x *snapshot) []string { return []string{x.progress(now)} },
			"snapshot-id":   func(x *snapshot) []string { return []string{x.ID} },
			"start-time":    func(x *snapshot) []string { return []string{wire.Time("", x.Started).Text} },
			"status":        func(x *snapshot) []string { return []string{x.state(now)} },
			"storage-tier":  func(*snapshot) []string { return []string{"standard"} },
			"transfer-type": func(x *snapshot) []string { return some(x.Transfer) },
			"volume-id":     func(x *snapshot) []string { return []string{x.Volume} },
			"volume-size":   func(x *snapshot) []string { return []string{strconv.Itoa(x.GiB)} },
		},
		Tags:     func(x *snapshot) []tag { return s.tagsFor(x, now) },
		Serial:   func(x *snapshot) int { return x.Serial },
		minPage:  5,
		idsParam: "SnapshotIds",
	}
}

func (s *Service) tagsFor(x *snapshot, now time.Time) []tag {
	if x.Account != s.caller.Account {
		return nil
	}
	return x.shownTags(now)
}

// snapshotNodes shows a snapshot as DescribeSnapshots does.
func (s *Service) snapshotNodes(x *snapshot) []wire.Node {
	now := s.Clock.Now()
	out := append(s.commonNodes(x, "status", x.state(now), x.progress(now), s.tagsFor(x, now)), wire.El("storageTier", "standard"))
	if x.Encrypted {
		out = append(out, wire.El("kmsKeyId", x.Key))
	}
	switch x.state(now) {
	case "completed":
		out = append(out, wire.Time("completionTime", x.Ends))
	case "error":
		if x.Message != "" {
			out = append(out, wire.El("statusMessage", x.Message))
		}
	}
	if x.Transfer != "" {
		out = append(out, wire.El("transferType", x.Transfer))
	}
	if x.Minutes > 0 {
		out = append(out, wire.Num("completionDurationMinutes", x.Minutes))
	}
	return out
}

// freshNodes shows a snapshot to the one who made it: as pending, however short it lasts. CreateSnapshots calls the state "state",
// CreateSnapshot "status".
func (s *Service) freshNodes(x *snapshot, state string) []wire.Node {
	out := s.commonNodes(x, state, "pending", "0%", x.Tags)
	if state == "status" && x.Encrypted {
		out = append(out, wire.El("kmsKeyId", x.Key))
	}
	return out
}

func (s *Service) commonNodes(x *snapshot, stateName, state, progress string, tags []tag) []wire.Node {
	return []wire.Node{
		wire.El("snapshotId", x.ID), wire.El("volumeId", x.Volume), wire.El(stateName, state), wire.Time("startTime", x.Started),
		wire.El("progress", progress), wire.El("ownerId", x.Account), wire.Num("volumeSize", x.GiB), wire.El("description", x.Description),
		wire.Bool("encrypted", x.Encrypted), tagNodes(tags),
	}
}
