package conformance

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"stillpoint/localstack"
)

// ec2Limits are quotas and token buckets.
var ec2Limits = []behaviour{
	{
		ID: "ec2-concurrent-snapshot-limit", Service: theEC2, Needs: clock,
		Says: "Five snapshots of a volume can be pending, one of an st1 or sc1 volume; one more is ConcurrentSnapshotLimitExceeded. " +
			"When one is completed another can be made.",
		Source: from(in("ebs", "ebs-creating-snapshot", guide)),
		Run: func(c *check) {
			for what, x := range map[string]struct {
				limit int
				with  func(*ec2.CreateVolumeInput)
			}{
				"gp2": {5, func(in *ec2.CreateVolumeInput) { in.VolumeType = ec2types.VolumeTypeGp2 }},
				"io1": {5, func(in *ec2.CreateVolumeInput) {
					in.VolumeType, in.Size, in.Iops = ec2types.VolumeTypeIo1, ptr(int32(4)), ptr(int32(100))
				}},
				"magnetic": {5, func(in *ec2.CreateVolumeInput) { in.VolumeType = ec2types.VolumeTypeStandard }},
				"st1":      {1, func(in *ec2.CreateVolumeInput) { in.VolumeType, in.Size = ec2types.VolumeTypeSt1, ptr(int32(125)) }},
				"sc1":      {1, func(in *ec2.CreateVolumeInput) { in.VolumeType, in.Size = ec2types.VolumeTypeSc1, ptr(int32(125)) }},
			} {
				volume := c.volume(x.with)
				for range x.limit {
					c.ok("up to the limit of "+what, c.snapping(volume))
				}
				c.refused("over the limit of "+what, c.snapping(volume), 400, "ConcurrentSnapshotLimitExceeded")
				c.move(time.Minute)
				c.ok("later, of "+what, c.snapping(volume))
			}
		},
	},
	{
		ID: "ec2-per-volume-rate", Service: theEC2, Needs: clock,
		Says: "Snapshots of one volume that follow each other too fast are SnapshotCreationPerVolumeRateExceeded; clients wait 15 seconds. " +
			"Those of another volume are not affected.",
		Source: from(at("https://github.com/ansible-collections/amazon.aws/blob/main/plugins/modules/ec2_snapshot.py", code),
			at("https://github.com/kubernetes-sigs/aws-ebs-csi-driver/issues/1608", issue),
			at("https://support.n2ws.com/portal/en/kb/articles/volume-sna", page), ec2Codes),
		Run: func(c *check) {
			c.behave(func(b *localstack.EC2Behaviour) { b.VolumeSpacing = 15 * time.Second })
			volume, other := c.volume(nil), c.volume(nil)
			c.ok("the first", c.snapping(volume))
			c.refused("the second at once", c.snapping(volume), 400, "SnapshotCreationPerVolumeRateExceeded")
			c.ok("of another volume", c.snapping(other))
			c.move(15 * time.Second)
			c.ok("the second after 15 s", c.snapping(volume))
		},
	},
	{
		ID: "ec2-request-limit-exceeded", Service: theEC2, Needs: clock,
		Says: "Calls over the token bucket of their action are RequestLimitExceeded, which SDKs repeat; " +
			"other actions, regions and accounts have buckets of their own.",
		Source: from(throttling),
		Run: func(c *check) {
			id := c.snap()
			call := func() error { return c.tag(id, "a", "b") }
			_, err := c.burst(300, call)
			c.refused("the call over the limit", refusal(err), 503, "RequestLimitExceeded")
			c.ok("another action", func() error {
				_, err := c.ec2.DeleteTags(c.ctx, &ec2.DeleteTagsInput{Resources: []string{id}, Tags: tagList("a", "b")})
				return err
			}())
			_, err = c.as(stranger).CreateTags(c.ctx, &ec2.CreateTagsInput{Resources: []string{id}, Tags: tagList("a", "b")})
			c.is("another account is not throttled", !throttled(err), err)
			_, err = c.ec2.CreateTags(c.ctx, &ec2.CreateTagsInput{Resources: []string{id}, Tags: tagList("a", "b")}, func(o *ec2.Options) { o.Region = "us-east-1" })
			c.is("another region is not throttled", !throttled(err), err)
		},
	},
	{
		ID: "ec2-bucket-createsnapshots", Service: theEC2, Needs: clock,
		Says:   "CreateSnapshots has a bucket of 100 tokens, and gets 5 in a second.",
		Source: from(throttling),
		Run: func(c *check) {
			m := machine{id: noInstance}
			c.bucket(100, 5, func() error { _, err := c.set(m, nil); return err })
		},
	},
	{
		ID: "ec2-bucket-createsnapshot-and-delete", Service: theEC2, Needs: clock,
		Says:   "CreateSnapshot and DeleteSnapshot have a bucket of 100 tokens each, and get 5 in a second.",
		Source: from(throttling),
		Run: func(c *check) {
			c.bucket(100, 5, func() error { return c.snapping(noVolume) })
			c.bucket(100, 5, func() error { return c.deleteSnapshot(noSnapshot) })
		},
	},
	{
		ID: "ec2-bucket-describe", Service: theEC2, Needs: clock,
		Says:   "DescribeSnapshots has 100 tokens and gets 20 in a second with a filter or pages; without them it has 50 and gets 10.",
		Source: from(throttling),
		Run: func(c *check) {
			describe := func(in ec2.DescribeSnapshotsInput) func() error {
				return func() error { _, err := c.ec2.DescribeSnapshots(c.ctx, &in); return err }
			}
			c.bucket(50, 10, describe(ec2.DescribeSnapshotsInput{}))
			c.bucket(100, 20, describe(ec2.DescribeSnapshotsInput{Filters: []ec2types.Filter{filter("status", "pending")}}))
			c.move(time.Minute)
			c.bucket(100, 20, describe(ec2.DescribeSnapshotsInput{MaxResults: ptr(int32(5))}))
		},
	},
	{
		ID: "ec2-bucket-tags", Service: theEC2, Needs: clock,
		Says:   "CreateTags and DeleteTags have 100 tokens each, and get 10 in a second.",
		Source: from(throttling),
		Run: func(c *check) {
			c.bucket(100, 10, func() error { return c.tag(noSnapshot, "a", "b") })
			c.bucket(100, 10, func() error {
				_, err := c.ec2.DeleteTags(c.ctx, &ec2.DeleteTagsInput{Resources: []string{noSnapshot}, Tags: tagList("a", "b")})
				return err
			})
		},
	},
	{
		ID: "ec2-bucket-mutating-default", Service: theEC2, Needs: clock,
		Says:   "Actions that change something and are not listed, such as CopySnapshot and LockSnapshot, have 50 tokens each, and get 5 in a second.",
		Source: from(throttling),
		Run: func(c *check) {
			c.bucket(50, 5, func() error {
				_, err := c.ec2.CopySnapshot(c.ctx, &ec2.CopySnapshotInput{SourceRegion: ptr(region), SourceSnapshotId: ptr(noSnapshot)})
				return err
			})
			c.bucket(50, 5, func() error {
				_, err := c.ec2.LockSnapshot(c.ctx, &ec2.LockSnapshotInput{SnapshotId: ptr(noSnapshot), LockMode: "governance", LockDuration: ptr(int32(1))})
				return err
			})
		},
	},
	{
		ID: "ec2-bucket-block-public-access", Service: theEC2, Needs: clock | alone,
		Says:   "EnableSnapshotBlockPublicAccess has one token, and gets another one after ten seconds.",
		Source: from(throttling),
		Run: func(c *check) {
			block := func() error { return c.block(ec2types.SnapshotBlockPublicAccessStateBlockNewSharing) }
			c.ok("the first", block())
			c.is("the second is throttled", throttled(block()))
			c.move(9 * time.Second)
			c.is("after 9 s, too", throttled(block()))
			c.move(time.Second)
			c.ok("after 10 s", block())
		},
	},
}

// bucket expects that of calls at once as many pass as there are tokens, and after a second as many as it gets. The bucket fills
// while the calls are made: it may be somewhat more. A refusal for another reason takes a token, too.
func (c *check) bucket(size, perSecond int, call func() error) {
	begin := c.ours.Now()
	n, err := c.burst(2*size, call)
	filled := int(c.ours.Now().Sub(begin).Seconds()*float64(perSecond)) + 1
	c.is("the size of the bucket", err != nil && n >= size && n <= size+filled, n, size, filled)
	begin = c.ours.Now()
	c.move(time.Second)
	n, err = c.burst(2*size, call)
	filled = int(c.ours.Now().Sub(begin).Seconds()*float64(perSecond)) + 1
	c.is("what it gets in a second", err != nil && n >= perSecond && n <= filled, n, perSecond, filled)
}
