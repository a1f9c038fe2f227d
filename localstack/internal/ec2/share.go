package ec2

import (
	"slices"

	"stillpoint/localstack/internal/wire"
)

// maxPermissions is how many permissions one call can change.
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySnapshotAttribute.html
const maxPermissions = 500

const createVolumePermission = "createVolumePermission"

func (s *Service) describeSnapshotAttribute(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	x, apiErr := s.shownOwn(q.Get("SnapshotId"))
	if apiErr != nil {
		return nil, apiErr
	}
	c.About(x.arn())
	out := []wire.Node{wire.El("snapshotId", x.ID)}
	switch attribute := q.Get("Attribute"); attribute {
	case "":
		return nil, wire.Errorf("MissingParameter", "The request must contain the parameter attribute")
	case "productCodes":
		out = append(out, wire.Node{Name: "productCodes"})
	case createVolumePermission:
		set := wire.Node{Name: createVolumePermission}
		if x.Public {
			set.Kids = append(set.Kids, wire.Tree("item", wire.El("group", "all")))
		}
		for _, account := range x.Shared {
			set.Kids = append(set.Kids, wire.Tree("item", wire.El("userId", account)))
		}
		out = append(out, set)
	default:
		return nil, badAttribute(attribute)
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	return out, nil
}

func badAttribute(name string) *wire.Error {
	return wire.Errorf("InvalidParameterValue", "Value (%s) for parameter attribute is invalid. Only volume creation permissions (createVolumePermission) can be modified.", name)
}

// permissions are what a call adds or removes.
type permissions struct {
	remove bool
	users  []string
	public bool
}

// modifySnapshotAttribute shares a snapshot with accounts or with all, or stops doing so. Adding what is there and removing what
// is not are no errors.
func (s *Service) modifySnapshotAttribute(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	x, apiErr := s.ownSnapshot(q.Get("SnapshotId"))
	if apiErr != nil {
		return nil, apiErr
	}
	c.About(x.arn())
	if attribute := q.Get("Attribute"); attribute != "" && attribute != createVolumePermission {
		return nil, badAttribute(attribute)
	}
	p, apiErr := readPermissions(q)
	if apiErr != nil {
		return nil, apiErr
	}
	if !p.remove {
		if apiErr := s.mayShare(x, p); apiErr != nil {
			return nil, apiErr
		}
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	if p.remove {
		x.Shared = slices.DeleteFunc(x.Shared, func(account string) bool { return slices.Contains(p.users, account) })
		x.Public = x.Public && !p.public
		s.endRestores(x)
	} else {
		for _, account := range p.users {
			if !slices.Contains(x.Shared, account) {
				x.Shared = append(x.Shared, account)
			}
		}
		x.Public = x.Public || p.public
	}
	return []wire.Node{wire.Bool("return", true)}, nil
}

// mayShare refuses what cannot be shared. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_ModifySnapshotAttribute.html
// Code and text for the default key: https://github.com/hashicorp/packer/issues/7499. The others are guesses after it.
func (s *Service) mayShare(x *snapshot, p permissions) *wire.Error {
	switch {
	case p.public && x.Encrypted:
		return wire.Errorf("OperationNotPermitted", "Encrypted snapshots cannot be shared publicly")
	case len(p.users) > 0 && x.Encrypted && x.Key == defaultKey(x.Region, x.Account):
		return wire.Errorf("OperationNotPermitted", "Encrypted snapshots with EBS default key cannot be shared")
	case p.public && s.blocked(x.Account, x.Region) != unblocked:
		return wire.Errorf("OperationNotPermitted", "Block public access for snapshots is %s for account %s in %s: snapshots cannot be shared publicly", s.blocked(x.Account, x.Region), x.Account, x.Region)
	}
	return nil
}

// readPermissions reads both forms that the call has: CreateVolumePermission.Add and .Remove, or OperationType with UserId and
// UserGroup.
func readPermissions(q wire.Query) (permissions, *wire.Error) {
	add, remove := q.Under("CreateVolumePermission.Add"), q.Under("CreateVolumePermission.Remove")
	p := permissions{remove: len(remove) > 0}
	users, groups := q.List("UserId"), q.List("UserGroup")
	switch operation := q.Get("OperationType"); {
	case len(add) > 0 && len(remove) > 0, len(add)+len(remove) > 0 && (operation != "" || len(users)+len(groups) > 0):
		return p, wire.Errorf("InvalidParameterCombination", "Permissions can be added or removed, but not both in one call, and in one form only")
	case len(add)+len(remove)+len(users)+len(groups) == 0:
		return p, wire.Errorf("InvalidParameterCombination", "No attributes specified.")
	case len(add)+len(remove) == 0 && operation != "add" && operation != "remove":
		return p, wire.Errorf("InvalidParameterValue", "Value (%s) for parameter operationType is invalid. Expected: add, remove.", operation)
	case operation == "remove":
		p.remove = true
	}
	for _, item := range append(add, remove...) {
		if item.Has("UserId") {
			users = append(users, item.Get("UserId"))
		}
		if item.Has("Group") {
			groups = append(groups, item.Get("Group"))
		}
	}
	if n := len(users) + len(groups); n > maxPermissions {
		return p, wire.Errorf("InvalidParameterValue", "The number of modifications is %d; the maximum is %d", n, maxPermissions)
	}
	for _, user := range users {
		if apiErr := checkAccount(user); apiErr != nil {
			return p, apiErr
		}
	}
	for _, group := range groups {
		if group != "all" {
			return p, wire.Errorf("InvalidParameterValue", "Value (%s) for parameter group is invalid. Expected: all.", group)
		}
		p.public = true
	}
	p.users = users
	return p, nil
}

// resetSnapshotAttribute makes a snapshot private.
func (s *Service) resetSnapshotAttribute(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	x, apiErr := s.ownSnapshot(q.Get("SnapshotId"))
	if apiErr != nil {
		return nil, apiErr
	}
	c.About(x.arn())
	switch attribute := q.Get("Attribute"); attribute {
	case "":
		return nil, wire.Errorf("MissingParameter", "The request must contain the parameter attribute")
	case createVolumePermission:
	default:
		return nil, badAttribute(attribute)
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	x.Shared, x.Public = nil, false
	s.endRestores(x)
	return []wire.Node{wire.Bool("return", true)}, nil
}
