package pattern

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"unicode/utf8"
)

// test tells whether a leaf of a document matches.
type test func(leaf value) bool

// operator makes a test of what follows an operator's name. The string is the
// reason why it cannot; empty is success.
type operator func(d *dialect, name string, arg value) (test, string)

// onString is a test that holds for strings alone.
func onString(holds func(s string) bool) test {
	return func(leaf value) bool { return leaf.kind == '"' && holds(leaf.text) }
}

func mustBeString(name string) string { return name + " match pattern must be a string" }

func plainPrefix(_ *dialect, name string, arg value) (test, string) {
	if arg.kind != '"' {
		return nil, mustBeString(name)
	}
	return onString(func(s string) bool { return strings.HasPrefix(s, arg.text) }), ""
}

func plainSuffix(_ *dialect, name string, arg value) (test, string) {
	if arg.kind != '"' {
		return nil, mustBeString(name)
	}
	return onString(func(s string) bool { return strings.HasSuffix(s, arg.text) }), ""
}

func equalsIgnoreCase(_ *dialect, name string, arg value) (test, string) {
	if arg.kind != '"' {
		return nil, mustBeString(name)
	}
	return onString(func(s string) bool { return strings.EqualFold(s, arg.text) }), ""
}

func prefix(d *dialect, name string, arg value) (test, string) {
	if arg.kind != '{' {
		return plainPrefix(d, name, arg)
	}
	want, why := ignoringCase(name, arg)
	n := utf8.RuneCountInString(want)
	return onString(func(s string) bool {
		head := []rune(s)
		return len(head) >= n && strings.EqualFold(string(head[:n]), want)
	}), why
}

func suffix(d *dialect, name string, arg value) (test, string) {
	if arg.kind != '{' {
		return plainSuffix(d, name, arg)
	}
	want, why := ignoringCase(name, arg)
	n := utf8.RuneCountInString(want)
	return onString(func(s string) bool {
		tail := []rune(s)
		return len(tail) >= n && strings.EqualFold(string(tail[len(tail)-n:]), want)
	}), why
}

// ignoringCase takes {"equals-ignore-case": "text"} after prefix or suffix.
func ignoringCase(name string, arg value) (string, string) {
	if len(arg.members) != 1 {
		return "", "Only one key allowed in match expression"
	}
	m := arg.members[0]
	if m.name != "equals-ignore-case" {
		return "", "Unsupported " + name + " pattern: " + m.name
	}
	if m.value.kind != '"' {
		return "", mustBeString(m.name)
	}
	return m.value.text, ""
}

// cidr is of IPv4 or IPv6. The address before the slash may be any of the block's.
func cidr(_ *dialect, name string, arg value) (test, string) {
	if arg.kind != '"' {
		return nil, mustBeString(name)
	}
	address, bits, ok := strings.Cut(arg.text, "/")
	if !ok {
		return nil, "Malformed CIDR, one '/' required"
	}
	if _, err := strconv.Atoi(bits); err != nil {
		return nil, "Malformed CIDR, mask bits must be an integer"
	}
	block, err := netip.ParsePrefix(arg.text)
	if err != nil {
		return nil, fmt.Sprintf("Nonstandard IP address: %s/%s", address, bits)
	}
	return onString(func(s string) bool {
		a, err := netip.ParseAddr(s)
		return err == nil && block.Contains(a)
	}), ""
}

// bound is one end of a numeric range.
type bound struct {
	op    string
	units int64
}

func (b bound) holds(units int64) bool {
	switch b.op {
	case "=":
		return units == b.units
	case "<":
		return units < b.units
	case "<=":
		return units <= b.units
	case ">":
		return units > b.units
	default:
		return units >= b.units
	}
}

// numeric is one comparison, or a range that begins with its lower end.
func numeric(d *dialect, name string, arg value) (test, string) {
	if arg.kind != '[' {
		return nil, "Value of " + name + " must be an array."
	}
	var bounds []bound
	for i := 0; i < len(arg.items); i += 2 {
		op := arg.items[i]
		if op.kind != '"' {
			return nil, "Invalid member in numeric match: " + op.text
		}
		switch op.text {
		case "=", "<", "<=", ">", ">=":
		default:
			return nil, "Unrecognized numeric range operator: " + op.text
		}
		if i+1 == len(arg.items) || arg.items[i+1].kind != '0' {
			return nil, "Value of " + op.text + " must be numeric"
		}
		units, why := d.number(arg.items[i+1].text)
		if why != "" {
			return nil, why
		}
		bounds = append(bounds, bound{op.text, units})
	}
	switch {
	case len(bounds) == 0:
		return nil, "Invalid member in numeric match: ]"
	case len(bounds) > 2 || len(bounds) == 2 && !strings.HasPrefix(bounds[0].op, ">"):
		return nil, "Too many elements in numeric expression"
	case len(bounds) == 2 && !strings.HasPrefix(bounds[1].op, "<"):
		return nil, "Bad numeric range operator: " + bounds[1].op
	case len(bounds) == 2 && bounds[0].units >= bounds[1].units:
		return nil, "Bottom must be less than top"
	}
	return func(leaf value) bool {
		if leaf.kind != '0' {
			return false
		}
		units, ok := d.precision.parse(leaf.text)
		for _, b := range bounds {
			ok = ok && b.holds(units)
		}
		return ok
	}, ""
}
