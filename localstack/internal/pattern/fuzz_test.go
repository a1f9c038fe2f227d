package pattern_test

import (
	"errors"
	"testing"

	"stillpoint/localstack/internal/pattern"
)

func FuzzParseEvent(f *testing.F) {
	for _, c := range eventCases {
		f.Add([]byte(c.pattern), []byte(c.yes[0]))
	}
	f.Fuzz(func(t *testing.T, text, doc []byte) {
		p, err := pattern.ParseEvent(text)
		if err != nil {
			var syntax *pattern.SyntaxError
			if !errors.As(err, &syntax) || syntax.Reason == "" {
				t.Errorf("%T: %v", err, err)
			}
			return
		}
		first, err := p.MatchEvent(doc)
		again, _ := p.MatchEvent(doc)
		if first != again || first && err != nil {
			t.Errorf("%v, then %v: %v", first, again, err)
		}
	})
}

func FuzzParseFilter(f *testing.F) {
	for _, c := range eventCases {
		f.Add([]byte(c.pattern), c.yes[0])
	}
	f.Fuzz(func(t *testing.T, text []byte, value string) {
		for _, scope := range []pattern.Scope{pattern.MessageAttributes, pattern.MessageBody} {
			filter, err := pattern.ParseFilter(text, scope)
			if err != nil {
				var syntax *pattern.SyntaxError
				if !errors.As(err, &syntax) || syntax.Reason == "" {
					t.Errorf("%T: %v", err, err)
				}
				continue
			}
			filter.MatchBody([]byte(value))
			for _, kind := range []string{"String", "Number", "String.Array", "Binary"} {
				filter.MatchAttributes(map[string]pattern.Attribute{"a": {Type: kind, Value: value}})
			}
		}
	})
}
