package conformance

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

var snsDelivery = []behaviour{
	{
		ID: "sns-publish-wrapped-envelope", Service: theSNS,
		Says: "A queue gets a JSON object with Type Notification, MessageId, TopicArn, Message, Timestamp, SignatureVersion 1, Signature, " +
			"SigningCertURL and UnsubscribeURL, and with Subject and MessageAttributes only where there are any; the SQS message has no attributes.",
		Source: from(seen("sns", "test_publish_sqs_from_sns, test_publish_message_before_subscribe_topic"), in("sns", "sns-large-payload-raw-message-delivery", page)),
		Run: func(c *check) {
			topic := c.topic(nil)
			queue, _ := c.subscribed(topic, nil)
			out := must(c.sns.Publish(c.ctx, &sns.PublishInput{TopicArn: &topic, Message: ptr("m"), Subject: ptr("s"), MessageAttributes: notes("k", "v")}))(c)
			m := c.delivered("delivered", queue)
			e := c.envelope(m)
			must := []string{
				"Message", "MessageAttributes", "MessageId", "Signature", "SignatureVersion", "SigningCertURL", "Subject", "Timestamp",
				"TopicArn", "Type", "UnsubscribeURL",
			}
			c.equal("its members", slices.Sorted(maps.Keys(e)), must)
			c.equal("Type", e["Type"], any("Notification"))
			c.equal("MessageId", e["MessageId"], any(*out.MessageId))
			c.equal("TopicArn", e["TopicArn"], any(topic))
			c.equal("Message", e["Message"], any("m"))
			c.equal("Subject", e["Subject"], any("s"))
			c.equal("SignatureVersion", e["SignatureVersion"], any("1"))
			c.equal("MessageAttributes", e["MessageAttributes"], any(map[string]any{"k": map[string]any{"Type": "String", "Value": "v"}}))
			stamp, _ := e["Timestamp"].(string)
			c.is("Timestamp", regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$`).MatchString(stamp), stamp)
			c.equal("no attributes of the SQS message", len(m.MessageAttributes), 0)
			c.is("another id than the SQS message's", e["MessageId"] != *m.MessageId)

			c.ok("published without", c.publishing(topic, "m", nil))
			e = c.envelope(c.delivered("delivered", queue))
			c.equal("its members without", slices.Sorted(maps.Keys(e)), slices.DeleteFunc(must, func(s string) bool {
				return s == "Subject" || s == "MessageAttributes"
			}))
		},
	},
	{
		ID: "sns-raw-delivery", Service: theSNS,
		Says:   "With RawMessageDelivery the body is the message as it is and its attributes are those of the SQS message; the subject is lost.",
		Source: from(in("sns", "sns-large-payload-raw-message-delivery", page)),
		Run: func(c *check) {
			topic := c.topic(nil)
			queue, _ := c.subscribed(topic, raw)
			must(c.sns.Publish(c.ctx, &sns.PublishInput{TopicArn: &topic, Message: ptr("m"), Subject: ptr("s"), MessageAttributes: notes("k", "v")}))(c)
			m := c.delivered("delivered", queue)
			c.equal("the body", *m.Body, "m")
			if c.is("one attribute", len(m.MessageAttributes) == 1, len(m.MessageAttributes)) {
				c.equal("its value", value(m.MessageAttributes["k"].StringValue), "v")
			}
		},
	},
	{
		ID: "sns-raw-over-10-attributes-discarded", Service: theSNS,
		Says:   "A message with more than 10 attributes is not delivered raw to a queue, which has place for 10; others get it, and Publish succeeds.",
		Source: from(in("sns", "SNSMessageAttributes", page)),
		Run: func(c *check) {
			topic := c.topic(nil)
			rawQueue, _ := c.subscribed(topic, raw)
			wrapped, _ := c.subscribed(topic, nil)
			with := notes()
			for i := range 11 {
				maps.Copy(with, notes(fmt.Sprintf("a%d", i), "x"))
			}
			c.ok("published", c.publishing(topic, "m", with))
			c.delivered("delivered in an envelope", wrapped)
			c.empty("not delivered raw", rawQueue)
		},
	},
	{
		ID: "sns-raw-value-invalid", Service: theSNS,
		Says:   "RawMessageDelivery other than true or false is InvalidParameter, HTTP 400.",
		Source: from(seen("sns", "test_validate_set_sub_attributes")),
		Run: func(c *check) {
			_, subscription := c.subscribed(c.topic(nil), nil)
			_, err := c.sns.SetSubscriptionAttributes(c.ctx, &sns.SetSubscriptionAttributesInput{
				SubscriptionArn: &subscription, AttributeName: ptr("RawMessageDelivery"), AttributeValue: ptr("foo"),
			})
			c.refused("foo", err, 400, "InvalidParameter")
		},
	},
	{
		ID: "sns-fan-out", Service: theSNS,
		Says:   "Each subscription of a topic gets each message; one that comes later gets only what is published after it.",
		Source: from(api("sns", "Publish"), seen("sns", "test_publish_message_before_subscribe_topic")),
		Run: func(c *check) {
			topic := c.topic(nil)
			first, _ := c.subscribed(topic, raw)
			must(0, c.publishing(topic, "one", nil))(c)
			second, _ := c.subscribed(topic, raw)
			must(0, c.publishing(topic, "two", nil))(c)
			c.equal("the first", c.bodies(first, 2), []string{"one", "two"})
			c.equal("the second", c.bodies(second, 1), []string{"two"})
		},
	},
	{
		ID: "sns-publish-to-failed-subscriber-ok", Service: theSNS,
		Says:   "Publish succeeds though a subscribed queue is gone; the message goes to the dead-letter queue of the subscription.",
		Source: from(seen("sns", "test_redrive_policy_sqs_queue_subscription, test_subscription_after_failure_to_deliver"), api("sns", "Subscribe")),
		Run: func(c *check) {
			topic := c.topic(nil)
			queue, dead := c.undeliverable(topic, nil)
			must(c.sqs.DeleteQueue(c.ctx, &sqs.DeleteQueueInput{QueueUrl: &queue}))(c)
			if c.ok("published", c.publishing(topic, "m", nil)) {
				c.equal("in the dead-letter queue", len(c.receive(dead, waiting(3))), 1)
			}
		},
	},
	{
		ID: "sns-dlq-message-shape", Service: theSNS,
		Says:   "The dead-letter queue of a subscription gets a message in the shape of the delivery: the envelope, or raw with its attributes.",
		Source: from(seen("sns", "test_redrive_policy_sqs_queue_subscription")),
		Run: func(c *check) {
			topic := c.topic(nil)
			one, wrapped := c.undeliverable(topic, nil)
			two, rawDead := c.undeliverable(topic, raw)
			for _, queue := range []string{one, two} {
				must(c.sqs.DeleteQueue(c.ctx, &sqs.DeleteQueueInput{QueueUrl: &queue}))(c)
			}
			if !c.ok("published", c.publishing(topic, "m", notes("k", "v"))) {
				return
			}
			c.equal("the envelope", c.envelope(c.delivered("delivered wrapped", wrapped))["Message"], any("m"))
			m := c.delivered("delivered raw", rawDead)
			c.equal("raw", *m.Body, "m")
			c.equal("with its attributes", value(m.MessageAttributes["k"].StringValue), "v")
		},
	},
	{
		ID: "sns-needs-queue-policy", Service: theSNS,
		Says: "A queue whose policy does not let the topic send gets nothing, and Publish succeeds; once the policy is there, messages arrive.",
		Source: from(at("https://aws.amazon.com/blogs/developer/subscribing-an-sqs-queue-to-an-sns-topic/", page),
			at("https://docs.aws.amazon.com/AWSJavaSDK/latest/javadoc/com/amazonaws/services/sns/util/Topics.html", page),
			in("sns", "subscribe-sqs-queue-to-sns-topic", unread)),
		Run: func(c *check) {
			topic := c.topic(nil)
			control, _ := c.subscribed(topic, raw)
			queue := c.queue(nil)
			arn := c.queueARN(queue)
			must(c.sns.Subscribe(c.ctx, &sns.SubscribeInput{TopicArn: &topic, Protocol: ptr("sqs"), Endpoint: &arn, Attributes: raw}))(c)
			c.ok("published", c.publishing(topic, "before", nil))
			c.bodies(control, 1) // by then it would have come
			must(0, c.setQueue(queue, attributes{"Policy": allow(arn, "sns.amazonaws.com", topic)}))(c)
			c.ok("published again", c.publishing(topic, "after", nil))
			c.equal("only after the policy", c.bodies(queue, 1), []string{"after"})
		},
	},
	{
		ID: "sns-timestamp-is-publish-time", Service: theSNS, Needs: clock,
		Says:   "Timestamp in the envelope is the time of the Publish, not of the receive.",
		Source: from(in("sns", "sns-message-and-json-formats", page)),
		Run: func(c *check) {
			topic := c.topic(nil)
			queue, _ := c.subscribed(topic, nil)
			c.move(48 * time.Hour)
			at := c.ours.Now()
			must(0, c.publishing(topic, "m", nil))(c)
			c.move(5 * time.Hour)
			stamp, _ := c.envelope(c.delivered("delivered", queue))["Timestamp"].(string)
			got, err := time.Parse(time.RFC3339, stamp)
			c.is("that of the Publish", err == nil && got.Sub(at).Abs() < time.Minute, stamp)
			c.is("in UTC", strings.HasSuffix(stamp, "Z"), stamp)
		},
	},
}

// undeliverable makes a subscribed queue and the dead-letter queue of its subscription.
func (c *check) undeliverable(topic string, with attributes) (queue, dead string) {
	queue, subscription := c.subscribed(topic, with)
	dead, arn := c.listener(topic)
	must(c.sns.SetSubscriptionAttributes(c.ctx, &sns.SetSubscriptionAttributesInput{
		SubscriptionArn: &subscription, AttributeName: ptr("RedrivePolicy"), AttributeValue: ptr(fmt.Sprintf(`{"deadLetterTargetArn":%q}`, arn)),
	}))(c)
	return queue, dead
}
