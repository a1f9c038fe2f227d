package conformance

import (
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"
)

const mebibyte = 1 << 20

// sending is an attempt to send a body, with attributes that may be nil.
func (c *check) sending(queue, body string, with map[string]sqstypes.MessageAttributeValue) error {
	_, err := c.sqs.SendMessage(c.ctx, &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: &body, MessageAttributes: with})
	return err
}

var sqsSend = []behaviour{
	{
		ID: "sqs-md5-body", Service: theSQS,
		Says: "MD5OfMessageBody is the MD5 of the body in UTF-8, when it is sent and as MD5OfBody when it is received.",
		Source: from(api("sqs", "SendMessage"), api("sqs", "ReceiveMessage"),
			at("https://github.com/aws/aws-sdk-go-v2/blob/main/service/sqs/cust_checksum_validation.go", code)),
		Run: func(c *check) {
			queue := c.queue(nil)
			const body = "héllo, 世界 😀"
			out := must(c.sqs.SendMessage(c.ctx, &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: ptr(body)}))(c)
			c.equal("sent", value(out.MD5OfMessageBody), md5Of(body))
			m := c.one(queue)
			c.equal("received", value(m.MD5OfBody), md5Of(body))
			c.equal("the body", *m.Body, body)
		},
	},
	{
		ID: "sqs-md5-attributes", Service: theSQS,
		Says: "MD5OfMessageAttributes is over the attributes in the order of their names: length and text of name and type, 1 for text or 2 " +
			"for binary, length and value.",
		Source: from(api("sqs", "SendMessage"), in("sqs", "sqs-message-metadata", page)),
		Run: func(c *check) {
			queue := c.queue(nil)
			sent := map[string]sqstypes.MessageAttributeValue{
				"text": text("häl"), "number": {DataType: ptr("Number"), StringValue: ptr("42")},
				"own":  {DataType: ptr("Number.int"), StringValue: ptr("7")},
				"data": {DataType: ptr("Binary"), BinaryValue: []byte{0, 1, 0xff}},
			}
			out := must(c.sqs.SendMessage(c.ctx, &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: ptr("m"), MessageAttributes: sent}))(c)
			c.equal("sent", value(out.MD5OfMessageAttributes), attributesMD5(sent))
			c.equal("received", value(c.one(queue, withAttributes()).MD5OfMessageAttributes), attributesMD5(sent))
		},
	},
	{
		ID: "sqs-md5-system-attributes", Service: theSQS,
		Says:   "A send with an AWSTraceHeader answers MD5OfMessageSystemAttributes as well, and the header comes with a receive that asks for it.",
		Source: from(api("sqs", "SendMessage")),
		Run: func(c *check) {
			queue := c.queue(nil)
			header := text("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1")
			out := must(c.sqs.SendMessage(c.ctx, &sqs.SendMessageInput{
				QueueUrl: &queue, MessageBody: ptr("m"),
				MessageSystemAttributes: map[string]sqstypes.MessageSystemAttributeValue{
					"AWSTraceHeader": {DataType: header.DataType, StringValue: header.StringValue},
				},
			}))(c)
			want := attributesMD5(map[string]sqstypes.MessageAttributeValue{"AWSTraceHeader": header})
			c.equal("the MD5", value(out.MD5OfMessageSystemAttributes), want)
			c.equal("received", c.one(queue, withSystemAttributes()).Attributes["AWSTraceHeader"], *header.StringValue)
		},
	},
	{
		ID: "sqs-body-empty", Service: theSQS,
		Says:   "An empty body is refused, HTTP 400: a message has at least one character.",
		Source: from(api("sqs", "SendMessage"), in("sqs", "sqs-message-metadata", page)),
		Run:    func(c *check) { c.refused("an empty body", c.sending(c.queue(nil), "", nil), 400) },
	},
	{
		ID: "sqs-body-illegal-characters", Service: theSQS,
		Says:   "Characters that XML does not allow are InvalidMessageContents, HTTP 400; tab, line feed and carriage return pass.",
		Source: from(api("sqs", "SendMessage")),
		Run: func(c *check) {
			queue := c.queue(nil)
			c.refused("U+0001", c.sending(queue, "a\u0001b", nil), 400, "InvalidMessageContents")
			c.refused("U+FFFE", c.sending(queue, "a\ufffeb", nil), 400, "InvalidMessageContents")
			c.ok("tab, line feed, carriage return, U+FFFD and U+10FFFF", c.sending(queue, "\t\n\r\ufffd\U0010ffff", nil))
		},
	},
	{
		ID: "sqs-size-1mib", Service: theSQS,
		Says:   "A message of 1,048,576 bytes passes; one more byte is InvalidParameterValue, HTTP 400.",
		Source: from(api("sqs", "SendMessage"), seen("sqs", "the code, at the limit of then")),
		Run: func(c *check) {
			queue := c.queue(nil)
			c.ok("1 MiB", c.sending(queue, strings.Repeat("a", mebibyte), nil))
			c.refused("one byte more", c.sending(queue, strings.Repeat("a", mebibyte+1), nil), 400, "InvalidParameterValue")
			c.refused("in bytes, not in characters", c.sending(queue, strings.Repeat("é", mebibyte/2+1), nil), 400, "InvalidParameterValue")
		},
	},
	{
		ID: "sqs-size-includes-attributes", Service: theSQS,
		Says:   "Name, type and value of message attributes count towards the size of a message.",
		Source: from(in("sqs", "sqs-message-metadata", page), api("sqs", "MessageAttributeValue")),
		Run: func(c *check) {
			queue := c.queue(attributes{"MaximumMessageSize": "1024"})
			with := map[string]sqstypes.MessageAttributeValue{"abc": text("xyz")} // 12 bytes
			c.ok("just enough", c.sending(queue, strings.Repeat("a", 1012), with))
			c.refused("one byte too many", c.sending(queue, strings.Repeat("a", 1013), with), 400, "InvalidParameterValue")
		},
	},
	{
		ID: "sqs-maximum-message-size-attribute", Service: theSQS,
		Says:   "MaximumMessageSize, 1,048,576 by default, limits what is sent to a queue, and the error names the limit.",
		Source: from(api("sqs", "SetQueueAttributes"), seen("sqs", "test_send_message_with_updated_maximum_message_size")),
		Run: func(c *check) {
			c.equal("the default", c.queueAttributes(c.queue(nil))["MaximumMessageSize"], "1048576")
			queue := c.queue(attributes{"MaximumMessageSize": "1024"})
			c.ok("1024", c.sending(queue, strings.Repeat("a", 1024), nil))
			c.refusedSaying("1025", c.sending(queue, strings.Repeat("a", 1025), nil), 400, "InvalidParameterValue", "must be shorter than 1024 bytes")
		},
	},
	{
		ID: "sqs-message-attribute-rules", Service: theSQS,
		Says: "A message has at most 10 attributes, each with a value, with a type that begins with String, Number or Binary, and with a name " +
			"that does not begin with AWS. or Amazon.; else HTTP 400.",
		Source: from(in("sqs", "sqs-message-metadata", page), seen("sqs", "test_send_message_with_empty_string_attribute")),
		Run: func(c *check) {
			queue := c.queue(nil)
			many := map[string]sqstypes.MessageAttributeValue{}
			for _, name := range strings.Split("abcdefghij", "") {
				many[name] = text("x")
			}
			c.ok("10 attributes", c.sending(queue, "m", many))
			many["k"] = text("x")
			c.refused("11 attributes", c.sending(queue, "m", many), 400)
			for what, one := range map[string]map[string]sqstypes.MessageAttributeValue{
				"no value":              {"a": text("")},
				"an unknown type":       {"a": {DataType: ptr("Foo"), StringValue: ptr("x")}},
				"a name with AWS.":      {"AWS.x": text("x")},
				"a name with amazon.":   {"amazon.x": text("x")},
				"a number that is none": {"a": {DataType: ptr("Number"), StringValue: ptr("abc")}},
				"a name that ends in .": {"a.": text("x")},
			} {
				c.refused(what, c.sending(queue, "m", one), 400)
			}
		},
	},
	{
		ID: "sqs-std-refuses-fifo-params", Service: theSQS,
		Says:   "A standard queue refuses MessageDeduplicationId with InvalidParameterValue; it takes MessageGroupId, and gives it back as an attribute.",
		Source: from(api("sqs", "SendMessage")),
		Run: func(c *check) {
			queue := c.queue(nil)
			_, err := c.sqs.SendMessage(c.ctx, &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: ptr("m"), MessageDeduplicationId: ptr("d")})
			c.refused("MessageDeduplicationId", err, 400, "InvalidParameterValue")
			queue = c.queue(nil)
			_, err = c.sqs.SendMessage(c.ctx, &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: ptr("m"), MessageGroupId: ptr("tenant")})
			if c.ok("MessageGroupId", err) {
				c.equal("given back", c.one(queue, withSystemAttributes()).Attributes["MessageGroupId"], "tenant")
			}
		},
	},
	{
		ID: "sqs-delay-queue-and-message", Service: theSQS, Needs: pauses,
		Says:   "DelaySeconds of a queue hides its new messages for that long; that of a message wins, a 0 as well.",
		Source: from(api("sqs", "SendMessage")),
		Run: func(c *check) {
			queue := c.queue(attributes{"DelaySeconds": strconv.Itoa(int(c.ticks(1)))})
			c.send(queue, "late")
			c.empty("delayed", queue)
			_, err := c.sqsJSON("SendMessage", map[string]any{"QueueUrl": queue, "MessageBody": "now", "DelaySeconds": 0})
			c.ok("sent with 0", err)
			if got := c.receive(queue, upTo(10)); c.is("there at once with 0", len(got) == 1, len(got)) {
				c.equal("the right one", *got[0].Body, "now")
				must(0, c.delete(queue, got[0].ReceiptHandle))(c)
			}
			c.pause(1.3)
			if got := c.receive(queue, upTo(10)); c.is("there after the delay", len(got) == 1, len(got)) {
				c.equal("the delayed one", *got[0].Body, "late")
			}
		},
	},
	{
		ID: "sqs-delay-range-900", Service: theSQS,
		Says:   "DelaySeconds of a message is 0 to 900, else InvalidParameterValue, HTTP 400.",
		Source: from(api("sqs", "SendMessage")),
		Run: func(c *check) {
			queue := c.queue(nil)
			for what, seconds := range map[string]int32{"901": 901, "-1": -1} {
				_, err := c.sqs.SendMessage(c.ctx, &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: ptr("m"), DelaySeconds: seconds})
				c.refused(what, err, 400, "InvalidParameterValue")
			}
		},
	},
}
