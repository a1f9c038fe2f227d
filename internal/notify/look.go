package notify

import (
	"context"
	"fmt"
	"strconv"

	"github.com/aws/aws-sdk-go-v2/service/sns"
)

// Attributes are what SNS says of a topic, as far as a person who sets one up
// can get it wrong.
type Attributes struct {
	ARN string
	// Confirmed and Pending count the subscriptions.
	Confirmed, Pending int
	Key                string // of KMS; "": none
	Policy             string
}

// Look reads the topic's attributes.
func (t *Topic) Look(ctx context.Context) (Attributes, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := t.api.GetTopicAttributes(ctx, &sns.GetTopicAttributesInput{TopicArn: &t.arn})
	if err != nil {
		return Attributes{}, fmt.Errorf("cannot read the attributes of %s: %w", t.arn, err)
	}
	number := func(name string) int {
		n, _ := strconv.Atoi(out.Attributes[name]) // SNS writes nothing else; what is left out is 0
		return n
	}
	return Attributes{
		ARN: t.arn, Confirmed: number("SubscriptionsConfirmed"), Pending: number("SubscriptionsPending"),
		Key: out.Attributes["KmsMasterKeyId"], Policy: out.Attributes["Policy"],
	}, nil
}
