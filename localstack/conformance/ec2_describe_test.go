package conformance

import (
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// filtering is AWS's text on filters, as the documentation of a Java client has it.
var filtering = source{url: "https://jclouds.apache.org/reference/javadoc/2.4.x/org/jclouds/aws/ec2/options/AWSDescribeImagesOptions.html", note: "filters", read: page}

// ec2Describe is DescribeSnapshots.
var ec2Describe = []behaviour{
	{
		ID: "ec2-describe-missing-id", Service: theEC2,
		Says: "DescribeSnapshots of an id that is not there is InvalidSnapshot.NotFound, of one that is too short InvalidSnapshotID.Malformed, " +
			"HTTP 400 each; the message names the id in quotes.",
		Source: from(api("ec2", "DescribeSnapshots"),
			source{url: "https://github.com/cloud-custodian/cloud-custodian/blob/main/c7n/resources/asg.py", note: "which takes the id out of the message", read: code},
			ec2Client, ec2Codes),
		Run: func(c *check) {
			there := c.snap()
			describe := func(ids ...string) error {
				_, err := c.ec2.DescribeSnapshots(c.ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: ids})
				return err
			}
			c.refusedSaying("one that is missing", describe(there, noSnapshot), 400, "InvalidSnapshot.NotFound", "'"+noSnapshot+"'")
			c.refusedSaying("one that is malformed", describe("snap-zz"), 400, "InvalidSnapshotID.Malformed", `"snap-zz"`)
		},
	},
	{
		ID: "ec2-describe-filter-no-match-empty", Service: theEC2,
		Says:   "A filter that nothing matches gives an empty list, no error.",
		Source: from(api("ec2", "DescribeSnapshots"), filtering),
		Run: func(c *check) {
			c.snap()
			got, err := c.finding(filter("snapshot-id", noSnapshot))
			c.ok("found", err)
			c.equal("nothing", len(got), 0)
		},
	},
	{
		ID: "ec2-describe-maxresults-pages", Service: theEC2,
		Says:   "MaxResults makes pages of at most as many snapshots, with a NextToken until the last; all pages have each snapshot once.",
		Source: from(api("ec2", "DescribeSnapshots"), in("ec2-dev", "ec2-api-pagination", unread)),
		Run: func(c *check) {
			volume := c.volume(nil)
			want := map[string]bool{}
			for range 7 {
				want[c.snapshot(volume)] = true
			}
			in := &ec2.DescribeSnapshotsInput{MaxResults: ptr(int32(5)), Filters: []ec2types.Filter{filter("volume-id", volume)}}
			saw, pages := map[string]bool{}, 0
			for ; pages < 10; pages++ {
				out := must(c.ec2.DescribeSnapshots(c.ctx, in))(c)
				c.is("a page has no more than MaxResults", len(out.Snapshots) <= 5, len(out.Snapshots))
				for _, s := range out.Snapshots {
					c.is("none comes twice", !saw[*s.SnapshotId])
					saw[*s.SnapshotId] = true
				}
				if value(out.NextToken) == "" {
					break
				}
				in.NextToken = out.NextToken
			}
			c.equal("found in all", saw, want)
			c.is("there is more than one page", pages > 0, pages)
		},
	},
	{
		ID: "ec2-describe-maxresults-range", Service: theEC2,
		Says:   "MaxResults below 5 is refused, HTTP 400.",
		Source: from(in("ec2-dev", "ec2-api-pagination", unread)),
		Run: func(c *check) {
			_, err := c.ec2.DescribeSnapshots(c.ctx, &ec2.DescribeSnapshotsInput{MaxResults: ptr(int32(4))})
			c.refused("4", err, 400)
		},
	},
	{
		ID: "ec2-describe-bad-token", Service: theEC2,
		Says:   "A NextToken that is none is refused, HTTP 400.",
		Source: from(ec2Common),
		Run: func(c *check) {
			_, err := c.ec2.DescribeSnapshots(c.ctx, &ec2.DescribeSnapshotsInput{MaxResults: ptr(int32(5)), NextToken: ptr("zzz")})
			c.refused("refused", err, 400)
		},
	},
	{
		ID: "ec2-describe-bad-filter", Service: theEC2,
		Says:   "A filter with a name that there is not is refused, HTTP 400.",
		Source: from(ec2Codes),
		Run: func(c *check) {
			c.calm()
			_, err := c.finding(filter("colour", "red"))
			c.refused("refused", err, 400)
		},
	},
	{
		ID: "ec2-describe-owner", Service: theEC2,
		Says:   "OwnerIds gives the snapshots of these owners alone: self is the caller, another account's are those that the caller has access to.",
		Source: from(api("ec2", "DescribeSnapshots")),
		Run: func(c *check) {
			volume := c.volume(nil)
			id := c.snapshot(volume)
			owned := func(owner string) []string {
				out := must(c.ec2.DescribeSnapshots(c.ctx, &ec2.DescribeSnapshotsInput{
					OwnerIds: []string{owner}, Filters: []ec2types.Filter{filter("volume-id", volume)},
				}))(c)
				ids := []string{}
				for _, s := range out.Snapshots {
					ids = append(ids, *s.SnapshotId)
				}
				return ids
			}
			c.equal("self", owned("self"), []string{id})
			c.equal("our account", owned(c.account), []string{id})
			c.equal("another account", owned(stranger), []string{})
		},
	},
	{
		ID: "ec2-filters-and-or", Service: theEC2,
		Says:   "All filters have to match, and for each of them one of its values.",
		Source: from(filtering, in("ec2", "Using_Filtering", unread)),
		Run: func(c *check) {
			volume, name := c.volume(nil), c.name()
			a, b := c.snapshot(volume, "of", name, "is", "a"), c.snapshot(volume, "of", name, "is", "b")
			c.equal("one filter", c.find(filter("tag:of", name)), sorted(a, b))
			c.equal("two filters", c.find(filter("tag:of", name), filter("tag:is", "a")), []string{a})
			c.equal("two values", c.find(filter("tag:of", name), filter("tag:is", "b", "c")), []string{b})
			c.equal("two filters that exclude each other", c.find(filter("snapshot-id", a), filter("tag:is", "b")), []string{})
		},
	},
	{
		ID: "ec2-filters-wildcards", Service: theEC2,
		Says:   "In the values of filters * is any text and ? any character; a backslash takes that from them.",
		Source: from(filtering, in("ec2", "Using_Filtering", unread)),
		Run: func(c *check) {
			volume := c.volume(nil)
			star, x := c.snapshot(volume, "k", "R*1"), c.snapshot(volume, "k", "Rx1")
			of := filter("volume-id", volume)
			for value, want := range map[string][]string{
				"R*": sorted(star, x), "?x1": {x}, "R??1": {}, `R\*1`: {star}, "Rx": {},
			} {
				c.equal("the value "+value, c.find(of, filter("tag:k", value)), want)
			}
		},
	},
	{
		ID: "ec2-filters-case", Service: theEC2,
		Says:   "The values of filters are compared with their case.",
		Source: from(in("ec2", "Using_Filtering", unread)),
		Run: func(c *check) {
			id, name := c.snap(), c.name()
			must(0, c.tag(id, "k", name+"X"))(c)
			c.equal("the same case", c.find(filter("tag:k", name+"X")), []string{id})
			c.equal("another case", c.find(filter("tag:k", name+"x")), []string{})
		},
	},
	{
		ID: "ec2-filter-fields", Service: theEC2,
		Says: "DescribeSnapshots has the filters description, encrypted, owner-id, progress, snapshot-id, start-time, status, storage-tier, " +
			"tag:KEY, tag-key, volume-id and volume-size.",
		Source: from(api("ec2", "DescribeSnapshots")),
		Run: func(c *check) {
			volume, name := c.volume(nil), c.name()
			made := must(c.ec2.CreateSnapshot(c.ctx, &ec2.CreateSnapshotInput{VolumeId: &volume, Description: &name, TagSpecifications: tagged(name, "b")}))(c)
			id := *made.SnapshotId
			day := made.StartTime.UTC().Format(time.DateOnly)
			for field, values := range map[string][2]string{ // one that matches, and one that does not
				"description": {name, "x"}, "encrypted": {"false", "true"}, "owner-id": {c.account, stranger}, "progress": {"100%", "1%"},
				"snapshot-id": {id, noSnapshot}, "start-time": {day + "*", "2001-*"}, "status": {"completed", "error"},
				"storage-tier": {"standard", "archive"}, "tag:" + name: {"b", "c"}, "tag-key": {name, "x"}, "volume-id": {volume, noVolume},
				"volume-size": {"1", "2"},
			} {
				called := field
				if field == "tag:"+name {
					called = "tag:KEY"
				}
				for n, want := range [][]string{{id}, {}} {
					got, err := c.finding(filter("snapshot-id", id), filter(field, values[n]))
					if c.ok(called+" works", err) {
						c.equal(fmt.Sprintf("%s finds %d", called, len(want)), got, want)
					}
				}
			}
		},
	},
}
