package policy

import (
	"fmt"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// arnParts is how many parts an ARN has; the last may hold colons of its own.
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference-arns.html
const arnParts = 6

// splitARN divides a pattern at its first five colons.
func splitARN(pattern []token) ([][]token, bool) {
	var parts [][]token
	for len(parts) < arnParts-1 {
		i := 0
		for i < len(pattern) && (pattern[i].kind != literal || pattern[i].char != ':') {
			i++
		}
		if i == len(pattern) {
			return nil, false
		}
		parts = append(parts, pattern[:i])
		pattern = pattern[i+1:]
	}
	return append(parts, pattern), true
}

// arnLike: "Each of the six colon-delimited components of the ARN is checked
// separately and each can include multi-character match wildcards (*) or
// single-character match wildcards (?)."
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html#Conditions_ARN
func arnLike(pattern []token, arn string) bool {
	parts, ok := splitARN(pattern)
	values := strings.SplitN(arn, ":", arnParts)
	if !ok || len(values) != arnParts {
		return false
	}
	for i, part := range parts {
		if !glob(part, values[i], false) {
			return false
		}
	}
	return true
}

// compileResource reads an element of Resource. Wildcards stay within a part
// of the ARN, but "if the * wildcard is the last character of a resource ARN
// segment, it can expand to match beyond the colon boundaries":
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_resource.html
//
// Variables are for the last part: "You can't use a variable to replace parts
// of the ARN before the fifth colon".
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
func compileResource(source string, variables bool) (template, error) {
	t, err := compile(source, true, variables)
	if err != nil || source == "*" {
		return t, err
	}
	if !strings.HasPrefix(source, "arn:") {
		return t, fmt.Errorf("%q is neither an ARN nor *", source)
	}
	colons, crosses := 0, false
	for _, p := range t.pieces {
		if p.variable != "" && colons < arnParts-1 {
			return t, fmt.Errorf("%q has a variable before the fifth colon", source)
		}
		for i := range p.tokens {
			here := &p.tokens[i]
			if here.kind == literal && here.char == ':' {
				colons++
			}
			last := i+1 == len(p.tokens) || p.tokens[i+1].kind == literal && p.tokens[i+1].char == ':'
			here.inside = colons < arnParts-1 && (here.kind == oneChar || here.kind == anyChars && !last)
			crosses = crosses || here.kind == anyChars && last
		}
	}
	if colons < arnParts-1 && !crosses {
		return t, fmt.Errorf("%q is an ARN of %d parts, not %d", source, colons+1, arnParts)
	}
	return t, nil
}

func (s *statement) parseResource(r rawStatement, variables bool) error {
	list, err := either("Resource", r.Resource, "NotResource", r.NotResource)
	if err != nil {
		return err
	}
	s.notResource = r.NotResource != nil
	for _, source := range list {
		t, err := compileResource(source, variables)
		if err != nil {
			return fmt.Errorf("resource: %w", err)
		}
		s.resources = append(s.resources, t)
	}
	return nil
}

// either is the list that is there; none is nil.
func either(name string, list jsontext.Value, negatedName string, negated jsontext.Value) ([]string, error) {
	switch {
	case list != nil && negated != nil:
		return nil, fmt.Errorf("there are both %s and %s", name, negatedName)
	case negated != nil:
		list, name = negated, negatedName
	case list == nil:
		return nil, nil
	}
	values, err := scalars(list, false)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return values, nil
}

// matchResource is false for a variable without a value, whichever the
// element: it "might cause the entire statement to be invalid".
func (s *statement) matchResource(arn string, c keyValues) bool {
	if s.resources == nil {
		return true
	}
	listed := false
	for _, t := range s.resources {
		pattern, ok := t.resolve(c)
		if !ok && s.notResource {
			return false
		}
		listed = listed || ok && glob(pattern, arn, false)
	}
	return listed != s.notResource
}
