package pattern

import "github.com/go-json-experiment/json/jsontext"

// Attribute is a message attribute as SNS takes it.
type Attribute struct {
	Type  string // "String", "String.Array", "Number" or another, which is not looked at
	Value string // of a String.Array, JSON; of a Number, its digits
}

// MatchAttributes tells whether a message with these attributes passes.
//
// "Amazon SNS compares policy attributes only to message attributes that have
// the following data types": String, String.Array and Number; Number.Array is
// in the examples. Others are as if they were not there.
// https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html
//
// A message without any attribute passes only a policy without conditions:
// "An empty set of attributes results in the filter not matching".
// https://docs.aws.amazon.com/sns/latest/dg/attribute-key-matching.html
func (f *Filter) MatchAttributes(attributes map[string]Attribute) bool {
	if f.root.empty() {
		return true
	}
	if len(attributes) == 0 {
		return false
	}
	root := value{kind: '{'}
	for name, a := range attributes {
		if v, ok := a.value(); ok {
			root.members = append(root.members, member{name, v})
		}
	}
	return f.root.match(root)
}

func (a Attribute) value() (value, bool) {
	switch a.Type {
	case "String":
		return value{kind: '"', text: a.Value}, true
	case "Number":
		number := jsontext.Value(a.Value)
		return value{kind: '0', text: a.Value}, number.Kind() == '0' && number.IsValid()
	case "String.Array", "Number.Array":
		v, err := decode([]byte(a.Value))
		return v, err == nil && v.kind == '['
	default:
		return value{}, false
	}
}
