package conformance

import (
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// ec2Sets are CreateSnapshots and CreateSnapshot, as far as time has no part in it.
var ec2Sets = []behaviour{
	{
		ID: "ec2-createsnapshots-one-per-volume", Service: theEC2,
		Says:   "CreateSnapshots makes one snapshot of each volume that is attached to the instance, the root volume included.",
		Source: from(api("ec2", "CreateSnapshots")),
		Run: func(c *check) {
			m, other := c.machine(2), c.volume(nil)
			got, err := c.set(m, nil)
			if c.ok("made", err) {
				c.equal("of the attached volumes", sources(got), sorted(m.all()...))
				c.is("not of another", !slices.Contains(sources(got), other), sources(got))
			}
		},
	},
	{
		ID: "ec2-createsnapshots-same-starttime", Service: theEC2,
		Says:   "The StartTime of all snapshots of one CreateSnapshots is the same.",
		Source: from(api("ec2", "SnapshotInfo")),
		Run: func(c *check) {
			got := must(c.set(c.machine(2), nil))(c)
			c.need("three of them", len(got) == 3, len(got))
			times := map[time.Time]bool{}
			for _, s := range got {
				c.need("each has one", s.StartTime != nil)
				times[s.StartTime.UTC()] = true
				c.is("DescribeSnapshots says the same to the second", c.describe(*s.SnapshotId).StartTime.Truncate(time.Second).Equal(s.StartTime.Truncate(time.Second)))
			}
			c.equal("different times", len(times), 1)
			for at := range times {
				c.is("it is now", time.Since(at).Abs() < time.Minute, at)
			}
		},
	},
	{
		ID: "ec2-createsnapshots-exclude-boot", Service: theEC2,
		Says:   "ExcludeBootVolume leaves out the root volume.",
		Source: from(api("ec2", "InstanceSpecification")),
		Run: func(c *check) {
			m := c.machine(1)
			got, err := c.set(m, func(in *ec2.CreateSnapshotsInput) { in.InstanceSpecification.ExcludeBootVolume = yes })
			if c.ok("made", err) {
				c.equal("of the data volume", sources(got), m.data)
			}
		},
	},
	{
		ID: "ec2-createsnapshots-exclude-data", Service: theEC2,
		Says:   "ExcludeDataVolumeIds leaves out these volumes.",
		Source: from(api("ec2", "InstanceSpecification")),
		Run: func(c *check) {
			m := c.machine(2)
			got, err := c.set(m, excluding(m.data[0]))
			if c.ok("made", err) {
				c.equal("of the others", sources(got), sorted(m.root, m.data[1]))
			}
		},
	},
	{
		ID: "ec2-createsnapshots-exclude-data-root-fails", Service: theEC2,
		Says:   "The id of the root volume in ExcludeDataVolumeIds fails the request.",
		Source: from(api("ec2", "InstanceSpecification")),
		Run: func(c *check) {
			m := c.machine(1)
			_, err := c.set(m, excluding(m.root))
			c.refused("refused", err, 400)
			c.equal("nothing is made", len(c.find(filter("volume-id", m.all()...))), 0)
		},
	},
	{
		ID: "ec2-createsnapshots-exclude-data-max-40", Service: theEC2,
		Says:   "ExcludeDataVolumeIds takes up to 40 ids.",
		Source: from(api("ec2", "InstanceSpecification")),
		Run: func(c *check) {
			m := c.machine(1)
			_, err := c.set(m, excluding(slices.Repeat(m.data, 41)...))
			c.refused("41 ids", err, 400)
			_, err = c.set(m, excluding(slices.Repeat(m.data, 40)...))
			c.ok("40 ids", err)
		},
	},
	{
		ID: "ec2-createsnapshots-instance-missing", Service: theEC2,
		Says:   "CreateSnapshots of an instance that is not there is InvalidInstanceID.NotFound, HTTP 400; so is the status for what is no id.",
		Source: from(ec2Client, ec2Common, ec2Codes),
		Run: func(c *check) {
			_, err := c.set(machine{id: noInstance}, nil)
			c.refused("missing", err, 400, "InvalidInstanceID.NotFound")
			_, err = c.set(machine{id: "i-zz"}, nil)
			c.refused("malformed", err, 400)
		},
	},
	{
		ID: "ec2-createsnapshots-result", Service: theEC2,
		Says:   "Each snapshot in the answer of CreateSnapshots has State pending, Progress, OwnerId, VolumeSize, Encrypted, Description and Tags.",
		Source: from(api("ec2", "SnapshotInfo"), in("ebs", "ebs-creating-snapshot", guide)),
		Run: func(c *check) {
			got := must(c.set(c.machine(1), func(in *ec2.CreateSnapshotsInput) {
				in.Description, in.TagSpecifications = ptr("nightly"), tagged("a", "b")
				in.InstanceSpecification.ExcludeBootVolume = yes
			}))(c)
			c.need("one snapshot", len(got) == 1, len(got))
			s := got[0]
			c.equal("state", s.State, ec2types.SnapshotStatePending)
			c.is("progress", s.Progress != nil)
			c.equal("owner", value(s.OwnerId), c.account)
			c.equal("size in GiB", value(s.VolumeSize), int32(1))
			c.is("not encrypted", s.Encrypted != nil && !*s.Encrypted)
			c.equal("description", value(s.Description), "nightly")
			c.equal("tags", tagMap(s.Tags), map[string]string{"a": "b"})
		},
	},
	{
		ID: "ec2-createsnapshots-tags", Service: theEC2,
		Says:   "TagSpecifications of CreateSnapshots tag each snapshot; the filter tag:KEY finds all of them at once.",
		Source: from(api("ec2", "CreateSnapshots"), api("ec2", "DescribeSnapshots")),
		Run: func(c *check) {
			name := c.name()
			got := must(c.set(c.machine(1), func(in *ec2.CreateSnapshotsInput) { in.TagSpecifications = tagged("request", name) }))(c)
			want := []string{}
			for _, s := range got {
				want = append(want, *s.SnapshotId)
			}
			c.equal("two", len(want), 2)
			c.equal("found", c.find(filter("tag:request", name)), sorted(want...))
		},
	},
	{
		ID: "ec2-tagspec-wrong-type", Service: theEC2,
		Says:   "A TagSpecification of CreateSnapshots for another type than snapshot is refused, HTTP 400.",
		Source: from(ec2Codes),
		Run: func(c *check) {
			m := c.machine(0)
			_, err := c.set(m, func(in *ec2.CreateSnapshotsInput) {
				in.TagSpecifications = []ec2types.TagSpecification{{ResourceType: ec2types.ResourceTypeVolume, Tags: tagList("a", "b")}}
			})
			c.refused("for volumes", err, 400)
		},
	},
	{
		ID: "ec2-createsnapshots-copy-tags-from-source", Service: theEC2,
		Says:   "CopyTagsFromSource=volume copies the tags of each volume to its snapshot.",
		Source: from(api("ec2", "CreateSnapshots")),
		Run: func(c *check) {
			m := c.machine(1)
			must(0, c.tag(m.data[0], "of", "data"))(c)
			got := must(c.set(m, func(in *ec2.CreateSnapshotsInput) { in.CopyTagsFromSource = ec2types.CopyTagsFromSourceVolume }))(c)
			for _, s := range got {
				want := map[string]string{}
				if *s.VolumeId == m.data[0] {
					want["of"] = "data"
				}
				c.equal(fmt.Sprintf("that of a volume with %d tags", len(want)), tagMap(c.describe(*s.SnapshotId).Tags), want)
			}
		},
	},
	{
		ID: "ec2-no-client-token", Service: theEC2,
		Says:   "CreateSnapshots has no client token: the same request again makes another set.",
		Source: from(api("ec2", "CreateSnapshots")),
		Run: func(c *check) {
			m := c.machine(1)
			must(c.set(m, nil))(c)
			must(c.set(m, nil))(c)
			c.equal("snapshots", len(c.find(filter("volume-id", m.all()...))), 4)
		},
	},
	{
		ID: "ec2-dryrun", Service: theEC2,
		Says:   "A call with DryRun that would have succeeded is DryRunOperation, HTTP 412, and does nothing.",
		Source: from(ec2Common, api("ec2", "CreateSnapshots")),
		Run: func(c *check) {
			m := c.machine(0)
			id := c.snapshot(m.root)
			_, err := c.set(m, func(in *ec2.CreateSnapshotsInput) { in.DryRun = yes })
			c.dryRun("CreateSnapshots", err)
			_, err = c.ec2.CreateSnapshot(c.ctx, &ec2.CreateSnapshotInput{VolumeId: &m.root, DryRun: yes})
			c.dryRun("CreateSnapshot", err)
			_, err = c.ec2.CreateTags(c.ctx, &ec2.CreateTagsInput{Resources: []string{id}, Tags: tagList("a", "b"), DryRun: yes})
			c.dryRun("CreateTags", err)
			_, err = c.ec2.DeleteSnapshot(c.ctx, &ec2.DeleteSnapshotInput{SnapshotId: &id, DryRun: yes})
			c.dryRun("DeleteSnapshot", err)
			c.equal("the snapshots are as before", c.find(filter("volume-id", m.root)), []string{id})
			c.equal("and their tags", len(c.describe(id).Tags), 0)
		},
	},
	{
		ID: "ec2-createsnapshot-volume-missing", Service: theEC2,
		Says:   "CreateSnapshot of a volume that is not there is InvalidVolume.NotFound, HTTP 400; so is the status for what is no id.",
		Source: from(ec2Client, ec2Common, ec2Codes),
		Run: func(c *check) {
			c.calm()
			c.refused("missing", c.snapping(noVolume), 400, "InvalidVolume.NotFound")
			c.refused("malformed", c.snapping("vol-zz"), 400)
		},
	},
	{
		ID: "ec2-createsnapshots-stopped", Service: theEC2, Needs: pauses,
		Says:   "The volumes of an instance that is stopped can be snapshotted.",
		Source: from(api("ec2", "CreateSnapshot"), in("ebs", "ebs-creating-snapshot", guide)),
		Run: func(c *check) {
			m := c.machine(1)
			must(c.ec2.StopInstances(c.ctx, &ec2.StopInstancesInput{InstanceIds: []string{m.id}}))(c)
			c.pause(2)
			c.equal("it is stopped", c.instance(m.id).State.Name, ec2types.InstanceStateNameStopped)
			got, err := c.set(m, nil)
			c.ok("made", err)
			c.equal("of all volumes", sources(got), sorted(m.all()...))
		},
	},
}

func excluding(volumes ...string) func(*ec2.CreateSnapshotsInput) {
	return func(in *ec2.CreateSnapshotsInput) { in.InstanceSpecification.ExcludeDataVolumeIds = volumes }
}
