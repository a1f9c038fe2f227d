package ec2

import (
	"slices"
	"strings"

	"stillpoint/localstack/internal/wire"
)

// wrongReplies turn the elements of a reply that lists snapshots (CreateSnapshots, DescribeSnapshots) into those of a wrong but
// plausible one. They leave what they get as it is.
//
//   - "missing": the last snapshot is not there.
//   - "foreign": the last snapshot is of a volume that there is not.
//   - "twice": the last snapshot is listed a second time.
//   - "empty": there are no snapshots.
var wrongReplies = map[string]func([]wire.Node) []wire.Node{
	"missing": onSnapshotSet(func(items []wire.Node) []wire.Node { return items[:max(len(items)-1, 0)] }),
	"foreign": onSnapshotSet(foreign),
	"twice": onSnapshotSet(func(items []wire.Node) []wire.Node {
		return append(items, items[max(len(items)-1, 0):]...)
	}),
	"empty": onSnapshotSet(func([]wire.Node) []wire.Node { return nil }),
}

// Wrongs are the wrong answers that an operation can give, by its name, see wire.Call.
var Wrongs = map[string][]string{
	"ec2:CreateSnapshots":   {"missing", "foreign", "twice", "empty"},
	"ec2:DescribeSnapshots": {"missing", "foreign", "twice", "empty"},
}

// onSnapshotSet makes a function that changes a copy of the items of snapshotSet.
func onSnapshotSet(change func(items []wire.Node) []wire.Node) func([]wire.Node) []wire.Node {
	return func(nodes []wire.Node) []wire.Node {
		out := slices.Clone(nodes)
		for i, n := range out {
			if n.Name == "snapshotSet" {
				out[i].Kids = change(slices.Clone(n.Kids))
			}
		}
		return out
	}
}

// foreign gives the last item another volume: the same one with the digits of its id in reverse.
func foreign(items []wire.Node) []wire.Node {
	if len(items) == 0 {
		return items
	}
	last := &items[len(items)-1]
	last.Kids = slices.Clone(last.Kids)
	for i, n := range last.Kids {
		if n.Name != "volumeId" {
			continue
		}
		digits := []byte(strings.TrimPrefix(n.Text, "vol-"))
		slices.Reverse(digits)
		if "vol-"+string(digits) == n.Text && len(digits) > 0 {
			digits[0] = map[bool]byte{true: '1', false: '0'}[digits[0] == '0']
		}
		last.Kids[i].Text = "vol-" + string(digits)
	}
	return items
}
