package conformance

import (
	"strconv"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/sns"
	snstypes "github.com/aws/aws-sdk-go-v2/service/sns/types"
)

// filtered is a subscription with a filter policy, raw.
func filtered(policy string) attributes {
	return attributes{"RawMessageDelivery": "true", "FilterPolicy": policy}
}

func filteredBody(policy string) attributes {
	of := filtered(policy)
	of["FilterPolicyScope"] = "MessageBody"
	return of
}

var snsFilter = []behaviour{
	{
		ID: "sns-filter-attributes-and-or", Service: theSNS,
		Says: "A filter policy passes a message that has each of its keys, with one of the values of each; case matters, and a message without " +
			"attributes does not pass.",
		Source: from(in("sns", "subscription-filter-policy-constraints", page), in("sns", "string-value-matching", page)),
		Run: func(c *check) {
			topic := c.topic(nil)
			queue, _ := c.subscribed(topic, filtered(`{"status":["failed","late"],"plan":["hourly"]}`))
			for body, with := range map[string]map[string]snstypes.MessageAttributeValue{
				"both":         notes("status", "failed", "plan", "hourly"),
				"other value":  notes("status", "late", "plan", "hourly", "more", "x"),
				"one of two":   notes("status", "failed"),
				"wrong value":  notes("status", "done", "plan", "hourly"),
				"another case": notes("status", "Failed", "plan", "hourly"),
				"none":         nil,
			} {
				must(0, c.publishing(topic, body, with))(c)
			}
			c.equal("what passes", c.bodies(queue, 2), []string{"both", "other value"})
		},
	},
	{
		ID: "sns-filter-operators", Service: theSNS,
		Says: "prefix, suffix, anything-but, equals-ignore-case, exists, numeric and $or match as their names say; a String.Array matches by each of " +
			"its elements; numeric takes attributes of type Number.",
		Source: from(in("sns", "string-value-matching", page), in("sns", "numeric-value-matching", unread), in("sns", "sns-subscription-filter-policies", page)),
		Run: func(c *check) {
			number := func(n string) map[string]snstypes.MessageAttributeValue {
				return map[string]snstypes.MessageAttributeValue{"a": {DataType: ptr("Number"), StringValue: &n}}
			}
			array := map[string]snstypes.MessageAttributeValue{"a": {DataType: ptr("String.Array"), StringValue: ptr(`["x","y"]`)}}
			for _, one := range []struct {
				what, policy string
				match, not   map[string]snstypes.MessageAttributeValue
			}{
				{"prefix", `{"a":[{"prefix":"fa"}]}`, notes("a", "failed"), notes("a", "unfair")},
				{"suffix", `{"a":[{"suffix":"ed"}]}`, notes("a", "failed"), notes("a", "edge")},
				{"anything-but", `{"a":[{"anything-but":["x"]}]}`, notes("a", "y"), notes("a", "x")},
				{"anything-but a prefix", `{"a":[{"anything-but":{"prefix":"x"}}]}`, notes("a", "yx"), notes("a", "xy")},
				{"equals-ignore-case", `{"a":[{"equals-ignore-case":"Failed"}]}`, notes("a", "fAILED"), notes("a", "fail")},
				{"exists", `{"a":[{"exists":true}]}`, notes("a", "x"), notes("b", "x")},
				{"exists not", `{"a":[{"exists":false}]}`, notes("b", "x"), notes("a", "x")},
				{"numeric range", `{"a":[{"numeric":[">=",1,"<",10]}]}`, number("9.5"), number("10")},
				{"numeric wants a Number", `{"a":[{"numeric":["=",1]}]}`, number("1.0"), notes("a", "1")},
				{"$or", `{"$or":[{"a":["x"]},{"b":["y"]}]}`, notes("b", "y"), notes("a", "y")},
				{"String.Array", `{"a":["y"]}`, array, notes("a", "x")},
			} {
				topic := c.topic(nil)
				queue, arn := c.listener(topic)
				_, err := c.subscribing(topic, "sqs", arn, filtered(one.policy))
				if !c.ok(one.what+" is a policy", err) {
					continue
				}
				must(0, c.publishing(topic, "not", one.not))(c)
				must(0, c.publishing(topic, "match", one.match))(c)
				c.equal(one.what, c.bodies(queue, 1), []string{"match"})
			}
		},
	},
	{
		ID: "sns-filter-body-scope", Service: theSNS,
		Says: "With FilterPolicyScope MessageBody the policy, which may be nested, is for the JSON of the message; what is no JSON does not pass. A " +
			"nested policy for attributes is InvalidParameter, HTTP 400.",
		Source: from(api("sns", "Subscribe"), in("sns", "subscription-filter-policy-constraints", page)),
		Run: func(c *check) {
			topic := c.topic(nil)
			queue, _ := c.subscribed(topic, filteredBody(`{"job":{"status":["failed"]},"n":[{"numeric":[">",1]}]}`))
			for _, body := range []string{
				`{"job":{"status":"failed"},"n":2}`, `{"job":{"status":"done"},"n":2}`, `{"job":{"status":"failed"},"n":1}`, `no json`,
				`{"job":{"status":["done","failed"]},"n":3}`,
			} {
				must(0, c.publishing(topic, body, nil))(c)
			}
			c.equal("what passes", c.bodies(queue, 2), []string{`{"job":{"status":"failed"},"n":2}`, `{"job":{"status":["done","failed"]},"n":3}`})
			_, arn := c.listener(topic)
			_, err := c.subscribing(topic, "sqs", arn, filtered(`{"job":{"status":["failed"]}}`))
			c.refused("nested, for attributes", err, 400, "InvalidParameter")
		},
	},
	{
		ID: "sns-filter-limits", Service: theSNS,
		Says: "A filter policy has at most 5 keys and 150 combinations of values, its values are lists, and its operators are known: else " +
			"InvalidParameter, HTTP 400.",
		Source: from(in("sns", "subscription-filter-policy-constraints", page)),
		Run: func(c *check) {
			topic := c.topic(nil)
			_, arn := c.listener(topic)
			var values []string
			for i := range 151 {
				values = append(values, strconv.Quote(strconv.Itoa(i)))
			}
			for what, policy := range map[string]string{
				"6 keys":              `{"a":["1"],"b":["1"],"c":["1"],"d":["1"],"e":["1"],"f":["1"]}`,
				"151 values":          `{"a":[` + strings.Join(values, ",") + `]}`,
				"13 by 12 values":     `{"a":[` + strings.Join(values[:13], ",") + `],"b":[` + strings.Join(values[:12], ",") + `]}`,
				"no list":             `{"a":"x"}`,
				"an unknown operator": `{"a":[{"foo":1}]}`,
				"no JSON":             `nojson`,
			} {
				_, err := c.subscribing(topic, "sqs", arn, filtered(policy))
				c.refused(what, err, 400, "InvalidParameter")
			}
			_, err := c.subscribing(topic, "sqs", arn, filtered(`{"a":[`+strings.Join(values[:150], ",")+`]}`))
			c.ok("150 values", err)
		},
	},
	{
		ID: "sns-filter-policy-change", Service: theSNS,
		Says:   "SetSubscriptionAttributes with FilterPolicy replaces the policy, and with {} takes it away.",
		Source: from(api("sns", "SetSubscriptionAttributes"), in("sns", "message-filtering-apply", unread)),
		Run: func(c *check) {
			topic := c.topic(nil)
			queue, subscription := c.subscribed(topic, filtered(`{"a":["x"]}`))
			set := func(policy string) error {
				_, err := c.sns.SetSubscriptionAttributes(c.ctx, &sns.SetSubscriptionAttributesInput{
					SubscriptionArn: &subscription, AttributeName: ptr("FilterPolicy"), AttributeValue: &policy,
				})
				return err
			}
			c.ok("replaced", set(`{"a":["y"]}`))
			must(0, c.publishing(topic, "x", notes("a", "x")))(c)
			must(0, c.publishing(topic, "y", notes("a", "y")))(c)
			c.equal("the new one", c.bodies(queue, 1), []string{"y"})
			if c.ok("taken away", set(`{}`)) {
				must(0, c.publishing(topic, "x", notes("a", "x")))(c)
				c.equal("all pass", c.bodies(queue, 1), []string{"x"})
			}
		},
	},
}
