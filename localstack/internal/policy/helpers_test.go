package policy_test

import (
	"testing"

	"stillpoint/localstack/internal/policy"
)

const (
	iamGrammar    = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html"
	iamLogic      = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html"
	iamPrincipal  = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_principal.html"
	iamNot        = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notprincipal.html"
	iamAction     = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_action.html"
	iamNotAction  = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notaction.html"
	iamResource   = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html"
	iamNotRes     = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_notresource.html"
	iamConditions = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html"
	iamLogicMulti = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-logic-multiple-context-keys-or-values.html"
	iamSets       = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html"
	iamVariables  = "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html"

	queue   = "arn:aws:sqs:us-east-1:111122223333:jobs"
	topic   = "arn:aws:sns:us-east-1:111122223333:alerts"
	bob     = "arn:aws:iam::444455556666:user/Bob"
	session = "arn:aws:sts::444455556666:assumed-role/audit/i-0123"
)

// send is a request to the queue.
func send(who policy.Principal, keys map[string][]string) policy.Request {
	return policy.Request{Principal: who, Action: "sqs:SendMessage", Resource: queue, Context: keys}
}

func decide(t testing.TB, doc string, req policy.Request) policy.Decision {
	t.Helper()
	d, err := policy.Parse([]byte(doc))
	if err != nil {
		t.Fatal(doc, err)
	}
	return policy.Evaluate(d, req)
}
