package pattern

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// value is a JSON value that keeps the order of its members and numbers as
// they were written. The zero value is none: it has no leaves and no members.
type value struct {
	kind    jsontext.Kind
	text    string // a string's content, a number's digits, or true, false, null
	items   []value
	members []member
}

type member struct {
	name  string
	value value
}

// decode refuses duplicate names, invalid UTF-8 and anything after the value.
func decode(text []byte) (value, error) {
	d := jsontext.NewDecoder(bytes.NewReader(text))
	v, err := read(d)
	if errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return value{}, err
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return value{}, fmt.Errorf("more after the JSON value, at byte %d", d.InputOffset())
	}
	return v, nil
}

// read needs no limit of its own on depth: the decoder has one.
func read(d *jsontext.Decoder) (value, error) {
	t, err := d.ReadToken()
	if err != nil {
		return value{}, err
	}
	v := value{kind: t.Kind()}
	switch v.kind {
	case '[':
		for d.PeekKind() != ']' {
			item, err := read(d)
			if err != nil {
				return value{}, err
			}
			v.items = append(v.items, item)
		}
		_, err = d.ReadToken()
	case '{':
		for d.PeekKind() != '}' {
			name, err := d.ReadToken()
			if err != nil {
				return value{}, err
			}
			m := member{name: name.String()}
			if m.value, err = read(d); err != nil {
				return value{}, err
			}
			v.members = append(v.members, m)
		}
		_, err = d.ReadToken()
	default:
		v.text = t.String()
	}
	return v, err
}

// get is the zero value where there is no such member.
func (v value) get(name string) value {
	for _, m := range v.members {
		if m.name == name {
			return m.value
		}
	}
	return value{}
}

// leaves are the strings, numbers, booleans and nulls in v and in the arrays
// within it. Objects have none.
func (v value) leaves() []value {
	switch v.kind {
	case 0, '{':
		return nil
	case '[':
		var all []value
		for _, item := range v.items {
			all = append(all, item.leaves()...)
		}
		return all
	default:
		return []value{v}
	}
}

// objects are v itself if it is one, else those in the arrays within it.
func (v value) objects() []value {
	switch v.kind {
	case '{':
		return []value{v}
	case '[':
		var all []value
		for _, item := range v.items {
			all = append(all, item.objects()...)
		}
		return all
	default:
		return nil
	}
}
