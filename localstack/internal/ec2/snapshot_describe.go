package ec2

import (
	"regexp"
	"slices"

	"stillpoint/localstack/internal/wire"
)

var accountPattern = regexp.MustCompile(`^[0-9]{12}$`)

func checkAccount(id string) *wire.Error {
	if !accountPattern.MatchString(id) {
		return wire.Errorf("InvalidUserID.Malformed", "Invalid user id: \"%s\"", id)
	}
	return nil
}

// describeSnapshots shows what the caller may make volumes of. An id that there is not is an error, one that the caller may not
// use is left out. https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeSnapshots.html
func (s *Service) describeSnapshots(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	all := s.shown()
	ids := q.List("SnapshotId")
	if apiErr := checkShown(all, ids); apiErr != nil {
		return nil, apiErr
	}
	owned, apiErr := s.ownedBy(q.List("Owner"))
	if apiErr != nil {
		return nil, apiErr
	}
	restorable, apiErr := s.restorableBy(q.List("RestorableBy"))
	if apiErr != nil {
		return nil, apiErr
	}
	for id, x := range all {
		if !s.usable(x, s.caller.Account) || !owned(x) || !restorable(x) || len(ids) > 0 && !slices.Contains(ids, id) {
			delete(all, id)
		}
	}
	named := slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return all[id] == nil })
	page, token, apiErr := s.snapshotKind().choose(q, all, named, func(id string) (*snapshot, *wire.Error) { return all[id], nil })
	if apiErr != nil {
		return nil, apiErr
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	for _, id := range named {
		c.About(all[id].arn())
	}
	return described("snapshotSet", page, token, s.snapshotNodes), nil
}

// checkShown refuses ids that are not shown.
func checkShown(all map[string]*snapshot, ids []string) *wire.Error {
	var missing []string
	for _, id := range ids {
		if apiErr := checkSnapshotID(id); apiErr != nil {
			return apiErr
		}
		if all[id] == nil {
			missing = append(missing, id)
		}
	}
	if len(missing) > 0 {
		return noSnapshots(missing...)
	}
	return nil
}

// ownedBy reads OwnerIds: "self", "amazon", which has none here, and accounts.
func (s *Service) ownedBy(owners []string) (func(*snapshot) bool, *wire.Error) {
	accounts := map[string]bool{}
	for _, owner := range owners {
		switch owner {
		case "self":
			accounts[s.caller.Account] = true
		case "amazon":
		default:
			if apiErr := checkAccount(owner); apiErr != nil {
				return nil, apiErr
			}
			accounts[owner] = true
		}
	}
	return func(x *snapshot) bool { return len(owners) == 0 || accounts[x.Account] }, nil
}

// restorableBy reads RestorableByUserIds: "self" are those that the caller owns or was explicitly given, "all" the public ones, an
// account those of the caller that it was given.
func (s *Service) restorableBy(users []string) (func(*snapshot) bool, *wire.Error) {
	self := s.caller.Account
	for _, user := range users {
		if user == "self" || user == "all" {
			continue
		}
		if apiErr := checkAccount(user); apiErr != nil {
			return nil, apiErr
		}
	}
	return func(x *snapshot) bool {
		return len(users) == 0 || slices.ContainsFunc(users, func(user string) bool {
			switch user {
			case "all":
				return s.public(x)
			case "self", self:
				return x.Account == self || slices.Contains(x.Shared, self)
			}
			return x.Account == self && slices.Contains(x.Shared, user)
		})
	}, nil
}
