package events

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
)

func TestTemplates(t *testing.T) {
	vars := map[string]jsontext.Value{
		"s": jsontext.Value(`"a\"b"`), "n": jsontext.Value(`1.50`), "o": jsontext.Value(`{"k":[1]}`), "null": jsontext.Value(`null`),
	}
	for _, c := range []struct {
		template, want string
		broken         bool
	}{
		{template: `{"a": <s>, "b": [<n>, <o>, <null>]}`, want: `{"a":"a\"b","b":[1.50,{"k":[1]},null]}`},
		{template: `{"a":"<s>"}`, broken: true}, // a quote is not escaped
		{template: `{"a":"<o>"}`, broken: true}, // nor are those of an object
		{template: `{"a":"<n> <null>"}`, want: `{"a":"1.50 null"}`},
		{template: `{"a":"\"<n>\"","b":<n>}`, want: `{"a":"\"1.50\"","b":1.50}`},
		{template: `"<s> <o>"`, want: `"a"b {k:[1]}"`},            // a text is not JSON
		{template: "\"one\"\n\"<n>\"", want: "\"one\"\n\"1.50\""}, // more than one line
		{template: `<o>`, want: `{"k":[1]}`},
		{template: `[<n>,"< 5 > 3"]`, want: `[1.50,"< 5 > 3"]`},
	} {
		tmpl, err := parseTemplate(c.template)
		if err != nil {
			t.Errorf("%s: %v", c.template, err)
			continue
		}
		got, ok := tmpl.fill(vars)
		if ok == c.broken || ok && got != c.want {
			t.Errorf("%s: got %s, %t", c.template, got, ok)
		}
	}
	for _, bad := range []string{`text <n>`, `{<s>:1}`, `{"x<s>":1}`, `{"a":1`, `"a`, `{"a":<n>} {"b":1}`, ``, `"a" 1`, `{"a":"\"<s>\\"":1}`} {
		if _, err := parseTemplate(bad); err == nil {
			t.Errorf("%s: taken", bad)
		}
	}
}

func TestPaths(t *testing.T) {
	doc := jsontext.Value(`{"a-b":{"c":[{"d":1},{"d":2,"e":"x"}]},"e/f":null,"z":{"x":1,"y":"2"}}`)
	for text, want := range map[string]string{
		"$": string(doc), "$.a-b.c[1].e": `"x"`, "$.a-b.c[*].d": `[1,2]`, "$.a-b.c[*].e": `["x"]`, "$.e/f": "null", "$.z.*": `[1,"2"]`,
		"$['z']['y']": `"2"`, "$.nope": "", "$.a-b.c[2]": "", "$.a-b.c.d": "", "$.z[0]": "", "$.nope[*]": "",
	} {
		p, ok := parsePath(text, true)
		if !ok {
			t.Errorf("%s: no path", text)
			continue
		}
		got, found := p.find(doc)
		if string(got) != want && found || found != (want != "") {
			t.Errorf("%s: got %s, %t", text, got, found)
		}
	}
	for _, bad := range []string{"", "a", "$a", "$.", "$..a", "$.a[", "$.a[-1]", "$.a[?(@.b)]", "$.a b", "$[9999999999]"} {
		if _, ok := parsePath(bad, true); ok {
			t.Errorf("%s: taken", bad)
		}
	}
	if _, ok := parsePath("$['a']", false); ok {
		t.Error("a name in brackets is taken where it is not allowed")
	}
}

func FuzzTemplate(f *testing.F) {
	for _, s := range []string{`{"a":<x>}`, `"<x> \"<y>\""`, `[<x>, "<x>"]`, `<x>`, `{"<x>":1}`, `{"a":"\\<x>"}`} {
		f.Add(s)
	}
	vars := map[string]jsontext.Value{"x": jsontext.Value(`"plain"`)}
	f.Fuzz(func(t *testing.T, text string) {
		tmpl, err := parseTemplate(text)
		if err != nil {
			return
		}
		// With values that need no escape, a template that is taken always gives JSON, and loses none of its variables.
		got, ok := tmpl.fill(vars)
		if !ok || !tmpl.text && !jsontext.Value(got).IsValid(jsontext.AllowDuplicateNames(true), jsontext.AllowInvalidUTF8(true)) {
			t.Errorf("%q gives %q", text, got)
		}
		n := 0
		for _, name := range tmpl.names() {
			if name == "x" {
				n++
			}
		}
		if strings.Count(got, "plain") < n {
			t.Errorf("%q gives %q, without its variable", text, got)
		}
	})
}
