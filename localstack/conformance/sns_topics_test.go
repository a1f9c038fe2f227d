package conformance

import (
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
)

// subscribing is an attempt to subscribe.
func (c *check) subscribing(topic, protocol, endpoint string, with attributes) (string, error) {
	out, err := c.sns.Subscribe(c.ctx, &sns.SubscribeInput{TopicArn: &topic, Protocol: &protocol, Endpoint: &endpoint, Attributes: with})
	if err != nil {
		return "", err
	}
	return *out.SubscriptionArn, nil
}

var snsTopics = []behaviour{
	{
		ID: "sns-topic-missing-404", Service: theSNS,
		Says:   "Publish, Subscribe and GetTopicAttributes of a topic that is not there are NotFound, HTTP 404.",
		Source: from(seen("sns", "test_unknown_topic_publish"), api("sns", "Publish"), api("sns", "Subscribe")),
		Run: func(c *check) {
			topic := c.topic(nil) + "-not"
			c.refused("published", c.publishing(topic, "m", nil), 404, "NotFound")
			_, err := c.subscribing(topic, "sqs", c.queueARN(c.queue(nil)), nil)
			c.refused("subscribed", err, 404, "NotFound")
			_, err = c.sns.GetTopicAttributes(c.ctx, &sns.GetTopicAttributesInput{TopicArn: &topic})
			c.refused("looked at", err, 404, "NotFound")
		},
	},
	{
		ID: "sns-create-topic-idempotent", Service: theSNS,
		Says:   "CreateTopic of a name that exists answers its ARN; with other tags it is InvalidParameter, HTTP 400.",
		Source: from(api("sns", "CreateTopic"), seen("sns", "test_create_duplicate_topic_with_more_tags")),
		Run: func(c *check) {
			name := c.name()
			first := must(c.sns.CreateTopic(c.ctx, &sns.CreateTopicInput{Name: &name}))(c)
			c.equal("the ARN", *first.TopicArn, "arn:aws:sns:"+region+":"+c.account+":"+name)
			again, err := c.sns.CreateTopic(c.ctx, &sns.CreateTopicInput{Name: &name})
			if c.ok("created again", err) {
				c.equal("the same", *again.TopicArn, *first.TopicArn)
			}
			_, err = c.sns.CreateTopic(c.ctx, &sns.CreateTopicInput{Name: &name, Tags: []snstypes.Tag{{Key: ptr("a"), Value: ptr("1")}}})
			c.refused("with other tags", err, 400, "InvalidParameter")
		},
	},
	{
		ID: "sns-topic-name-rule", Service: theSNS,
		Says:   "Names of topics have 1 to 256 letters, digits, underscores and hyphens, else InvalidParameter, HTTP 400.",
		Source: from(api("sns", "CreateTopic")),
		Run: func(c *check) {
			name := c.name()
			for what, name := range map[string]string{"a space": "a b", "257 letters": strings.Repeat("a", 257), "a dot": "a.b"} {
				_, err := c.sns.CreateTopic(c.ctx, &sns.CreateTopicInput{Name: &name})
				c.refused(what, err, 400, "InvalidParameter")
			}
			_, err := c.sns.CreateTopic(c.ctx, &sns.CreateTopicInput{Name: aws.String(name + strings.Repeat("_", 256-len(name)))})
			c.ok("256 characters", err)
		},
	},
	{
		ID: "sns-delete-topic-idempotent", Service: theSNS,
		Says:   "DeleteTopic of a topic that is gone succeeds.",
		Source: from(api("sns", "DeleteTopic")),
		Run: func(c *check) {
			topic := c.topic(nil)
			for _, what := range []string{"deleted", "deleted again"} {
				_, err := c.sns.DeleteTopic(c.ctx, &sns.DeleteTopicInput{TopicArn: &topic})
				c.ok(what, err)
			}
			c.refused("it is gone", c.publishing(topic, "m", nil), 404, "NotFound")
		},
	},
	{
		ID: "sns-subscribe-sqs-confirmed", Service: theSNS,
		Says:   "A queue of the same account is subscribed at once, without a confirmation; subscribing it again answers the same ARN.",
		Source: from(api("sns", "Subscribe"), seen("sns", "test_sqs_topic_subscription_confirmation")),
		Run: func(c *check) {
			topic := c.topic(nil)
			_, queue := c.listener(topic)
			first, err := c.subscribing(topic, "sqs", queue, nil)
			c.need("subscribed", err == nil, err)
			c.is("its ARN", strings.HasPrefix(first, topic+":"), first)
			again, err := c.subscribing(topic, "sqs", queue, nil)
			if c.ok("subscribed again", err) {
				c.equal("the same", again, first)
			}
			is := must(c.sns.GetSubscriptionAttributes(c.ctx, &sns.GetSubscriptionAttributesInput{SubscriptionArn: &first}))(c).Attributes
			c.equal("PendingConfirmation", is["PendingConfirmation"], "false")
			c.equal("Endpoint", is["Endpoint"], queue)
			c.equal("RawMessageDelivery", is["RawMessageDelivery"], "false")
		},
	},
	{
		ID: "sns-subscribe-again-other-attributes", Service: theSNS,
		Says:   "Subscribing what is subscribed already, with other attributes, is InvalidParameter, HTTP 400.",
		Source: from(at("https://github.com/localstack/localstack/issues/8816", issue), at("https://github.com/anomalyco/sst/issues/4259", issue)),
		Run: func(c *check) {
			topic := c.topic(nil)
			_, queue := c.listener(topic)
			_, err := c.subscribing(topic, "sqs", queue, raw)
			c.need("subscribed", err == nil, err)
			_, err = c.subscribing(topic, "sqs", queue, attributes{"RawMessageDelivery": "false"})
			c.refused("with other attributes", err, 400, "InvalidParameter")
		},
	},
	{
		ID: "sns-subscribe-bad-protocol-endpoint", Service: theSNS,
		Says:   "A protocol that there is not, or an endpoint that does not fit it, is InvalidParameter, HTTP 400.",
		Source: from(seen("sns", "test_subscribe_with_invalid_protocol, test_subscribe_to_sqs_with_queue_url")),
		Run: func(c *check) {
			topic := c.topic(nil)
			_, err := c.subscribing(topic, "test-protocol", "x", nil)
			c.refused("a protocol", err, 400, "InvalidParameter")
			_, err = c.subscribing(topic, "sqs", c.queue(nil), nil)
			c.refused("the address of a queue in place of its ARN", err, 400, "InvalidParameter")
		},
	},
	{
		ID: "sns-unsubscribe", Service: theSNS,
		Says:   "After Unsubscribe nothing more is delivered; of what is gone it succeeds, and GetSubscriptionAttributes is NotFound, HTTP 404.",
		Source: from(api("sns", "Unsubscribe"), seen("sns", "test_unsubscribe_from_non_existing_subscription, test_create_subscriptions_with_attributes")),
		Run: func(c *check) {
			topic := c.topic(nil)
			gone, subscription := c.subscribed(topic, raw)
			stays, _ := c.subscribed(topic, raw)
			for _, what := range []string{"unsubscribed", "unsubscribed again"} {
				_, err := c.sns.Unsubscribe(c.ctx, &sns.UnsubscribeInput{SubscriptionArn: &subscription})
				c.ok(what, err)
			}
			_, err := c.sns.GetSubscriptionAttributes(c.ctx, &sns.GetSubscriptionAttributesInput{SubscriptionArn: &subscription})
			c.refused("looked at", err, 404, "NotFound")
			must(0, c.publishing(topic, "m", nil))(c)
			c.equal("others get it", c.bodies(stays, 1), []string{"m"})
			c.empty("it gets nothing", gone)
		},
	},
	{
		ID: "sns-unsubscribe-malformed", Service: theSNS,
		Says:   "Unsubscribe of text that is no ARN is InvalidParameter, HTTP 400.",
		Source: from(api("sns", "Unsubscribe")),
		Run: func(c *check) {
			_, err := c.sns.Unsubscribe(c.ctx, &sns.UnsubscribeInput{SubscriptionArn: ptr("abc")})
			c.refused("refused", err, 400, "InvalidParameter")
		},
	},
	{
		ID: "sns-list-subscriptions-by-topic", Service: theSNS,
		Says:   "ListSubscriptionsByTopic lists the topic's subscriptions, each with ARN, protocol, endpoint and owner.",
		Source: from(api("sns", "ListSubscriptionsByTopic")),
		Run: func(c *check) {
			topic := c.topic(nil)
			queue, subscription := c.subscribed(topic, nil)
			c.subscribed(c.topic(nil), nil)
			out, err := c.sns.ListSubscriptionsByTopic(c.ctx, &sns.ListSubscriptionsByTopicInput{TopicArn: &topic})
			if c.ok("listed", err) && c.is("one", len(out.Subscriptions) == 1, len(out.Subscriptions)) {
				is := out.Subscriptions[0]
				c.equal("ARN", *is.SubscriptionArn, subscription)
				c.equal("protocol and endpoint", []string{*is.Protocol, *is.Endpoint}, []string{"sqs", c.queueARN(queue)})
				c.equal("owner", *is.Owner, c.account)
			}
		},
	},
	{
		ID: "sns-topic-attributes", Service: theSNS,
		Says:   "GetTopicAttributes gives TopicArn, Owner, Policy, DisplayName and the number of subscriptions; SetTopicAttributes changes DisplayName.",
		Source: from(api("sns", "GetTopicAttributes"), api("sns", "SetTopicAttributes")),
		Run: func(c *check) {
			topic := c.topic(nil)
			c.subscribed(topic, nil)
			_, err := c.sns.SetTopicAttributes(c.ctx, &sns.SetTopicAttributesInput{TopicArn: &topic, AttributeName: ptr("DisplayName"), AttributeValue: ptr("d")})
			c.ok("set", err)
			is := must(c.sns.GetTopicAttributes(c.ctx, &sns.GetTopicAttributesInput{TopicArn: &topic}))(c).Attributes
			c.equal("TopicArn", is["TopicArn"], topic)
			c.equal("Owner", is["Owner"], c.account)
			c.equal("DisplayName", is["DisplayName"], "d")
			c.equal("SubscriptionsConfirmed", is["SubscriptionsConfirmed"], "1")
			c.is("Policy", strings.Contains(is["Policy"], `"Statement"`), is["Policy"])
		},
	},
	{
		ID: "sns-tags-50", Service: theSNS,
		Says:   "A topic has at most 50 tags: one more is TagLimitExceeded, HTTP 400. TagResource overwrites, UntagResource takes away.",
		Source: from(api("sns", "TagResource"), api("sns", "UntagResource")),
		Run: func(c *check) {
			topic := c.topic(nil)
			var tags []snstypes.Tag
			for i := range 50 {
				tags = append(tags, snstypes.Tag{Key: ptr("k" + strconv.Itoa(i)), Value: ptr("v")})
			}
			_, err := c.sns.TagResource(c.ctx, &sns.TagResourceInput{ResourceArn: &topic, Tags: tags})
			c.ok("50", err)
			_, err = c.sns.TagResource(c.ctx, &sns.TagResourceInput{ResourceArn: &topic, Tags: []snstypes.Tag{{Key: ptr("one"), Value: ptr("more")}}})
			c.refused("one more", err, 400, "TagLimitExceeded")
			_, err = c.sns.TagResource(c.ctx, &sns.TagResourceInput{ResourceArn: &topic, Tags: []snstypes.Tag{{Key: ptr("k0"), Value: ptr("w")}}})
			c.ok("overwritten", err)
			var keys []string
			for _, t := range tags[1:] {
				keys = append(keys, *t.Key)
			}
			_, err = c.sns.UntagResource(c.ctx, &sns.UntagResourceInput{ResourceArn: &topic, TagKeys: keys})
			c.ok("taken away", err)
			left := map[string]string{}
			for _, t := range must(c.sns.ListTagsForResource(c.ctx, &sns.ListTagsForResourceInput{ResourceArn: &topic}))(c).Tags {
				left[*t.Key] = *t.Value
			}
			c.equal("what is left", slices.Collect(maps.Values(left)), []string{"w"})
		},
	},
}
