package pattern

import (
	"slices"
	"strings"
)

// object is a level of a pattern. All of its fields have to match, and of each
// $or one alternative.
type object struct {
	fields []field
	ors    [][]*object
}

// field has either values to match or a level below it.
type field struct {
	name  string
	leaf  *leaf
	below *object
}

// leaf is the array of a field. It matches if one of its values does.
type leaf struct {
	tests  []test
	absent bool // {"exists": false} is among them
	count  int
}

type parser struct {
	*dialect
	path []string
}

func (p *parser) fail(reason string) error {
	return &SyntaxError{What: p.what, Path: strings.Join(p.path, "."), Reason: reason}
}

// parse takes a document whose top level may be empty only if empty says so.
func (p *parser) parse(text []byte, empty bool) (*object, error) {
	v, err := decode(text)
	if err != nil {
		return nil, p.fail("not JSON: " + err.Error())
	}
	if v.kind != '{' {
		return nil, p.fail("Filter is not an object")
	}
	if empty && len(v.members) == 0 {
		return &object{}, nil
	}
	return p.object(v)
}

func (p *parser) object(v value) (*object, error) {
	if len(v.members) == 0 {
		return nil, p.fail("Empty objects are not allowed")
	}
	o := &object{}
	for _, m := range v.members {
		p.path = append(p.path, m.name)
		if isOr(m) {
			var alternatives []*object
			for _, item := range m.value.items {
				alternative, err := p.object(item)
				if err != nil {
					return nil, err
				}
				alternatives = append(alternatives, alternative)
			}
			o.ors = append(o.ors, alternatives)
		} else {
			f, err := p.field(m)
			if err != nil {
				return nil, err
			}
			o.fields = append(o.fields, f)
		}
		p.path = p.path[:len(p.path)-1]
	}
	return o, nil
}

// reserved cannot be names of fields directly within $or: Constants.java of event-ruler.
var reserved = []string{
	"exactly", "equals-ignore-case", "prefix", "suffix", "anything-but", "exists", "wildcard", "numeric", "cidr",
	"=", "<", "<=", ">", ">=", "regex", "not-wildcard", "not-equals-ignore-case",
	"date-after", "date-on-or-after", "date-before", "date-on-or-before", "in-date-range",
	"ip-address-in-range", "ip-address-not-in-range",
}

// isOr holds for "$or" with an array of two objects or more, none of which has
// a reserved name for a field. Any other "$or" is a field like the rest:
// https://docs.aws.amazon.com/sns/latest/dg/and-or-logic.html#or-operator
func isOr(m member) bool {
	if m.name != "$or" || m.value.kind != '[' || len(m.value.items) < 2 {
		return false
	}
	for _, item := range m.value.items {
		named := func(m member) bool { return slices.Contains(reserved, m.name) }
		if item.kind != '{' || slices.ContainsFunc(item.members, named) {
			return false
		}
	}
	return true
}

func (p *parser) field(m member) (field, error) {
	switch m.value.kind {
	case '{':
		below, err := p.object(m.value)
		return field{name: m.name, below: below}, err
	case '[':
		l, why := p.leaf(m.value.items)
		if why != "" {
			return field{}, p.fail(why)
		}
		return field{name: m.name, leaf: l}, nil
	default:
		return field{}, p.fail(`"` + m.name + `" must be an object or an array`)
	}
}

func (d *dialect) leaf(items []value) (*leaf, string) {
	if len(items) == 0 {
		return nil, "Empty arrays are not allowed"
	}
	l := &leaf{count: len(items)}
	for _, item := range items {
		t, why := d.exact(item), ""
		switch {
		case item.kind == '[':
			why = "Match value must be String, number, true, false, or null"
		case item.kind != '{':
		case len(item.members) == 0:
			why = "Match expression name not found"
		case len(item.members) > 1:
			why = "Only one key allowed in match expression"
		case item.members[0].name == "exists":
			switch item.members[0].value.kind {
			case 't':
				t = d.present
			case 'f':
				l.absent, t = true, nil
			default:
				why = "exists match pattern must be either true or false."
			}
		default:
			m := item.members[0]
			build, ok := d.operators[m.name]
			if !ok {
				return nil, "Unrecognized match type " + m.name
			}
			t, why = build(d, m.name, m.value)
		}
		if why != "" {
			return nil, why
		}
		if t != nil {
			l.tests = append(l.tests, t)
		}
	}
	return l, ""
}

// exact compares with a string, number, true, false or null. A number that
// does not compare by value, for one that is out of range, does by its text.
func (d *dialect) exact(want value) test {
	units, byValue := d.precision.parse(want.text)
	byValue = byValue && want.kind == '0' && !d.numbersByText
	return func(leaf value) bool {
		if leaf.kind != want.kind {
			return false
		}
		if byValue {
			got, ok := d.precision.parse(leaf.text)
			return ok && got == units
		}
		return leaf.text == want.text
	}
}
