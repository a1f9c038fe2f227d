package policy_test

import (
	"testing"

	"stillpoint/localstack/internal/policy"
)

// The policy that lets a topic send to a queue:
// https://docs.aws.amazon.com/sns/latest/dg/subscribe-sqs-queue-to-sns-topic.html
const topicToQueue = `{"Version":"2012-10-17","Id":"subscriptions","Statement":[{
	"Sid":"topic","Effect":"Allow","Principal":{"Service":"sns.amazonaws.com"},
	"Action":"sqs:SendMessage","Resource":"` + queue + `",
	"Condition":{"ArnEquals":{"aws:SourceArn":"` + topic + `"}}}]}`

func TestATopicSendsToAQueue(t *testing.T) {
	sns := policy.Principal{Service: "sns.amazonaws.com"}
	from := func(arn string) map[string][]string { return map[string][]string{"aws:sourcearn": {arn}} }
	for _, c := range []struct {
		name string
		req  policy.Request
		want policy.Decision
	}{
		{"the topic", send(sns, from(topic)), policy.Decision{Outcome: policy.Allow, Sid: "topic", Statement: 1}},
		{"another topic", send(sns, from(topic+"2")), policy.Decision{}},
		{"no source", send(sns, nil), policy.Decision{}},
		{"another service", send(policy.Principal{Service: "events.amazonaws.com"}, from(topic)), policy.Decision{}},
		{"a user who calls himself that", send(policy.Principal{ARN: "sns.amazonaws.com"}, from(topic)), policy.Decision{}},
		{"nobody", send(policy.Principal{}, from(topic)), policy.Decision{}},
		{"another queue", policy.Request{Principal: sns, Action: "sqs:SendMessage", Resource: queue + "2", Context: from(topic)}, policy.Decision{}},
		{"another action", policy.Request{Principal: sns, Action: "sqs:ReceiveMessage", Resource: queue, Context: from(topic)}, policy.Decision{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := decide(t, topicToQueue, c.req); got != c.want {
				t.Errorf("%+v, not %+v", got, c.want)
			}
		})
	}
	d, err := policy.Parse([]byte(topicToQueue))
	if err != nil || d.ID != "subscriptions" {
		t.Error(d, err)
	}
}

func TestADenyIsFinal(t *testing.T) { // iamLogic
	const doc = `{"Statement":[
		{"Sid":"a","Effect":"Allow","Principal":"*","Action":"sqs:*"},
		{"Sid":"b","Effect":"Allow","Principal":"*","Action":"*"},
		{"Sid":"c","Effect":"Deny","Principal":"*","Action":"sqs:DeleteQueue"},
		{"Effect":"Deny","Principal":{"AWS":"444455556666"},"Action":"sqs:SendMessage"}]}`
	for _, c := range []struct {
		action string
		who    string
		want   policy.Decision
	}{
		{"sqs:SendMessage", "arn:aws:iam::111122223333:root", policy.Decision{Outcome: policy.Allow, Sid: "a", Statement: 1}},
		{"sns:Publish", bob, policy.Decision{Outcome: policy.Allow, Sid: "b", Statement: 2}},
		{"sqs:DeleteQueue", bob, policy.Decision{Outcome: policy.ExplicitDeny, Sid: "c", Statement: 3}},
		{"sqs:SendMessage", bob, policy.Decision{Outcome: policy.ExplicitDeny, Statement: 4}},
	} {
		req := policy.Request{Principal: policy.Principal{ARN: c.who}, Action: c.action, Resource: queue}
		if got := decide(t, doc, req); got != c.want {
			t.Errorf("%s for %s: %+v, but see %s", c.action, c.who, got, iamLogic)
		}
	}
	if got := policy.Evaluate(nil, policy.Request{}); got != (policy.Decision{}) {
		t.Error("no document:", got)
	}
	if got := policy.Evaluate(&policy.Document{}, policy.Request{}); got.Outcome.String() != "ImplicitDeny" {
		t.Error("an empty document:", got)
	}
}

func TestPrincipals(t *testing.T) {
	user := policy.Principal{ARN: bob}
	other := policy.Principal{ARN: "arn:aws:iam::444455556666:user/bob"}
	role := policy.Principal{ARN: session}
	sns := policy.Principal{Service: "sns.amazonaws.com"}
	account := policy.Principal{ARN: "arn:aws:iam::444455556666:root"}
	none := policy.Principal{}
	const allow, delegated, no = "allow", "delegated", "no"
	for _, c := range []struct {
		source, principal string
		who               policy.Principal
		want              string
	}{
		{iamPrincipal, `"*"`, none, allow},
		{iamPrincipal, `"*"`, sns, allow},
		{iamPrincipal, `{"AWS":"*"}`, none, allow},
		{iamPrincipal, `{"AWS":"*"}`, user, allow},
		{iamPrincipal, `{"AWS":"` + bob + `"}`, user, allow},
		{iamPrincipal, `{"AWS":"` + bob + `"}`, other, no}, // "the user name part [...] is case sensitive"
		{iamPrincipal, `{"AWS":"` + bob + `"}`, account, no},
		{iamPrincipal, `{"AWS":["` + session + `","` + bob + `"]}`, user, allow},
		{iamPrincipal, `{"AWS":"444455556666"}`, user, delegated},
		{iamPrincipal, `{"AWS":"444455556666"}`, role, delegated},
		{iamPrincipal, `{"AWS":"444455556666"}`, account, allow},
		{iamPrincipal, `{"AWS":"arn:aws:iam::444455556666:root"}`, user, delegated},
		{iamPrincipal, `{"AWS":["444455556666","` + bob + `"]}`, user, allow},
		{iamPrincipal, `{"AWS":"777788889999"}`, user, no},
		{iamPrincipal, `{"AWS":"444455556666"}`, sns, no},
		{iamPrincipal, `{"AWS":"444455556666"}`, none, no},
		{iamPrincipal, `{"AWS":"` + session + `"}`, role, allow},
		{iamPrincipal, `{"AWS":"` + session + `x"}`, role, no},
		{iamPrincipal, `{"AWS":"arn:aws:iam::444455556666:role/audit"}`, role, allow},
		{iamPrincipal, `{"AWS":"arn:aws:iam::444455556666:role/path/to/audit"}`, role, allow},
		{iamPrincipal, `{"AWS":"arn:aws:iam::444455556666:role/audit2"}`, role, no},
		{iamPrincipal, `{"AWS":"arn:aws:iam::777788889999:role/audit"}`, role, no},
		{iamPrincipal, `{"AWS":"arn:aws:iam::444455556666:user/audit"}`, role, no},
		{iamPrincipal, `{"AWS":"AIDAJQABLZS4A3QDU576Q"}`, user, no}, // of a deleted user
		{iamPrincipal, `{"Service":["ec2.amazonaws.com","sns.amazonaws.com"]}`, sns, allow},
		{iamPrincipal, `{"Service":"sns.amazonaws.com"}`, user, no},
		{iamPrincipal, `{"AWS":"777788889999","Service":"sns.amazonaws.com"}`, sns, allow},
		{iamPrincipal, `{"Federated":"www.amazon.com"}`, user, no},
		{iamPrincipal, `{"CanonicalUser":"79a5","AWS":"` + bob + `"}`, user, allow},
	} {
		got := decide(t, `{"Statement":{"Effect":"Allow","Principal":`+c.principal+`,"Action":"*"}}`, send(c.who, nil))
		want := map[string]policy.Decision{
			allow: {Outcome: policy.Allow, Statement: 1}, delegated: {Outcome: policy.Allow, Statement: 1, Delegated: true},
		}[c.want]
		if got != want {
			t.Errorf("%s for %+v: %+v, not %s: see %s", c.principal, c.who, got, c.want, c.source)
		}
	}
}

func TestDirectAllowBeforeADelegatedOne(t *testing.T) {
	got := decide(t, `{"Statement":[
		{"Sid":"account","Effect":"Allow","Principal":{"AWS":"444455556666"},"Action":"*"},
		{"Sid":"user","Effect":"Allow","Principal":{"AWS":"`+bob+`"},"Action":"*"}]}`, send(policy.Principal{ARN: bob}, nil))
	if want := (policy.Decision{Outcome: policy.Allow, Sid: "user", Statement: 2}); got != want {
		t.Errorf("%+v", got)
	}
}

func TestNotPrincipal(t *testing.T) {
	const doc = `{"Version":"2012-10-17","Statement":{"Effect":"Deny","NotPrincipal":{"AWS":[
		"` + bob + `","arn:aws:iam::444455556666:role/audit","arn:aws:iam::444455556666:root"]},"Action":"*"}}`
	for who, want := range map[string]policy.Outcome{
		bob:                                    policy.ImplicitDeny,
		session:                                policy.ImplicitDeny,
		"arn:aws:iam::444455556666:root":       policy.ImplicitDeny,
		"arn:aws:iam::444455556666:user/Alice": policy.ExplicitDeny,
		"arn:aws:iam::777788889999:root":       policy.ExplicitDeny,
		"":                                     policy.ExplicitDeny,
	} {
		if got := decide(t, doc, send(policy.Principal{ARN: who}, nil)); got.Outcome != want {
			t.Errorf("%q: %v, but see %s", who, got.Outcome, iamNot)
		}
	}
}

func TestActions(t *testing.T) {
	for _, c := range []struct {
		source, element, action string
		want                    bool
	}{
		{iamAction, `"Action":"*"`, "sqs:SendMessage", true},
		{iamAction, `"Action":"sqs:SendMessage"`, "sqs:SendMessage", true},
		{iamAction, `"Action":"SQS:sendmessage"`, "sqs:SendMessage", true},
		{iamAction, `"Action":"sqs:Send*"`, "sqs:SendMessageBatch", true},
		{iamAction, `"Action":"sqs:*Message*"`, "sqs:SendMessageBatch", true},
		{iamAction, `"Action":"sqs:?endMessage"`, "sqs:SendMessage", true},
		{iamAction, `"Action":"sqs:SendMessage?"`, "sqs:SendMessage", false},
		{iamAction, `"Action":"sqs:*"`, "sns:Publish", false},
		{iamAction, `"Action":["sns:*","sqs:ListQueues"]`, "sqs:ListQueues", true},
		{iamNotAction, `"NotAction":"sqs:DeleteQueue"`, "sqs:SendMessage", true},
		{iamNotAction, `"NotAction":["sqs:delete*","sqs:Purge*"]`, "sqs:DeleteQueue", false},
		{iamNotAction, `"NotAction":["sqs:delete*","sqs:Purge*"]`, "sns:Publish", true},
	} {
		doc := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*",` + c.element + `,"Resource":"*"}}`
		got := decide(t, doc, policy.Request{Action: c.action, Resource: queue})
		if (got.Outcome == policy.Allow) != c.want {
			t.Errorf("%s for %s: %v, but see %s", c.element, c.action, got.Outcome, c.source)
		}
	}
}

func TestResources(t *testing.T) {
	user := map[string][]string{"aws:username": {"bob"}, "aws:PrincipalTag/Team": {"a*"}, "aws:TagKeys": {"x", "y"}}
	for _, c := range []struct {
		source, element, resource string
		want                      bool
	}{
		{iamResource, `"Resource":"*"`, queue, true},
		{iamResource, `"Resource":"` + queue + `"`, queue, true},
		{iamResource, `"Resource":"` + queue + `"`, queue + "x", false},
		{iamResource, `"Resource":"arn:aws:sqs:us-east-1:111122223333:Jobs"`, queue, false},
		{iamResource, `"Resource":["` + topic + `","arn:aws:sqs:*:111122223333:j?bs"]`, queue, true},
		{iamResource, `"Resource":"arn:aws:s3:::bucket/*/test/*"`, "arn:aws:s3:::bucket/1/2/test/3/object.jpg", true},
		{iamResource, `"Resource":"arn:aws:s3:::bucket/*/test/*"`, "arn:aws:s3:::bucket/1-test/object.jpg", false},
		{iamResource, `"Resource":"arn:aws:sqs:us-*-1:111122223333:jobs"`, queue, true},
		{iamResource, `"Resource":"arn:aws:sqs:us-*3:jobs*"`, queue, false}, // within the parts
		{iamResource, `"Resource":"arn:aws:sqs:*:jobs*"`, queue, true},      // beyond a colon at the end of one
		{iamResource, `"Resource":"arn:aws:sqs:*:jobs"`, queue, true},
		{iamResource, `"Resource":"arn:aws:sqs:*"`, queue, true},
		{iamResource, `"Resource":"arn:aws:sqs:us-east-1?111122223333:jobs*"`, queue, false},
		{iamResource, `"Resource":"arn:aws:logs:us-east-1:111122223333:log-group:*:stream"`, "arn:aws:logs:us-east-1:111122223333:log-group:g:x:stream", true},
		{iamNotRes, `"NotResource":"` + topic + `"`, queue, true},
		{iamNotRes, `"NotResource":["` + topic + `","` + queue + `"]`, queue, false},
		{iamVariables, `"Resource":"arn:aws:sqs:us-east-2:*:${aws:username}-queue"`, "arn:aws:sqs:us-east-2:111122223333:bob-queue", true},
		{iamVariables, `"Resource":"arn:aws:sqs:us-east-2:*:${aws:username}-queue"`, "arn:aws:sqs:us-east-2:111122223333:al-queue", false},
		{iamVariables, `"Resource":"arn:aws:s3:::b/${AWS:principaltag/team}"`, "arn:aws:s3:::b/a*", true},   // names are case-insensitive
		{iamVariables, `"Resource":"arn:aws:s3:::b/${aws:PrincipalTag/Team}"`, "arn:aws:s3:::b/abc", false}, // its value is no pattern
		{iamVariables, `"Resource":"arn:aws:s3:::b/${aws:userid}"`, "arn:aws:s3:::b/", false},
		{iamVariables, `"NotResource":"arn:aws:s3:::b/${aws:userid}"`, "arn:aws:s3:::b/x", false}, // the statement is invalid
		{iamVariables, `"Resource":"arn:aws:s3:::b/${aws:userid, 'anonymous'}"`, "arn:aws:s3:::b/anonymous", true},
		{iamVariables, `"Resource":"arn:aws:s3:::b/${aws:username, 'anonymous'}"`, "arn:aws:s3:::b/bob", true},
		{iamSets, `"Resource":"arn:aws:s3:::b/${aws:TagKeys}"`, "arn:aws:s3:::b/x", false},
		{iamVariables, `"Resource":"arn:aws:s3:::b/${*}${?}${$}"`, "arn:aws:s3:::b/*?$", true},
		{iamVariables, `"Resource":"arn:aws:s3:::b/${*}"`, "arn:aws:s3:::b/x", false},
	} {
		doc := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":"*","Action":"*",` + c.element + `}}`
		got := decide(t, doc, policy.Request{Action: "sqs:SendMessage", Resource: c.resource, Context: user})
		if (got.Outcome == policy.Allow) != c.want {
			t.Errorf("%s for %s: %v, but see %s", c.element, c.resource, got.Outcome, c.source)
		}
	}
}

// Without the newer version "variables such as ${aws:username} [...] are
// treated as literal strings in the policy".
func TestTheOlderVersionHasNoVariables(t *testing.T) { // iamVariables
	for _, version := range []string{``, `"Version":"2008-10-17",`} {
		doc := `{` + version + `"Statement":{"Effect":"Allow","Principal":"*","Action":"*","Resource":"arn:aws:s3:::b/${aws:username}"}}`
		for resource, want := range map[string]policy.Outcome{
			"arn:aws:s3:::b/bob": policy.ImplicitDeny, "arn:aws:s3:::b/${aws:username}": policy.Allow,
		} {
			got := decide(t, doc, policy.Request{Action: "s3:GetObject", Resource: resource, Context: map[string][]string{"aws:username": {"bob"}}})
			if got.Outcome != want {
				t.Errorf("%s for %s: %v, but see %s", version, resource, got.Outcome, iamVariables)
			}
		}
	}
}
