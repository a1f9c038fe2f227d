package conformance

import (
	"context"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

var sqsReceive = []behaviour{
	{
		ID: "sqs-receive-count-and-first-time", Service: theSQS, Needs: pauses,
		Says: "Each receive raises ApproximateReceiveCount by one; ApproximateFirstReceiveTimestamp and SentTimestamp stay. All are text, the " +
			"times in milliseconds since 1970.",
		Source: from(api("sqs", "ReceiveMessage")),
		Run: func(c *check) {
			queue := c.queue(attributes{"VisibilityTimeout": "0"})
			c.send(queue, "m")
			c.pause(0.1)
			first := c.one(queue, withSystemAttributes()).Attributes
			c.pause(0.1)
			second := c.one(queue, withSystemAttributes()).Attributes
			c.equal("the first count", first["ApproximateReceiveCount"], "1")
			c.equal("the second count", second["ApproximateReceiveCount"], "2")
			for _, name := range []string{"ApproximateFirstReceiveTimestamp", "SentTimestamp"} {
				c.equal(name+" stays", second[name], first[name])
				c.is(name+" in milliseconds", regexp.MustCompile(`^\d{13}$`).MatchString(first[name]), first[name])
			}
			c.is("received after it was sent", first["ApproximateFirstReceiveTimestamp"] > first["SentTimestamp"], first)
		},
	},
	{
		ID: "sqs-system-attributes-on-request-only", Service: theSQS,
		Says: "System attributes come when they are asked for; All gives SenderId, SentTimestamp, ApproximateReceiveCount and " +
			"ApproximateFirstReceiveTimestamp, and none of those of FIFO queues.",
		Source: from(api("sqs", "ReceiveMessage"), seen("sqs", "test_receive_message_attribute_names_filters")),
		Run: func(c *check) {
			queue := c.queue(attributes{"VisibilityTimeout": "0"})
			c.send(queue, "m")
			c.equal("none unasked", len(c.one(queue).Attributes), 0)
			got := slices.Sorted(maps.Keys(c.one(queue, withSystemAttributes()).Attributes))
			c.equal("All", got, []string{"ApproximateFirstReceiveTimestamp", "ApproximateReceiveCount", "SenderId", "SentTimestamp"})
			one := c.one(queue, func(in *sqs.ReceiveMessageInput) {
				in.MessageSystemAttributeNames = []sqstypes.MessageSystemAttributeName{"SentTimestamp"}
			})
			c.equal("one by name", slices.Collect(maps.Keys(one.Attributes)), []string{"SentTimestamp"})
		},
	},
	{
		ID: "sqs-message-attributes-selection", Service: theSQS,
		Says:   "Message attributes come when they are asked for: by name, by a prefix with .*, by All or by .*; MD5OfMessageAttributes is that of those which come.",
		Source: from(api("sqs", "ReceiveMessage"), seen("sqs", "test_receive_message_message_attribute_names_filters")),
		Run: func(c *check) {
			queue := c.queue(attributes{"VisibilityTimeout": "0"})
			sent := map[string]sqstypes.MessageAttributeValue{"a": text("1"), "bar.x": text("2"), "bar.y": text("3")}
			must(c.sqs.SendMessage(c.ctx, &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: ptr("m"), MessageAttributes: sent}))(c)
			for _, one := range []struct {
				what string
				ask  []string
				want []string
			}{
				{"none unasked", nil, nil},
				{"by name", []string{"a"}, []string{"a"}},
				{"by prefix", []string{"bar.*"}, []string{"bar.x", "bar.y"}},
				{"All", []string{"All"}, []string{"a", "bar.x", "bar.y"}},
				{"by .*", []string{".*"}, []string{"a", "bar.x", "bar.y"}},
				{"a name that is not there", []string{"nope"}, nil},
			} {
				m := c.one(queue, named(one.ask...))
				c.equal(one.what, slices.Sorted(maps.Keys(m.MessageAttributes)), one.want)
				c.equal("MD5, "+one.what, value(m.MD5OfMessageAttributes), attributesMD5(m.MessageAttributes))
			}
		},
	},
	{
		ID: "sqs-receive-max-1-10", Service: theSQS,
		Says:   "MaxNumberOfMessages is 1 to 10, else InvalidParameterValue, HTTP 400; without it one message comes.",
		Source: from(api("sqs", "ReceiveMessage"), seen("sqs", "test_send_receive_max_number_of_messages")),
		Run: func(c *check) {
			queue := c.queue(nil)
			for range 3 {
				c.send(queue, "m")
			}
			_, err := c.sqs.ReceiveMessage(c.ctx, &sqs.ReceiveMessageInput{QueueUrl: &queue, MaxNumberOfMessages: 11})
			c.refused("11", err, 400, "InvalidParameterValue")
			_, err = c.sqsJSON("ReceiveMessage", map[string]any{"QueueUrl": queue, "MaxNumberOfMessages": 0})
			c.refused("0", err, 400, "InvalidParameterValue")
			c.equal("one without it", len(c.receive(queue)), 1)
			c.equal("all with 10", len(c.receive(queue, upTo(10))), 2)
		},
	},
	{
		ID: "sqs-receive-wait-0-20", Service: theSQS,
		Says:   "WaitTimeSeconds is 0 to 20, else InvalidParameterValue, HTTP 400.",
		Source: from(api("sqs", "ReceiveMessage"), api("sqs", "SetQueueAttributes")),
		Run: func(c *check) {
			queue := c.queue(nil)
			for what, seconds := range map[string]int32{"21": 21, "-1": -1} {
				_, err := c.sqs.ReceiveMessage(c.ctx, &sqs.ReceiveMessageInput{QueueUrl: &queue, WaitTimeSeconds: seconds})
				c.refused(what, err, 400, "InvalidParameterValue")
			}
		},
	},
	{
		ID: "sqs-longpoll-waits-then-empty", Service: theSQS,
		Says:   "A receive with WaitTimeSeconds n that finds nothing ends after n seconds with 200 and no messages.",
		Source: from(api("sqs", "ReceiveMessage")),
		Run: func(c *check) {
			queue := c.queue(nil)
			begin := time.Now()
			got := c.receive(queue, waiting(1))
			took := time.Since(begin)
			c.equal("no messages", len(got), 0)
			c.is("after its wait", took > 900*time.Millisecond, took)
			c.is("and not much later", took < 4*time.Second, took)
		},
	},
	{
		ID: "sqs-longpoll-returns-early", Service: theSQS, Needs: pauses,
		Says:   "A waiting receive returns as soon as a message is sent, a delay ends or a visibility timeout ends.",
		Source: from(api("sqs", "ReceiveMessage")),
		Run: func(c *check) {
			for what, arrive := range map[string]func(queue string) (then func()){
				"a message is sent": func(queue string) func() { return func() { c.send(queue, "m") } },
				"a delay ends": func(queue string) func() {
					must(c.sqs.SendMessage(c.ctx, &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: ptr("m"), DelaySeconds: c.ticks(1)}))(c)
					return func() { c.pause(1) }
				},
				"a visibility timeout ends": func(queue string) func() {
					c.send(queue, "m")
					c.one(queue, hiddenFor(c.ticks(1)))
					return func() { c.pause(1) }
				},
			} {
				queue := c.queue(nil)
				then := arrive(queue)
				type result struct {
					messages int
					took     time.Duration
					err      error
				}
				came := make(chan result, 1)
				go func() {
					begin := time.Now()
					out, err := c.sqs.ReceiveMessage(c.ctx, &sqs.ReceiveMessageInput{QueueUrl: &queue, WaitTimeSeconds: 15})
					if err != nil {
						came <- result{err: err}
						return
					}
					came <- result{messages: len(out.Messages), took: time.Since(begin)}
				}()
				time.Sleep(200 * time.Millisecond) // most likely the poll has begun; otherwise the row shows less
				then()
				got := <-came
				c.is(what, got.err == nil && got.messages == 1 && got.took < 10*time.Second, got)
			}
		},
	},
	{
		ID: "sqs-longpoll-queue-default", Service: theSQS,
		Says:   "The queue's ReceiveMessageWaitTimeSeconds is for calls without WaitTimeSeconds; a 0 in the call wins over it.",
		Source: from(api("sqs", "SetQueueAttributes"), at("https://docs.aws.amazon.com/sdk-for-python/v1/guide/sqs-long-polling.html", page)),
		Run: func(c *check) {
			queue := c.queue(attributes{"ReceiveMessageWaitTimeSeconds": "1"})
			begin := time.Now()
			c.receive(queue)
			c.is("the queue's wait", time.Since(begin) > 900*time.Millisecond, time.Since(begin))
			must(0, c.setQueue(queue, attributes{"ReceiveMessageWaitTimeSeconds": "20"}))(c)
			begin = time.Now()
			_, err := c.sqsJSON("ReceiveMessage", map[string]any{"QueueUrl": queue, "WaitTimeSeconds": 0})
			c.ok("a receive with 0", err)
			c.is("0 wins", time.Since(begin) < 10*time.Second, time.Since(begin))
		},
	},
	{
		ID: "sqs-longpoll-cancelled-hides", Service: theSQS, Needs: pauses,
		Says:   "A poll whose client has gone away still takes a message: it stays hidden for its visibility timeout, and the receive counts.",
		Source: from(at("https://github.com/aws/aws-sdk-go-v2/issues/2068", issue), at("https://github.com/aws/aws-sdk-js/issues/2350", issue)),
		Run: func(c *check) {
			queue := c.queue(attributes{"VisibilityTimeout": strconv.Itoa(int(c.ticks(2)))})
			ctx, cancel := context.WithTimeout(c.ctx, 300*time.Millisecond)
			defer cancel()
			_, err := c.sqs.ReceiveMessage(ctx, &sqs.ReceiveMessageInput{QueueUrl: &queue, WaitTimeSeconds: 5})
			c.is("the poll is cancelled", err != nil)
			c.send(queue, "m")
			if !c.soon("the message is in flight", func() bool {
				return c.queueAttributes(queue)["ApproximateNumberOfMessagesNotVisible"] == "1"
			}) {
				return
			}
			c.empty("hidden", queue)
			c.pause(2.3)
			if got := c.receive(queue, withSystemAttributes()); c.is("back after its timeout", len(got) == 1, len(got)) {
				c.equal("the lost receive counts", got[0].Attributes["ApproximateReceiveCount"], "2")
			}
		},
	},
	{
		ID: "sqs-attributes-counts", Service: theSQS,
		Says:   "ApproximateNumberOfMessages, -NotVisible and -Delayed count visible messages, those in flight and those delayed.",
		Source: from(api("sqs", "GetQueueAttributes")),
		Run: func(c *check) {
			queue := c.queue(nil)
			c.send(queue, "in flight")
			c.one(queue)
			c.send(queue, "visible")
			must(c.sqs.SendMessage(c.ctx, &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: ptr("delayed"), DelaySeconds: 600}))(c)
			is := c.queueAttributes(queue)
			c.equal("visible", is["ApproximateNumberOfMessages"], "1")
			c.equal("in flight", is["ApproximateNumberOfMessagesNotVisible"], "1")
			c.equal("delayed", is["ApproximateNumberOfMessagesDelayed"], "1")
		},
	},
	{
		ID: "sqs-retention-default-4d", Service: theSQS, Needs: clock,
		Says:   "MessageRetentionPeriod is four days by default; a message that is older than its queue's is no more.",
		Source: from(api("sqs", "SetQueueAttributes")),
		Run: func(c *check) {
			queue, short := c.queue(nil), c.queue(attributes{"MessageRetentionPeriod": "60"})
			c.equal("the default", c.queueAttributes(queue)["MessageRetentionPeriod"], "345600")
			c.send(queue, "m")
			c.send(short, "m")
			c.move(time.Minute + time.Second)
			c.empty("gone after its minute", short)
			c.equal("and not counted", c.queueAttributes(short)["ApproximateNumberOfMessages"], "0")
			c.move(4*24*time.Hour - 2*time.Minute)
			c.equal("there before the end of the fourth day", c.queueAttributes(queue)["ApproximateNumberOfMessages"], "1")
			c.move(2 * time.Minute)
			c.empty("gone after it", queue)
		},
	},
	{
		ID: "sqs-retention-expires-inflight", Service: theSQS, Needs: clock,
		Says:   "Retention counts from the send, also for a message that is in flight: it does not come back.",
		Source: from(api("sqs", "SetQueueAttributes"), in("sqs", "sqs-basic-architecture", unread)),
		Run: func(c *check) {
			queue := c.queue(attributes{"MessageRetentionPeriod": "60"})
			c.send(queue, "m")
			c.one(queue, hiddenFor(65))
			c.move(70 * time.Second)
			c.empty("not given again", queue)
		},
	},
}
