package conformance

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

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
}
