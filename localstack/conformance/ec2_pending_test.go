package conformance

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"stillpoint/localstack"
)

// ec2Pending is what becomes of snapshots.
var ec2Pending = []behaviour{
	{
		ID: "ec2-snapshot-pending-then-completed", Service: theEC2, Needs: pauses,
		Says:   "A snapshot is pending until its data is stored, and then completed, with Progress 100% and a CompletionTime.",
		Source: from(in("ebs", "ebs-creating-snapshot", guide), api("ec2", "Snapshot")),
		Run: func(c *check) {
			id := c.snap()
			before := c.describe(id)
			c.equal("state at first", before.State, ec2types.SnapshotStatePending)
			c.is("no CompletionTime at first", before.CompletionTime == nil)
			c.is("progress at first is below 100%", percent(before) < 100, value(before.Progress))
			c.pause(1)
			after := c.describe(id)
			c.equal("state at last", after.State, ec2types.SnapshotStateCompleted)
			c.equal("progress at last", value(after.Progress), "100%")
			c.is("CompletionTime at last", after.CompletionTime != nil && !after.CompletionTime.Before(*after.StartTime), after.CompletionTime)
		},
	},
	{
		ID: "ec2-snapshot-progress-rises", Service: theEC2, Needs: clock,
		Says:   "Progress is a percentage that rises while the snapshot is pending.",
		Source: from(api("ec2", "Snapshot")),
		Run: func(c *check) {
			c.behave(func(b *localstack.EC2Behaviour) { b.SnapshotTime = 100 * time.Second })
			id, last := c.snap(), -1
			for range 4 {
				s := c.describe(id)
				now := percent(s)
				c.is("it is more than before", now > last && now < 100, value(s.Progress), last)
				c.equal("state", s.State, ec2types.SnapshotStatePending)
				last = now
				c.move(20 * time.Second)
			}
		},
	},
	{
		ID: "ec2-snapshot-set-fails-together", Service: theEC2, Needs: clock,
		Says:   "If one snapshot of a CreateSnapshots fails, all of it are in the state error.",
		Source: from(in("ebs", "ebs-creating-snapshot", guide)),
		Run: func(c *check) {
			got := must(c.set(c.machine(2), nil))(c)
			c.need("three of them", len(got) == 3, len(got))
			must(0, c.ours.FailSnapshot(*got[1].SnapshotId, ""))(c)
			c.move(time.Minute)
			for _, s := range got {
				c.equal("state", c.describe(*s.SnapshotId).State, ec2types.SnapshotStateError)
			}
		},
	},
	{
		ID: "ec2-snapshot-point-in-time", Service: theEC2, Needs: data,
		Says:   "A snapshot has what was written to the volume when CreateSnapshot was called, and nothing that was written later.",
		Source: from(api("ec2", "CreateSnapshot")),
		Run: func(c *check) {
			m := c.machine(1)
			first, later := bytes.Repeat([]byte("first"), 1000), bytes.Repeat([]byte("later"), 1000)
			c.write(m.data[0], first)
			id := c.snapshot(m.data[0])
			c.write(m.data[0], later)
			c.ours.MoveClock(time.Minute)
			copied := c.volume(func(in *ec2.CreateVolumeInput) { in.Size, in.SnapshotId = nil, &id })
			must(0, c.attach(copied, m.id, "/dev/sdp"))(c)
			c.is("the volume made of it has the first", bytes.Equal(c.readBack(copied, len(first)), first))
			c.is("the volume itself has the last", bytes.Equal(c.readBack(m.data[0], len(later)), later))
		},
	},
	{
		ID: "ec2-delete-snapshot", Service: theEC2,
		Says:   "DeleteSnapshot deletes; of one that is not there it is InvalidSnapshot.NotFound, HTTP 400.",
		Source: from(api("ec2", "DeleteSnapshot"), custodian, ec2Codes),
		Run: func(c *check) {
			id := c.snap()
			c.ok("deleted", c.deleteSnapshot(id))
			c.equal("it is gone", c.find(filter("snapshot-id", id)), []string{})
			c.refused("again", c.deleteSnapshot(id), 400, "InvalidSnapshot.NotFound")
		},
	},
	{
		ID: "ec2-delete-snapshot-pending", Service: theEC2, Needs: clock,
		Says:   "A pending snapshot can be deleted, but it must complete before that takes effect: until then it counts as in progress.",
		Source: from(in("ebs", "ebs-deleting-snapshot", guide), in("ebs", "ebs-creating-snapshot", guide)),
		Run: func(c *check) {
			volume, pending := c.volume(nil), []string{}
			for range 5 {
				pending = append(pending, c.snapshot(volume))
			}
			c.ok("deleted", c.deleteSnapshot(pending[0]))
			c.refused("one more snapshot", c.snapping(volume), 400, "ConcurrentSnapshotLimitExceeded")
			c.move(time.Minute)
			c.ok("one more when they are completed", c.snapping(volume))
			c.is("the deleted one is gone", !slices.Contains(c.find(filter("volume-id", volume)), pending[0]))
		},
	},
	{
		ID: "ec2-eventual-consistency", Service: theEC2, Needs: clock,
		Says:   "What was just made may not be found for a while: an empty list by filter, NotFound by id.",
		Source: from(in("ec2-dev", "eventual-consistency", page)),
		Run: func(c *check) {
			c.behave(func(b *localstack.EC2Behaviour) { b.DescribeLagMin, b.DescribeLagMax = 10*time.Second, 10*time.Second })
			id := c.snapshot(c.volume(nil), "request", "r1")
			c.equal("by tag", c.find(filter("tag:request", "r1")), []string{})
			_, err := c.ec2.DescribeSnapshots(c.ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{id}})
			c.refused("by id", err, 400, "InvalidSnapshot.NotFound")
			c.move(10 * time.Second)
			c.equal("by tag, later", c.find(filter("tag:request", "r1")), []string{id})
			c.equal("by id, later", *c.describe(id).SnapshotId, id)
		},
	},
}

// percent is the progress of a snapshot. It is -1 if it is none.
func percent(s ec2types.Snapshot) int {
	n, err := strconv.Atoi(strings.TrimSuffix(value(s.Progress), "%"))
	if err != nil || !strings.HasSuffix(*s.Progress, "%") {
		return -1
	}
	return n
}

// write puts data at the beginning of a volume, and waits until it is there.
func (c *check) write(volume string, data []byte) {
	f := c.open(volume, os.O_WRONLY)
	defer f.Close()
	must(f.Write(data))(c)
	must(0, f.Sync())(c)
}

func (c *check) readBack(volume string, n int) []byte {
	f := c.open(volume, os.O_RDONLY)
	defer f.Close()
	out := make([]byte, n)
	must(f.ReadAt(out, 0))(c)
	return out
}

func (c *check) open(volume string, flag int) *os.File {
	device, ok := c.ours.Device(volume)
	c.need("the volume is a device", ok)
	return must(os.OpenFile(device, flag, 0))(c)
}
