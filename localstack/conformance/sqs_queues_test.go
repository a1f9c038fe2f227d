package conformance

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// creating is an attempt to make a queue.
func (c *check) creating(name string, with attributes) error {
	_, err := c.sqs.CreateQueue(c.ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: with})
	return err
}

// outOfRange are values that an attribute of a queue cannot have.
var outOfRange = map[string][]string{
	"VisibilityTimeout":             {"43201", "-1", "x"},
	"DelaySeconds":                  {"901", "-1"},
	"MaximumMessageSize":            {"1023", "1048577"},
	"MessageRetentionPeriod":        {"59", "1209601"},
	"ReceiveMessageWaitTimeSeconds": {"21", "-1"},
}

var sqsQueues = []behaviour{
	{
		ID: "sqs-create-idempotent", Service: theSQS,
		Says:   "CreateQueue of a name that exists, with the same attributes or with none, answers the address of that queue.",
		Source: from(api("sqs", "CreateQueue")),
		Run: func(c *check) {
			name := aws.String(c.name())
			first := must(c.sqs.CreateQueue(c.ctx, &sqs.CreateQueueInput{QueueName: name, Attributes: attributes{"VisibilityTimeout": "10"}}))(c)
			for what, with := range map[string]attributes{"with the same attributes": {"VisibilityTimeout": "10"}, "with none": nil} {
				again, err := c.sqs.CreateQueue(c.ctx, &sqs.CreateQueueInput{QueueName: name, Attributes: with})
				if c.ok("created again "+what, err) {
					c.equal("the address is the same "+what, *again.QueueUrl, *first.QueueUrl)
				}
			}
		},
	},
	{
		ID: "sqs-create-conflict", Service: theSQS,
		Says:   "CreateQueue of a name that exists with another value of an attribute is QueueAlreadyExists, HTTP 400, and names the attribute.",
		Source: from(api("sqs", "CreateQueue"), seen("sqs", "test_create_queue_with_different_attributes_raises_exception")),
		Run: func(c *check) {
			name := c.name()
			must(0, c.creating(name, attributes{"DelaySeconds": "1"}))(c)
			err := c.creating(name, attributes{"DelaySeconds": "2"})
			c.refused("refused", err, 400, "QueueAlreadyExists", "QueueNameExists")
			_, _, message := failure(err)
			c.is("in AWS's words", strings.Contains(message, "different value for attribute DelaySeconds"), message)
		},
	},
	{
		ID: "sqs-create-deleted-recently", Service: theSQS,
		Says:   "A name can be used again 60 seconds after its queue was deleted, not before: QueueDeletedRecently, HTTP 400.",
		Source: from(api("sqs", "CreateQueue")),
		Run: func(c *check) {
			name := c.name()
			out := must(c.sqs.CreateQueue(c.ctx, &sqs.CreateQueueInput{QueueName: &name}))(c)
			must(c.sqs.DeleteQueue(c.ctx, &sqs.DeleteQueueInput{QueueUrl: out.QueueUrl}))(c)
			c.refused("at once", c.creating(name, nil), 400, "QueueDeletedRecently")
		},
	},
	{
		ID: "sqs-create-deleted-a-minute-ago", Service: theSQS, Needs: clock,
		Says:   "Sixty seconds after a queue was deleted its name can be used again, for a queue without the old messages.",
		Source: from(api("sqs", "CreateQueue"), api("sqs", "DeleteQueue")),
		Run: func(c *check) {
			name := c.name()
			queue := *must(c.sqs.CreateQueue(c.ctx, &sqs.CreateQueueInput{QueueName: &name}))(c).QueueUrl
			c.send(queue, "m")
			must(c.sqs.DeleteQueue(c.ctx, &sqs.DeleteQueueInput{QueueUrl: &queue}))(c)
			c.move(61 * time.Second)
			if c.ok("after a minute", c.creating(name, nil)) {
				c.empty("without what was in it", queue)
			}
		},
	},
	{
		ID: "sqs-name-rule", Service: theSQS,
		Says:   "Names of queues have 1 to 80 letters, digits, hyphens and underscores, else InvalidParameterValue, HTTP 400.",
		Source: from(api("sqs", "CreateQueue")),
		Run: func(c *check) {
			c.refused("a space", c.creating("a b", nil), 400, "InvalidParameterValue")
			c.refused("81 letters", c.creating(strings.Repeat("a", 81), nil), 400, "InvalidParameterValue")
			c.refused("a dot", c.creating("a.b", nil), 400, "InvalidParameterValue")
			name := c.name()
			c.ok("80 characters", c.creating(name+strings.Repeat("_", 80-len(name)), nil))
		},
	},
	{
		ID: "sqs-queue-missing", Service: theSQS,
		Says: "A call on a queue that is not there, and GetQueueUrl of it, is QueueDoesNotExist, HTTP 400; to clients of old the header " +
			"x-amzn-query-error says AWS.SimpleQueueService.NonExistentQueue.",
		Source: from(seen("sqs", "test_non_existent_queue")),
		Run: func(c *check) {
			name := c.name()
			queue := c.queue(nil) + "-not"
			_, err := c.sqs.SendMessage(c.ctx, &sqs.SendMessageInput{QueueUrl: &queue, MessageBody: ptr("m")})
			c.refused("sent", err, 400, "NonExistentQueue", "QueueDoesNotExist")
			_, err = c.sqs.GetQueueUrl(c.ctx, &sqs.GetQueueUrlInput{QueueName: &name})
			c.refused("looked up", err, 400, "NonExistentQueue", "QueueDoesNotExist")
			_, err = c.sqsJSON("ReceiveMessage", map[string]any{"QueueUrl": queue})
			raw, ok := err.(*wireError)
			if c.is("received", ok, err) {
				c.equal("the code of old", raw.code, "AWS.SimpleQueueService.NonExistentQueue")
				c.equal("the type", raw.kind, "com.amazonaws.sqs#QueueDoesNotExist")
				c.is("in AWS's words", strings.HasPrefix(raw.message, "The specified queue does not exist"), raw.message)
			}
		},
	},
	{
		ID: "sqs-get-queue-url", Service: theSQS,
		Says:   "GetQueueUrl answers the address that CreateQueue gave: it ends in the account and the name.",
		Source: from(api("sqs", "GetQueueUrl")),
		Run: func(c *check) {
			queue := c.queue(nil)
			name := queue[strings.LastIndex(queue, "/")+1:]
			out, err := c.sqs.GetQueueUrl(c.ctx, &sqs.GetQueueUrlInput{QueueName: &name})
			if c.ok("looked up", err) {
				c.equal("the same", *out.QueueUrl, queue)
				c.is("account and name", strings.HasSuffix(queue, "/"+c.account+"/"+name), queue)
			}
			c.equal("the ARN", c.queueARN(queue), "arn:aws:sqs:"+region+":"+c.account+":"+name)
		},
	},
	{
		ID: "sqs-attribute-name-unknown", Service: theSQS,
		Says:   "An attribute that queues do not have is InvalidAttributeName, HTTP 400, to get, to set and to create with.",
		Source: from(api("sqs", "GetQueueAttributes"), api("sqs", "SetQueueAttributes"), seen("sqs", "test_set_unsupported_attribute_fifo")),
		Run: func(c *check) {
			queue := c.queue(nil)
			_, err := c.sqs.GetQueueAttributes(c.ctx, &sqs.GetQueueAttributesInput{QueueUrl: &queue, AttributeNames: []queueAttribute{"Foo"}})
			c.refused("got", err, 400, "InvalidAttributeName")
			c.refused("set", c.setQueue(queue, attributes{"Foo": "1"}), 400, "InvalidAttributeName")
			c.refused("created with", c.creating(c.name(), attributes{"Foo": "1"}), 400, "InvalidAttributeName")
		},
	},
	{
		ID: "sqs-attribute-value-range", Service: theSQS,
		Says: "A value outside the range of an attribute (VisibilityTimeout 43201, DelaySeconds 901, MaximumMessageSize 1023, " +
			"MessageRetentionPeriod 59, ReceiveMessageWaitTimeSeconds 21 ...) is refused, HTTP 400.",
		Source: from(api("sqs", "SetQueueAttributes")),
		Run: func(c *check) {
			queue := c.queue(nil)
			for _, name := range slices.Sorted(maps.Keys(outOfRange)) {
				for _, v := range outOfRange[name] {
					c.refused(name+" "+v, c.setQueue(queue, attributes{name: v}), 400, "InvalidAttributeValue", "InvalidParameterValue")
				}
			}
			c.refused("created with", c.creating(c.name(), attributes{"DelaySeconds": "901"}), 400, "InvalidAttributeValue", "InvalidParameterValue")
			c.ok("the greatest of each", c.setQueue(queue, attributes{
				"VisibilityTimeout": "43200", "DelaySeconds": "900", "MaximumMessageSize": "1048576", "MessageRetentionPeriod": "1209600",
				"ReceiveMessageWaitTimeSeconds": "20",
			}))
		},
	},
	{
		ID: "sqs-attributes-need-names", Service: theSQS,
		Says:   "GetQueueAttributes gives what is named, and nothing without names; times are in whole seconds since 1970.",
		Source: from(api("sqs", "GetQueueAttributes")),
		Run: func(c *check) {
			queue := c.queue(nil)
			out := must(c.sqs.GetQueueAttributes(c.ctx, &sqs.GetQueueAttributesInput{QueueUrl: &queue}))(c)
			c.equal("none without names", len(out.Attributes), 0)
			out = must(c.sqs.GetQueueAttributes(c.ctx, &sqs.GetQueueAttributesInput{QueueUrl: &queue, AttributeNames: []queueAttribute{"DelaySeconds"}}))(c)
			c.equal("one by name", out.Attributes, attributes{"DelaySeconds": "0"})
			is := c.queueAttributes(queue)
			for _, name := range []string{"CreatedTimestamp", "LastModifiedTimestamp"} {
				c.is(name, regexp.MustCompile(`^\d{10}$`).MatchString(is[name]), is[name])
			}
		},
	},
	{
		ID: "sqs-set-attributes-takes-effect", Service: theSQS,
		Says:   "SetQueueAttributes changes what it names and leaves the others as they are.",
		Source: from(api("sqs", "SetQueueAttributes")),
		Run: func(c *check) {
			queue := c.queue(attributes{"VisibilityTimeout": "10", "DelaySeconds": "3"})
			c.ok("set", c.setQueue(queue, attributes{"VisibilityTimeout": "20"}))
			is := c.queueAttributes(queue)
			c.equal("changed", is["VisibilityTimeout"], "20")
			c.equal("as it was", is["DelaySeconds"], "3")
		},
	},
	{
		ID: "sqs-list-queues-pages", Service: theSQS,
		Says:   "ListQueues gives those whose names begin with the prefix, and a NextToken only where MaxResults was given and is too few.",
		Source: from(api("sqs", "ListQueues")),
		Run: func(c *check) {
			prefix := c.name()
			var want []string
			for _, end := range []string{"a", "b", "c"} {
				out := must(c.sqs.CreateQueue(c.ctx, &sqs.CreateQueueInput{QueueName: aws.String(prefix + end)}))(c)
				want = append(want, *out.QueueUrl)
			}
			out := must(c.sqs.ListQueues(c.ctx, &sqs.ListQueuesInput{QueueNamePrefix: &prefix}))(c)
			c.equal("all of them", slices.Sorted(slices.Values(out.QueueUrls)), want)
			c.is("no token without MaxResults", out.NextToken == nil)
			out = must(c.sqs.ListQueues(c.ctx, &sqs.ListQueuesInput{QueueNamePrefix: aws.String(strings.ToUpper(prefix))}))(c)
			c.equal("case matters", len(out.QueueUrls), 0)
			var got []string
			var token *string
			for range len(want) {
				out, err := c.sqs.ListQueues(c.ctx, &sqs.ListQueuesInput{QueueNamePrefix: &prefix, MaxResults: aws.Int32(1), NextToken: token})
				if !c.ok("a page", err) || !c.is("one of each page", len(out.QueueUrls) == 1, len(out.QueueUrls)) {
					return
				}
				got, token = append(got, out.QueueUrls...), out.NextToken
				if token == nil {
					break
				}
			}
			c.equal("all of them, page by page", slices.Sorted(slices.Values(got)), want)
		},
	},
	{
		ID: "sqs-purge-once-per-60s", Service: theSQS,
		Says:   "PurgeQueue empties a queue; again within 60 seconds it is PurgeQueueInProgress, HTTP 403.",
		Source: from(api("sqs", "PurgeQueue"), seen("sqs", "test_successive_purge_calls_fail")),
		Run: func(c *check) {
			queue := c.queue(nil)
			c.send(queue, "m")
			_, err := c.sqs.PurgeQueue(c.ctx, &sqs.PurgeQueueInput{QueueUrl: &queue})
			c.ok("purged", err)
			c.empty("empty", queue)
			_, err = c.sqs.PurgeQueue(c.ctx, &sqs.PurgeQueueInput{QueueUrl: &queue})
			c.refused("purged again", err, 403, "PurgeQueueInProgress")
		},
	},
	{
		ID: "sqs-tags", Service: theSQS,
		Says:   "TagQueue adds tags and overwrites those of the same key, UntagQueue takes them away, ListQueueTags lists them; CreateQueue takes tags.",
		Source: from(api("sqs", "TagQueue"), api("sqs", "UntagQueue"), api("sqs", "ListQueueTags")),
		Run: func(c *check) {
			out := must(c.sqs.CreateQueue(c.ctx, &sqs.CreateQueueInput{QueueName: aws.String(c.name()), Tags: attributes{"a": "1", "b": "2"}}))(c)
			_, err := c.sqs.TagQueue(c.ctx, &sqs.TagQueueInput{QueueUrl: out.QueueUrl, Tags: attributes{"b": "3", "c": ""}})
			c.ok("tagged", err)
			_, err = c.sqs.UntagQueue(c.ctx, &sqs.UntagQueueInput{QueueUrl: out.QueueUrl, TagKeys: []string{"a"}})
			c.ok("untagged", err)
			tags := must(c.sqs.ListQueueTags(c.ctx, &sqs.ListQueueTagsInput{QueueUrl: out.QueueUrl}))(c)
			c.equal("what is left", tags.Tags, attributes{"b": "3", "c": ""})
		},
	},
}
