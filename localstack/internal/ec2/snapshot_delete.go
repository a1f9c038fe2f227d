package ec2

import "stillpoint/localstack/internal/wire"

// deleteSnapshot deletes a snapshot. A pending one is gone from sight at once, but goes on counting as in progress: "the snapshot
// must complete before the deletion takes effect". https://docs.aws.amazon.com/ebs/latest/userguide/ebs-deleting-snapshot.html
// It ends fast restores. https://docs.aws.amazon.com/ebs/latest/userguide/manage-fsr-enable.html
// There are no images here, so none is ever InvalidSnapshot.InUse.
func (s *Service) deleteSnapshot(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	x, apiErr := s.ownSnapshot(q.Get("SnapshotId"))
	if apiErr != nil {
		return nil, apiErr
	}
	c.About(x.arn())
	now := s.Clock.Now()
	if state := x.lockState(now); state != "" && state != "expired" {
		// AWS's code for this could not be found; this one is for what "is not allowed".
		return nil, wire.Errorf("OperationNotPermitted", "The snapshot '%s' is locked (%s) and cannot be deleted.", x.ID, state)
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	if s.disks.Real() {
		if err := s.disks.Remove(x.ID); err != nil {
			return nil, s.internal(err)
		}
	}
	s.bury(x)
	s.endRestores(x)
	return []wire.Node{wire.Bool("return", true)}, nil
}
