package conformance

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"stillpoint/localstack"
)

func (c *check) creatingVolume(change func(*ec2.CreateVolumeInput)) (*ec2.CreateVolumeOutput, error) {
	c.calm()
	in := &ec2.CreateVolumeInput{AvailabilityZone: ptr(zone)}
	change(in)
	return c.ec2.CreateVolume(c.ctx, in)
}

// ec2Volumes are volumes and what they are attached to.
var ec2Volumes = []behaviour{
	{
		ID: "ec2-volume-missing", Service: theEC2,
		Says:   "DescribeVolumes of an id that is not there is InvalidVolume.NotFound, and names it: \"The volume 'vol-...' does not exist.\"; HTTP 400, as for what is no id.",
		Source: from(ec2Client, ec2Common, ec2Codes),
		Run: func(c *check) {
			c.calm()
			describe := func(id string) error {
				_, err := c.ec2.DescribeVolumes(c.ctx, &ec2.DescribeVolumesInput{VolumeIds: []string{id}})
				return err
			}
			c.refused("missing", describe(noVolume), 400, "InvalidVolume.NotFound")
			c.refused("malformed", describe("vol-zz"), 400)
		},
	},
	{
		ID: "ec2-volume-attach-detach", Service: theEC2,
		Says: "A volume is available; attached it is in-use, and its attachment names instance, device and time; detached it is available again, " +
			"without attachments.",
		Source: from(api("ec2", "AttachVolume"), api("ec2", "VolumeAttachment"), api("ec2", "DetachVolume")),
		Run: func(c *check) {
			m, id := c.machine(0), c.volume(nil)
			state := func(want ec2types.VolumeState) func() bool {
				return func() bool { return c.describeVolume(id).State == want }
			}
			c.soon("it becomes available", state(ec2types.VolumeStateAvailable))
			c.ok("attached", c.attach(id, m.id, "/dev/sdh"))
			c.soon("it becomes in-use", state(ec2types.VolumeStateInUse))
			v := c.describeVolume(id)
			c.need("it has an attachment", len(v.Attachments) == 1, len(v.Attachments))
			a := v.Attachments[0]
			c.equal("instance", value(a.InstanceId), m.id)
			c.equal("device", value(a.Device), "/dev/sdh")
			c.equal("state of the attachment", a.State, ec2types.VolumeAttachmentStateAttached)
			c.is("time", a.AttachTime != nil)
			_, err := c.ec2.DetachVolume(c.ctx, &ec2.DetachVolumeInput{VolumeId: &id})
			c.ok("detached", err)
			c.soon("it becomes available again", state(ec2types.VolumeStateAvailable))
			c.equal("attachments", len(c.describeVolume(id).Attachments), 0)
		},
	},
	{
		ID: "ec2-volume-delete-in-use", Service: theEC2,
		Says:   "DeleteVolume of an attached volume is refused, HTTP 400: it has to be available.",
		Source: from(api("ec2", "DeleteVolume"), ec2Codes),
		Run: func(c *check) {
			m := c.machine(1)
			remove := func() error {
				_, err := c.ec2.DeleteVolume(c.ctx, &ec2.DeleteVolumeInput{VolumeId: &m.data[0]})
				return err
			}
			c.refused("attached", remove(), 400)
			must(c.ec2.DetachVolume(c.ctx, &ec2.DetachVolumeInput{VolumeId: &m.data[0]}))(c)
			c.ok("detached", remove())
		},
	},
	{
		ID: "ec2-attach-device-in-use", Service: theEC2,
		Says:   "A device that is taken is InvalidParameterValue, with \"already in use\" in the message.",
		Source: from(ec2Client),
		Run: func(c *check) {
			m, id := c.machine(1), c.volume(nil)
			c.refusedSaying("refused", c.attach(id, m.id, "/dev/sdf"), 400, "InvalidParameterValue", "already in use")
			v := c.describeVolume(m.data[0])
			c.is("the first volume is there", len(v.Attachments) == 1 && value(v.Attachments[0].Device) == "/dev/sdf", len(v.Attachments))
		},
	},
	{
		ID: "ec2-attach-in-use", Service: theEC2,
		Says:   "A volume that is attached, or in another zone, cannot be attached: HTTP 400.",
		Source: from(ec2Codes),
		Run: func(c *check) {
			m, other := c.machine(1), c.machine(0)
			c.refused("attached to this instance", c.attach(m.data[0], m.id, "/dev/sdh"), 400)
			c.refused("attached to another one", c.attach(m.data[0], other.id, "/dev/sdh"), 400)
			v := c.describeVolume(m.data[0])
			c.is("it is where it was", len(v.Attachments) == 1 && value(v.Attachments[0].InstanceId) == m.id && value(v.Attachments[0].Device) == "/dev/sdf", v.Attachments)
			far := c.volume(func(in *ec2.CreateVolumeInput) { in.AvailabilityZone = ptr(region + "b") })
			c.refused("in another zone", c.attach(far, m.id, "/dev/sdi"), 400)
		},
	},
	{
		ID: "ec2-detach-available", Service: theEC2,
		Says:   "DetachVolume of a volume that is not attached is IncorrectState or InvalidAttachment.NotFound, HTTP 400.",
		Source: from(ec2Client, ec2Codes),
		Run: func(c *check) {
			id := c.volume(nil)
			_, err := c.ec2.DetachVolume(c.ctx, &ec2.DetachVolumeInput{VolumeId: &id})
			c.refused("refused", err, 400, "IncorrectState", "InvalidAttachment.NotFound")
		},
	},
	{
		ID: "ec2-volume-from-snapshot", Service: theEC2,
		Says: "A volume made from a snapshot has its size unless another one is given, which must not be smaller; it keeps the snapshot's id, and " +
			"is encrypted if the snapshot is.",
		Source: from(api("ec2", "CreateVolume")),
		Run: func(c *check) {
			id := c.snapshot(c.volume(func(in *ec2.CreateVolumeInput) { in.Size, in.Encrypted = ptr(int32(2)), yes }))
			out, err := c.creatingVolume(func(in *ec2.CreateVolumeInput) { in.SnapshotId = &id })
			if c.ok("made", err) {
				v := c.describeVolume(*out.VolumeId)
				c.equal("size", value(v.Size), int32(2))
				c.equal("snapshot", value(v.SnapshotId), id)
				c.equal("encrypted", value(v.Encrypted), true)
			}
			out, err = c.creatingVolume(func(in *ec2.CreateVolumeInput) { in.SnapshotId, in.Size = &id, ptr(int32(3)) })
			if c.ok("made larger", err) {
				c.equal("the larger size", value(c.describeVolume(*out.VolumeId).Size), int32(3))
			}
			_, err = c.creatingVolume(func(in *ec2.CreateVolumeInput) { in.SnapshotId, in.Size = &id, ptr(int32(1)) })
			c.refused("smaller", err, 400)
		},
	},
	{
		ID: "ec2-volume-from-pending-snapshot", Service: theEC2, Needs: clock,
		Says:   "A volume cannot be made from a snapshot that is pending: HTTP 400.",
		Source: from(in("ebs", "ebs-creating-volume", unread), ec2Codes),
		Run: func(c *check) {
			c.behave(func(b *localstack.EC2Behaviour) { b.SnapshotTime = time.Minute })
			id := c.snap()
			from := func(in *ec2.CreateVolumeInput) { in.SnapshotId = &id }
			_, err := c.creatingVolume(from)
			c.refused("pending", err, 400)
			c.move(time.Minute)
			_, err = c.creatingVolume(from)
			c.ok("completed", err)
		},
	},
	{
		ID: "ec2-volume-client-token", Service: theEC2,
		Says:   "CreateVolume with the same ClientToken answers the same volume; with other parameters it is IdempotentParameterMismatch, HTTP 400.",
		Source: from(api("ec2", "CreateVolume"), ec2Common, ec2Client),
		Run: func(c *check) {
			token := c.name()
			with := func(size int32) (*ec2.CreateVolumeOutput, error) {
				return c.creatingVolume(func(in *ec2.CreateVolumeInput) { in.Size, in.ClientToken = &size, &token })
			}
			first := must(with(1))(c)
			again, err := with(1)
			if c.ok("again", err) {
				c.equal("the volume", *again.VolumeId, *first.VolumeId)
			}
			_, err = with(2)
			c.refused("another size", err, 400, "IdempotentParameterMismatch")
		},
	},
	{
		ID: "ec2-volume-needs-size", Service: theEC2,
		Says:   "CreateVolume needs a size or a snapshot: MissingParameter, HTTP 400.",
		Source: from(api("ec2", "CreateVolume"), ec2Common),
		Run: func(c *check) {
			_, err := c.creatingVolume(func(*ec2.CreateVolumeInput) {})
			c.refused("refused", err, 400, "MissingParameter")
		},
	},
	{
		ID: "ec2-volume-sizes", Service: theEC2,
		Says:   "The size of a volume is bounded by its type: io1 from 4 GiB, st1 and sc1 from 125, standard up to 1024; io1 and io2 need Iops.",
		Source: from(api("ec2", "CreateVolume")),
		Run: func(c *check) {
			for what, x := range map[string]struct {
				kind       ec2types.VolumeType
				size, iops int32
				ok         bool
			}{
				"io1 of 4": {"io1", 4, 100, true}, "io1 of 3": {"io1", 3, 100, false}, "io1 without Iops": {"io1", 4, 0, false},
				"st1 of 125": {"st1", 125, 0, true}, "st1 of 124": {"st1", 124, 0, false}, "sc1 of 124": {"sc1", 124, 0, false},
				"standard of 1024": {"standard", 1024, 0, true}, "standard of 1025": {"standard", 1025, 0, false},
			} {
				_, err := c.creatingVolume(func(in *ec2.CreateVolumeInput) {
					in.VolumeType, in.Size = x.kind, &x.size
					if x.iops > 0 {
						in.Iops = &x.iops
					}
				})
				if x.ok {
					c.ok(what, err)
				} else {
					c.refused(what, err, 400)
				}
			}
		},
	},
	{
		ID: "ec2-volume-bad-zone", Service: theEC2,
		Says:   "CreateVolume in a zone that there is not is refused, HTTP 400.",
		Source: from(ec2Codes),
		Run: func(c *check) {
			_, err := c.creatingVolume(func(in *ec2.CreateVolumeInput) { in.Size, in.AvailabilityZone = ptr(int32(1)), ptr(region+"z") })
			c.refused("refused", err, 400)
		},
	},
}
