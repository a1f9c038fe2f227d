package localstack_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"

	"stillpoint/localstack"
)

func TestDescribeLag(t *testing.T) {
	c := start(t, localstack.Config{SnapshotTime: -1})
	_, volumes := c.launch(t, 1)
	old := c.snapOf(t, volumes[1], "request-id", "r0")
	c.behave(t, func(b *localstack.EC2Behaviour) { b.DescribeLagMin, b.DescribeLagMax = 10*time.Second, 10*time.Second })
	tagged := func(value string) []string {
		t.Helper()
		return ids(t, c.ec2, ec2.DescribeSnapshotsInput{Filters: []types.Filter{filter("tag:request-id", value)}})
	}
	id := c.snapOf(t, volumes[1], "request-id", "r1")
	if got := tagged("r1"); len(got) != 0 {
		t.Errorf("a new snapshot is found at once: %v", got)
	}
	_, err := c.ec2.DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{SnapshotIds: []string{id}})
	wantCode(t, err, "InvalidSnapshot.NotFound")
	_, err = c.ec2.DescribeSnapshotAttribute(t.Context(), &ec2.DescribeSnapshotAttributeInput{SnapshotId: &id, Attribute: types.SnapshotAttributeNameCreateVolumePermission})
	wantCode(t, err, "InvalidSnapshot.NotFound")
	describeTags := func() int {
		out := must(c.ec2.DescribeTags(t.Context(), &ec2.DescribeTagsInput{Filters: []types.Filter{filter("resource-id", id)}}))(t)
		return len(out.Tags)
	}
	if n := describeTags(); n != 0 {
		t.Errorf("DescribeTags shows %d tags of a snapshot that is not shown", n)
	}

	// Tags that come later, on one that is shown.
	must(c.ec2.CreateTags(t.Context(), &ec2.CreateTagsInput{Resources: []string{old}, Tags: tags("request-id", "r2")}))(t)
	c.MoveClock(5 * time.Second)
	must(c.ec2.DeleteTags(t.Context(), &ec2.DeleteTagsInput{Resources: []string{old}, Tags: []types.Tag{}}))(t)
	if got := tagged("r0"); !cmp.Equal(got, []string{old}) {
		t.Errorf("with its old tag: %v", got)
	}
	c.MoveClock(5 * time.Second)
	if got := tagged("r2"); !cmp.Equal(got, []string{old}) {
		t.Errorf("with its new tag: %v", got)
	}
	if got := tagged("r1"); !cmp.Equal(got, []string{id}) || describeTags() != 1 {
		t.Errorf("the new snapshot after the lag: %v", got)
	}
	c.MoveClock(5 * time.Second)
	if s := c.snapshot(t, old); len(s.Tags) != 0 {
		t.Errorf("tags after they were deleted: %v", s.Tags)
	}

	// A deleted one is still shown, but gone for everything else.
	must(c.ec2.DeleteSnapshot(t.Context(), &ec2.DeleteSnapshotInput{SnapshotId: &id}))(t)
	if got := tagged("r1"); !cmp.Equal(got, []string{id}) {
		t.Errorf("deleted, it is shown as %v", got)
	}
	c.snapshot(t, id)
	_, err = c.ec2.DeleteSnapshot(t.Context(), &ec2.DeleteSnapshotInput{SnapshotId: &id})
	wantCode(t, err, "InvalidSnapshot.NotFound")
	c.MoveClock(10 * time.Second)
	_, err = c.ec2.DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{SnapshotIds: []string{id}})
	wantCode(t, err, "InvalidSnapshot.NotFound")
}

// A look-up by tag can find a part of a set, and which part depends on the seed only.
func TestDescribeLagShowsParts(t *testing.T) {
	shown := func(seed uint64) []int {
		c := start(t, localstack.Config{SnapshotTime: -1})
		c.behave(t, func(b *localstack.EC2Behaviour) { b.DescribeLagMax, b.LagSeed = 10*time.Second, seed })
		instance, _ := c.launch(t, 7)
		c.snapAll(t, instance)
		var counts []int
		for range 6 {
			counts = append(counts, len(c.snapshots(t)))
			c.MoveClock(2 * time.Second)
		}
		return counts
	}
	first, again := shown(1), shown(1)
	if !cmp.Equal(first, again) {
		t.Errorf("with the same seed there were %v and %v", first, again)
	}
	if first[0] == 8 || first[2] == 0 || first[2] == 8 || first[5] != 8 {
		t.Errorf("every 2 s there were %v of 8", first)
	}
	if other := shown(2); cmp.Equal(first, other) {
		t.Errorf("with another seed there were %v too", other)
	}
}
