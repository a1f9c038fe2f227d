package ec2

import (
	"strings"

	"stillpoint/localstack/internal/wire"
)

// Snapshots belong to a region and to an account. Instances and volumes are in the server's own.

// asCaller fills in what c leaves open with the server's own.
func (s *Service) asCaller(c wire.Caller) wire.Caller {
	if c.Region == "" {
		c.Region = s.Region
	}
	if c.Account == "" {
		c.Account = s.Account
	}
	return c
}

// elsewhere tells, as the end of a message, that the call is meant for a region or an account in which this server has no
// instances and volumes; it is empty where it has.
func (s *Service) elsewhere() string {
	if s.caller.Region == s.Region && s.caller.Account == s.Account {
		return ""
	}
	return " in " + s.caller.Region + " for account " + s.caller.Account + " (localstack has instances and volumes in " + s.Region + " for account " + s.Account + " only)"
}

// instancesHere are those that the caller can name: none in another region or account.
func (s *Service) instancesHere() map[string]*instance {
	if c := s.asCaller(s.caller); c.Region != s.Region || c.Account != s.Account {
		return nil
	}
	return s.instances
}

// volumesHere are the same of volumes.
func (s *Service) volumesHere() map[string]*volume {
	if s.instancesHere() == nil {
		return nil
	}
	return s.volumes
}

func (x *snapshot) arn() string { return "arn:aws:ec2:" + x.Region + "::snapshot/" + x.ID }

// key joins the parts of the key of a map; the parts hold no bar.
func key(parts ...string) string { return strings.Join(parts, "|") }

// checkSnapshotID refuses what is no id of a snapshot.
// The second form is as for volumes in https://github.com/cloudavail/aws-missing-tools/issues/49.
func checkSnapshotID(id string) *wire.Error {
	switch {
	case id == "":
		return wire.Errorf("MissingParameter", "The request must contain the parameter snapshotId")
	case !strings.HasPrefix(id, "snap-"):
		return wire.Errorf("InvalidParameterValue", "Value (%s) for parameter snapshotId is invalid. Expected: 'snap-...'.", id)
	case !idPattern["snap"].MatchString(id):
		return wire.Errorf("InvalidSnapshotID.Malformed", "Invalid id: \"%s\"", id)
	}
	return nil
}

// noSnapshots says which snapshots there are not. How AWS words it for several is a guess.
func noSnapshots(ids ...string) *wire.Error {
	if len(ids) == 1 {
		return wire.Errorf("InvalidSnapshot.NotFound", "The snapshot '%s' does not exist.", ids[0])
	}
	return wire.Errorf("InvalidSnapshot.NotFound", "The snapshots '%s' do not exist.", strings.Join(ids, ", "))
}

// findSnapshot finds a snapshot that the caller may make volumes of, in the region of the call.
func (s *Service) findSnapshot(id string) (*snapshot, *wire.Error) {
	return s.snapshotIn(s.asCaller(s.caller).Region, id)
}

// snapshotIn finds a snapshot of a region that the caller may use.
func (s *Service) snapshotIn(region, id string) (*snapshot, *wire.Error) {
	if apiErr := checkSnapshotID(id); apiErr != nil {
		return nil, apiErr
	}
	x, ok := s.snapshots[id]
	if !ok || x.Region != region || !s.usable(x, s.asCaller(s.caller).Account) {
		return nil, noSnapshots(id)
	}
	return x, nil
}

// ownSnapshot finds a snapshot that the caller owns, in the region of the call. What AWS answers about one of somebody else is a
// guess.
func (s *Service) ownSnapshot(id string) (*snapshot, *wire.Error) {
	x, apiErr := s.findSnapshot(id)
	if apiErr != nil {
		return nil, apiErr
	}
	if x.Account != s.caller.Account {
		return nil, wire.Errorf("UnauthorizedOperation", "You are not authorized to perform this operation. The snapshot '%s' belongs to account %s.", id, x.Account)
	}
	return x, nil
}

// shownOwn is ownSnapshot for Describe calls, which may not know of it yet.
func (s *Service) shownOwn(id string) (*snapshot, *wire.Error) {
	x, apiErr := s.ownSnapshot(id)
	if apiErr == nil && s.Clock.Now().Before(x.Visible) {
		return nil, noSnapshots(id)
	}
	return x, apiErr
}

// defaultKey is the ARN of the key aws/ebs of an account in a region. On AWS its id is another one everywhere.
func defaultKey(region, account string) string {
	return keyARN(region, account, "00000000-0000-4000-8000-000000000000")
}

func keyARN(region, account, id string) string {
	return "arn:aws:kms:" + region + ":" + account + ":key/" + id
}
