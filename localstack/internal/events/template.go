package events

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/go-json-experiment/json/jsontext"
)

// template is an InputTemplate, cut at its placeholders.
type template struct {
	parts []part
	text  bool // it is a string, not JSON
}

// part is a piece of text, or the name of a variable.
type part struct {
	literal  string
	variable string
	quoted   bool // the variable stands within quotes
}

var placeholder = regexp.MustCompile(`<([^<>\s"]+)>`)

// parseTemplate reads an InputTemplate, of which it knows two kinds: JSON, and a string in quotes, which reaches the target with
// its quotes. The error says what is wrong with it. "For Strings, quotes are required":
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html#eb-transform-input-issues
func parseTemplate(text string) (template, error) {
	t := template{text: strings.HasPrefix(strings.TrimSpace(text), `"`)}
	// What is left when every variable has the simplest value has to be JSON.
	var sample strings.Builder
	at, quoted := 0, false
	for _, m := range placeholder.FindAllStringSubmatchIndex(text, -1) {
		literal := text[at:m[0]]
		quoted = within(quoted, literal)
		t.parts = append(t.parts, part{literal: literal}, part{variable: text[m[2]:m[3]], quoted: quoted})
		sample.WriteString(literal)
		if quoted {
			sample.WriteString(mark)
		} else {
			sample.WriteString("null")
		}
		at = m[1]
	}
	t.parts = append(t.parts, part{literal: text[at:]})
	sample.WriteString(text[at:])
	return t, t.check(sample.String())
}

// mark stands in a sample for a variable within quotes.
const mark = "\uE000"

func (t template) check(sample string) error {
	if t.text {
		return stringsOnly(sample)
	}
	v := jsontext.Value(sample)
	if err := v.Compact(jsontext.AllowDuplicateNames(true)); err != nil {
		return fmt.Errorf("it is neither JSON nor a string in quotes: %w", err)
	}
	if strings.Contains(string(v), mark) && keyed.MatchString(string(v)) {
		return errors.New("the placeholder cannot be used as an object key")
	}
	return nil
}

// keyed is a name, in JSON without white space, that has a mark in it.
var keyed = regexp.MustCompile(`[{,]"(?:[^"\\]|\\.)*` + mark + `(?:[^"\\]|\\.)*":`)

// within tells whether a literal ends within quotes, if it begins so.
func within(quoted bool, literal string) bool {
	for i := 0; i < len(literal); i++ {
		switch {
		case literal[i] == '"':
			quoted = !quoted
		case literal[i] == '\\' && quoted:
			i++
		}
	}
	return quoted
}

// names are those of its variables.
func (t template) names() []string {
	var out []string
	for _, p := range t.parts {
		if p.variable != "" {
			out = append(out, p.variable)
		}
	}
	return out
}

// fill puts in the values of the variables; one that has none is an empty string, "" outside of quotes, as recorded from AWS in
// https://github.com/localstack/localstack/blob/main/tests/aws/services/events/test_events_inputs.snapshot.json. JSON comes out
// without white space: "The JSON that is passed to the target is minified". It is false if it is no JSON any more, which happens:
// "EventBridge doesn't escape values extracted by Input Path".
func (t template) fill(vars map[string]jsontext.Value) (string, bool) {
	var b strings.Builder
	for _, p := range t.parts {
		b.WriteString(p.literal)
		if p.variable == "" {
			continue
		}
		v, ok := vars[p.variable]
		switch {
		case !ok && p.quoted:
		case !ok:
			b.WriteString(`""`)
		case !p.quoted:
			b.Write(v)
		case v.Kind() == '"':
			b.WriteString(unquote(v))
		case t.text:
			// {"a":"b"} becomes {a:b}: not documented, seen in the same recordings.
			b.WriteString(strings.ReplaceAll(string(v), `"`, ""))
		default:
			b.Write(v)
		}
	}
	if t.text {
		return b.String(), true
	}
	out := jsontext.Value(b.String())
	if err := out.Compact(jsontext.AllowDuplicateNames(true)); err != nil {
		return b.String(), false
	}
	return string(out), true
}
