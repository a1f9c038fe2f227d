package conformance

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// snapshotTag tags snapshots that are made.
func snapshotTag(key, value string) []types.TagSpecification {
	return []types.TagSpecification{{ResourceType: "snapshot", Tags: []types.Tag{{Key: &key, Value: &value}}}}
}

var cliOthers = []behaviour{
	{
		ID: "aws-sns-subscribe-and-publish", Service: theSNS, Via: viaCLI,
		Says:   "create-topic prints TopicArn, subscribe SubscriptionArn, publish MessageId; attributes of a publish arrive as those of the SQS message.",
		Source: from(api("sns", "Subscribe"), api("sns", "Publish"), in("sns", "sns-large-payload-raw-message-delivery", page)),
		Run: func(c *check) {
			topic, _ := c.cliJSON("sns", "create-topic", "--name", c.name())["TopicArn"].(string)
			c.need("TopicArn", strings.HasPrefix(topic, "arn:aws:sns:"), topic)
			queue, arn := c.listener(topic)
			subscription, _ := c.cliJSON("sns", "subscribe", "--topic-arn", topic, "--protocol", "sqs", "--notification-endpoint", arn,
				"--attributes", "RawMessageDelivery=true")["SubscriptionArn"].(string)
			c.is("SubscriptionArn", strings.HasPrefix(subscription, topic+":"), subscription)
			out := c.cliJSON("sns", "publish", "--topic-arn", topic, "--message", "m", "--subject", "[FAILED] db1",
				"--message-attributes", `{"status":{"DataType":"String","StringValue":"failed"}}`)
			c.is("MessageId", out["MessageId"] != nil, out)
			m := c.delivered("delivered", queue)
			c.equal("the body", *m.Body, "m")
			c.equal("its attribute", value(m.MessageAttributes["status"].StringValue), "failed")
		},
	},
	{
		ID: "aws-sns-topic-missing", Service: theSNS, Via: viaCLI,
		Says:   "A topic that is not there: the CLI names NotFound.",
		Source: from(seen("sns", "test_unknown_topic_publish"), cliCodes),
		Run: func(c *check) {
			p := c.cli("sns", "publish", "--topic-arn", c.topic(nil)+"-not", "--message", "m")
			c.cliRefused(p, "NotFound", "Publish", "does not exist")
		},
	},
	{
		ID: "aws-sns-subject-too-long", Service: theSNS, Via: viaCLI,
		Says:   "A subject of 100 characters: the CLI names InvalidParameter.",
		Source: from(api("sns", "Publish"), cliCodes),
		Run: func(c *check) {
			p := c.cli("sns", "publish", "--topic-arn", c.topic(nil), "--message", "m", "--subject", strings.Repeat("s", 100))
			c.cliRefused(p, "InvalidParameter", "Publish", "Subject")
		},
	},
	{
		ID: "aws-sts-get-caller-identity", Service: theSTS, Via: viaCLI,
		Says:   "get-caller-identity prints UserId, Account and Arn.",
		Source: from(api("sts", "GetCallerIdentity")),
		Run: func(c *check) {
			out := c.cliJSON("sts", "get-caller-identity")
			c.equal("Account", out["Account"], any(c.account))
			c.is("UserId and Arn", out["UserId"] != nil && out["Arn"] != nil, out)
		},
	},
	{
		ID: "aws-ec2-create-snapshots-dry-run", Service: theEC2, Via: viaCLI,
		Says:   "create-snapshots --dry-run makes nothing, exits with 255 (version 2: 254), and names DryRunOperation: the request would have succeeded.",
		Source: from(api("ec2", "CreateSnapshots"), cliCodes),
		Run: func(c *check) {
			instance, volume := c.clientInstance()
			p := c.cli("ec2", "create-snapshots", "--instance-specification", "InstanceId="+instance, "--dry-run")
			c.cliRefused(p, "DryRunOperation", "CreateSnapshots", "Request would have succeeded, but DryRun flag is set")
			out := c.cliJSON("ec2", "describe-snapshots", "--filters", "Name=volume-id,Values="+volume)
			c.equal("nothing is made", out["Snapshots"], any([]any{}))
		},
	},
	{
		ID: "aws-ec2-create-snapshots", Service: theEC2, Via: viaCLI,
		Says:   "create-snapshots prints an entry for each volume: SnapshotId, VolumeId, State pending, and the tags of the call.",
		Source: from(api("ec2", "CreateSnapshots"), api("ec2", "SnapshotInfo")),
		Run: func(c *check) {
			instance, volume := c.clientInstance()
			out := c.cliJSON("ec2", "create-snapshots", "--instance-specification", "InstanceId="+instance, "--description", "nightly",
				"--tag-specifications", "ResourceType=snapshot,Tags=[{Key=plan,Value=hourly}]")
			list, _ := out["Snapshots"].([]any)
			c.need("one", len(list) == 1, out)
			is, _ := list[0].(map[string]any)
			id, _ := is["SnapshotId"].(string)
			c.is("SnapshotId", strings.HasPrefix(id, "snap-"), id)
			c.equal("VolumeId", is["VolumeId"], any(volume))
			c.equal("State", is["State"], any("pending"))
			c.equal("Description", is["Description"], any("nightly"))
			c.equal("Tags", is["Tags"], any([]any{map[string]any{"Key": "plan", "Value": "hourly"}}))
		},
	},
	{
		ID: "aws-ec2-wait-snapshot-completed", Service: theEC2, Via: viaCLI,
		Says:   "wait snapshot-completed ends with 0, and prints nothing, when the snapshots are completed.",
		Source: from(api("ec2", "DescribeSnapshots"), cliDocument("ec2/wait", "snapshot-completed")),
		Run: func(c *check) {
			_, volume := c.clientInstance()
			id, _ := c.clientSnapshot(volume)
			c.equal("nothing", c.cli("ec2", "wait", "snapshot-completed", "--snapshot-ids", id), printed{})
		},
	},
	{
		ID: "aws-ec2-describe-snapshots-query", Service: theEC2, Via: viaCLI,
		Says:   "describe-snapshots by a tag of our own prints the one snapshot that has it, completed, at 100%; by a tag that none has, an empty list.",
		Source: from(api("ec2", "DescribeSnapshots"), api("ec2", "Snapshot")),
		Run: func(c *check) {
			_, volume := c.clientInstance()
			id, tag := c.clientSnapshot(volume)
			p := c.cli("ec2", "describe-snapshots", "--owner-ids", "self", "--filters", "Name=tag:conformance,Values="+tag,
				"--query", "Snapshots[].[SnapshotId,State,Progress,VolumeId]", "--output", "text")
			c.equal("the one", p, printed{Out: strings.Join([]string{id, "completed", "100%", volume}, "\t")})
			p = c.cli("ec2", "describe-snapshots", "--owner-ids", "self", "--filters", "Name=tag:conformance,Values=not-"+tag, "--query", "length(Snapshots)")
			c.equal("none", p, printed{Out: "0"})
		},
	},
	{
		ID: "aws-ec2-snapshot-missing", Service: theEC2, Via: viaCLI,
		Says:   "A snapshot that is not there: the CLI names InvalidSnapshot.NotFound.",
		Source: from(at("https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html", unread), cliCodes),
		Run: func(c *check) {
			const id = "snap-0123456789abcdef0"
			p := c.cli("ec2", "describe-snapshots", "--snapshot-ids", id)
			c.cliRefused(p, "InvalidSnapshot.NotFound", "DescribeSnapshots", id)
		},
	},
	{
		ID: "aws-ec2-create-tags", Service: theEC2, Via: viaCLI,
		Says:   "create-tags and delete-tags print nothing; describe-tags prints the tags of a resource.",
		Source: from(api("ec2", "CreateTags"), api("ec2", "DeleteTags"), api("ec2", "DescribeTags")),
		Run: func(c *check) {
			_, volume := c.clientInstance()
			c.equal("nothing for create-tags", c.cli("ec2", "create-tags", "--resources", volume, "--tags", "Key=a,Value=1", "Key=b,Value=2"), printed{})
			c.equal("nothing for delete-tags", c.cli("ec2", "delete-tags", "--resources", volume, "--tags", "Key=a"), printed{})
			p := c.cli("ec2", "describe-tags", "--filters", fmt.Sprintf("Name=resource-id,Values=%s", volume), "--query", "Tags[].[Key,Value,ResourceType]", "--output", "text")
			c.equal("what is left", p, printed{Out: "b\t2\tvolume"})
		},
	},
}
