package conformance

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

func (c *check) enableRestore(zone string, ids ...string) (*ec2.EnableFastSnapshotRestoresOutput, error) {
	return c.ec2.EnableFastSnapshotRestores(c.ctx, &ec2.EnableFastSnapshotRestoresInput{AvailabilityZones: []string{zone}, SourceSnapshotIds: ids})
}

// restoreOf is what DescribeFastSnapshotRestores says of a snapshot; its state is empty if it says nothing.
func (c *check) restoreOf(id string) ec2types.DescribeFastSnapshotRestoreSuccessItem {
	out := must(c.ec2.DescribeFastSnapshotRestores(c.ctx, &ec2.DescribeFastSnapshotRestoresInput{
		Filters: []ec2types.Filter{filter("snapshot-id", id)},
	}))(c)
	if len(out.FastSnapshotRestores) == 0 {
		return ec2types.DescribeFastSnapshotRestoreSuccessItem{}
	}
	return out.FastSnapshotRestores[0]
}

const (
	byUser  = "Client.UserInitiated"
	byCycle = byUser + " - Lifecycle state transition"
)

// ec2Restore is fast snapshot restore.
var ec2Restore = []behaviour{
	{
		ID: "ec2-fsr-states", Service: theEC2, Needs: clock,
		Says: "Fast restore is enabling, then optimizing for 60 minutes per TiB, then enabled; disabled again it is disabling and then disabled. " +
			"StateTransitionReason tells what the user did from what followed.",
		Source: from(api("ec2", "EnableFastSnapshotRestores"), in("ebs", "view-fsr-enabled-snapshots", page)),
		Run: func(c *check) {
			id := c.snapshot(c.volume(func(in *ec2.CreateVolumeInput) { in.Size = ptr(int32(1024)) }))
			c.move(time.Second)
			out := must(c.enableRestore(zone, id))(c)
			c.need("one success", len(out.Successful) == 1 && len(out.Unsuccessful) == 0, len(out.Successful), len(out.Unsuccessful))
			c.equal("answered state", out.Successful[0].State, ec2types.FastSnapshotRestoreStateCodeEnabling)
			c.equal("answered reason", value(out.Successful[0].StateTransitionReason), byUser)
			c.equal("answered zone", value(out.Successful[0].AvailabilityZone), zone)
			c.move(10 * time.Minute)
			is := func(what string, state ec2types.FastSnapshotRestoreStateCode, reason string) {
				got := c.restoreOf(id)
				c.equal("state "+what, got.State, state)
				c.equal("reason "+what, value(got.StateTransitionReason), reason)
			}
			is("after 10 minutes", ec2types.FastSnapshotRestoreStateCodeOptimizing, byCycle)
			c.move(40 * time.Minute)
			is("after 50 minutes", ec2types.FastSnapshotRestoreStateCodeOptimizing, byCycle)
			c.move(25 * time.Minute)
			is("after 75 minutes", ec2types.FastSnapshotRestoreStateCodeEnabled, byCycle)
			_, err := c.ec2.DisableFastSnapshotRestores(c.ctx, &ec2.DisableFastSnapshotRestoresInput{AvailabilityZones: []string{zone}, SourceSnapshotIds: []string{id}})
			c.ok("disabled", err)
			is("then", ec2types.FastSnapshotRestoreStateCodeDisabling, byUser)
			c.move(10 * time.Minute)
			is("at last", ec2types.FastSnapshotRestoreStateCodeDisabled, byCycle)
		},
	},
	{
		ID: "ec2-fsr-unsuccessful", Service: theEC2,
		Says:   "EnableFastSnapshotRestores answers HTTP 200 with what worked in Successful and what did not, with code and message by zone, in Unsuccessful.",
		Source: from(api("ec2", "EnableFastSnapshotRestores")),
		Run: func(c *check) {
			id := c.snap()
			out, err := c.enableRestore(zone, id, noSnapshot)
			if !c.ok("called", err) {
				return
			}
			c.is("the one that is there", len(out.Successful) == 1 && value(out.Successful[0].SnapshotId) == id, len(out.Successful))
			c.need("the one that is not", len(out.Unsuccessful) == 1 && value(out.Unsuccessful[0].SnapshotId) == noSnapshot, len(out.Unsuccessful))
			errs := out.Unsuccessful[0].FastSnapshotRestoreStateErrors
			c.is("with its error", len(errs) == 1 && value(errs[0].AvailabilityZone) == zone && errs[0].Error != nil && value(errs[0].Error.Code) != "", len(errs))
		},
	},
	{
		ID: "ec2-fsr-deleted-with-snapshot", Service: theEC2,
		Says:   "Deleting a snapshot disables its fast restore.",
		Source: from(in("ebs", "manage-fsr-enable", page)),
		Run: func(c *check) {
			id := c.snap()
			must(c.enableRestore(zone, id))(c)
			c.equal("before", c.restoreOf(id).State, ec2types.FastSnapshotRestoreStateCodeEnabling)
			must(0, c.deleteSnapshot(id))(c)
			state := c.restoreOf(id).State
			c.is("after", state == "" || state == ec2types.FastSnapshotRestoreStateCodeDisabling || state == ec2types.FastSnapshotRestoreStateCodeDisabled, state)
		},
	},
}
