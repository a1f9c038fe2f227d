package ec2

import "stillpoint/localstack/internal/wire"

// The states of block public access for snapshots, of an account in a region.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_GetSnapshotBlockPublicAccessState.html
const (
	unblocked       = "unblocked"
	blockNewSharing = "block-new-sharing"
	blockAllSharing = "block-all-sharing"
)

func (s *Service) blocked(account, region string) string {
	if state := s.Access[key(account, region)]; state != "" {
		return state
	}
	return unblocked
}

// public tells whether everybody may use x: block-all-sharing takes that away without changing the attribute of x.
func (s *Service) public(x *snapshot) bool {
	return x.Public && s.blocked(x.Account, x.Region) != blockAllSharing
}

func (s *Service) enableBlockPublicAccess(q wire.Query, _ *wire.Call) ([]wire.Node, *wire.Error) {
	state := q.Get("State")
	switch state {
	case "":
		return nil, wire.Errorf("MissingParameter", "The request must contain the parameter state")
	case blockNewSharing, blockAllSharing:
	default:
		return nil, wire.Errorf("InvalidParameterValue", "Value (%s) for parameter state is invalid. Expected: block-all-sharing, block-new-sharing.", state)
	}
	return s.block(q, state)
}

func (s *Service) disableBlockPublicAccess(q wire.Query, _ *wire.Call) ([]wire.Node, *wire.Error) {
	return s.block(q, unblocked)
}

func (s *Service) block(q wire.Query, state string) ([]wire.Node, *wire.Error) {
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	s.Access[key(s.caller.Account, s.caller.Region)] = state
	for _, x := range s.snapshots { // who lost access has no fast restores either
		s.endRestores(x)
	}
	return []wire.Node{wire.El("state", state)}, nil
}

func (s *Service) getBlockPublicAccess(q wire.Query, _ *wire.Call) ([]wire.Node, *wire.Error) {
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	return []wire.Node{wire.El("state", s.blocked(s.caller.Account, s.caller.Region)), wire.El("managedBy", "account")}, nil
}
