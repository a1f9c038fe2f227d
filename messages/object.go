package messages

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/go-json-experiment/json/jsontext"
)

// member is one key of a JSON object with its value as it was written.
type member struct {
	name  string
	value jsontext.Value
}

// object is a JSON object in the order in which it was written. Names are unique at every depth.
type object []member

func (o object) get(name string) (jsontext.Value, bool) {
	for _, m := range o {
		if m.name == name {
			return m.value, true
		}
	}
	return nil, false
}

func (o object) has(name string) bool {
	_, ok := o.get(name)
	return ok
}

const anExample = `such as {"plan":"nightly"}`

// readObject reads exactly one JSON object: no duplicate names at any depth,
// nothing after it, valid UTF-8 throughout.
func readObject(data []byte) (object, error) {
	if len(bytes.TrimSpace(data)) == 0 {
		return nil, fmt.Errorf("there is nothing to read: expected a JSON object, %s", anExample)
	}
	dec := jsontext.NewDecoder(bytes.NewReader(data))
	switch k := dec.PeekKind(); k {
	case '{':
	case jsontext.KindInvalid:
		_, err := dec.ReadToken()
		return nil, notJSON(err)
	default:
		if _, err := dec.ReadValue(); err != nil { // the kind is a guess by the first letter: nightly is no null
			return nil, fmt.Errorf("expected a JSON object, %s, not text that is no JSON", anExample)
		}
		return nil, fmt.Errorf("expected a JSON object, %s, not %s", anExample, kindName(k))
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, notJSON(err)
	}
	var o object
	for dec.PeekKind() != '}' {
		name, err := dec.ReadToken()
		if err != nil {
			return nil, notJSON(err)
		}
		m := member{name: name.String()}
		v, err := dec.ReadValue()
		if err != nil {
			return nil, notJSON(err)
		}
		m.value = v.Clone()
		o = append(o, m)
	}
	if _, err := dec.ReadToken(); err != nil {
		return nil, notJSON(err)
	}
	end := dec.InputOffset()
	if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("there is more after the JSON object, which ends at byte %d: expected nothing", end)
	}
	return o, nil
}

// notJSON words what the JSON decoder found, without the parts of its own
// message that repeat the input at length.
func notJSON(err error) error {
	var syn *jsontext.SyntacticError
	switch {
	case errors.As(err, &syn) && errors.Is(err, jsontext.ErrDuplicateName):
		return fmt.Errorf("the key %s appears twice: expected once", quote(syn.JSONPointer.LastToken()))
	case errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, io.EOF):
		return errors.New("the JSON ends too early: expected a complete object")
	case errors.As(err, &syn) && syn.Err != nil:
		return fmt.Errorf("not valid JSON at byte %d: %s", syn.ByteOffset, clip(printable(syn.Err.Error()), maxEcho))
	default:
		return errors.New("not valid JSON: expected an object")
	}
}

func kindName(k jsontext.Kind) string {
	switch k {
	case 'n':
		return "null"
	case 't', 'f':
		return "a boolean"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case '{':
		return "an object"
	case '[':
		return "an array"
	default:
		return "something else"
	}
}

// stringOf reads a string, and nothing else that could be taken for one.
func stringOf(name string, v jsontext.Value) (string, error) {
	if v.Kind() != '"' {
		return "", fmt.Errorf("%s must be a string, not %s", name, kindName(v.Kind()))
	}
	b, err := jsontext.AppendUnquote(nil, v)
	if err != nil {
		return "", fmt.Errorf("%s must be a string of valid UTF-8", name)
	}
	return string(b), nil
}

// timeOf reads a time with its offset, and returns it in UTC.
func timeOf(name string, v jsontext.Value) (time.Time, error) {
	const expected = "a time as in RFC 3339, such as 2026-01-31T03:00:00Z"
	if v.Kind() != '"' {
		return time.Time{}, fmt.Errorf("%s must be %s, not %s", name, expected, kindName(v.Kind()))
	}
	s, err := stringOf(name, v)
	if err != nil {
		return time.Time{}, err
	}
	var t time.Time
	if err := t.UnmarshalText([]byte(s)); err != nil {
		return time.Time{}, fmt.Errorf("%s must be %s, not %s", name, expected, quote(s))
	}
	return t.UTC(), nil
}
