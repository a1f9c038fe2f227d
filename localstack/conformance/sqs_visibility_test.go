package conformance

import (
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

var sqsVisibility = []behaviour{
	{
		ID: "sqs-visibility-default-30", Service: theSQS, Needs: clock,
		Says:   "A queue made without attributes has a VisibilityTimeout of 30, and hides a received message for 30 seconds.",
		Source: from(api("sqs", "CreateQueue")),
		Run: func(c *check) {
			queue := c.queue(nil)
			c.equal("the attribute", c.queueAttributes(queue)["VisibilityTimeout"], "30")
			c.send(queue, "m")
			c.one(queue)
			c.empty("hidden at once", queue)
			c.move(29 * time.Second)
			c.empty("hidden after 29 s", queue)
			c.move(2 * time.Second)
			c.equal("back after 31 s", len(c.receive(queue)), 1)
		},
	},
	{
		ID: "sqs-visibility-expiry-redelivers", Service: theSQS, Needs: pauses,
		Says:   "A message that is neither deleted nor extended can be received again when its visibility timeout ends, with the same MessageId.",
		Source: from(api("sqs", "ReceiveMessage"), in("sqs", "sqs-visibility-timeout", guide)),
		Run: func(c *check) {
			queue := c.queue(nil)
			id := c.send(queue, "m")
			c.one(queue, hiddenFor(c.ticks(1)))
			c.empty("hidden before", queue)
			c.pause(1.3)
			if got := c.receive(queue); c.is("there again after", len(got) == 1, len(got)) {
				c.equal("with its MessageId", *got[0].MessageId, id)
			}
		},
	},
	{
		ID: "sqs-visibility-change-counts-from-call", Service: theSQS, Needs: pauses,
		Says:   "ChangeMessageVisibility counts from the call, not from the receive nor from the end that was set before.",
		Source: from(api("sqs", "ChangeMessageVisibility")),
		Run: func(c *check) {
			queue := c.queue(nil)
			c.send(queue, "m")
			m := c.one(queue, hiddenFor(c.ticks(1)))
			c.pause(0.5)
			c.ok("changed to 2", c.change(queue, m.ReceiptHandle, c.ticks(2)))
			c.pause(1)
			c.empty("hidden after the first timeout", queue)
			c.pause(1.4)
			c.equal("back 2 s after the change", len(c.receive(queue)), 1)
		},
	},
	{
		ID: "sqs-visibility-change-this-receipt-only", Service: theSQS, Needs: pauses,
		Says:   "A changed timeout is for this receipt only: the next receive has the queue's again.",
		Source: from(api("sqs", "ChangeMessageVisibility"), in("sqs", "sqs-visibility-timeout", guide)),
		Run: func(c *check) {
			queue := c.queue(attributes{"VisibilityTimeout": strconv.Itoa(int(c.ticks(1)))})
			c.send(queue, "m")
			m := c.one(queue)
			c.ok("changed to 600", c.change(queue, m.ReceiptHandle, 600))
			c.release(queue, m.ReceiptHandle)
			c.one(queue)
			c.empty("hidden by the next receive", queue)
			c.pause(1.3)
			c.equal("and back after the queue's timeout", len(c.receive(queue)), 1)
		},
	},
	{
		ID: "sqs-visibility-zero-releases", Service: theSQS,
		Says:   "ChangeMessageVisibility with 0 makes a message receivable at once.",
		Source: from(in("sqs", "sqs-visibility-timeout", guide)),
		Run: func(c *check) {
			queue := c.queue(nil)
			id := c.send(queue, "m")
			m := c.one(queue)
			c.ok("changed to 0", c.change(queue, m.ReceiptHandle, 0))
			if got := c.receive(queue); c.is("there at once", len(got) == 1, len(got)) {
				c.equal("the same message", *got[0].MessageId, id)
			}
		},
	},
	{
		ID: "sqs-visibility-range-0-43200", Service: theSQS,
		Says:   "A visibility timeout above 43,200 or below 0, on a receive or on a change, is InvalidParameterValue, HTTP 400.",
		Source: from(api("sqs", "ChangeMessageVisibility"), api("sqs", "ReceiveMessage")),
		Run: func(c *check) {
			queue := c.queue(nil)
			c.send(queue, "m")
			m := c.one(queue)
			c.refused("change to 43201", c.change(queue, m.ReceiptHandle, 43201), 400, "InvalidParameterValue")
			c.refused("change to -1", c.change(queue, m.ReceiptHandle, -1), 400, "InvalidParameterValue")
			for what, seconds := range map[string]int32{"receive with 43201": 43201, "receive with -1": -1} {
				_, err := c.sqs.ReceiveMessage(c.ctx, &sqs.ReceiveMessageInput{QueueUrl: &queue, VisibilityTimeout: seconds})
				c.refused(what, err, 400, "InvalidParameterValue")
			}
		},
	},
	{
		ID: "sqs-visibility-12h-from-receive", Service: theSQS, Needs: clock,
		Says: "The 12 hours run from the ReceiveMessage, and extending does not start them anew: a timeout that would pass them is " +
			"InvalidParameterValue and changes nothing; it is not cut down to what is left.",
		Source: from(api("sqs", "ChangeMessageVisibility"), at("https://github.com/awsdocs/amazon-sqs-developer-guide/pull/40", issue),
			at("https://github.com/aws/aws-sdk-net/issues/794", issue), at("https://github.com/localstack/localstack/issues/3956", issue)),
		Run: func(c *check) {
			queue := c.queue(nil)
			c.send(queue, "m")
			c.move(2 * time.Hour) // in the queue, which does not count
			m := c.one(queue)
			c.ok("almost 12 h right after the receive", c.change(queue, m.ReceiptHandle, 43190))
			c.move(time.Hour)
			c.refusedSaying("12 h an hour later", c.change(queue, m.ReceiptHandle, 43200), 400, "InvalidParameterValue",
				"Total VisibilityTimeout for the message is beyond the limit [43200 seconds]")
			c.ok("what is left of the 12 h", c.change(queue, m.ReceiptHandle, 39500))
			c.move(39400 * time.Second)
			c.empty("hidden until shortly before", queue)
			c.refused("ten minutes more", c.change(queue, m.ReceiptHandle, 600), 400, "InvalidParameterValue")
			c.move(3 * time.Minute)
			c.equal("back after 12 h", len(c.receive(queue)), 1)
		},
	},
	{
		ID: "sqs-visibility-12h-each-receive", Service: theSQS, Needs: clock,
		Says:   "Each receive has 12 hours of its own.",
		Source: from(api("sqs", "ChangeMessageVisibility"), at("https://github.com/awsdocs/amazon-sqs-developer-guide/issues/25", issue)),
		Run: func(c *check) {
			queue := c.queue(nil)
			c.send(queue, "m")
			c.one(queue)
			c.move(11 * time.Hour)
			m := c.one(queue)
			c.ok("almost 12 h after the second receive", c.change(queue, m.ReceiptHandle, 43190))
		},
	},
	{
		ID: "sqs-handle-new-on-each-receive", Service: theSQS,
		Says:   "Each receive of a message gives another ReceiptHandle; the MessageId stays.",
		Source: from(api("sqs", "DeleteMessage")),
		Run: func(c *check) {
			queue := c.queue(attributes{"VisibilityTimeout": "0"})
			c.send(queue, "m")
			first, second := c.one(queue), c.one(queue)
			c.is("the handles differ", *first.ReceiptHandle != *second.ReceiptHandle)
			c.equal("the ids are equal", *first.MessageId, *second.MessageId)
		},
	},
	{
		ID: "sqs-delete-old-handle-succeeds-may-not-delete", Service: theSQS, Needs: pauses,
		Says:   "Deleting with the handle of an earlier receive succeeds, and the latest handle deletes for certain.",
		Source: from(api("sqs", "DeleteMessage")),
		Run: func(c *check) {
			queue := c.queue(attributes{"VisibilityTimeout": strconv.Itoa(int(c.ticks(1)))})
			c.send(queue, "m")
			first := c.one(queue)
			c.release(queue, first.ReceiptHandle)
			second := c.one(queue)
			c.ok("deleted with the old handle", c.delete(queue, first.ReceiptHandle))
			c.ok("deleted with the new handle", c.delete(queue, second.ReceiptHandle))
			c.pause(1.3)
			c.empty("gone", queue)
		},
	},
	{
		ID: "sqs-delete-after-expiry-not-rereceived", Service: theSQS, Needs: pauses,
		Says:   "Deleting with the latest handle works after its timeout has ended, as long as nobody has received the message since.",
		Source: from(api("sqs", "DeleteMessage")),
		Run: func(c *check) {
			queue := c.queue(nil)
			c.send(queue, "m")
			m := c.one(queue, hiddenFor(c.ticks(1)))
			c.pause(1.3)
			c.ok("deleted", c.delete(queue, m.ReceiptHandle))
			c.empty("gone", queue)
		},
	},
	{
		ID: "sqs-delete-idempotent", Service: theSQS,
		Says:   "Deleting a message again with its handle succeeds.",
		Source: from(api("sqs", "DeleteMessage")),
		Run: func(c *check) {
			queue := c.queue(nil)
			c.send(queue, "m")
			m := c.one(queue)
			c.ok("deleted", c.delete(queue, m.ReceiptHandle))
			c.ok("deleted again", c.delete(queue, m.ReceiptHandle))
		},
	},
	{
		ID: "sqs-handle-garbage-invalid", Service: theSQS,
		Says:   "Text that is no receipt handle is ReceiptHandleIsInvalid, for DeleteMessage and for ChangeMessageVisibility. Whether with HTTP 400 or 404 is open.",
		Source: from(api("sqs", "DeleteMessage"), api("sqs", "ChangeMessageVisibility"), at("https://github.com/softwaremill/elasticmq/issues/324", issue)),
		Run: func(c *check) {
			queue := c.queue(nil)
			c.refused("deleted", c.delete(queue, aws.String("garbage")), 0, "ReceiptHandleIsInvalid")
			c.refused("changed", c.change(queue, aws.String("garbage"), 1), 0, "ReceiptHandleIsInvalid")
		},
	},
	{
		ID: "sqs-change-expired-handle-ok", Service: theSQS, Needs: pauses,
		Says: "ChangeMessageVisibility with a handle whose timeout has ended, nobody having received the message since, answers 200 on a " +
			"standard queue: it proves no lease.",
		Source: from(seen("sqs", "test_change_message_visibility_after_visibility_timeout_expiration"),
			at("https://github.com/localstack/localstack/pull/9632", issue), api("sqs", "ChangeMessageVisibility")),
		Run: func(c *check) {
			queue := c.queue(nil)
			c.send(queue, "m")
			m := c.one(queue, hiddenFor(c.ticks(1)))
			c.pause(1.3)
			c.ok("changed to 60", c.change(queue, m.ReceiptHandle, 60))
		},
	},
	{
		ID: "sqs-change-superseded-handle", Service: theSQS,
		Says: "ChangeMessageVisibility with the handle of an earlier receive is InvalidParameterValue, and leaves the later receipt alone.",
		Source: from(at("https://github.com/vmihailenco/taskq/issues/29", issue), at("https://github.com/mapbox/ecs-watchbot/issues/135", issue),
			source{"https://github.com/getmoto/moto/pull/4655", "which says otherwise, of AWS too", issue}),
		Run: func(c *check) {
			queue := c.queue(nil)
			c.send(queue, "m")
			first := c.one(queue)
			c.release(queue, first.ReceiptHandle)
			c.one(queue)
			c.refused("changed with the old handle", c.change(queue, first.ReceiptHandle, 0), 400, "InvalidParameterValue")
			c.empty("still hidden by the later receive", queue)
		},
	},
	{
		ID: "sqs-change-deleted-message", Service: theSQS,
		Says: "ChangeMessageVisibility of a deleted message is InvalidParameterValue, HTTP 400.",
		Source: from(at("https://github.com/vmihailenco/taskq/issues/29", issue), at("https://github.com/opensearch-project/data-prepper/issues/3861", issue),
			at("https://github.com/mapbox/ecs-watchbot/issues/135", issue)),
		Run: func(c *check) {
			queue := c.queue(nil)
			c.send(queue, "m")
			m := c.one(queue)
			must(0, c.delete(queue, m.ReceiptHandle))(c)
			c.refused("changed", c.change(queue, m.ReceiptHandle, 60), 400, "InvalidParameterValue")
		},
	},
	{
		ID: "sqs-change-batch-partial", Service: theSQS,
		Says:   "ChangeMessageVisibilityBatch answers 200 and reports each entry: a bad handle is ReceiptHandleIsInvalid, by the sender's fault.",
		Source: from(api("sqs", "ChangeMessageVisibilityBatch")),
		Run: func(c *check) {
			queue := c.queue(nil)
			c.send(queue, "m")
			m := c.one(queue)
			out, err := c.sqs.ChangeMessageVisibilityBatch(c.ctx, &sqs.ChangeMessageVisibilityBatchInput{QueueUrl: &queue, Entries: changes(*m.ReceiptHandle, "garbage")})
			if !c.ok("answered", err) {
				return
			}
			c.is("one succeeded", len(out.Successful) == 1 && *out.Successful[0].Id == "0", len(out.Successful))
			if c.is("one failed", len(out.Failed) == 1, len(out.Failed)) {
				c.equal("its code", *out.Failed[0].Code, "ReceiptHandleIsInvalid")
				c.is("by the sender's fault", out.Failed[0].SenderFault)
			}
			c.equal("the good one is released", len(c.receive(queue)), 1)
		},
	},
}
