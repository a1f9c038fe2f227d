package ec2

import (
	"regexp"
	"time"

	"stillpoint/localstack/internal/wire"
)

// How long fast restores take. Optimizing: https://docs.aws.amazon.com/ebs/latest/userguide/view-fsr-enabled-snapshots.html, whose
// example shows the other two.
const (
	enablingTime     = 36 * time.Second
	optimizingPerGiB = time.Hour / 1024
	disablingTime    = 31 * time.Second
)

// maxSources is how many snapshots one call can name: https://github.com/pingcap/tidb/issues/48505.
const maxSources = 10

// restore is the fast restore of a snapshot in a zone, for an account.
type restore struct {
	Serial    int
	Snapshot  string
	Zone      string
	Account   string
	Region    string
	GiB       int
	Enabling  time.Time
	Disabling time.Time // zero while nobody disabled it
}

func (r *restore) optimizing() time.Time { return r.Enabling.Add(enablingTime) }

func (r *restore) enabled() time.Time {
	return r.optimizing().Add(time.Duration(r.GiB) * optimizingPerGiB)
}

func (r *restore) disabled() time.Time { return r.Disabling.Add(disablingTime) }

// on tells whether nobody disabled it.
func (r *restore) on() bool { return r.Disabling.IsZero() }

func (r *restore) state(now time.Time) string {
	switch {
	case !r.on() && now.Before(r.disabled()):
		return "disabling"
	case !r.on():
		return "disabled"
	case now.Before(r.optimizing()):
		return "enabling"
	case now.Before(r.enabled()):
		return "optimizing"
	}
	return "enabled"
}

// nodes shows the state and when each state so far was entered.
func (r *restore) nodes(now time.Time) []wire.Node {
	state, reason := r.state(now), "Client.UserInitiated"
	if state != "enabling" && state != "disabling" {
		reason += " - Lifecycle state transition"
	}
	out := []wire.Node{
		wire.El("snapshotId", r.Snapshot), wire.El("availabilityZone", r.Zone), wire.El("state", state), wire.El("stateTransitionReason", reason),
		wire.El("ownerId", r.Account), wire.Time("enablingTime", r.Enabling),
	}
	last := now // a state that disabling cut off was not entered
	if !r.on() {
		last = r.Disabling
	}
	if !last.Before(r.optimizing()) {
		out = append(out, wire.Time("optimizingTime", r.optimizing()))
	}
	if !last.Before(r.enabled()) {
		out = append(out, wire.Time("enabledTime", r.enabled()))
	}
	if !r.on() {
		out = append(out, wire.Time("disablingTime", r.Disabling))
	}
	if state == "disabled" {
		out = append(out, wire.Time("disabledTime", r.disabled()))
	}
	return out
}

var zoneLetter = regexp.MustCompile(`^[a-z]$`)

// readRestores reads the snapshots and zones of a call.
func readRestores(q wire.Query) (ids, zones []string, apiErr *wire.Error) {
	ids, zones = q.List("SourceSnapshotId"), q.List("AvailabilityZone")
	switch {
	case len(q.List("AvailabilityZoneId")) > 0 && len(zones) > 0:
		return nil, nil, wire.Errorf("InvalidParameterCombination", "Either AvailabilityZone or AvailabilityZoneId must be given, and not both")
	case len(q.List("AvailabilityZoneId")) > 0:
		return nil, nil, wire.Errorf("InvalidParameterValue", "localstack knows zones by their names only: give AvailabilityZone instead of AvailabilityZoneId")
	case len(ids) == 0 || len(zones) == 0:
		return nil, nil, wire.Errorf("MissingParameter", "The request must contain the parameters SourceSnapshotIds and AvailabilityZones")
	case len(ids) > maxSources:
		return nil, nil, wire.Errorf("InvalidRequest", "Number of values of parameter SourceSnapshotIds must be less than or equal to %d.", maxSources)
	}
	for _, id := range ids {
		if apiErr := checkSnapshotID(id); apiErr != nil {
			return nil, nil, apiErr
		}
	}
	return ids, zones, dryRun(q)
}

// enableFastRestores begins to optimize snapshots for zones. What cannot be enabled is listed as unsuccessful, and the call
// succeeds; the codes there are guesses. Enabling twice changes nothing.
func (s *Service) enableFastRestores(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	return s.forEachRestore(q, c, func(id, zone string) (*restore, *wire.Error) {
		x, apiErr := s.findSnapshot(id)
		if apiErr != nil {
			return nil, apiErr
		}
		name := key(id, zone, s.caller.Account)
		if r := s.Restores[name]; r != nil && r.on() {
			return r, nil
		}
		switch {
		case len(zone) <= len(s.caller.Region) || zone[:len(s.caller.Region)] != s.caller.Region || !zoneLetter.MatchString(zone[len(s.caller.Region):]):
			return nil, wire.Errorf("InvalidZone.NotFound", "The zone '%s' does not exist.", zone)
		case !x.completed(s.Clock.Now()):
			return nil, wire.Errorf("IncorrectState", "Snapshot '%s' is not 'completed'.", id)
		case x.GiB > 16*1024: // https://docs.aws.amazon.com/ebs/latest/userguide/ebs-fast-snapshot-restore.html
			return nil, wire.Errorf("InvalidParameterValue", "Snapshot '%s' has %d GiB; fast restore is for up to 16 TiB", id, x.GiB)
		}
		if apiErr := s.mayRestore(id); apiErr != nil {
			return nil, apiErr
		}
		r := &restore{Serial: s.next(), Snapshot: id, Zone: zone, Account: s.caller.Account, Region: s.caller.Region, GiB: x.GiB, Enabling: s.Clock.Now()}
		s.Restores[name] = r
		return r, nil
	})
}

func (s *Service) disableFastRestores(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	return s.forEachRestore(q, c, func(id, zone string) (*restore, *wire.Error) {
		r := s.Restores[key(id, zone, s.caller.Account)]
		if r == nil || !r.on() || r.Region != s.caller.Region {
			return nil, wire.Errorf("InvalidParameterValue", "Fast restore of the snapshot '%s' is not enabled in '%s'.", id, zone)
		}
		r.Disabling = s.Clock.Now()
		return r, nil
	})
}

func (s *Service) forEachRestore(q wire.Query, c *wire.Call, change func(id, zone string) (*restore, *wire.Error)) ([]wire.Node, *wire.Error) {
	ids, zones, apiErr := readRestores(q)
	if apiErr != nil {
		return nil, apiErr
	}
	done, failed := wire.Node{Name: "successful"}, wire.Node{Name: "unsuccessful"}
	for _, id := range ids {
		errs := wire.Node{Name: "fastSnapshotRestoreStateErrorSet"}
		for _, zone := range zones {
			r, apiErr := change(id, zone)
			if apiErr != nil {
				errs.Kids = append(errs.Kids, wire.Tree("item", wire.El("availabilityZone", zone),
					wire.Tree("error", wire.El("code", apiErr.Code), wire.El("message", apiErr.Message))))
				continue
			}
			done.Kids = append(done.Kids, wire.Node{Name: "item", Kids: r.nodes(s.Clock.Now())})
			c.About("arn:aws:ec2:" + r.Region + "::snapshot/" + id)
		}
		if len(errs.Kids) > 0 {
			failed.Kids = append(failed.Kids, wire.Tree("item", wire.El("snapshotId", id), errs))
		}
	}
	return []wire.Node{done, failed}, nil
}

// endRestores disables the fast restores of x for those who may no longer use it: all, if it was deleted.
func (s *Service) endRestores(x *snapshot) {
	for _, r := range s.Restores {
		if r.Snapshot == x.ID && r.on() && (s.snapshots[x.ID] == nil || !s.usable(x, r.Account)) {
			r.Disabling = s.Clock.Now()
		}
	}
}

// describeFastRestores shows those that the caller enabled. Disabled ones are listed for good.
func (s *Service) describeFastRestores(q wire.Query, _ *wire.Call) ([]wire.Node, *wire.Error) {
	now := s.Clock.Now()
	all := map[string]*restore{}
	for name, r := range s.Restores {
		if r.Region == s.caller.Region && r.Account == s.caller.Account {
			all[name] = r
		}
	}
	// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeFastSnapshotRestores.html
	restores := kind[restore]{
		fields: fields[restore]{
			"availability-zone": func(r *restore) []string { return []string{r.Zone} },
			"owner-id":          func(r *restore) []string { return []string{r.Account} },
			"snapshot-id":       func(r *restore) []string { return []string{r.Snapshot} },
			"state":             func(r *restore) []string { return []string{r.state(now)} },
		},
		Tags:   func(*restore) []tag { return nil },
		Serial: func(r *restore) int { return r.Serial },
	}
	if n, apiErr := q.Number("MaxResults"); apiErr == nil && n > 200 {
		return nil, wire.Errorf("InvalidParameterValue", "Value ( %d ) for parameter maxResults is invalid. Expecting a value up to 200.", n)
	}
	page, token, apiErr := restores.choose(q, all, nil, nil)
	if apiErr != nil {
		return nil, apiErr
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	return described("fastSnapshotRestoreSet", page, token, func(r *restore) []wire.Node { return r.nodes(now) }), nil
}
