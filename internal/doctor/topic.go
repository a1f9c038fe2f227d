package doctor

import "fmt"

// Topic is what SNS says of a topic.
type Topic struct {
	ARN string
	// Confirmed are the subscriptions that hear, Pending those that wait to be confirmed.
	Confirmed, Pending int
	Key                string
	Policy             string
}

// JudgeTopic judges the topic for results.
func JudgeTopic(t Topic) []Finding {
	region, account, name := place(t.ARN)
	exists := Good(fmt.Sprintf("%s in %s of account %s", name, region, account))
	hears := Good(count(t.Confirmed, "subscription", "subscriptions"))
	switch {
	case t.Confirmed == 0 && t.Pending > 0:
		hears = Poor(fmt.Sprintf("nobody hears of results: %s to be confirmed", count(t.Pending, "subscription waits", "subscriptions wait")), "follow the link in the mail that SNS has sent")
	case t.Confirmed == 0:
		hears = Poor("nobody hears of results: the topic has no subscription", "subscribe whoever is on call: aws sns subscribe --topic-arn "+t.ARN+" --protocol email --notification-endpoint ...")
	case t.Pending > 0:
		hears = Poor(fmt.Sprintf("%s, and %s to be confirmed", count(t.Confirmed, "subscription", "subscriptions"), count(t.Pending, "one waits", "wait")), "follow the link in the mail that SNS has sent, or delete the subscription")
	}
	encryption := Good("not encrypted at rest by a key of KMS's")
	switch t.Key {
	case "":
	case ownTopicKey:
		encryption = Poor("it is under "+ownTopicKey+", which CloudWatch and EventBridge may not use: alarms that are sent to this topic are lost", "give it a key of your own (fleet.yaml makes one)")
	default:
		encryption = Good("with the key " + t.Key)
	}
	return []Finding{
		named("topic.exists", exists), named("topic.subscriptions", hears), named("topic.encryption", encryption),
		named("topic.policy", judgePolicy(t.Policy, "publish, or subscribe and read")),
	}
}
