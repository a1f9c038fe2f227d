package events

import (
	"bytes"
	"errors"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// object tells whether the text is a JSON object, and gives it without white space. An object in which a name stands twice is
// none; whether AWS takes such a one is unknown.
func object(text string) (jsontext.Value, bool) {
	v := jsontext.Value(text)
	if v.Kind() != '{' || !v.IsValid() || v.Compact() != nil {
		return nil, false
	}
	return v, true
}

// valid tells whether the text is one JSON value.
func valid(text string) bool { return jsontext.Value(text).IsValid() }

// values are those of an object's members, in their order.
func values(v jsontext.Value) []jsontext.Value {
	d := jsontext.NewDecoder(bytes.NewReader(v))
	if _, err := d.ReadToken(); err != nil {
		return nil
	}
	var out []jsontext.Value
	for d.PeekKind() == '"' {
		if _, err := d.ReadToken(); err != nil {
			return nil
		}
		member, err := d.ReadValue()
		if err != nil {
			return nil
		}
		out = append(out, member.Clone())
	}
	return out
}

// quote makes a JSON string of a text.
func quote(text string) string {
	out, err := json.Marshal(text)
	if err != nil { // it is not UTF-8, which a request cannot be
		return `""`
	}
	return string(out)
}

// unquote is the content of a JSON string.
func unquote(v jsontext.Value) string {
	var text string
	if json.Unmarshal(v, &text) != nil {
		return ""
	}
	return text
}

// stringsOnly reads JSON strings that follow one another, and tells what is wrong with them.
func stringsOnly(text string) error {
	d := jsontext.NewDecoder(bytes.NewReader([]byte(text)))
	for {
		t, err := d.ReadToken()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if t.Kind() != '"' {
			return errors.New("a template that begins with a quote consists of strings")
		}
	}
}
