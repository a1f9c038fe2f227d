package conformance

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// some are n tags, as pairs.
func some(n int) []string {
	var out []string
	for i := range n {
		out = append(out, fmt.Sprint("k", i), "v")
	}
	return out
}

// ec2Tags are tags of snapshots.
var ec2Tags = []behaviour{
	{
		ID: "ec2-tags-max-50", Service: theEC2,
		Says:   "A resource has at most 50 tags; one more is refused with TagLimitExceeded, HTTP 400, and changing one of the 50 is not.",
		Source: from(api("ec2", "CreateTags"), ec2Codes),
		Run: func(c *check) {
			id := c.snap()
			c.ok("50", c.tag(id, some(50)...))
			c.refused("one more", c.tag(id, "more", "v"), 400, "TagLimitExceeded")
			c.ok("one changed", c.tag(id, "k0", "new"))
			tags := tagMap(c.describe(id).Tags)
			c.equal("tags", len(tags), 50)
			c.equal("the changed one", tags["k0"], "new")
		},
	},
	{
		ID: "ec2-tags-create-atomic-limit", Service: theEC2,
		Says:   "CreateSnapshots with 51 tags fails, and makes no snapshot.",
		Source: from(api("ec2", "CreateTags"), ec2Codes),
		Run: func(c *check) {
			m := c.machine(1)
			_, err := c.set(m, func(in *ec2.CreateSnapshotsInput) { in.TagSpecifications = tagged(some(51)...) })
			c.refused("refused", err, 400, "TagLimitExceeded")
			c.equal("nothing is made", len(c.find(filter("volume-id", m.all()...))), 0)
		},
	},
	{
		ID: "ec2-tags-aws-prefix", Service: theEC2,
		Says:   "A key that begins with aws: is refused, by CreateTags and by what makes resources with tags.",
		Source: from(api("ec2", "Tag")),
		Run: func(c *check) {
			volume := c.volume(nil)
			id := c.snapshot(volume)
			c.refused("CreateTags", c.tag(id, "aws:x", "y"), 400)
			_, err := c.ec2.CreateSnapshot(c.ctx, &ec2.CreateSnapshotInput{VolumeId: &volume, TagSpecifications: tagged("aws:x", "y")})
			c.refused("CreateSnapshot", err, 400)
			c.equal("snapshots", c.find(filter("volume-id", volume)), []string{id})
		},
	},
	{
		ID: "ec2-tags-length", Service: theEC2,
		Says:   "A key has at most 127 characters (128 by the user guide) and a value at most 256; longer ones are refused, HTTP 400.",
		Source: from(api("ec2", "Tag")),
		Run: func(c *check) {
			id := c.snap()
			c.ok("127 and 256", c.tag(id, strings.Repeat("ä", 127), strings.Repeat("ö", 256)))
			c.refused("a key of 129", c.tag(id, strings.Repeat("k", 129), "v"), 400)
			c.refused("a value of 257", c.tag(id, "k", strings.Repeat("v", 257)), 400)
		},
	},
	{
		ID: "ec2-tags-duplicate-key", Service: theEC2,
		Says:   "The same key twice in one request is refused: keys are unique in a resource.",
		Source: from(api("ec2", "CreateTags")),
		Run: func(c *check) {
			id := c.snap()
			c.refused("refused", c.tag(id, "k", "a", "k", "b"), 400)
			c.equal("nothing is tagged", len(c.describe(id).Tags), 0)
		},
	},
	{
		ID: "ec2-tags-case", Service: theEC2,
		Says:   "Keys and values have their case: k and K are two tags.",
		Source: from(api("ec2", "Tag")),
		Run: func(c *check) {
			id := c.snap()
			c.ok("tagged", c.tag(id, "k", "a", "K", "b"))
			c.equal("tags", tagMap(c.describe(id).Tags), map[string]string{"k": "a", "K": "b"})
		},
	},
	{
		ID: "ec2-tags-empty-value", Service: theEC2,
		Says:   "A tag without a value gets the empty text.",
		Source: from(api("ec2", "CreateTags")),
		Run: func(c *check) {
			id := c.snap()
			_, err := c.ec2.CreateTags(c.ctx, &ec2.CreateTagsInput{Resources: []string{id}, Tags: []ec2types.Tag{{Key: ptr("k")}}})
			c.ok("tagged", err)
			tags := c.describe(id).Tags
			c.is("an empty value", len(tags) == 1 && tags[0].Value != nil && *tags[0].Value == "", len(tags))
		},
	},
	{
		ID: "ec2-tags-missing-resource", Service: theEC2,
		Says:   "CreateTags of a snapshot that is not there is InvalidSnapshot.NotFound, HTTP 400.",
		Source: from(ec2Client, ec2Codes),
		Run: func(c *check) {
			c.calm()
			c.refused("refused", c.tag(noSnapshot, "a", "b"), 400, "InvalidSnapshot.NotFound")
		},
	},
	{
		ID: "ec2-tags-delete", Service: theEC2,
		Says: "DeleteTags with a key deletes the tag, with a value only if it has that value; a key that is not there is no error. " +
			"Without tags it deletes all.",
		Source: from(api("ec2", "DeleteTags")),
		Run: func(c *check) {
			id := c.snap()
			must(0, c.tag(id, "a", "1", "b", "2", "c", "3"))(c)
			remove := func(what string, tags ...ec2types.Tag) {
				_, err := c.ec2.DeleteTags(c.ctx, &ec2.DeleteTagsInput{Resources: []string{id}, Tags: tags})
				c.ok(what, err)
			}
			remove("by key", ec2types.Tag{Key: ptr("a")})
			remove("by another value", ec2types.Tag{Key: ptr("b"), Value: ptr("9")})
			remove("by the empty value", ec2types.Tag{Key: ptr("b"), Value: ptr("")})
			remove("one that is not there", ec2types.Tag{Key: ptr("z")})
			c.equal("what is left", tagMap(c.describe(id).Tags), map[string]string{"b": "2", "c": "3"})
			remove("by value", ec2types.Tag{Key: ptr("b"), Value: ptr("2")})
			c.equal("what is left then", tagMap(c.describe(id).Tags), map[string]string{"c": "3"})
			remove("all")
			c.equal("what is left at last", len(c.describe(id).Tags), 0)
		},
	},
}
