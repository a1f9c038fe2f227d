package ec2

import (
	"maps"
	"slices"
	"strings"

	"stillpoint/localstack/internal/wire"
)

// snapshotOperations are those on snapshots, and those that must do something more where snapshots are concerned. They come before
// those in operations.
var snapshotOperations = map[string]operation{
	"CreateSnapshot":                    (*Service).createSnapshot,
	"CreateSnapshots":                   (*Service).createSnapshots,
	"CopySnapshot":                      (*Service).copySnapshot,
	"DescribeSnapshots":                 (*Service).describeSnapshots,
	"DeleteSnapshot":                    (*Service).deleteSnapshot,
	"CreateTags":                        lagging((*Service).createTags),
	"DeleteTags":                        lagging((*Service).deleteTags),
	"DescribeSnapshotAttribute":         (*Service).describeSnapshotAttribute,
	"ModifySnapshotAttribute":           (*Service).modifySnapshotAttribute,
	"ResetSnapshotAttribute":            (*Service).resetSnapshotAttribute,
	"LockSnapshot":                      (*Service).lockSnapshot,
	"UnlockSnapshot":                    (*Service).unlockSnapshot,
	"DescribeLockedSnapshots":           (*Service).describeLockedSnapshots,
	"EnableSnapshotBlockPublicAccess":   (*Service).enableBlockPublicAccess,
	"DisableSnapshotBlockPublicAccess":  (*Service).disableBlockPublicAccess,
	"GetSnapshotBlockPublicAccessState": (*Service).getBlockPublicAccess,
	"EnableFastSnapshotRestores":        (*Service).enableFastRestores,
	"DisableFastSnapshotRestores":       (*Service).disableFastRestores,
	"DescribeFastSnapshotRestores":      (*Service).describeFastRestores,
}

// Actions are the names of all operations, in order.
func Actions() []string {
	all := slices.AppendSeq(slices.Collect(maps.Keys(snapshotOperations)), maps.Keys(operations))
	slices.Sort(all)
	return all
}

// operationOf finds the operation of an action. What it returns takes a token from the action's bucket first, and lets the rest
// know who calls.
func operationOf(action string) (operation, bool) {
	call, ok := snapshotOperations[action]
	if !ok {
		call, ok = operations[action]
	}
	if !ok {
		return nil, false
	}
	return func(s *Service, q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
		s.caller = s.asCaller(c.Caller)
		if strings.HasPrefix(action, "Describe") { // "the Describe actions do not support resource-level permissions"
			s.askFor(c, action, "*", nil)
		}
		if apiErr := s.throttle(action, q); apiErr != nil {
			return nil, apiErr
		}
		return call(s, q, c)
	}, true
}
