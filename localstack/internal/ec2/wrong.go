package ec2

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"stillpoint/localstack/internal/wire"
)

// WrongReplies turn the elements of a reply that lists snapshots (CreateSnapshots, DescribeSnapshots) into those of a wrong but
// plausible one. They leave what they get as it is.
//
//   - "missing": the last snapshot is not there.
//   - "foreign": the last snapshot is of a volume that there is not.
//   - "twice": the last snapshot is listed a second time.
//   - "empty": there are no snapshots.
var WrongReplies = map[string]func([]wire.Node) []wire.Node{
	"missing": onSnapshotSet(func(items []wire.Node) []wire.Node { return items[:max(len(items)-1, 0)] }),
	"foreign": onSnapshotSet(foreign),
	"twice": onSnapshotSet(func(items []wire.Node) []wire.Node {
		return append(items, items[max(len(items)-1, 0):]...)
	}),
	"empty": onSnapshotSet(func([]wire.Node) []wire.Node { return nil }),
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

// WrongReply applies one of WrongReplies to the body of a reply.
func WrongReply(name string, body []byte) ([]byte, error) {
	change, ok := WrongReplies[name]
	if !ok {
		return nil, fmt.Errorf("there is no wrong reply %q, only %s", name, strings.Join(slices.Sorted(maps.Keys(WrongReplies)), ", "))
	}
	root, err := parse(body)
	if err != nil {
		return nil, fmt.Errorf("cannot make the reply wrong: %w", err)
	}
	root.Kids = change(root.Kids)
	return wire.MarshalXML(space, root), nil
}

// parse reads a document as wire.MarshalXML writes it.
func parse(body []byte) (wire.Node, error) {
	d := xml.NewDecoder(bytes.NewReader(body))
	open := []wire.Node{{}}
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return wire.Node{}, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			open = append(open, wire.Node{Name: t.Name.Local})
		case xml.CharData:
			open[len(open)-1].Text += string(t)
		case xml.EndElement:
			done := open[len(open)-1]
			open = open[:len(open)-1]
			parent := &open[len(open)-1]
			parent.Kids = append(parent.Kids, done)
		}
	}
	if len(open[0].Kids) != 1 {
		return wire.Node{}, errors.New("it is no document")
	}
	return open[0].Kids[0], nil
}
