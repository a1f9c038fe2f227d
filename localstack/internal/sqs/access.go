package sqs

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"stillpoint/localstack/internal/calls"
	"stillpoint/localstack/internal/policy"
	"stillpoint/localstack/internal/wire"
)

// ownersOnly are the actions that no policy can grant to another account.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/sqs-limitations-of-custom-policies.html, and the
// description of each action in the API reference
var ownersOnly = map[string]bool{
	"AddPermission": true, "CancelMessageMoveTask": true, "CreateQueue": true, "DeleteQueue": true, "ListMessageMoveTasks": true,
	"ListQueues": true, "ListQueueTags": true, "RemovePermission": true, "SetQueueAttributes": true, "StartMessageMoveTask": true,
	"TagQueue": true, "UntagQueue": true,
}

// open returns the queue that a URL names, if the caller may do the action on it. The lock is held.
func (s *Service) open(c *wire.Call, action, queueURL string) (*queue, *wire.Error) {
	q, apiErr := s.find(queueURL)
	if apiErr != nil {
		return nil, apiErr
	}
	return q, s.authorize(c, action, q)
}

// authorize decides by the queue's policy. Principals of the account need no Allow in it, because identity policies, of which there
// are none here, are taken to allow them everything; a Deny holds for them as well. All others need an Allow: services, other
// accounts and anonymous callers.
//
// Answers were recorded from AWS for a role session, "R1" and "R2" in
// https://github.com/floci-io/floci (docs, "resource policy enforcement"): status 403, in the header AccessDenied, in the body
// AccessDeniedException, and the sentences below, the action in lower case. That of a caller for whom only the queue's policy could
// allow it was seen in https://github.com/microsoft/aspire/pull/3333.
func (s *Service) authorize(c *wire.Call, action string, q *queue) *wire.Error {
	c.About(s.arn(q))
	own := !c.Service() && c.Account == s.Account && c.Principal != wire.Anonymous
	ask := s.Ask(c.Caller, "sqs:"+action, s.arn(q))
	c.Asked(calls.Ask{Action: ask.Action, Resource: ask.Resource, Context: ask.Context})
	decision := policy.Evaluate(q.policy, ask)
	var why string
	switch {
	case decision.Outcome == policy.ExplicitDeny:
		why = "with an explicit deny in a resource-based policy"
	case own:
		return nil
	case decision.Outcome != policy.Allow, ownersOnly[action]:
		why = "because no resource-based policy allows the sqs:" + strings.ToLower(action) + " action"
	case c.Service() && q.kmsKey == ownKey:
		return wire.Errorf(kmsDenied, "The queue %s is encrypted with %s, whose key policy lets no service use it: give the queue a customer managed key, or SqsManagedSseEnabled.", q.name, ownKey)
	default:
		return nil
	}
	s.Log.Warn().Str("queue", q.name).Str("principal", c.Principal).Str("source", c.Source).Str("action", "sqs:"+action).Str("sid", decision.Sid).Msg("access denied: " + why)
	return wire.Errorf(accessDenied, "User: %s is not authorized to perform: sqs:%s on resource: %s %s", c.Principal, strings.ToLower(action), s.arn(q), why)
}

// The quotas of a policy. https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/quotas-policies.html
const (
	maxPolicyBytes      = 8192
	maxPolicyStatements = 20
	maxPolicyActions    = 7 // of a statement
	maxPolicyPrincipals = 50
	maxPolicyConditions = 10
)

// readPolicy checks what is to be the attribute Policy. AWS does not say what is wrong with one; what follows its sentence is ours.
// Beside what IAM's language asks for, SQS wants a resource in each statement (aws/aws-cdk#1675), and actions of its own.
func readPolicy(text string) (*policy.Document, *wire.Error) {
	if text == "" {
		return nil, nil
	}
	bad := func(why any) *wire.Error {
		return wire.Errorf(badAttribute, "Invalid value for the parameter Policy. (localstack: %v)", why)
	}
	doc, err := policy.Parse([]byte(text))
	if err != nil {
		return nil, bad(err)
	}
	var raw struct{ Statement jsontext.Value }
	if err := json.Unmarshal([]byte(text), &raw); err != nil {
		return nil, bad(err)
	}
	statements, err := listOf(raw.Statement)
	if err != nil {
		return nil, bad(err)
	}
	if len(text) > maxPolicyBytes {
		return nil, bad(fmt.Sprintf("it has %d bytes; %d are allowed", len(text), maxPolicyBytes))
	}
	if n := len(statements); n > maxPolicyStatements {
		return nil, wire.Errorf(overLimit, "%d statements were found in the submitted policy, max allowed is %d", n, maxPolicyStatements)
	}
	principals, conditions := 0, 0
	for i, st := range statements {
		p, c, why := checkStatement(st)
		if why != "" {
			return nil, bad(fmt.Sprintf("statement %d: %s", i+1, why))
		}
		principals, conditions = principals+p, conditions+c
	}
	if principals > maxPolicyPrincipals || conditions > maxPolicyConditions {
		return nil, bad(fmt.Sprintf("it has %d principals and %d conditions; %d and %d are allowed", principals, conditions, maxPolicyPrincipals, maxPolicyConditions))
	}
	return doc, nil
}

// checkStatement counts the principals and the conditions of a statement, and says what SQS does not take about it.
func checkStatement(text jsontext.Value) (principals, conditions int, why string) {
	var st struct {
		Principal, NotPrincipal, Action, NotAction, Resource, NotResource jsontext.Value
		Condition                                                         map[string]map[string]jsontext.Value
	}
	if err := json.Unmarshal(text, &st); err != nil {
		return 0, 0, err.Error()
	}
	if st.Resource == nil && st.NotResource == nil {
		return 0, 0, "there is no Resource"
	}
	for _, list := range []jsontext.Value{st.Action, st.NotAction} {
		names := stringsOf(list)
		if len(names) > maxPolicyActions {
			return 0, 0, fmt.Sprintf("%d Actions were found, maximum allowed is %d.", len(names), maxPolicyActions)
		}
		for _, name := range names {
			if service, _, ok := strings.Cut(name, ":"); ok && !strings.EqualFold(service, "sqs") {
				return 0, 0, fmt.Sprintf("action %q is not one of SQS", name)
			}
		}
	}
	for _, who := range []jsontext.Value{st.Principal, st.NotPrincipal} {
		var kinds map[string]jsontext.Value
		if json.Unmarshal(who, &kinds) == nil {
			for _, list := range kinds {
				principals += len(stringsOf(list))
			}
		}
	}
	for _, keys := range st.Condition {
		conditions += len(keys)
	}
	return principals, conditions, ""
}

// listOf is the list in a value, or the one element that stands for a list.
func listOf(v jsontext.Value) ([]jsontext.Value, error) {
	if v.Kind() != '[' {
		return []jsontext.Value{v}, nil
	}
	var list []jsontext.Value
	err := json.Unmarshal(v, &list)
	return list, err
}

func stringsOf(v jsontext.Value) []string {
	var one string
	if json.Unmarshal(v, &one) == nil {
		return []string{one}
	}
	var list []string
	_ = json.Unmarshal(v, &list) // anything else was refused by the package policy
	return list
}
