package conformance

import (
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
)

// kib256 is the greatest size of a message of SNS, unless its topic says otherwise.
const kib256 = 262_144

// structured is an attempt to publish a message with a MessageStructure.
func (c *check) structured(topic, message, structure string) error {
	_, err := c.sns.Publish(c.ctx, &sns.PublishInput{TopicArn: &topic, Message: &message, MessageStructure: &structure})
	return err
}

// subject is an attempt to publish with a subject.
func (c *check) subject(topic, subject string) error {
	_, err := c.sns.Publish(c.ctx, &sns.PublishInput{TopicArn: &topic, Message: ptr("m"), Subject: &subject})
	return err
}

// publications are the entries of a batch. The id of an entry is its message.
func publications(messages ...string) (out []snstypes.PublishBatchRequestEntry) {
	for _, m := range messages {
		out = append(out, snstypes.PublishBatchRequestEntry{Id: ptr(m), Message: ptr(m)})
	}
	return out
}

var snsPublish = []behaviour{
	{
		ID: "sns-message-empty", Service: theSNS,
		Says:   "An empty message is InvalidParameter, HTTP 400.",
		Source: from(seen("sns", "test_empty_sns_message"), in("sns", "SNSMessageAttributes", page)),
		Run:    func(c *check) { c.refused("published", c.publishing(c.topic(nil), "", nil), 400, "InvalidParameter") },
	},
	{
		ID: "sns-message-size-256k", Service: theSNS,
		Says:   "A message of 262,144 bytes passes; one more byte is InvalidParameter, HTTP 400. Bytes count, not characters.",
		Source: from(api("sns", "Publish"), seen("sns", "test_publish_too_long_message")),
		Run: func(c *check) {
			topic := c.topic(nil)
			c.ok("256 KiB", c.publishing(topic, strings.Repeat("a", kib256), nil))
			c.refused("one byte more", c.publishing(topic, strings.Repeat("a", kib256+1), nil), 400, "InvalidParameter")
			c.refused("in bytes, not in characters", c.publishing(topic, strings.Repeat("é", kib256/2+1), nil), 400, "InvalidParameter")
		},
	},
	{
		ID: "sns-message-size-includes-attributes", Service: theSNS,
		Says:   "Name, type and value of message attributes count towards the size of a message.",
		Source: from(api("sns", "MessageAttributeValue"), seen("sns", "test_publish_too_long_message")),
		Run: func(c *check) {
			topic := c.topic(nil)
			c.refused("together too long", c.publishing(topic, strings.Repeat("a", kib256-4), notes("abc", "xyz")), 400, "InvalidParameter")
		},
	},
	{
		ID: "sns-maximum-message-size-attribute", Service: theSNS,
		Says:   "The topic attribute MaximumMessageSize, up to 1,048,576, changes the limit.",
		Source: from(api("sns", "SetTopicAttributes")),
		Run: func(c *check) {
			topic := c.topic(nil)
			_, err := c.sns.SetTopicAttributes(c.ctx, &sns.SetTopicAttributesInput{
				TopicArn: &topic, AttributeName: ptr("MaximumMessageSize"), AttributeValue: ptr("1048576"),
			})
			c.ok("set", err)
			c.ok("300,000 bytes", c.publishing(topic, strings.Repeat("a", 300_000), nil))
		},
	},
	{
		ID: "sns-subject-under-100", Service: theSNS,
		Says:   "A subject has 1 to 99 characters, else InvalidParameter, HTTP 400.",
		Source: from(api("sns", "Publish"), seen("sns", "test_publish_with_empty_subject")),
		Run: func(c *check) {
			topic := c.topic(nil)
			c.ok("99", c.subject(topic, strings.Repeat("s", 99)))
			c.refused("100", c.subject(topic, strings.Repeat("s", 100)), 400, "InvalidParameter")
			c.refused("none", c.subject(topic, ""), 400, "InvalidParameter")
		},
	},
	{
		ID: "sns-subject-no-controls", Service: theSNS,
		Says:   "A subject with a line break or a control character is InvalidParameter, HTTP 400.",
		Source: from(api("sns", "Publish")),
		Run: func(c *check) {
			topic := c.topic(nil)
			c.refused("a line break", c.subject(topic, "a\nb"), 400, "InvalidParameter")
			c.refused("a control character", c.subject(topic, "a\u0001b"), 400, "InvalidParameter")
			c.ok("UTF-8", c.subject(topic, "häl"))
		},
	},
	{
		ID: "sns-structure-json-picks-protocol", Service: theSNS,
		Says:   "With MessageStructure json a queue gets the text under sqs, or else that under default; values that are not text are ignored.",
		Source: from(api("sns", "Publish")),
		Run: func(c *check) {
			topic := c.topic(nil)
			queue, _ := c.subscribed(topic, raw)
			c.ok("published for sqs", c.structured(topic, `{"default":"D","sqs":"Q","email":"E"}`, "json"))
			c.equal("that for sqs", c.bodies(queue, 1), []string{"Q"})
			c.ok("published for others", c.structured(topic, `{"default":"D","email":"E"}`, "json"))
			c.equal("else the default", c.bodies(queue, 1), []string{"D"})
			c.ok("published with a number", c.structured(topic, `{"default":"D","sqs":5}`, "json"))
			c.equal("a number is ignored", c.bodies(queue, 1), []string{"D"})
		},
	},
	{
		ID: "sns-structure-json-needs-default", Service: theSNS,
		Says:   "With MessageStructure json a message that is not JSON or has no default is InvalidParameter, HTTP 400, and nothing is delivered.",
		Source: from(api("sns", "Publish"), seen("sns", "test_message_structure_json_exc")),
		Run: func(c *check) {
			topic := c.topic(nil)
			queue, _ := c.subscribed(topic, raw)
			c.refused("no default", c.structured(topic, `{"sqs":"Q"}`, "json"), 400, "InvalidParameter")
			c.refused("a default that is no text", c.structured(topic, `{"default":1}`, "json"), 400, "InvalidParameter")
			c.refused("not JSON", c.structured(topic, `nojson`, "json"), 400, "InvalidParameter")
			must(0, c.publishing(topic, "last", nil))(c)
			c.equal("nothing of it is delivered", c.bodies(queue, 1), []string{"last"})
		},
	},
	{
		ID: "sns-structure-value-invalid", Service: theSNS,
		Says:   "A MessageStructure other than json is InvalidParameter, HTTP 400.",
		Source: from(api("sns", "Publish")),
		Run:    func(c *check) { c.refused("xml", c.structured(c.topic(nil), "<m/>", "xml"), 400, "InvalidParameter") },
	},
	{
		ID: "sns-structure-duplicate-keys", Service: theSNS,
		Says:   "With MessageStructure json a key that stands twice is accepted, though the document says that it is not allowed.",
		Source: from(seen("sns", "test_message_structure_json_exc")),
		Run: func(c *check) {
			c.ok("published", c.structured(c.topic(nil), `{"default":"a","default":"b"}`, "json"))
		},
	},
	{
		ID: "sns-attribute-validation", Service: theSNS,
		Says:   "A message attribute without a value, of an unknown type, a Number that is none, or a bad name is ParameterValueInvalid, HTTP 400.",
		Source: from(seen("sns", "test_empty_or_wrong_message_attributes"), in("sns", "SNSMessageAttributes", page)),
		Run: func(c *check) {
			topic := c.topic(nil)
			for what, with := range map[string]map[string]snstypes.MessageAttributeValue{
				"no value":              notes("a", ""),
				"an unknown type":       {"a": {DataType: ptr("Foo"), StringValue: ptr("x")}},
				"a number that is none": {"a": {DataType: ptr("Number"), StringValue: ptr("abc")}},
				"a name with a space":   notes("a b", "x"),
				"a name with a dot":     notes(".a", "x"),
			} {
				err := c.publishing(topic, "m", with)
				c.refused(what, err, 400, "ParameterValueInvalid", "InvalidParameter")
				_, code, _ := failure(err)
				c.is(what+", its code", code == "ParameterValueInvalid", code)
			}
		},
	},
	{
		ID: "sns-target-missing", Service: theSNS,
		Says:   "Publish without a TopicArn, TargetArn or PhoneNumber is InvalidParameter, HTTP 400.",
		Source: from(api("sns", "Publish")),
		Run: func(c *check) {
			_, err := c.sns.Publish(c.ctx, &sns.PublishInput{Message: ptr("m")})
			c.refused("published", err, 400, "InvalidParameter")
		},
	},
	{
		ID: "sns-malformed-arn", Service: theSNS,
		Says:   "A TopicArn that is no ARN is InvalidParameter, HTTP 400.",
		Source: from(seen("sns", "test_publish_wrong_arn_format")),
		Run:    func(c *check) { c.refused("published", c.publishing("abc", "m", nil), 400, "InvalidParameter") },
	},
	{
		ID: "sns-batch-limits", Service: theSNS,
		Says: "PublishBatch of none is EmptyBatchRequest, of more than 10 TooManyEntriesInBatchRequest, with equal ids BatchEntryIdsNotDistinct, " +
			"with a bad id InvalidBatchEntryId, of more than 262,144 bytes in all BatchRequestTooLong: HTTP 400.",
		Source: from(api("sns", "PublishBatch")),
		Run: func(c *check) {
			topic := c.topic(nil)
			half := publications("1", "2")
			half[0].Message, half[1].Message = ptr(strings.Repeat("a", kib256/2)), ptr(strings.Repeat("a", kib256/2+1))
			twice := publications("1", "2")
			twice[1].Id = ptr("1")
			for _, one := range []struct {
				what, code string
				entries    []snstypes.PublishBatchRequestEntry
			}{
				{"none", "EmptyBatchRequest", []snstypes.PublishBatchRequestEntry{}},
				{"11", "TooManyEntriesInBatchRequest", publications(strings.Split("abcdefghijk", "")...)},
				{"an id twice", "BatchEntryIdsNotDistinct", twice},
				{"an id with a space", "InvalidBatchEntryId", publications("a b")},
				{"too long in all", "BatchRequestTooLong", half},
			} {
				_, err := c.sns.PublishBatch(c.ctx, &sns.PublishBatchInput{TopicArn: &topic, PublishBatchRequestEntries: one.entries})
				c.refused(one.what, err, 400, one.code)
			}
		},
	},
	{
		ID: "sns-batch-partial", Service: theSNS,
		Says:   "PublishBatch answers 200 with bad entries in Failed and the others in Successful, and delivers those.",
		Source: from(api("sns", "PublishBatch")),
		Run: func(c *check) {
			topic := c.topic(nil)
			queue, _ := c.subscribed(topic, raw)
			entries := publications("good", "empty", "subject")
			entries[1].Message = ptr("")
			entries[2].Subject = ptr("a\nb")
			out, err := c.sns.PublishBatch(c.ctx, &sns.PublishBatchInput{TopicArn: &topic, PublishBatchRequestEntries: entries})
			if !c.ok("answered", err) {
				return
			}
			c.is("the good one", len(out.Successful) == 1 && *out.Successful[0].Id == "good" && value(out.Successful[0].MessageId) != "", len(out.Successful))
			c.equal("the bad ones", len(out.Failed), 2)
			for _, one := range out.Failed {
				c.is("by the sender's fault", one.SenderFault && value(one.Code) != "", value(one.Code))
			}
			c.equal("the good one is delivered", c.bodies(queue, 1), []string{"good"})
		},
	},
}
