package pattern

import "fmt"

// The limits of
// https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html
const (
	maxFilterPolicy = 256 << 10 // bytes
	maxFilterNames  = 5         // at the top level: of nested ones, the parents are counted
	maxFilterValues = 150       // combinations of values
)

// Scope is a subscription's FilterPolicyScope.
type Scope string

// What a filter policy is matched against.
const (
	MessageAttributes Scope = "MessageAttributes" // the default of a subscription
	MessageBody       Scope = "MessageBody"
)

// Filter is a subscription's filter policy. It does not change, and can be
// used by several goroutines at once. The zero value lets every message pass.
type Filter struct {
	scope Scope
	root  object
}

// ParseFilter reads a filter policy. An empty scope is MessageAttributes. "{}"
// is a policy without conditions, which every message passes.
// https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html
//
// An error is a *SyntaxError.
func ParseFilter(text []byte, scope Scope) (*Filter, error) {
	p := &parser{dialect: filterDialect()}
	switch scope {
	case "":
		scope = MessageAttributes
	case MessageAttributes, MessageBody:
	default:
		return nil, p.fail(fmt.Sprintf("scope %q is neither MessageAttributes nor MessageBody", scope))
	}
	if len(text) > maxFilterPolicy {
		return nil, p.fail(fmt.Sprintf("Filter policy has %d bytes and may have %d", len(text), maxFilterPolicy))
	}
	root, err := p.parse(text, true)
	if err != nil {
		return nil, err
	}
	switch {
	case scope == MessageAttributes && root.nested():
		return nil, p.fail("Filter policy scope MessageAttributes does not support nested filter policy")
	case len(root.fields)+len(root.ors) > maxFilterNames:
		return nil, p.fail(fmt.Sprintf("Filter policy can not have more than %d keys", maxFilterNames))
	case root.values(1, 1) > maxFilterValues:
		return nil, p.fail("Filter policy is too complex")
	}
	return &Filter{scope: scope, root: *root}, nil
}

// Scope is what the policy is to be matched against, never empty unless the
// Filter is the zero value.
func (f *Filter) Scope() Scope { return f.scope }

// MatchBody tells whether a message with this body passes. One that is no
// JSON object passes only a policy without conditions.
// https://docs.aws.amazon.com/sns/latest/dg/sns-message-filtering-scope.html
func (f *Filter) MatchBody(body []byte) bool {
	if f.root.empty() {
		return true
	}
	v, err := decode(body)
	return err == nil && v.kind == '{' && f.root.match(v)
}

func (o *object) empty() bool { return len(o.fields)+len(o.ors) == 0 }

func (o *object) nested() bool {
	for _, f := range o.fields {
		if f.below != nil {
			return true
		}
	}
	for _, alternatives := range o.ors {
		for _, a := range alternatives {
			if a.nested() {
				return true
			}
		}
	}
	return false
}

// values multiplies n by the combinations that the limit is about: for each
// array its length times its level of nesting, as in the document's
// "3 x 4 x 2 x 3 = 72"; the alternatives of a $or add up. It stops counting
// above the limit.
func (o *object) values(n, level int) int {
	const enough = maxFilterValues + 1
	for _, f := range o.fields {
		if f.leaf != nil {
			n = min(n*min(f.leaf.count, enough)*level, enough)
		} else {
			n = f.below.values(n, min(level+1, enough))
		}
	}
	for _, alternatives := range o.ors {
		sum := 0
		for _, a := range alternatives {
			sum = min(sum+a.values(n, level), enough)
		}
		n = sum
	}
	return n
}
