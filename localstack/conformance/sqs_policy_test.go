package conformance

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// allow is a policy that lets a service send to a queue on behalf of a resource.
func allow(queue, service, source string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":%q},"Action":"sqs:SendMessage",`+
		`"Resource":%q,"Condition":{"ArnEquals":{"aws:SourceArn":%q}}}]}`, service, queue, source)
}

var sqsPolicy = []behaviour{
	{
		ID: "sqs-policy-enforced-for-services", Service: theSQS,
		Says: "SNS can send to a queue whose policy allows sns.amazonaws.com with that topic as aws:SourceArn; with no policy, or one for " +
			"another topic, nothing arrives, and Publish succeeds all the same.",
		Source: from(in("events", "eb-use-resource-based", guide), at("https://aws.amazon.com/blogs/developer/subscribing-an-sqs-queue-to-an-sns-topic/", page),
			at("https://docs.aws.amazon.com/AWSJavaSDK/latest/javadoc/com/amazonaws/services/sns/util/Topics.html", page)),
		Run: func(c *check) {
			topic := c.topic(nil)
			none, other, right := c.queue(nil), c.queue(nil), c.queue(nil)
			must(0, c.setQueue(other, attributes{"Policy": allow(c.queueARN(other), "sns.amazonaws.com", topic+"-other")}))(c)
			must(0, c.setQueue(right, attributes{"Policy": allow(c.queueARN(right), "sns.amazonaws.com", topic)}))(c)
			for _, queue := range []string{none, other, right} {
				must(c.sns.Subscribe(c.ctx, &sns.SubscribeInput{TopicArn: &topic, Protocol: ptr("sqs"), Endpoint: ptr(c.queueARN(queue))}))(c)
			}
			_, err := c.sns.Publish(c.ctx, &sns.PublishInput{TopicArn: &topic, Message: ptr("m")})
			c.ok("published", err)
			c.equal("delivered with the policy", len(c.receive(right, waiting(2))), 1)
			c.empty("not without one", none)
			c.empty("not with that of another topic", other)
		},
	},
	{
		ID: "sqs-policy-deny", Service: theSQS,
		Says: "A Deny in the policy of a queue refuses a call of its owner, too: HTTP 403.",
		Source: from(source{guides["sqs"] + "sqs-creating-custom-policies-evaluation-logic.html", "which speaks of others than the owner", page},
			at("https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html", unread)),
		Run: func(c *check) {
			queue := c.queue(nil)
			must(0, c.setQueue(queue, attributes{"Policy": fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*",`+
				`"Action":"sqs:SendMessage","Resource":%q}]}`, c.queueARN(queue))}))(c)
			c.refused("sent", c.sending(queue, "m", nil), 403)
			_, err := c.sqs.ReceiveMessage(c.ctx, &sqs.ReceiveMessageInput{QueueUrl: &queue})
			c.ok("what it does not name is allowed", err)
		},
	},
	{
		ID: "sqs-policy-invalid", Service: theSQS,
		Says:   "A Policy that is not JSON is InvalidAttributeValue, HTTP 400.",
		Source: from(api("sqs", "SetQueueAttributes")),
		Run: func(c *check) {
			c.refused("refused", c.setQueue(c.queue(nil), attributes{"Policy": "nojson"}), 400, "InvalidAttributeValue")
		},
	},
	{
		ID: "sqs-addpermission-label", Service: theSQS,
		Says: "AddPermission adds a statement whose Sid is the label; the label again, and RemovePermission of one that is not there, is " +
			"InvalidParameterValue, HTTP 400.",
		Source: from(api("sqs", "AddPermission"), seen("sqs", "test_sqs_permission_lifecycle")),
		Run: func(c *check) {
			queue := c.queue(nil)
			in := &sqs.AddPermissionInput{QueueUrl: &queue, Label: ptr("mine"), AWSAccountIds: []string{"444455556666"}, Actions: []string{"SendMessage"}}
			_, err := c.sqs.AddPermission(c.ctx, in)
			if !c.ok("added", err) {
				return
			}
			var policy struct {
				Statement []struct{ Sid, Effect string }
			}
			text := c.queueAttributes(queue)["Policy"]
			err = json.Unmarshal([]byte(text), &policy)
			c.is("a statement", err == nil && len(policy.Statement) == 1 && policy.Statement[0].Sid == "mine" && policy.Statement[0].Effect == "Allow", text)
			_, err = c.sqs.AddPermission(c.ctx, in)
			c.refused("added again", err, 400, "InvalidParameterValue")
			_, err = c.sqs.RemovePermission(c.ctx, &sqs.RemovePermissionInput{QueueUrl: &queue, Label: ptr("other")})
			c.refused("removed another", err, 400, "InvalidParameterValue")
			_, err = c.sqs.RemovePermission(c.ctx, &sqs.RemovePermissionInput{QueueUrl: &queue, Label: ptr("mine")})
			c.ok("removed", err)
		},
	},
	{
		ID: "sqs-purge-again-after-60s", Service: theSQS, Needs: clock,
		Says:   "A queue can be purged again after 60 seconds.",
		Source: from(api("sqs", "PurgeQueue")),
		Run: func(c *check) {
			queue := c.queue(nil)
			must(c.sqs.PurgeQueue(c.ctx, &sqs.PurgeQueueInput{QueueUrl: &queue}))(c)
			c.move(61 * time.Second)
			_, err := c.sqs.PurgeQueue(c.ctx, &sqs.PurgeQueueInput{QueueUrl: &queue})
			c.ok("purged again", err)
		},
	},
}
