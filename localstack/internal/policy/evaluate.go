package policy

import "strings"

// Request is what a document is asked about.
type Request struct {
	Principal Principal // the zero value: anonymous
	Action    string    // "sqs:SendMessage"; its case does not matter
	Resource  string    // an ARN
	// Context has the values of the condition keys by name ("aws:SourceArn"),
	// whose case does not matter. A key without values is not there.
	Context map[string][]string
}

// keyValues is Request.Context with names in lower case.
type keyValues map[string][]string

// Outcome is what a document decides.
type Outcome int

// The outcomes. No statement decides where nothing matches.
const (
	ImplicitDeny Outcome = iota // no statement is about the request
	Allow
	ExplicitDeny // a Deny matches, whatever else does
)

func (o Outcome) String() string {
	switch o {
	case Allow:
		return "Allow"
	case ExplicitDeny:
		return "ExplicitDeny"
	default:
		return "ImplicitDeny"
	}
}

// Decision is an outcome and where it comes from. The zero value is that no
// statement is about the request.
type Decision struct {
	Outcome Outcome

	// Sid is that of the first statement with this outcome; empty if it has none.
	Sid string

	// Statement is the number of that statement, from 1. Zero: there is none.
	Statement int

	// Delegated says that Allow comes from statements that name the caller's
	// account alone: it delegates to the account, and an identity policy of the
	// caller has to allow the request as well.
	Delegated bool
}

// Evaluate says what a document decides: a Deny that matches is final, an
// Allow is second, and nothing is a deny, too. A nil document decides nothing.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html
func Evaluate(doc *Document, req Request) Decision {
	var allowed Decision
	if doc == nil {
		return allowed
	}
	in := keyValues{}
	for key, values := range req.Context {
		key = strings.ToLower(key)
		in[key] = append(in[key], values...)
	}
	for i, s := range doc.statements {
		match, byAccount := s.match(req, in)
		switch {
		case !match:
		case s.deny:
			return Decision{Outcome: ExplicitDeny, Sid: s.sid, Statement: i + 1}
		case allowed.Outcome != Allow || allowed.Delegated && !byAccount:
			allowed = Decision{Outcome: Allow, Sid: s.sid, Statement: i + 1, Delegated: byAccount}
		}
	}
	return allowed
}

func (s *statement) match(req Request, in keyValues) (match, byAccount bool) {
	match, byAccount = s.matchPrincipal(req.Principal)
	if !match || !s.matchAction(req.Action) || !s.matchResource(req.Resource, in) {
		return false, false
	}
	for _, c := range s.conditions {
		if !c.holds(in) {
			return false, false
		}
	}
	return true, byAccount
}
