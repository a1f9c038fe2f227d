package conformance

import (
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

func (c *check) copying(source string, change func(*ec2.CopySnapshotInput)) (string, error) {
	in := &ec2.CopySnapshotInput{SourceRegion: ptr(region), SourceSnapshotId: &source}
	if change != nil {
		change(in)
	}
	out, err := c.ec2.CopySnapshot(c.ctx, in)
	if err != nil {
		return "", err
	}
	return *out.SnapshotId, nil
}

// ec2Copy is CopySnapshot.
var ec2Copy = []behaviour{
	{
		ID: "ec2-copy-snapshot", Service: theEC2, Needs: pauses,
		Says: "CopySnapshot makes a snapshot of its own: another id, a volume id that is not the source's, its own description, no tags of the " +
			"source, pending and then completed.",
		Source: from(api("ec2", "CopySnapshot"), api("ec2", "Snapshot")),
		Run: func(c *check) {
			volume := c.volume(nil)
			source := c.snapshot(volume, "a", "b")
			c.pause(1)
			id, err := c.copying(source, func(in *ec2.CopySnapshotInput) { in.Description = ptr("copy") })
			if !c.ok("copied", err) {
				return
			}
			s := c.describe(id)
			c.is("another id", id != source)
			c.is("another volume", s.VolumeId != nil && *s.VolumeId != volume, value(s.VolumeId))
			c.equal("description", value(s.Description), "copy")
			c.equal("size", value(s.VolumeSize), int32(1))
			c.equal("tags", len(s.Tags), 0)
			c.equal("state at first", s.State, ec2types.SnapshotStatePending)
			c.pause(1)
			c.equal("state at last", c.describe(id).State, ec2types.SnapshotStateCompleted)
		},
	},
	{
		ID: "ec2-copy-snapshot-tags", Service: theEC2,
		Says:   "TagSpecifications of CopySnapshot tag the copy, and with nothing else.",
		Source: from(api("ec2", "CopySnapshot")),
		Run: func(c *check) {
			id, err := c.copying(c.snapshot(c.volume(nil), "a", "b"), func(in *ec2.CopySnapshotInput) { in.TagSpecifications = tagged("z", "b") })
			if c.ok("copied", err) {
				c.equal("tags", tagMap(c.describe(id).Tags), map[string]string{"z": "b"})
			}
		},
	},
	{
		ID: "ec2-copy-snapshot-encryption", Service: theEC2,
		Says:   "The copy of an encrypted snapshot is encrypted without being asked to, that of another one only if asked to.",
		Source: from(api("ec2", "CopySnapshot")),
		Run: func(c *check) {
			plain, secret := c.snap(), c.snapshot(c.volume(encrypted))
			for what, x := range map[string]struct {
				source    string
				encrypted *bool
				want      bool
			}{"a plain one": {plain, nil, false}, "a plain one, encrypted": {plain, yes, true}, "an encrypted one": {secret, nil, true}} {
				id, err := c.copying(x.source, func(in *ec2.CopySnapshotInput) { in.Encrypted = x.encrypted })
				if c.ok("copy of "+what, err) {
					c.equal("encryption of the copy of "+what, value(c.describe(id).Encrypted), x.want)
				}
			}
		},
	},
	{
		ID: "ec2-copy-key-needs-encrypted", Service: theEC2,
		Says:   "KmsKeyId without Encrypted is refused for a snapshot that is not encrypted.",
		Source: from(api("ec2", "CopySnapshot")),
		Run: func(c *check) {
			_, err := c.copying(c.snap(), func(in *ec2.CopySnapshotInput) { in.KmsKeyId = ptr("alias/mine") })
			c.refused("refused", err, 400)
		},
	},
	{
		ID: "ec2-copy-bad-key-fails-later", Service: theEC2, Needs: pauses,
		Says:   "With a KmsKeyId that is none CopySnapshot answers as if it worked; the copy ends in the state error, with a StateMessage.",
		Source: from(api("ec2", "CopySnapshot"), api("ec2", "Snapshot")),
		Run: func(c *check) {
			source := c.snap()
			c.pause(1)
			id, err := c.copying(source, func(in *ec2.CopySnapshotInput) { in.Encrypted, in.KmsKeyId = yes, ptr("no key") })
			if !c.ok("copied", err) {
				return
			}
			c.pause(2)
			s := c.describe(id)
			c.equal("state", s.State, ec2types.SnapshotStateError)
			c.is("a message", value(s.StateMessage) != "")
		},
	},
	{
		ID: "ec2-copy-snapshot-missing", Service: theEC2,
		Says:   "CopySnapshot of a snapshot that is not there is InvalidSnapshot.NotFound, HTTP 400.",
		Source: from(ec2Client, ec2Codes),
		Run: func(c *check) {
			c.calm()
			_, err := c.copying(noSnapshot, nil)
			c.refused("refused", err, 400, "InvalidSnapshot.NotFound")
		},
	},
	{
		ID: "ec2-copy-completion-duration", Service: theEC2,
		Says:   "CompletionDurationMinutes goes in steps of 15 minutes, and makes a copy whose TransferType is time-based; without it that is standard.",
		Source: from(api("ec2", "CopySnapshot"), api("ec2", "Snapshot")),
		Run: func(c *check) {
			source := c.snap()
			_, err := c.copying(source, func(in *ec2.CopySnapshotInput) { in.CompletionDurationMinutes = ptr(int32(7)) })
			c.refused("7 minutes", err, 400)
			for minutes, want := range map[int32]ec2types.TransferType{0: ec2types.TransferTypeStandard, 15: ec2types.TransferTypeTimeBased} {
				id, err := c.copying(source, func(in *ec2.CopySnapshotInput) {
					if minutes > 0 {
						in.CompletionDurationMinutes = &minutes
					}
				})
				if c.ok("copied "+string(want), err) {
					s := c.describe(id)
					c.equal("type of the "+string(want)+" copy", s.TransferType, want)
					c.equal("minutes of the "+string(want)+" copy", value(s.CompletionDurationMinutes), minutes)
				}
			}
		},
	},
}
