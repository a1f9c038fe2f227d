package conformance

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

const (
	governance = ec2types.LockModeGovernance
	compliance = ec2types.LockModeCompliance
	day        = 24 * time.Hour
)

// locking is an attempt to lock a snapshot: for days, and with hours of cooling-off period, each where it is not zero.
func (c *check) locking(id string, mode ec2types.LockMode, days, hours int32) (*ec2.LockSnapshotOutput, error) {
	in := &ec2.LockSnapshotInput{SnapshotId: &id, LockMode: mode}
	if days != 0 {
		in.LockDuration = &days
	}
	if hours != 0 {
		in.CoolOffPeriod = &hours
	}
	return c.ec2.LockSnapshot(c.ctx, in)
}

// lock locks a snapshot.
func (c *check) lock(what, id string, mode ec2types.LockMode, days, hours int32, want ec2types.LockState) *ec2.LockSnapshotOutput {
	out, err := c.locking(id, mode, days, hours)
	if !c.ok(what, err) {
		c.stop()
	}
	c.equal("the state, "+what, out.LockState, want)
	return out
}

func (c *check) unlock(id string) error {
	_, err := c.ec2.UnlockSnapshot(c.ctx, &ec2.UnlockSnapshotInput{SnapshotId: &id})
	return err
}

// lockOf is what DescribeLockedSnapshots says of a snapshot.
func (c *check) lockOf(id string) ec2types.LockedSnapshotsInfo {
	out := must(c.ec2.DescribeLockedSnapshots(c.ctx, &ec2.DescribeLockedSnapshotsInput{SnapshotIds: []string{id}}))(c)
	c.need("DescribeLockedSnapshots has the snapshot", len(out.Snapshots) == 1, len(out.Snapshots))
	return out.Snapshots[0]
}

// lockRefused is a call that a lock has to refuse. The documents do not say with which code.
func (c *check) lockRefused(what string, err error) { c.refused(what, err, 400) }

// ec2Lock is LockSnapshot.
var ec2Lock = []behaviour{
	{
		ID: "ec2-lock-governance", Service: theEC2,
		Says:   "LockSnapshot in governance mode for some days answers the state governance, when it was locked, and when that expires.",
		Source: from(api("ec2", "LockSnapshot")),
		Run: func(c *check) {
			id := c.snap()
			out := c.lock("locked", id, governance, 2, 0, ec2types.LockStateGovernance)
			c.is("it says since when", out.LockCreatedOn != nil && out.LockDurationStartTime != nil)
			c.equal("days", value(out.LockDuration), int32(2))
			if out.LockExpiresOn != nil && out.LockDurationStartTime != nil {
				c.equal("it expires after them", out.LockExpiresOn.Sub(*out.LockDurationStartTime), 2*day)
			}
			c.equal("described", c.lockOf(id).LockState, ec2types.LockStateGovernance)
		},
	},
	{
		ID: "ec2-lock-parameters", Service: theEC2,
		Says: "LockSnapshot takes either LockDuration, of 1 to 36,500 days, or ExpirationDate; CoolOffPeriod, of 1 to 72 hours, only in compliance " +
			"mode.",
		Source: from(api("ec2", "LockSnapshot")),
		Run: func(c *check) {
			id := c.snap()
			refused := func(what string, change func(*ec2.LockSnapshotInput)) {
				in := &ec2.LockSnapshotInput{SnapshotId: &id, LockMode: governance, LockDuration: ptr(int32(1))}
				change(in)
				_, err := c.ec2.LockSnapshot(c.ctx, in)
				c.refused(what, err, 400)
			}
			refused("neither", func(in *ec2.LockSnapshotInput) { in.LockDuration = nil })
			refused("both", func(in *ec2.LockSnapshotInput) { in.ExpirationDate = ptr(time.Now().Add(30 * day)) })
			refused("0 days", func(in *ec2.LockSnapshotInput) { in.LockDuration = ptr(int32(0)) })
			refused("36,501 days", func(in *ec2.LockSnapshotInput) { in.LockDuration = ptr(int32(36_501)) })
			refused("to cool off in governance mode", func(in *ec2.LockSnapshotInput) { in.CoolOffPeriod = ptr(int32(1)) })
			refused("73 hours to cool off", func(in *ec2.LockSnapshotInput) { in.LockMode, in.CoolOffPeriod = compliance, ptr(int32(73)) })
			c.ok("it can be deleted: nothing has locked it", c.deleteSnapshot(id))
		},
	},
	{
		ID: "ec2-lock-blocks-delete", Service: theEC2,
		Says:   "A locked snapshot cannot be deleted; in governance mode UnlockSnapshot makes that possible again.",
		Source: from(api("ec2", "LockSnapshot"), api("ec2", "UnlockSnapshot")),
		Run: func(c *check) {
			id := c.snap()
			c.lock("locked", id, governance, 1, 0, ec2types.LockStateGovernance)
			c.lockRefused("deleted", c.deleteSnapshot(id))
			c.equal("it is there", c.find(filter("snapshot-id", id)), []string{id})
			c.ok("unlocked", c.unlock(id))
			c.ok("deleted then", c.deleteSnapshot(id))
		},
	},
	{
		ID: "ec2-lock-compliance-cooloff", Service: theEC2, Needs: clock,
		Says: "In compliance mode a snapshot can be unlocked, and its lock changed, during the cooling-off period; after it, the lock can only be " +
			"made longer.",
		Source: from(api("ec2", "LockSnapshot")),
		Run: func(c *check) {
			id := c.snap()
			c.lock("locked", id, compliance, 10, 1, ec2types.LockStateComplianceCooloff)
			c.ok("unlocked while cooling off", c.unlock(id))
			c.lock("locked again", id, compliance, 10, 1, ec2types.LockStateComplianceCooloff)
			c.lock("shorter while cooling off", id, compliance, 5, 1, ec2types.LockStateComplianceCooloff)
			c.move(time.Hour)
			c.equal("state", c.lockOf(id).LockState, ec2types.LockStateCompliance)
			c.lockRefused("unlocked", c.unlock(id))
			c.lockRefused("deleted", c.deleteSnapshot(id))
			_, err := c.locking(id, compliance, 3, 0)
			c.lockRefused("shorter", err)
			_, err = c.locking(id, governance, 20, 0)
			c.lockRefused("in governance mode", err)
			c.lock("longer", id, compliance, 20, 0, ec2types.LockStateCompliance)
		},
	},
	{
		ID: "ec2-lock-compliance-immediate", Service: theEC2,
		Says:   "Compliance mode without CoolOffPeriod holds at once.",
		Source: from(api("ec2", "LockSnapshot")),
		Run: func(c *check) {
			id := c.snap()
			c.lock("locked", id, compliance, 1, 0, ec2types.LockStateCompliance)
			c.lockRefused("unlocked", c.unlock(id))
			c.lockRefused("deleted", c.deleteSnapshot(id))
		},
	},
	{
		ID: "ec2-lock-expires", Service: theEC2, Needs: clock,
		Says:   "When the duration is over the state is expired, and the snapshot can be deleted.",
		Source: from(api("ec2", "LockSnapshot")),
		Run: func(c *check) {
			id := c.snap()
			c.move(time.Second)
			c.lock("locked", id, compliance, 1, 0, ec2types.LockStateCompliance)
			c.move(day - time.Minute)
			c.lockRefused("deleted a minute before", c.deleteSnapshot(id))
			c.move(time.Minute)
			c.equal("state", c.lockOf(id).LockState, ec2types.LockStateExpired)
			c.ok("deleted", c.deleteSnapshot(id))
		},
	},
	{
		ID: "ec2-lock-pending-starts-at-completion", Service: theEC2, Needs: clock,
		Says:   "A pending snapshot can be locked; the duration begins when it is completed.",
		Source: from(api("ec2", "DescribeLockedSnapshots"), in("ebs", "lock-snapshot", page)),
		Run: func(c *check) {
			id := c.snap()
			c.lock("locked", id, governance, 1, 0, ec2types.LockStateGovernance)
			c.move(time.Minute)
			completed := c.describe(id).CompletionTime
			c.need("completed", completed != nil)
			start := c.lockOf(id).LockDurationStartTime
			c.need("begun", start != nil)
			c.is("then", start.Sub(*completed).Abs() < time.Second, start.Sub(*completed))
		},
	},
	{
		ID: "ec2-lock-governance-to-compliance", Service: theEC2,
		Says:   "A lock in governance mode can be made longer, shorter, and a lock in compliance mode; one that cools off can go back.",
		Source: from(api("ec2", "LockSnapshot")),
		Run: func(c *check) {
			id := c.snap()
			c.lock("locked", id, governance, 5, 0, ec2types.LockStateGovernance)
			c.equal("longer", value(c.lock("for longer", id, governance, 9, 0, ec2types.LockStateGovernance).LockDuration), int32(9))
			c.equal("shorter", value(c.lock("for less", id, governance, 1, 0, ec2types.LockStateGovernance).LockDuration), int32(1))
			c.lock("in compliance mode", id, compliance, 1, 24, ec2types.LockStateComplianceCooloff)
			c.lock("in governance mode again", id, governance, 1, 0, ec2types.LockStateGovernance)
			c.ok("unlocked", c.unlock(id))
		},
	},
}
