package policy

import (
	"errors"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// scalars reads a string or a list of strings, of one or more. Bare says
// whether true, false and numbers do as well: they become what is written.
func scalars(text jsontext.Value, bare bool) ([]string, error) {
	list := []jsontext.Value{text}
	if text.Kind() == '[' {
		if err := json.Unmarshal(text, &list); err != nil {
			return nil, err
		}
	}
	if len(list) == 0 {
		return nil, errors.New("an empty list")
	}
	var values []string
	for _, v := range list {
		switch v.Kind() {
		case '"':
			var s string
			if err := json.Unmarshal(v, &s); err != nil {
				return nil, err
			}
			values = append(values, s)
		case 't', 'f', '0':
			if bare {
				values = append(values, string(v))
				continue
			}
			fallthrough
		default:
			return nil, errors.New(string(v) + " where a string belongs")
		}
	}
	return values, nil
}
