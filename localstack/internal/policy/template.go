package policy

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// token is a character of a pattern, or a wildcard.
type token struct {
	kind   kind
	char   rune
	inside bool // a wildcard that does not take a colon
}

type kind int

const (
	literal  kind = iota
	oneChar       // ?
	anyChars      // *
)

// template is a pattern with variables in it. Each piece is either text or a
// variable.
type template struct {
	source string
	pieces []piece
}

type piece struct {
	tokens   []token
	variable string  // in lower case; empty: the tokens are the piece
	fallback *string // nil: a variable without a default
}

// variable is "${aws:username}" or "${aws:username, 'nobody'}":
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_variables.html
var variable = regexp.MustCompile(`^\s*([^\s,'{}$*?]+)\s*(?:,\s*'([^']*)'\s*)?$`)

// compile reads a pattern. Wildcards says whether * and ? are wildcards, and
// variables whether ${...} is one: the older version of the language takes it
// for text. ${*}, ${?} and ${$} are those characters.
func compile(source string, wildcards, variables bool) (template, error) {
	t := template{source: source}
	rest := source
	for variables {
		before, after, found := strings.Cut(rest, "${")
		if !found {
			break
		}
		name, tail, closed := strings.Cut(after, "}")
		if !closed {
			return template{}, fmt.Errorf("a variable in %q has no end", source)
		}
		t.pieces = append(t.pieces, piece{tokens: tokens(before, wildcards)})
		rest = tail
		if name == "*" || name == "?" || name == "$" {
			t.pieces = append(t.pieces, piece{tokens: tokens(name, false)})
			continue
		}
		m := variable.FindStringSubmatchIndex(name)
		if m == nil {
			return template{}, fmt.Errorf("${%s} in %q is no variable", name, source)
		}
		p := piece{variable: strings.ToLower(name[m[2]:m[3]])}
		if m[4] >= 0 {
			fallback := name[m[4]:m[5]]
			p.fallback = &fallback
		}
		t.pieces = append(t.pieces, p)
	}
	t.pieces = append(t.pieces, piece{tokens: tokens(rest, wildcards)})
	return t, nil
}

func tokens(text string, wildcards bool) []token {
	var all []token
	for _, r := range text {
		switch {
		case wildcards && r == '*':
			all = append(all, token{kind: anyChars})
		case wildcards && r == '?':
			all = append(all, token{kind: oneChar})
		default:
			all = append(all, token{char: r})
		}
	}
	return all
}

func (t template) variable() bool {
	for _, p := range t.pieces {
		if p.variable != "" {
			return true
		}
	}
	return false
}

// resolve puts values in for the variables; wildcards in a value are text. It
// is false where a variable has no value, or several: "you cannot use a
// multivalued context key as a policy variable".
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-single-vs-multi-valued-context-keys.html
func (t template) resolve(c keyValues) ([]token, bool) {
	var all []token
	for _, p := range t.pieces {
		values := c[p.variable]
		switch {
		case p.variable == "":
			all = append(all, p.tokens...)
		case len(values) == 1:
			all = append(all, tokens(values[0], false)...)
		case len(values) == 0 && p.fallback != nil:
			all = append(all, tokens(*p.fallback, false)...)
		default:
			return nil, false
		}
	}
	return all, true
}

// glob tells whether the whole of s matches. Fold ignores the case of letters.
// It takes time in proportion to the lengths multiplied, whatever the wildcards.
func glob(pattern []token, s string, fold bool) bool {
	text := []rune(s)
	// reached[i]: the pattern so far matches the first i characters.
	reached := make([]bool, len(text)+1)
	reached[0] = true
	for _, t := range pattern {
		next := make([]bool, len(text)+1)
		if t.kind == anyChars {
			next[0] = reached[0]
		}
		for i, r := range text {
			takes := t.char == r || fold && unicode.ToLower(t.char) == unicode.ToLower(r)
			if t.kind != literal {
				takes = !t.inside || r != ':'
			}
			if t.kind == anyChars {
				next[i+1] = reached[i+1] || next[i] && takes
			} else {
				next[i+1] = reached[i] && takes
			}
		}
		reached = next
	}
	return reached[len(text)]
}

// plainText is the pattern as a string, for operators that have no wildcards.
func plainText(pattern []token) string {
	var b strings.Builder
	for _, t := range pattern {
		b.WriteRune(t.char)
	}
	return b.String()
}
