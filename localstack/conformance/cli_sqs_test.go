package conformance

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// cliDocument is the reference of a command of the aws CLI.
func cliDocument(service, command string) source {
	return at("https://docs.aws.amazon.com/cli/v1/reference/"+service+"/"+command+".html", unread)
}

// cliCodes is the page about the codes that the aws CLI exits with.
var cliCodes = at("https://docs.aws.amazon.com/cli/v1/topic/return-codes.html", page)

var cliSQS = []behaviour{
	{
		ID: "aws-sqs-queue-missing", Service: theSQS, Via: viaCLI,
		Says:   "A queue that is not there: the CLI exits with 255 (version 2: 254), and names AWS.SimpleQueueService.NonExistentQueue.",
		Source: from(cliCodes, seen("sqs", "test_non_existent_queue")),
		Run: func(c *check) {
			p := c.cli("sqs", "get-queue-url", "--queue-name", c.name())
			c.cliRefused(p, "AWS.SimpleQueueService.NonExistentQueue", "GetQueueUrl", "The specified queue does not exist")
		},
	},
	{
		ID: "aws-sqs-create-queue", Service: theSQS, Via: viaCLI,
		Says:   "create-queue prints the QueueUrl; get-queue-attributes prints every value as text.",
		Source: from(api("sqs", "CreateQueue"), api("sqs", "GetQueueAttributes")),
		Run: func(c *check) {
			name := c.name()
			url, _ := c.cliJSON("sqs", "create-queue", "--queue-name", name, "--attributes", "VisibilityTimeout=7")["QueueUrl"].(string)
			c.is("its address", strings.HasSuffix(url, "/"+c.account+"/"+name), url)
			out := c.cliJSON("sqs", "get-queue-attributes", "--queue-url", url, "--attribute-names", "All")
			is, _ := out["Attributes"].(map[string]any)
			c.equal("VisibilityTimeout", is["VisibilityTimeout"], any("7"))
			c.equal("QueueArn", is["QueueArn"], any("arn:aws:sqs:"+region+":"+c.account+":"+name))
		},
	},
	{
		ID: "aws-sqs-send-and-receive", Service: theSQS, Via: viaCLI,
		Says:   "send-message prints MessageId and the MD5 of body and attributes; receive-message prints the message with them; delete-message prints nothing.",
		Source: from(api("sqs", "SendMessage"), api("sqs", "ReceiveMessage"), api("sqs", "DeleteMessage")),
		Run: func(c *check) {
			queue := c.queue(nil)
			sent := c.cliJSON("sqs", "send-message", "--queue-url", queue, "--message-body", "grüße",
				"--message-attributes", `{"plan":{"DataType":"String","StringValue":"hourly"},"n":{"DataType":"Number","StringValue":"42"}}`)
			c.equal("MD5OfMessageBody", sent["MD5OfMessageBody"], any(md5Of("grüße")))
			c.is("MD5OfMessageAttributes", sent["MD5OfMessageAttributes"] != nil, sent)
			got := c.cliJSON("sqs", "receive-message", "--queue-url", queue, "--message-attribute-names", "All", "--attribute-names", "All")
			messages, _ := got["Messages"].([]any)
			c.need("one message", len(messages) == 1, got)
			m, _ := messages[0].(map[string]any)
			c.equal("Body", m["Body"], any("grüße"))
			c.equal("MessageId", m["MessageId"], sent["MessageId"])
			c.equal("its MD5 again", m["MD5OfMessageAttributes"], sent["MD5OfMessageAttributes"])
			of, _ := m["MessageAttributes"].(map[string]any)
			c.equal("a text", of["plan"], any(map[string]any{"StringValue": "hourly", "DataType": "String"}))
			c.equal("a number", of["n"], any(map[string]any{"StringValue": "42", "DataType": "Number"}))
			system, _ := m["Attributes"].(map[string]any)
			c.equal("ApproximateReceiveCount", system["ApproximateReceiveCount"], any("1"))
			handle, _ := m["ReceiptHandle"].(string)
			p := c.cli("sqs", "delete-message", "--queue-url", queue, "--receipt-handle", handle)
			c.equal("nothing printed for the delete", p, printed{})
			c.equal("gone", c.queueAttributes(queue)["ApproximateNumberOfMessagesNotVisible"], "0")
		},
	},
	{
		ID: "aws-sqs-receive-empty", Service: theSQS, Via: viaCLI,
		Says:   "receive-message of an empty queue exits with 0 and prints nothing, after its wait.",
		Source: from(api("sqs", "ReceiveMessage"), cliCodes),
		Run: func(c *check) {
			begin := time.Now()
			c.equal("nothing", c.cli("sqs", "receive-message", "--queue-url", c.queue(nil), "--wait-time-seconds", "1"), printed{})
			c.is("after its wait", time.Since(begin) > time.Second, time.Since(begin))
		},
	},
	{
		ID: "aws-sqs-bad-handle", Service: theSQS, Via: viaCLI,
		Says:   "A receipt handle that is none: the CLI names ReceiptHandleIsInvalid.",
		Source: from(api("sqs", "ChangeMessageVisibility"), cliCodes),
		Run: func(c *check) {
			p := c.cli("sqs", "change-message-visibility", "--queue-url", c.queue(nil), "--receipt-handle", "garbage", "--visibility-timeout", "0")
			c.cliRefused(p, "ReceiptHandleIsInvalid", "ChangeMessageVisibility", "")
		},
	},
	{
		ID: "aws-sqs-batch-partial", Service: theSQS, Via: viaCLI,
		Says:   "send-message-batch exits with 0 though an entry failed, and prints it under Failed, SenderFault as a boolean.",
		Source: from(api("sqs", "SendMessageBatch"), cliCodes),
		Run: func(c *check) {
			out := c.cliJSON("sqs", "send-message-batch", "--queue-url", c.queue(nil), "--entries",
				`[{"Id":"good","MessageBody":"a"},{"Id":"bad","MessageBody":"b","DelaySeconds":901}]`)
			good, _ := out["Successful"].([]any)
			bad, _ := out["Failed"].([]any)
			c.equal("one succeeded", len(good), 1)
			if c.is("one failed", len(bad) == 1, out) {
				entry, _ := bad[0].(map[string]any)
				c.equal("Id", entry["Id"], any("bad"))
				c.equal("Code", entry["Code"], any("InvalidParameterValue"))
				c.equal("SenderFault", entry["SenderFault"], any(true))
			}
		},
	},
	{
		ID: "aws-sqs-list-queues-pages", Service: theSQS, Via: viaCLI,
		Says:   "list-queues with --page-size makes several calls and prints all queues; with --max-items it prints as many and a token to go on with.",
		Source: from(api("sqs", "ListQueues"), at("https://docs.aws.amazon.com/cli/v1/userguide/cli-usage-pagination.html", unread)),
		Run: func(c *check) {
			prefix := c.name()
			var want []string
			for i := range 3 {
				name := fmt.Sprint(prefix, i)
				must(0, c.creating(name, nil))(c)
				want = append(want, name)
			}
			names := func(out map[string]any) (names []string) {
				urls, _ := out["QueueUrls"].([]any)
				for _, one := range urls {
					url, _ := one.(string)
					names = append(names, url[strings.LastIndex(url, "/")+1:])
				}
				slices.Sort(names)
				return names
			}
			c.equal("all of them", names(c.cliJSON("sqs", "list-queues", "--queue-name-prefix", prefix, "--page-size", "2")), want)
			some := c.cliJSON("sqs", "list-queues", "--queue-name-prefix", prefix, "--max-items", "2")
			c.equal("two of them", len(names(some)), 2)
			c.is("a token", some["NextToken"] != nil, some)
		},
	},
	{
		ID: "aws-sqs-redrive-policy", Service: theSQS, Via: viaCLI,
		Says:   "set-queue-attributes takes a RedrivePolicy as JSON in JSON, and list-dead-letter-source-queues prints the source under queueUrls.",
		Source: from(api("sqs", "SetQueueAttributes"), api("sqs", "ListDeadLetterSourceQueues")),
		Run: func(c *check) {
			queue, dead := c.queue(nil), c.queue(nil)
			of := fmt.Sprintf(`{"RedrivePolicy":"{\"deadLetterTargetArn\":\"%s\",\"maxReceiveCount\":\"5\"}"}`, c.queueARN(dead))
			c.equal("nothing printed", c.cli("sqs", "set-queue-attributes", "--queue-url", queue, "--attributes", of), printed{})
			out := c.cliJSON("sqs", "list-dead-letter-source-queues", "--queue-url", dead)
			c.equal("the source", out["queueUrls"], any([]any{queue}))
		},
	},
}
