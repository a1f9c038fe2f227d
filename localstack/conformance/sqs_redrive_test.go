package conformance

import (
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// redrive is the redrive policy to a dead-letter queue.
func redrive(arn string, after int) attributes {
	return attributes{"RedrivePolicy": fmt.Sprintf(`{"deadLetterTargetArn":%q,"maxReceiveCount":%d}`, arn, after)}
}

// withDeadLetters makes a dead-letter queue, and a queue of messages that are visible at once and go there after so many receives.
func (c *check) withDeadLetters(after int) (queue, dead string) {
	dead = c.queue(attributes{"VisibilityTimeout": "0"})
	of := redrive(c.queueARN(dead), after)
	of["VisibilityTimeout"] = "0"
	return c.queue(of), dead
}

var sqsRedrive = []behaviour{
	{
		ID: "sqs-redrive-after-max-receives", Service: theSQS,
		Says:   "With maxReceiveCount n a message is given n times; the receive after those moves it to the dead-letter queue and does not give it.",
		Source: from(api("sqs", "SetQueueAttributes"), in("sqs", "sqs-dead-letter-queues", guide)),
		Run: func(c *check) {
			queue, dead := c.withDeadLetters(2)
			id := c.send(queue, "m")
			c.equal("given once", len(c.receive(queue)), 1)
			c.equal("given twice", len(c.receive(queue)), 1)
			c.empty("not given a third time", queue)
			if got := c.receive(dead); c.is("in the dead-letter queue", len(got) == 1, len(got)) {
				c.equal("the same message", *got[0].MessageId, id)
			}
		},
	},
	{
		ID: "sqs-redrive-counts-every-receive", Service: theSQS,
		Says:   "A receive counts for the redrive though the message was released with a visibility timeout of 0.",
		Source: from(in("sqs", "sqs-dead-letter-queues", guide)),
		Run: func(c *check) {
			dead := c.queue(nil)
			queue := c.queue(redrive(c.queueARN(dead), 2))
			c.send(queue, "m")
			for range 2 {
				c.release(queue, c.one(queue).ReceiptHandle)
			}
			c.empty("not given a third time", queue)
			c.equal("in the dead-letter queue", len(c.receive(dead)), 1)
		},
	},
	{
		ID: "sqs-dlq-message-keeps", Service: theSQS, Needs: pauses,
		Says: "In the dead-letter queue a message keeps its MessageId, body, attributes, SentTimestamp and time of first receive, and its count of " +
			"receives goes on.",
		Source: from(in("sqs", "sqs-dead-letter-queues", guide), api("sqs", "ReceiveMessage")),
		Run: func(c *check) {
			queue, dead := c.withDeadLetters(1)
			with := map[string]sqstypes.MessageAttributeValue{"a": text("x")}
			must(0, c.sending(queue, "m", with))(c)
			c.pause(0.1)
			before := c.one(queue, withSystemAttributes(), withAttributes())
			c.pause(0.1)
			c.empty("moved", queue)
			after := c.one(dead, withSystemAttributes(), withAttributes())
			c.equal("the id", *after.MessageId, *before.MessageId)
			c.equal("the body", *after.Body, *before.Body)
			c.equal("its attribute", value(after.MessageAttributes["a"].StringValue), "x")
			for _, name := range []string{"SentTimestamp", "ApproximateFirstReceiveTimestamp"} {
				c.equal(name, after.Attributes[name], before.Attributes[name])
			}
			c.is("the count goes on", after.Attributes["ApproximateReceiveCount"] > before.Attributes["ApproximateReceiveCount"],
				after.Attributes["ApproximateReceiveCount"])
		},
	},
	{
		ID: "sqs-dlq-retention-from-first-enqueue", Service: theSQS, Needs: clock,
		Says:   "The retention of a standard dead-letter queue counts from the first send: after one day elsewhere three of four are left.",
		Source: from(in("sqs", "sqs-dead-letter-queues", guide)),
		Run: func(c *check) {
			const day = 24 * time.Hour
			queue, dead := c.withDeadLetters(1)
			c.send(queue, "m")
			c.one(queue)
			c.move(day)
			c.empty("moved", queue)
			c.move(3*day - time.Hour)
			c.equal("there until the end of the fourth day", c.queueAttributes(dead)["ApproximateNumberOfMessages"], "1")
			c.move(2 * time.Hour)
			c.empty("gone after it", dead)
		},
	},
	{
		ID: "sqs-redrive-policy-validation", Service: theSQS,
		Says: "A RedrivePolicy that is not JSON, has no maxReceiveCount, has one outside 1 to 1000, or names no queue that exists, is refused, " +
			"HTTP 400.",
		Source: from(api("sqs", "SetQueueAttributes"), seen("sqs", "test_invalid_dead_letter_arn_rejected_before_lookup")),
		Run: func(c *check) {
			queue, arn := c.queue(nil), c.queueARN(c.queue(nil))
			for what, policy := range map[string]string{
				"not JSON":           "nojson",
				"no maxReceiveCount": fmt.Sprintf(`{"deadLetterTargetArn":%q}`, arn),
				"0":                  redrive(arn, 0)["RedrivePolicy"],
				"1001":               redrive(arn, 1001)["RedrivePolicy"],
				"not an ARN":         redrive("dummy", 42)["RedrivePolicy"],
				"a missing queue":    redrive(arn+"-not", 3)["RedrivePolicy"],
			} {
				c.refused(what, c.setQueue(queue, attributes{"RedrivePolicy": policy}), 400)
			}
			c.ok("1000", c.setQueue(queue, redrive(arn, 1000)))
		},
	},
	{
		ID: "sqs-redrive-allow-policy", Service: theSQS,
		Says:   "A queue whose RedriveAllowPolicy is denyAll, or byQueue without the source, cannot be made its dead-letter queue, HTTP 400.",
		Source: from(api("sqs", "SetQueueAttributes")),
		Run: func(c *check) {
			queue := c.queue(nil)
			arn := c.queueARN(queue)
			for _, one := range []struct {
				what, policy string
				allowed      bool
			}{
				{"denyAll", `{"redrivePermission":"denyAll"}`, false},
				{"byQueue without it", fmt.Sprintf(`{"redrivePermission":"byQueue","sourceQueueArns":[%q]}`, arn+"-other"), false},
				{"byQueue with it", fmt.Sprintf(`{"redrivePermission":"byQueue","sourceQueueArns":[%q]}`, arn), true},
				{"allowAll", `{"redrivePermission":"allowAll"}`, true},
			} {
				dead := c.queue(attributes{"RedriveAllowPolicy": one.policy})
				err := c.setQueue(queue, redrive(c.queueARN(dead), 3))
				if one.allowed {
					c.ok(one.what, err)
				} else {
					c.refused(one.what, err, 400)
				}
			}
		},
	},
	{
		ID: "sqs-list-dlq-sources", Service: theSQS,
		Says:   "ListDeadLetterSourceQueues lists the queues whose RedrivePolicy names the queue.",
		Source: from(api("sqs", "ListDeadLetterSourceQueues")),
		Run: func(c *check) {
			queue, dead := c.withDeadLetters(3)
			out, err := c.sqs.ListDeadLetterSourceQueues(c.ctx, &sqs.ListDeadLetterSourceQueuesInput{QueueUrl: &dead})
			if c.ok("listed", err) {
				c.equal("the source", out.QueueUrls, []string{queue})
			}
		},
	},
	{
		ID: "sqs-move-task", Service: theSQS,
		Says: "StartMessageMoveTask moves the messages of a dead-letter queue back to where they came from, as new messages with another " +
			"MessageId; ListMessageMoveTasks shows the task.",
		Source: from(api("sqs", "StartMessageMoveTask"), api("sqs", "ListMessageMoveTasks"), in("sqs", "sqs-configure-dead-letter-queue-redrive", page)),
		Run: func(c *check) {
			queue, dead := c.withDeadLetters(1)
			id := c.send(queue, "m")
			c.one(queue)
			c.empty("moved", queue)
			arn := c.queueARN(dead)
			out, err := c.sqs.StartMessageMoveTask(c.ctx, &sqs.StartMessageMoveTaskInput{SourceArn: &arn})
			if !c.ok("started", err) {
				return
			}
			c.is("a handle", value(out.TaskHandle) != "")
			var back []sqstypes.Message
			if c.soon("it is back", func() bool { back = c.receive(queue); return len(back) == 1 }) {
				c.equal("its body", *back[0].Body, "m")
				c.is("another id", *back[0].MessageId != id)
			}
			tasks, err := c.sqs.ListMessageMoveTasks(c.ctx, &sqs.ListMessageMoveTasksInput{SourceArn: &arn})
			if c.ok("listed", err) && c.is("one task", len(tasks.Results) == 1, len(tasks.Results)) {
				c.equal("moved by it", tasks.Results[0].ApproximateNumberOfMessagesMoved, int64(1))
			}
			_, err = c.sqs.StartMessageMoveTask(c.ctx, &sqs.StartMessageMoveTaskInput{SourceArn: aws.String(c.queueARN(queue))})
			c.refused("from a queue that is nobody's dead-letter queue", err, 400)
		},
	},
}
