package sqs

import (
	"strings"
	"testing"

	"stillpoint/localstack/internal/calls"
	"stillpoint/localstack/internal/wire"
)

const (
	queueARN = "arn:aws:sqs:" + region + ":" + account + ":q"
	ruleARN  = "arn:aws:events:" + region + ":" + account + ":rule/nightly"
)

func allowing(principal, condition string) text {
	return text{"Policy": `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":` + principal + `,"Action":"sqs:SendMessage","Resource":"` + queueARN + `"` + condition + `}}`}
}

func denying(principal, condition string) text {
	out := allowing(principal, condition)
	out["Policy"] = strings.Replace(out["Policy"], `"Allow"`, `"Deny"`, 1)
	return out
}

// Who may put a message into a queue, by its policy.
func TestDeliver(t *testing.T) {
	events := wire.Caller{Principal: "events.amazonaws.com", Account: account, Region: region, Source: ruleARN}
	elsewhere := events
	elsewhere.Account, elsewhere.Source = "222233334444", strings.Replace(ruleARN, account, "222233334444", 1)
	session := wire.Caller{Principal: "arn:aws:sts::" + account + ":assumed-role/scheduler/s", Account: account, Region: region}
	stranger := wire.Caller{Principal: "arn:aws:iam::222233334444:user/b", Account: "222233334444", Region: region}
	nobody := wire.Caller{Principal: wire.Anonymous, Account: account, Region: region}
	service := `{"Service":"events.amazonaws.com"}`
	role := `{"AWS":"arn:aws:iam::` + account + `:role/scheduler"}`
	noResource := " is not authorized to perform: sqs:sendmessage on resource: " + queueARN + " because no resource-based policy allows the sqs:sendmessage action"
	denied := " is not authorized to perform: sqs:sendmessage on resource: " + queueARN + " with an explicit deny in a resource-based policy"

	for name, c := range map[string]struct {
		attributes text
		caller     wire.Caller
		want       string // the message of the error; empty: delivered
	}{
		"service, no policy":           {nil, events, "User: events.amazonaws.com" + noResource},
		"service, allowed":             {allowing(service, ""), events, ""},
		"service, another is allowed":  {allowing(`{"Service":"sns.amazonaws.com"}`, ""), events, "User: events.amazonaws.com" + noResource},
		"source is the rule":           {allowing(service, `,"Condition":{"ArnEquals":{"aws:SourceArn":"`+ruleARN+`"}}`), events, ""},
		"source is another rule":       {allowing(service, `,"Condition":{"ArnEquals":{"aws:SourceArn":"`+ruleARN+`s"}}`), events, "User: events.amazonaws.com" + noResource},
		"account of the source":        {allowing(service, `,"Condition":{"StringEquals":{"aws:SourceAccount":"`+account+`"}}`), events, ""},
		"another account":              {allowing(service, `,"Condition":{"StringEquals":{"aws:SourceAccount":"`+account+`"}}`), elsewhere, "User: events.amazonaws.com" + noResource},
		"all are allowed":              {allowing(`"*"`, ""), events, ""},
		"plain HTTP is denied":         {denying(`"*"`, `,"Condition":{"Bool":{"aws:SecureTransport":"false"}}`), session, ""},
		"own session, no policy":       {nil, session, ""},
		"own session, others allowed":  {allowing(service, ""), session, ""},
		"own session, all denied":      {denying(`"*"`, ""), session, "User: " + session.Principal + denied},
		"own session, its role denied": {denying(role, ""), session, "User: " + session.Principal + denied},
		"by the ARN of the role":       {denying(`"*"`, `,"Condition":{"ArnEquals":{"aws:PrincipalArn":"arn:aws:iam::`+account+`:role/scheduler"}}`), session, "User: " + session.Principal + denied},
		"another role denied":          {denying(`{"AWS":"arn:aws:iam::`+account+`:role/other"}`, ""), session, ""},
		"stranger, no policy":          {nil, stranger, "User: " + stranger.Principal + noResource},
		"stranger, allowed":            {allowing(`{"AWS":"222233334444"}`, ""), stranger, ""},
		"anonymous, no policy":         {nil, nobody, "User: anonymous" + noResource},
		"anonymous, all allowed":       {allowing(`"*"`, ""), nobody, ""},
		"anonymous, account allowed":   {allowing(`{"AWS":"`+account+`"}`, ""), nobody, "User: anonymous" + noResource},
	} {
		t.Run(name, func(t *testing.T) {
			s := newService(t)
			makeQueue(t, s, "q", c.attributes)
			var log calls.Log
			call := &wire.Call{Caller: c.caller, Record: log.Begin(calls.Call{})}
			_, apiErr := s.Deliver(queueARN, Message{Body: "x"}).Do(t.Context(), call)
			switch {
			case c.want == "" && apiErr != nil:
				t.Errorf("refused: %s", apiErr.Message)
			case c.want != "" && apiErr == nil:
				t.Error("delivered")
			case c.want != "" && (apiErr.Code != "AccessDenied" || apiErr.Message != c.want):
				t.Errorf("refused with %s: %s\nwant %s", apiErr.Code, apiErr.Message, c.want)
			}
			if got := log.List()[0].Resources; len(got) != 1 || got[0] != queueARN {
				t.Errorf("the call is said to be about %v", got)
			}
		})
	}
}

// AWS's own key lets the account's principals use a queue, and no service.
func TestOwnKeyKeepsServicesOut(t *testing.T) {
	s := newService(t)
	attributes := allowing(`"*"`, "")
	attributes["KmsMasterKeyId"] = "alias/aws/sqs"
	q := makeQueue(t, s, "q", attributes)
	deliver := func() *wire.Error {
		var log calls.Log
		caller := wire.Caller{Principal: "sns.amazonaws.com", Account: account}
		_, apiErr := s.Deliver(queueARN, Message{Body: "x"}).Do(t.Context(), &wire.Call{Caller: caller, Record: log.Begin(calls.Call{})})
		return apiErr
	}
	wantCode(t, deliver(), "KMS.AccessDeniedException")
	must(t, s, "SendMessage", object{"QueueUrl": q, "MessageBody": "x"}, nil)
	must(t, s, "SetQueueAttributes", object{"QueueUrl": q, "Attributes": text{"KmsMasterKeyId": "alias/ours"}}, nil)
	if apiErr := deliver(); apiErr != nil {
		t.Errorf("with a key of one's own: %s", apiErr.Message)
	}
}
