package events

import (
	"regexp"
	"strconv"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// path is as much of JSONPath as EventBridge knows: "dot notation, dashes, underscores, alphanumeric characters, array indices,
// wildcards (*), forward slashes",
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-transform-target-input.html
type path []step

// step is a member's name, an index, or all there is.
type step struct {
	name  string
	index int // below zero: none
	all   bool
}

var (
	wholePath = regexp.MustCompile(`^\$(\.[A-Za-z0-9_/-]+|\.\*|\[[0-9]{1,9}\]|\[\*\]|\['[^'\]]+'\])*$`)
	pathStep  = regexp.MustCompile(`\.([A-Za-z0-9_/-]+)|(\.\*|\[\*\])|\[([0-9]+)\]|\['([^'\]]+)'\]`)
)

// parsePath is false for what is no path, or beyond what is known here. Names in brackets are for InputPath alone: the API
// reference says of it "You may use JSON dot notation or bracket notation", and of InputPathsMap "You must use JSON dot notation,
// not bracket notation".
func parsePath(text string, brackets bool) (path, bool) {
	if !wholePath.MatchString(text) {
		return nil, false
	}
	p := path{}
	for _, m := range pathStep.FindAllStringSubmatch(text, -1) {
		switch {
		case m[1] != "":
			p = append(p, step{name: m[1], index: -1})
		case m[2] != "":
			p = append(p, step{index: -1, all: true})
		case m[4] != "" && !brackets:
			return nil, false
		case m[4] != "":
			p = append(p, step{name: m[4], index: -1})
		default:
			n, err := strconv.Atoi(m[3])
			if err != nil {
				return nil, false
			}
			p = append(p, step{index: n})
		}
	}
	return p, true
}

// find is what the path leads to. With a wildcard that is an array of all it leads to, as other implementations of JSONPath have
// it; EventBridge's documents do not say. False: nothing.
func (p path) find(doc jsontext.Value) (jsontext.Value, bool) {
	found, many := []jsontext.Value{doc}, false
	for _, s := range p {
		many = many || s.all
		var next []jsontext.Value
		for _, v := range found {
			next = append(next, s.from(v)...)
		}
		found = next
	}
	if !many {
		if len(found) == 0 {
			return nil, false
		}
		return found[0], true
	}
	text, err := json.Marshal(found)
	return text, err == nil && len(found) > 0
}

func (s step) from(v jsontext.Value) []jsontext.Value {
	switch v.Kind() {
	case '{':
		if s.all {
			return values(v)
		}
		var members map[string]jsontext.Value
		if json.Unmarshal(v, &members) == nil {
			if m, ok := members[s.name]; ok && s.index < 0 {
				return []jsontext.Value{m}
			}
		}
	case '[':
		var items []jsontext.Value
		if json.Unmarshal(v, &items) != nil {
			return nil
		}
		if s.all {
			return items
		}
		if s.index >= 0 && s.index < len(items) {
			return items[s.index : s.index+1]
		}
	}
	return nil
}
