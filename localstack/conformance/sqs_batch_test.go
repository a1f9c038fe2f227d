package conformance

import (
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

// bodies are the entries of a batch, with their indexes as ids.
func bodies(of ...string) (out []sqstypes.SendMessageBatchRequestEntry) {
	for i, body := range of {
		out = append(out, sqstypes.SendMessageBatchRequestEntry{Id: ptr(strconv.Itoa(i)), MessageBody: ptr(body)})
	}
	return out
}

// changes are the entries of a batch that releases messages.
func changes(handles ...string) (out []sqstypes.ChangeMessageVisibilityBatchRequestEntry) {
	for i, handle := range handles {
		out = append(out, sqstypes.ChangeMessageVisibilityBatchRequestEntry{Id: ptr(strconv.Itoa(i)), ReceiptHandle: ptr(handle)})
	}
	return out
}

func (c *check) sendBatch(queue string, entries []sqstypes.SendMessageBatchRequestEntry) (*sqs.SendMessageBatchOutput, error) {
	return c.sqs.SendMessageBatch(c.ctx, &sqs.SendMessageBatchInput{QueueUrl: &queue, Entries: entries})
}

var sqsBatch = []behaviour{
	{
		ID: "sqs-batch-size-limit", Service: theSQS,
		Says:   "A batch of more than 1,048,576 bytes in all is BatchRequestTooLong, HTTP 400, and nothing of it is sent.",
		Source: from(api("sqs", "SendMessageBatch"), seen("sqs", "the code, at the limit of then")),
		Run: func(c *check) {
			queue, part := c.queue(nil), strings.Repeat("a", mebibyte/4)
			_, err := c.sendBatch(queue, bodies(part, part, part, part))
			c.ok("1 MiB", err)
			queue = c.queue(nil)
			_, err = c.sendBatch(queue, bodies(part, part, part, part, "a"))
			c.refused("one byte more", err, 400, "BatchRequestTooLong")
			c.empty("nothing is sent", queue)
		},
	},
	{
		ID: "sqs-batch-entry-count", Service: theSQS,
		Says:   "A batch of no entry is EmptyBatchRequest, one of more than 10 TooManyEntriesInBatchRequest, HTTP 400.",
		Source: from(api("sqs", "SendMessageBatch"), api("sqs", "DeleteMessageBatch"), seen("sqs", "")),
		Run: func(c *check) {
			queue := c.queue(nil)
			_, err := c.sendBatch(queue, []sqstypes.SendMessageBatchRequestEntry{})
			c.refused("none sent", err, 400, "EmptyBatchRequest")
			_, err = c.sendBatch(queue, bodies(strings.Split("abcdefghijk", "")...))
			c.refused("11 sent", err, 400, "TooManyEntriesInBatchRequest")
			_, err = c.sqs.DeleteMessageBatch(c.ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &queue, Entries: []sqstypes.DeleteMessageBatchRequestEntry{}})
			c.refused("none deleted", err, 400, "EmptyBatchRequest")
			_, err = c.sqs.ChangeMessageVisibilityBatch(c.ctx, &sqs.ChangeMessageVisibilityBatchInput{
				QueueUrl: &queue, Entries: changes(strings.Split("abcdefghijk", "")...),
			})
			c.refused("11 changed", err, 400, "TooManyEntriesInBatchRequest")
		},
	},
	{
		ID: "sqs-batch-ids", Service: theSQS,
		Says: "Ids of a batch are distinct (BatchEntryIdsNotDistinct) and have 1 to 80 letters, digits, hyphens and underscores " +
			"(InvalidBatchEntryId); else the whole call is refused, HTTP 400.",
		Source: from(api("sqs", "SendMessageBatch"), seen("sqs", "")),
		Run: func(c *check) {
			queue := c.queue(nil)
			for _, one := range []struct {
				what, code string
				ids        []string
			}{
				{"the same twice", "BatchEntryIdsNotDistinct", []string{"1", "1"}},
				{"with a space", "InvalidBatchEntryId", []string{"a b"}},
				{"81 letters", "InvalidBatchEntryId", []string{strings.Repeat("a", 81)}},
			} {
				entries := bodies(one.ids...)
				for i := range entries {
					entries[i].Id = &one.ids[i]
				}
				_, err := c.sendBatch(queue, entries)
				c.refused(one.what, err, 400, one.code)
			}
			entries := bodies("m")
			entries[0].Id = ptr(strings.Repeat("a", 78) + "-_")
			_, err := c.sendBatch(queue, entries)
			c.ok("80 characters", err)
		},
	},
	{
		ID: "sqs-batch-partial-failure", Service: theSQS,
		Says:   "A batch with good and bad entries answers 200, with the good ones in Successful and the bad ones in Failed.",
		Source: from(api("sqs", "SendMessageBatch")),
		Run: func(c *check) {
			entries := bodies("good", "bad")
			entries[1].DelaySeconds = 901
			out, err := c.sendBatch(c.queue(nil), entries)
			if !c.ok("answered", err) {
				return
			}
			c.is("the good one", len(out.Successful) == 1 && *out.Successful[0].Id == "0", len(out.Successful))
			if c.is("the bad one", len(out.Failed) == 1 && *out.Failed[0].Id == "1", len(out.Failed)) {
				c.equal("its code", *out.Failed[0].Code, "InvalidParameterValue")
				c.is("by the sender's fault", out.Failed[0].SenderFault)
			}
		},
	},
	{
		ID: "sqs-batch-invalid-contents-entry", Service: theSQS,
		Says:   "A character that is not allowed fails its entry of a batch with InvalidMessageContents; the others are sent.",
		Source: from(api("sqs", "SendMessageBatch")),
		Run: func(c *check) {
			queue := c.queue(nil)
			out, err := c.sendBatch(queue, bodies("a", "\u0001"))
			if !c.ok("answered", err) {
				return
			}
			if c.is("one failed", len(out.Failed) == 1 && *out.Failed[0].Id == "1", len(out.Failed)) {
				c.equal("its code", *out.Failed[0].Code, "InvalidMessageContents")
			}
			c.equal("one sent", len(c.receive(queue, upTo(10))), 1)
		},
	},
	{
		ID: "sqs-delete-batch-bad-handle", Service: theSQS,
		Says:   "DeleteMessageBatch answers 200 and reports each entry: a bad handle is ReceiptHandleIsInvalid, by the sender's fault.",
		Source: from(api("sqs", "DeleteMessageBatch")),
		Run: func(c *check) {
			queue := c.queue(nil)
			c.send(queue, "m")
			m := c.one(queue)
			out, err := c.sqs.DeleteMessageBatch(c.ctx, &sqs.DeleteMessageBatchInput{QueueUrl: &queue, Entries: []sqstypes.DeleteMessageBatchRequestEntry{
				{Id: ptr("good"), ReceiptHandle: m.ReceiptHandle}, {Id: ptr("bad"), ReceiptHandle: ptr("garbage")},
			}})
			if !c.ok("answered", err) {
				return
			}
			c.is("the good one", len(out.Successful) == 1 && *out.Successful[0].Id == "good", len(out.Successful))
			if c.is("the bad one", len(out.Failed) == 1 && *out.Failed[0].Id == "bad", len(out.Failed)) {
				c.equal("its code", *out.Failed[0].Code, "ReceiptHandleIsInvalid")
				c.is("by the sender's fault", out.Failed[0].SenderFault)
			}
			c.equal("the good one is deleted", c.queueAttributes(queue)["ApproximateNumberOfMessagesNotVisible"], "0")
		},
	},
}
