package snapshot_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// What the doctor asks EC2 about is what a dry run would ask: the same set, with the same tags.
func TestRehearsal(t *testing.T) {
	b := newBed()
	b.plan.Tags = map[string]string{"team": "storage"}
	b.plan.Describe = func(id string) string { return "for " + id }
	b.job.Delivery.Request.DryRun = true
	var asked snapshot.CreateSet
	b.EBS.CheckFunc = func(_ context.Context, set snapshot.CreateSet) error { asked = set; return nil }
	b.DB.Position = messages.MySQL{}
	b.run(t, t.Context())
	before := len(b.Calls())
	got, err := b.Pipeline(b.plan).Rehearsal(t.Context(), "req-1")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(asked, got); d != "" {
		t.Error(d)
	}
	for _, call := range b.Calls()[before:] {
		if call != "EBS.Attached" && call != "Volumes.Resolve" && call != "Volumes.Others" {
			t.Errorf("a rehearsal calls %s", call)
		}
	}
}

// The tags of a verdict are tried by the keys that a run would write.
func TestRehearsedTags(t *testing.T) {
	b := newBed()
	b.plan.CopyTags = true
	b.EBS.Tags = map[string]map[string]string{"vol-0aaaaaaaaaaaaaaaa": {"team": "storage", "aws:x": "y"}, "vol-0bbbbbbbbbbbbbbbb": {"team": "storage"}}
	written := map[string]string{}
	b.EBS.TagFunc = func(_ context.Context, _ string, tags map[string]string) error { written = tags; return nil }
	b.run(t, t.Context())
	s := snapshot.Existing{Snapshot: messages.Snapshot{VolumeID: "vol-0aaaaaaaaaaaaaaaa", Device: "/dev/sdf", Mount: "/var/lib/mysql"}}
	tried := b.Pipeline(b.plan).RehearsedTags(s, b.EBS.Tags["vol-0aaaaaaaaaaaaaaaa"])
	for k := range written {
		if _, ok := tried[k]; !ok {
			t.Errorf("%s is not tried: %v", k, tried)
		}
	}
	if len(tried) != len(written) {
		t.Errorf("tried %v, written %v", tried, written)
	}
}
