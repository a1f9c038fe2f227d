package policy

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// condition is one key below one operator. All conditions of a statement have
// to hold.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-logic-multiple-context-keys-or-values.html
type condition struct {
	operator string // without set operator and IfExists
	set      string // "ForAllValues", "ForAnyValue" or empty
	ifExists bool
	negated  bool
	key      string // in lower case: names of keys are not case-sensitive
	values   []matcher
}

// matcher tells whether a value of the request is what a value of the policy
// says. Known is false if a variable in it has no value.
type matcher func(value string, c keyValues) (match, known bool)

// parseConditions keeps no order: conditions have none.
func parseConditions(element jsontext.Value, variables bool) ([]condition, error) {
	if element == nil {
		return nil, nil
	}
	if element.Kind() != '{' {
		return nil, errors.New("condition: not an object")
	}
	var raw map[string]map[string]jsontext.Value
	if err := unmarshal(element, &raw); err != nil {
		return nil, fmt.Errorf("condition: %w", err)
	}
	var all []condition
	for name, keys := range raw {
		form, build, err := parseOperator(name)
		if err != nil {
			return nil, err
		}
		for key, list := range keys {
			c := form
			c.key = strings.ToLower(key)
			values, err := scalars(list, true)
			if err != nil {
				return nil, fmt.Errorf("condition %s of %s: %w", name, key, err)
			}
			for _, v := range values {
				m, err := build(v, variables)
				if err != nil {
					return nil, fmt.Errorf("condition %s of %s: %w", name, key, err)
				}
				c.values = append(c.values, m)
			}
			all = append(all, c)
		}
	}
	return all, nil
}

// parseOperator takes "ForAllValues:StringNotLikeIfExists" apart.
func parseOperator(name string) (condition, builder, error) {
	var c condition
	rest := name
	for _, set := range []string{"ForAllValues", "ForAnyValue"} {
		if after, ok := strings.CutPrefix(rest, set+":"); ok {
			c.set, rest = set, after
			break
		}
	}
	rest, c.ifExists = strings.CutSuffix(rest, "IfExists")
	c.operator = rest
	build, ok := operators[rest]
	if !ok {
		if build, c.negated = negations[rest]; !c.negated {
			return c, nil, fmt.Errorf("there is no condition operator %q", name)
		}
	}
	if c.operator == "Null" && c.ifExists {
		// "to the end of any condition operator name except the Null condition"
		return c, nil, fmt.Errorf("condition operator %q: Null takes no IfExists", name)
	}
	return c, build, nil
}

// holds evaluates one condition.
//
// "If the key that you specify in a policy condition is not present in the
// request context, the values do not match and the condition is false. If the
// policy condition requires that the key is not matched [...] the condition is
// true." With IfExists it is true.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
//
// "If the key values in the request resolve to an empty data set (for example,
// an empty string), a condition operator modified by ForAllValues returns true,
// and a condition operator modified by ForAnyValue returns false."
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
func (c condition) holds(in keyValues) bool {
	values := in[c.key]
	if c.operator == "Null" {
		text := fmt.Sprint(len(values) == 0)
		return slices.ContainsFunc(c.values, func(m matcher) bool { match, _ := m(text, in); return match })
	}
	if c.ifExists && len(values) == 0 {
		return true
	}
	if c.set != "" && !slices.ContainsFunc(values, func(v string) bool { return v != "" }) {
		return c.set == "ForAllValues"
	}
	holds := 0
	for _, v := range values {
		match, known := c.match(v, in)
		if !known {
			return false
		}
		if match != c.negated {
			holds++
		}
	}
	// Without a set operator a key is meant to have one value. With several, one
	// has to match, and for a negated operator none may.
	if c.set == "ForAllValues" || c.set == "" && c.negated {
		return holds == len(values)
	}
	return holds > 0
}

// match tells whether one of the policy's values matches: OR, and for a
// negated operator NOR.
func (c condition) match(value string, in keyValues) (match, known bool) {
	known = true
	for _, m := range c.values {
		hit, ok := m(value, in)
		match, known = match || hit, known && ok
	}
	return match, known || match && !c.negated
}
