package ec2

import (
	stdjson "encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/google/go-cmp/cmp"

	"stillpoint/localstack/internal/wire"
)

func TestBehaviourAsJSON(t *testing.T) {
	b := Behaviour{
		SnapshotTime: 90 * time.Second, BytesPerSecond: 5, FailNext: 2, FailMessage: "m", DescribeLagMin: time.Second, DescribeLagMax: time.Minute, LagSeed: 7,
		VolumeSpacing: 15 * time.Second, Limits: Limits{Pending: -1}, Unthrottled: true, Buckets: map[string]Bucket{"CreateSnapshot": {1, 0.5}},
	}
	text, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"snapshotTime":"1m30s"`, `"describeLagMin":"1s"`, `"failNext":2`, `"pending":-1`, `"perSecond":0.5`} {
		if !strings.Contains(string(text), part) {
			t.Errorf("%s is not in %s", part, text)
		}
	}
	var again, std Behaviour
	if err := json.Unmarshal(text, &again); err != nil || !cmp.Equal(again, b) {
		t.Errorf("read again: %v, %s", err, cmp.Diff(b, again))
	}
	if err := stdjson.Unmarshal(text, &std); err != nil || !cmp.Equal(std, b) {
		t.Errorf("read by the standard library: %v, %s", err, cmp.Diff(b, std))
	}
	// What is not named stays.
	if err := json.Unmarshal([]byte(`{"describeLagMax":"2m","limits":{"copies":3}}`), &again); err != nil {
		t.Fatal(err)
	}
	b.DescribeLagMax, b.Limits.Copies = 2*time.Minute, 3
	if diff := cmp.Diff(b, again); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
	for _, wrong := range []string{`{"snapshottime":"1s"}`, `{"snapshotTime":5}`, `{"snapshotTime":"soon"}`, `{"limits":{"volumes":1}}`} {
		if err := json.Unmarshal([]byte(wrong), &again); err == nil {
			t.Errorf("%s was accepted", wrong)
		}
	}
	if diff := cmp.Diff(b, again); diff != "" {
		t.Errorf("errors changed it (-want +got):\n%s", diff)
	}
}

func TestWrongReplies(t *testing.T) {
	item := func(snapshot, volume string) wire.Node {
		return wire.Tree("item", wire.El("snapshotId", snapshot), wire.El("volumeId", volume), wire.Tree("tagSet", wire.Tree("item", wire.El("key", "a<b"), wire.El("value", " "))))
	}
	reply := func(items ...wire.Node) []wire.Node {
		return []wire.Node{wire.El("requestId", "r"), {Name: "snapshotSet", Kids: items}}
	}
	first, last := item("snap-1", "vol-0123456789abcdef0"), item("snap-2", "vol-0000000000000000a")
	for name, x := range map[string]struct{ in, want []wire.Node }{
		"missing": {reply(first, last), reply(first)},
		"foreign": {reply(first, last), reply(first, item("snap-2", "vol-a0000000000000000"))},
		"twice":   {reply(first, last), reply(first, last, last)},
		"empty":   {reply(first, last), reply()},
	} {
		t.Run(name, func(t *testing.T) {
			before := cmp.Diff(x.in, reply(first, last))
			if got := wrongReplies[name](x.in); cmp.Diff(x.want, got) != "" {
				t.Errorf("(-want +got):\n%s", cmp.Diff(x.want, got))
			}
			if after := cmp.Diff(x.in, reply(first, last)); before != after {
				t.Errorf("it changed what it got: %s", after)
			}
			if got := wrongReplies[name](reply()); len(got[1].Kids) != 0 {
				t.Errorf("of an empty reply it makes %v", got)
			}
		})
	}
	same := wrongReplies["foreign"](reply(item("snap-1", "vol-00000000")))
	if got := same[1].Kids[0].Kids[1].Text; got != "vol-10000000" {
		t.Errorf("the foreign volume is %s", got)
	}
}
