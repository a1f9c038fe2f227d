package ec2

import (
	"time"

	"stillpoint/localstack/internal/wire"
)

// lock keeps a snapshot from being deleted. https://docs.aws.amazon.com/ebs/latest/userguide/ebs-snapshot-lock.html
type lock struct {
	Mode     string // "governance", "compliance"; empty: there is none
	Hours    int    // of the cooling-off period; zero for none
	Cools    time.Time
	Created  time.Time
	From     time.Time // when the settings were made that hold now
	Days     int       // zero where a date was given
	Deadline time.Time // zero where days were given
}

// start is when the duration of x's lock began: not before x is completed. While it is pending, ok is false.
// https://docs.aws.amazon.com/ebs/latest/userguide/snapshot-lock-considerations.html
func (x *snapshot) lockStart(now time.Time) (start time.Time, ok bool) {
	if x.pending(now) {
		return time.Time{}, false
	}
	if x.Ends.After(x.Lock.From) {
		return x.Ends, true
	}
	return x.Lock.From, true
}

// lockEnd is when x's lock expires. It is not known (ok is false) while x is pending and locked for a number of days.
func (x *snapshot) lockEnd(now time.Time) (end time.Time, ok bool) {
	if x.Lock.Days == 0 {
		return x.Lock.Deadline, true
	}
	start, ok := x.lockStart(now)
	return start.Add(time.Duration(x.Lock.Days) * 24 * time.Hour), ok
}

// lockState is empty for no lock. If a snapshot that was locked while pending fails, "the lock is canceled".
func (x *snapshot) lockState(now time.Time) string {
	if x.Lock.Mode == "" || x.state(now) == "error" {
		return ""
	}
	if end, ok := x.lockEnd(now); ok && !now.Before(end) {
		return "expired"
	}
	if x.Lock.Mode == "compliance" && now.Before(x.Lock.Cools) {
		return "compliance-cooloff"
	}
	return x.Lock.Mode
}

// lockSnapshot locks a snapshot or changes its lock: as it likes in governance mode and while cooling off, and only to a later end
// in compliance mode. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_LockSnapshot.html
// Which codes AWS answers with, and that a duration counts anew from each call, are guesses.
func (s *Service) lockSnapshot(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	now := s.Clock.Now()
	x, apiErr := s.ownSnapshot(q.Get("SnapshotId"))
	if apiErr != nil {
		return nil, apiErr
	}
	c.About(x.arn())
	l, apiErr := readLock(q, now)
	if apiErr != nil {
		return nil, apiErr
	}
	if x.state(now) == "error" {
		return nil, wire.Errorf("IncorrectState", "The snapshot '%s' is in the state error; only pending and completed snapshots can be locked", x.ID)
	}
	locked := *x
	locked.Lock = l
	switch state := x.lockState(now); state {
	case "", "expired":
	case "compliance":
		if l.Mode != "compliance" || l.Hours > 0 {
			return nil, wire.Errorf("OperationNotPermitted", "The snapshot '%s' is locked in compliance mode: its mode cannot be changed, and CoolOffPeriod must be left out", x.ID)
		}
		if !extends(x, &locked, now) {
			return nil, wire.Errorf("OperationNotPermitted", "The snapshot '%s' is locked in compliance mode: its lock can only be made longer", x.ID)
		}
		fallthrough
	default:
		locked.Lock.Created = x.Lock.Created
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	x.Lock = locked.Lock
	return s.lockNodes(x), nil
}

// extends tells whether the lock of the second ends later than that of the first. While the end of one is not known, days count.
func extends(before, after *snapshot, now time.Time) bool {
	old, oldKnown := before.lockEnd(now)
	end, known := after.lockEnd(now)
	if oldKnown && known {
		return end.After(old)
	}
	return after.Lock.Days > before.Lock.Days && before.Lock.Days > 0
}

func readLock(q wire.Query, now time.Time) (lock, *wire.Error) {
	l := lock{Mode: q.Get("LockMode"), Created: now, From: now}
	days, apiErr := q.Number("LockDuration")
	if apiErr != nil {
		return l, apiErr
	}
	hours, apiErr := q.Number("CoolOffPeriod")
	if apiErr != nil {
		return l, apiErr
	}
	date := q.Get("ExpirationDate")
	switch {
	case l.Mode == "":
		return l, wire.Errorf("MissingParameter", "The request must contain the parameter lockMode")
	case l.Mode != "governance" && l.Mode != "compliance":
		return l, wire.Errorf("InvalidParameterValue", "Value (%s) for parameter lockMode is invalid. Expected: governance, compliance.", l.Mode)
	case q.Has("LockDuration") == (date != ""):
		return l, wire.Errorf("InvalidParameterCombination", "Either LockDuration or ExpirationDate must be given, and not both")
	case q.Has("LockDuration") && (days < 1 || days > 36_500):
		return l, wire.Errorf("InvalidParameterValue", "Value (%d) for parameter lockDuration is invalid. It must be from 1 to 36500 days.", days)
	case q.Has("CoolOffPeriod") && l.Mode == "governance":
		return l, wire.Errorf("InvalidParameterCombination", "CoolOffPeriod is for compliance mode; in governance mode it must be left out")
	case q.Has("CoolOffPeriod") && (hours < 1 || hours > 72):
		return l, wire.Errorf("InvalidParameterValue", "Value (%d) for parameter coolOffPeriod is invalid. It must be from 1 to 72 hours.", hours)
	}
	l.Days, l.Hours = days, hours
	if hours > 0 {
		l.Cools = now.Add(time.Duration(hours) * time.Hour)
	}
	if date != "" {
		var err error
		if l.Deadline, err = time.Parse(time.RFC3339, date); err != nil || !l.Deadline.After(now) {
			return l, wire.Errorf("InvalidParameterValue", "Value (%s) for parameter expirationDate is invalid. It must be a time in the future: YYYY-MM-DDThh:mm:ss.sssZ.", date)
		}
	}
	return l, nil
}

// lockNodes shows the lock of x. While x is pending, when a lock for a number of days began and when it expires are left out.
// https://dev.classmethod.jp/articles/tsnote-ebs-snapshot-lock-during-creation-process
func (s *Service) lockNodes(x *snapshot) []wire.Node {
	now := s.Clock.Now()
	out := []wire.Node{wire.El("snapshotId", x.ID), wire.El("lockState", x.lockState(now)), wire.Time("lockCreatedOn", x.Lock.Created)}
	if x.Lock.Days > 0 {
		out = append(out, wire.Num("lockDuration", x.Lock.Days))
	}
	if start, ok := x.lockStart(now); ok {
		out = append(out, wire.Time("lockDurationStartTime", start))
	}
	if end, ok := x.lockEnd(now); ok {
		out = append(out, wire.Time("lockExpiresOn", end))
	}
	if x.Lock.Hours > 0 {
		out = append(out, wire.Num("coolOffPeriod", x.Lock.Hours), wire.Time("coolOffPeriodExpiresOn", x.Lock.Cools))
	}
	return out
}

func (s *Service) unlockSnapshot(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	x, apiErr := s.ownSnapshot(q.Get("SnapshotId"))
	if apiErr != nil {
		return nil, apiErr
	}
	c.About(x.arn())
	switch x.lockState(s.Clock.Now()) {
	case "", "expired":
		return nil, wire.Errorf("IncorrectState", "The snapshot '%s' is not locked.", x.ID)
	case "compliance":
		return nil, wire.Errorf("OperationNotPermitted", "The snapshot '%s' is locked in compliance mode and its cooling-off period is over: it cannot be unlocked.", x.ID)
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	x.Lock = lock{}
	return []wire.Node{wire.El("snapshotId", x.ID)}, nil
}

// describeLockedSnapshots shows the caller's snapshots that are or were locked.
func (s *Service) describeLockedSnapshots(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	now := s.Clock.Now()
	all := s.ownShown()
	ids := q.List("SnapshotId")
	if apiErr := checkShown(all, ids); apiErr != nil {
		return nil, apiErr
	}
	locks := kind[snapshot]{
		fields:   fields[snapshot]{"lock-state": func(x *snapshot) []string { return []string{x.lockState(now)} }},
		Tags:     func(*snapshot) []tag { return nil },
		Serial:   func(x *snapshot) int { return x.Serial },
		minPage:  5,
		idsParam: "SnapshotIds",
	}
	var named []string
	for _, id := range ids {
		if all[id].lockState(now) != "" {
			named = append(named, id)
			c.About(all[id].arn())
		}
	}
	for id, x := range all {
		if x.lockState(now) == "" || len(ids) > 0 && len(named) == 0 {
			delete(all, id)
		}
	}
	page, token, apiErr := locks.choose(q, all, named, func(id string) (*snapshot, *wire.Error) { return all[id], nil })
	if apiErr != nil {
		return nil, apiErr
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	return described("snapshotSet", page, token, func(x *snapshot) []wire.Node {
		return append(s.lockNodes(x), wire.El("ownerId", x.Account))
	}), nil
}
