package scene

import (
	"fmt"
	"strings"
)

// The parts of ARNs in the scene's region and account.
const (
	arns  = "arn:aws:"
	place = "eu-west-1:111122223333:"
)

// allow is the policy of a queue that lets services of the scene's account put messages into it. Without one SQS takes nothing from
// EventBridge rules and SNS topics.
func allow(queueARN string, services ...string) string {
	return fmt.Sprintf(`{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["%s"]},"Action":"sqs:SendMessage","Resource":"%s","Condition":{"ArnLike":{"aws:SourceArn":"arn:aws:*:%s*"}}}]}`,
		strings.Join(services, `","`), queueARN, place)
}
