package pattern

import "slices"

// anythingBut matches every leaf, of whatever type, that none of what is named
// matches. A field that is not there is not matched. The list is of strings or
// of numbers, not of both; numbers compare by value, as in event-ruler.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html#eb-filtering-anything-but
func anythingBut(d *dialect, name string, arg value) (test, string) {
	var refused []test
	if arg.kind == '{' {
		if len(arg.members) != 1 {
			return nil, "Only one key allowed in match expression"
		}
		m := arg.members[0]
		build, ok := d.anythingBut[m.name]
		if !ok {
			return nil, "Unsupported anything-but pattern: " + m.name
		}
		args := []value{m.value}
		if d.lists && m.value.kind == '[' {
			args = m.value.items
		}
		for _, a := range args {
			if a.kind == '"' && a.text == "" && m.name != "equals-ignore-case" {
				return nil, "Null prefix/suffix not allowed"
			}
			t, why := build(d, m.name, a)
			if why != "" {
				return nil, why
			}
			refused = append(refused, t)
		}
	} else {
		args := []value{arg}
		if arg.kind == '[' {
			args = arg.items
		}
		for _, a := range args {
			if a.kind != args[0].kind {
				return nil, "Inside anything but list, either all values are number or string, mixed type is not supported"
			}
			t, why := but(d, a)
			if why != "" {
				return nil, why
			}
			refused = append(refused, t)
		}
	}
	if len(refused) == 0 {
		return nil, "Empty arrays are not allowed"
	}
	return func(leaf value) bool {
		return !slices.ContainsFunc(refused, func(t test) bool { return t(leaf) })
	}, ""
}

func but(d *dialect, arg value) (test, string) {
	switch arg.kind {
	case '"':
		return onString(func(s string) bool { return s == arg.text }), ""
	case '0':
		want, why := d.number(arg.text)
		return func(leaf value) bool {
			units, ok := d.precision.parse(leaf.text)
			return leaf.kind == '0' && ok && units == want
		}, why
	default:
		return nil, "Inside anything but list, start|null|boolean is not supported."
	}
}
