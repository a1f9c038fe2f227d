// Package iam says what the policy of a role or a user answers to what a local AWS was asked. The local AWS itself allows the
// principals of its account everything; with the log of its calls (Server.Calls, each with its Asks) a policy can be held against
// what a program really does.
package iam

import (
	"stillpoint/localstack"
	"stillpoint/localstack/internal/policy"
)

// Policy is the policy document of a role or a user.
type Policy struct{ document *policy.Document }

// Parse reads a policy document as JSON. The error names what is wrong with it.
func Parse(text []byte) (*Policy, error) {
	d, err := policy.ParseIdentity(text)
	if err != nil {
		return nil, err
	}
	return &Policy{d}, nil
}

// Allows tells whether the policy, taken alone, allows what is asked; sid is that of the statement that decides, and empty where none
// does or it has none.
func (p *Policy) Allows(a localstack.Ask) (allowed bool, sid string) {
	d := policy.Evaluate(p.document, policy.Request{Action: a.Action, Resource: a.Resource, Context: a.Context})
	return d.Outcome == policy.Allow, d.Sid
}
