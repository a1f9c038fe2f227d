package sns

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"stillpoint/localstack/internal/calls"
	"stillpoint/localstack/internal/policy"
	"stillpoint/localstack/internal/wire"
)

// grantable are the actions that the policy of a topic can name. It takes no wildcards: "sns:*" is out of scope too.
// https://docs.aws.amazon.com/sns/latest/dg/sns-access-policy-language-api-permissions-reference.html
var grantable = []string{
	"AddPermission", "DeleteTopic", "GetDataProtectionPolicy", "GetTopicAttributes", "ListSubscriptionsByTopic", "ListTagsForResource",
	"Publish", "PutDataProtectionPolicy", "RemovePermission", "SetTopicAttributes", "Subscribe",
}

// own tells whether the caller is a principal of the account, which identity policies, of which there are none here, are taken to
// allow everything.
func (s *Service) own(c *wire.Call) bool {
	return !c.Service() && c.Account == s.Account && c.Principal != wire.Anonymous
}

// owner refuses callers of other accounts, services and anonymous ones: for actions that no topic's policy can grant.
func (s *Service) owner(c *wire.Call, action, resource string) *wire.Error {
	if s.own(c) {
		return nil
	}
	return s.deny(c, action, resource, "because no resource-based policy allows the SNS:"+action+" action")
}

// open returns the topic that an ARN names, if the caller may do the action on it. The lock is held.
func (s *Service) open(c *wire.Call, action, name, arn string) (*topic, *wire.Error) {
	if arn != "" {
		c.About(arn)
	}
	t, apiErr := s.topic(name, arn)
	if apiErr != nil {
		return nil, apiErr
	}
	return t, s.authorize(c, action, t)
}

// authorize decides by the topic's policy: services, other accounts and anonymous callers need an Allow in it; a Deny holds for
// all. The sentences are those of AWS, as they are quoted in many reports.
func (s *Service) authorize(c *wire.Call, action string, t *topic) *wire.Error {
	ask := s.request(c, action, t)
	c.Asked(calls.Ask{Action: ask.Action, Resource: ask.Resource, Context: ask.Context})
	s.askForKey(c, action, t)
	decision := policy.Evaluate(t.policy, ask)
	switch {
	case decision.Outcome == policy.ExplicitDeny:
		return s.deny(c, action, t.arn, "with an explicit deny in a resource-based policy")
	case s.own(c), decision.Outcome == policy.Allow:
		return nil
	}
	return s.deny(c, action, t.arn, "because no resource-based policy allows the SNS:"+action+" action")
}

// askForKey notes what a publisher needs beside sns:Publish where the topic is under a customer managed key: SNS uses it in the
// publisher's name. https://docs.aws.amazon.com/sns/latest/dg/sns-key-management.html#sns-what-permissions-for-sse
func (s *Service) askForKey(c *wire.Call, action string, t *topic) {
	key := t.attributes["KmsMasterKeyId"]
	if action != "Publish" || c.Service() || !strings.HasPrefix(key, "arn:") {
		return
	}
	for _, action := range []string{"kms:GenerateDataKey", "kms:Decrypt"} {
		ask := s.Ask(c.Caller, action, key)
		ask.Context["kms:ViaService"] = []string{"sns." + s.Region + ".amazonaws.com"}
		ask.Context["kms:EncryptionContext:aws:sns:topicArn"] = []string{t.arn}
		c.Asked(calls.Ask{Action: action, Resource: key, Context: ask.Context})
	}
}

func (s *Service) deny(c *wire.Call, action, resource, why string) *wire.Error {
	s.Log.Warn().Str("resource", resource).Str("principal", c.Principal).Str("source", c.Source).Str("action", "sns:"+action).Msg("access denied: " + why)
	return unauthorized("User: %s is not authorized to perform: SNS:%s on resource: %s %s", c.Principal, action, resource, why)
}

// request is what a topic's policy is asked. AWS:SourceOwner, the account of the caller, is a key of SNS's own, which the default
// policy uses; it is not there for services.
func (s *Service) request(c *wire.Call, action string, t *topic) policy.Request {
	r := s.Ask(c.Caller, "sns:"+action, t.arn)
	if !c.Service() && c.Principal != wire.Anonymous {
		r.Context["AWS:SourceOwner"] = []string{c.Account}
	}
	return r
}

// defaultPolicy is that of a topic which was not given one (recorded).
func (s *Service) defaultPolicy(arn string) string {
	return fmt.Sprintf(`{"Version":"2008-10-17","Id":"__default_policy_ID","Statement":[{"Sid":"__default_statement_ID","Effect":"Allow","Principal":{"AWS":"*"},`+
		`"Action":["SNS:GetTopicAttributes","SNS:SetTopicAttributes","SNS:AddPermission","SNS:RemovePermission","SNS:DeleteTopic","SNS:Subscribe","SNS:ListSubscriptionsByTopic","SNS:Publish"],`+
		`"Resource":%q,"Condition":{"StringEquals":{"AWS:SourceOwner":%q}}}]}`, arn, s.Account)
}

// maxPolicy is in bytes. https://docs.aws.amazon.com/general/latest/gr/sns.html
const maxPolicy = 30_720

// readPolicy checks what is to be the attribute Policy. AWS says "null" where it cannot read one; what follows is ours.
func readPolicy(text string) (*policy.Document, *wire.Error) {
	doc, err := policy.Parse([]byte(text))
	if err != nil {
		return nil, invalid("Policy Error: null (localstack: %v)", err)
	}
	if len(text) > maxPolicy {
		return nil, invalid("Policy Error: null (localstack: it has %d bytes; %d are allowed)", len(text), maxPolicy)
	}
	var raw struct{ Statement jsontext.Value }
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		return nil, invalid("Policy Error: null (localstack: %v)", err)
	}
	for _, st := range listOf(raw.Statement) {
		var in struct{ Action, NotAction jsontext.Value }
		_ = json.Unmarshal(st, &in) // it was read before
		for _, v := range append(listOf(in.Action), listOf(in.NotAction)...) {
			var action string
			if json.Unmarshal(v, &action) == nil && !inScope(action) {
				return nil, invalid("Policy statement action out of service scope!")
			}
		}
	}
	return doc, nil
}

func inScope(action string) bool {
	for _, name := range grantable {
		if strings.EqualFold(action, "sns:"+name) {
			return true
		}
	}
	return false
}

// listOf is the list in a value, or the one element that stands for a list.
func listOf(v jsontext.Value) []jsontext.Value {
	var list []jsontext.Value
	switch {
	case v == nil:
		return nil
	case json.Unmarshal(v, &list) == nil:
		return list
	}
	return []jsontext.Value{v}
}
