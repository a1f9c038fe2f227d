package conformance

import (
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// everybody is the group that makes a snapshot public.
const everybody = "all"

// share changes who may make volumes of a snapshot: account ids, or everybody.
func (c *check) share(id string, operation ec2types.OperationType, who ...string) error {
	in := &ec2.ModifySnapshotAttributeInput{SnapshotId: &id, Attribute: ec2types.SnapshotAttributeNameCreateVolumePermission, OperationType: operation}
	for _, one := range who {
		if one == everybody {
			in.GroupNames = append(in.GroupNames, one)
		} else {
			in.UserIds = append(in.UserIds, one)
		}
	}
	_, err := c.ec2.ModifySnapshotAttribute(c.ctx, in)
	return err
}

// sharedWith lists who may make volumes of a snapshot, sorted.
func (c *check) sharedWith(id string) []string {
	out := must(c.ec2.DescribeSnapshotAttribute(c.ctx, &ec2.DescribeSnapshotAttributeInput{
		SnapshotId: &id, Attribute: ec2types.SnapshotAttributeNameCreateVolumePermission,
	}))(c)
	who := []string{}
	for _, p := range out.CreateVolumePermissions {
		who = append(who, value(p.UserId)+string(p.Group))
	}
	slices.Sort(who)
	return who
}

func (c *check) block(state ec2types.SnapshotBlockPublicAccessState) error {
	_, err := c.ec2.EnableSnapshotBlockPublicAccess(c.ctx, &ec2.EnableSnapshotBlockPublicAccessInput{State: state})
	return err
}

func (c *check) blocked(what string, want ec2types.SnapshotBlockPublicAccessState) {
	out, err := c.ec2.GetSnapshotBlockPublicAccessState(c.ctx, &ec2.GetSnapshotBlockPublicAccessStateInput{})
	if c.ok(what+", asked", err) {
		c.equal(what, out.State, want)
	}
}

const (
	add    = ec2types.OperationTypeAdd
	remove = ec2types.OperationTypeRemove
)

// ec2Share is who else may use snapshots.
var ec2Share = []behaviour{
	{
		ID: "ec2-snapshot-permission-add", Service: theEC2,
		Says: "ModifySnapshotAttribute shares a snapshot with accounts and takes that back; DescribeSnapshotAttribute lists them. " +
			"What is so already is no error.",
		Source: from(api("ec2", "ModifySnapshotAttribute"), api("ec2", "DescribeSnapshotAttribute")),
		Run: func(c *check) {
			id := c.snap()
			c.equal("at first", c.sharedWith(id), []string{})
			c.ok("two added", c.share(id, add, stranger, "444455556666"))
			c.ok("one added again", c.share(id, add, stranger))
			c.equal("both are there once", c.sharedWith(id), []string{"444455556666", stranger})
			c.ok("one removed", c.share(id, remove, "444455556666"))
			c.ok("and again", c.share(id, remove, "444455556666"))
			c.equal("the other is there", c.sharedWith(id), []string{stranger})
		},
	},
	{
		ID: "ec2-snapshot-permission-500", Service: theEC2,
		Says:   "One ModifySnapshotAttribute makes up to 500 changes.",
		Source: from(api("ec2", "ModifySnapshotAttribute")),
		Run: func(c *check) {
			id := c.snap()
			var accounts []string
			for n := range 501 {
				accounts = append(accounts, fmt.Sprintf("%012d", 100_000_000_000+n))
			}
			c.refused("501", c.share(id, add, accounts...), 400)
			c.ok("500", c.share(id, add, accounts[:500]...))
			c.equal("accounts", len(c.sharedWith(id)), 500)
		},
	},
	{
		ID: "ec2-snapshot-permission-bad-account", Service: theEC2,
		Says:   "What is no account id cannot be added: HTTP 400.",
		Source: from(ec2Codes),
		Run: func(c *check) {
			c.refused("refused", c.share(c.snap(), add, "1"), 400)
		},
	},
	{
		ID: "ec2-share-encrypted-default-key", Service: theEC2,
		Says:   "A snapshot that is encrypted with the account's default key cannot be shared with another account.",
		Source: from(api("ec2", "ModifySnapshotAttribute")),
		Run: func(c *check) {
			id := c.snapshot(c.volume(encrypted))
			c.refused("refused", c.share(id, add, stranger), 400)
			c.equal("shared with", c.sharedWith(id), []string{})
		},
	},
	{
		ID: "ec2-encrypted-not-public", Service: theEC2,
		Says:   "An encrypted snapshot cannot be made public; one that is not encrypted can.",
		Source: from(api("ec2", "ModifySnapshotAttribute")),
		Run: func(c *check) {
			id := c.snapshot(c.volume(encrypted))
			c.refused("refused", c.share(id, add, everybody), 400)
			c.equal("shared with", c.sharedWith(id), []string{})
			plain := c.snap()
			c.ok("a plain one", c.share(plain, add, everybody))
			c.equal("the plain one is shared with", c.sharedWith(plain), []string{everybody})
		},
	},
	{
		ID: "ec2-reset-snapshot-attribute", Service: theEC2,
		Says:   "ResetSnapshotAttribute takes back all permissions.",
		Source: from(api("ec2", "ResetSnapshotAttribute")),
		Run: func(c *check) {
			id := c.snap()
			must(0, c.share(id, add, stranger, everybody))(c)
			_, err := c.ec2.ResetSnapshotAttribute(c.ctx, &ec2.ResetSnapshotAttributeInput{
				SnapshotId: &id, Attribute: ec2types.SnapshotAttributeNameCreateVolumePermission,
			})
			c.ok("reset", err)
			c.equal("shared with", c.sharedWith(id), []string{})
		},
	},
	{
		ID: "ec2-describe-attribute-one", Service: theEC2,
		Says:   "DescribeSnapshotAttribute answers the one attribute that is asked for: with productCodes no permissions.",
		Source: from(api("ec2", "DescribeSnapshotAttribute")),
		Run: func(c *check) {
			id := c.snap()
			must(0, c.share(id, add, stranger))(c)
			out, err := c.ec2.DescribeSnapshotAttribute(c.ctx, &ec2.DescribeSnapshotAttributeInput{
				SnapshotId: &id, Attribute: ec2types.SnapshotAttributeNameProductCodes,
			})
			if c.ok("described", err) {
				c.equal("product codes", len(out.ProductCodes), 0)
				c.equal("permissions", len(out.CreateVolumePermissions), 0)
				c.equal("snapshot", value(out.SnapshotId), id)
			}
		},
	},
	{
		ID: "ec2-shared-is-seen", Service: theEC2, Needs: clock,
		Says:   "Another account sees, of our snapshots, those that are shared with it or public, and can copy them; the others are not there for it.",
		Source: from(api("ec2", "DescribeSnapshots"), in("ebs", "ebs-modifying-snapshot-permissions", unread)),
		Run: func(c *check) {
			volume := c.volume(nil)
			private, shared, public := c.snapshot(volume), c.snapshot(volume), c.snapshot(volume)
			must(0, c.share(shared, add, stranger))(c)
			must(0, c.share(public, add, everybody))(c)
			c.move(time.Second)
			them := c.as(stranger)
			c.equal("seen", c.seenBy(them, c.account), sorted(shared, public))
			_, err := them.CopySnapshot(c.ctx, &ec2.CopySnapshotInput{SourceRegion: ptr(region), SourceSnapshotId: &shared})
			c.ok("the shared one is copied", err)
			_, err = them.CopySnapshot(c.ctx, &ec2.CopySnapshotInput{SourceRegion: ptr(region), SourceSnapshotId: &private})
			c.refused("the private one is not", err, 400)
			c.equal("their own", len(c.seenBy(them, "self")), 1)
		},
	},
	{
		ID: "ec2-bpa-state", Service: theEC2, Needs: alone,
		Says:   "Block public access for snapshots is unblocked, managed by the account, until it is enabled as block-all-sharing or block-new-sharing.",
		Source: from(api("ec2", "GetSnapshotBlockPublicAccessState"), api("ec2", "EnableSnapshotBlockPublicAccess")),
		Run: func(c *check) {
			out, err := c.ec2.GetSnapshotBlockPublicAccessState(c.ctx, &ec2.GetSnapshotBlockPublicAccessStateInput{})
			if c.ok("asked", err) {
				c.equal("at first", out.State, ec2types.SnapshotBlockPublicAccessStateUnblocked)
				c.equal("managed by", out.ManagedBy, ec2types.ManagedByAccount)
			}
			c.ok("enabled", c.block(ec2types.SnapshotBlockPublicAccessStateBlockNewSharing))
			c.blocked("then", ec2types.SnapshotBlockPublicAccessStateBlockNewSharing)
			_, err = c.ec2.DisableSnapshotBlockPublicAccess(c.ctx, &ec2.DisableSnapshotBlockPublicAccessInput{})
			c.ok("disabled", err)
			c.blocked("at last", ec2types.SnapshotBlockPublicAccessStateUnblocked)
		},
	},
	{
		ID: "ec2-bpa-enable-unblocked-invalid", Service: theEC2, Needs: alone,
		Says:   "unblocked is not a valid State for EnableSnapshotBlockPublicAccess.",
		Source: from(api("ec2", "EnableSnapshotBlockPublicAccess")),
		Run: func(c *check) {
			c.refused("refused", c.block(ec2types.SnapshotBlockPublicAccessStateUnblocked), 400)
		},
	},
	{
		ID: "ec2-bpa-blocks-new-sharing", Service: theEC2, Needs: clock | alone,
		Says:   "With either state of block public access no snapshot can be made public; sharing with accounts goes on.",
		Source: from(api("ec2", "EnableSnapshotBlockPublicAccess")),
		Run: func(c *check) {
			id := c.snap()
			for _, state := range []ec2types.SnapshotBlockPublicAccessState{
				ec2types.SnapshotBlockPublicAccessStateBlockNewSharing, ec2types.SnapshotBlockPublicAccessStateBlockAllSharing,
			} {
				c.ok("enabled "+string(state), c.block(state))
				c.refused("public with "+string(state), c.share(id, add, everybody), 400)
				c.ok("shared with "+string(state), c.share(id, add, stranger))
				c.equal("shared with, by "+string(state), c.sharedWith(id), []string{stranger})
				c.move(10 * time.Second)
			}
		},
	},
	{
		ID: "ec2-bpa-all-keeps-attribute", Service: theEC2, Needs: clock | alone,
		Says: "block-all-sharing hides public snapshots from others and leaves their attribute as it is; block-new-sharing does not hide them; " +
			"when it is disabled they are public again.",
		Source: from(api("ec2", "EnableSnapshotBlockPublicAccess"), api("ec2", "DisableSnapshotBlockPublicAccess")),
		Run: func(c *check) {
			id := c.snap()
			must(0, c.share(id, add, everybody))(c)
			them := c.as(stranger)
			c.equal("public", c.seenBy(them, c.account), []string{id})
			c.ok("new sharing blocked", c.block(ec2types.SnapshotBlockPublicAccessStateBlockNewSharing))
			c.equal("public with new sharing blocked", c.seenBy(them, c.account), []string{id})
			c.move(10 * time.Second)
			c.ok("all sharing blocked", c.block(ec2types.SnapshotBlockPublicAccessStateBlockAllSharing))
			c.equal("with all sharing blocked", c.seenBy(them, c.account), []string{})
			c.equal("the attribute then", c.sharedWith(id), []string{everybody})
			_, err := c.ec2.DisableSnapshotBlockPublicAccess(c.ctx, &ec2.DisableSnapshotBlockPublicAccessInput{})
			c.ok("disabled", err)
			c.equal("public again", c.seenBy(them, c.account), []string{id})
		},
	},
}
