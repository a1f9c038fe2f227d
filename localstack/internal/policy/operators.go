package policy

import (
	"encoding/base64"
	"fmt"
	"math/big"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// builder makes a matcher of a value in a policy; an error names the value.
type builder func(value string, variables bool) (matcher, error)

// operators and negations are those of
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html
var operators = map[string]builder{
	"StringEquals":             stringEquals,
	"StringEqualsIgnoreCase":   stringEqualsIgnoreCase,
	"StringLike":               stringLike,
	"ArnEquals":                arnEquals,
	"ArnLike":                  arnEquals, // "behave identically"
	"Bool":                     boolean,
	"Null":                     null,
	"BinaryEquals":             binary,
	"IpAddress":                ipAddress,
	"NumericEquals":            numeric(func(order int) bool { return order == 0 }),
	"NumericLessThan":          numeric(func(order int) bool { return order < 0 }),
	"NumericLessThanEquals":    numeric(func(order int) bool { return order <= 0 }),
	"NumericGreaterThan":       numeric(func(order int) bool { return order > 0 }),
	"NumericGreaterThanEquals": numeric(func(order int) bool { return order >= 0 }),
	"DateEquals":               date(func(order int) bool { return order == 0 }),
	"DateLessThan":             date(func(order int) bool { return order < 0 }),
	"DateLessThanEquals":       date(func(order int) bool { return order <= 0 }),
	"DateGreaterThan":          date(func(order int) bool { return order > 0 }),
	"DateGreaterThanEquals":    date(func(order int) bool { return order >= 0 }),
}

var negations = map[string]builder{
	"StringNotEquals":           stringEquals,
	"StringNotEqualsIgnoreCase": stringEqualsIgnoreCase,
	"StringNotLike":             stringLike,
	"ArnNotEquals":              arnEquals,
	"ArnNotLike":                arnEquals,
	"NotIpAddress":              ipAddress,
	"NumericNotEquals":          operators["NumericEquals"],
	"DateNotEquals":             operators["DateEquals"],
}

// plain is a matcher of a value without variables.
func plain(match func(value string) bool) matcher {
	return func(value string, _ keyValues) (bool, bool) { return match(value), true }
}

// resolved is a matcher of a value that variables may be in.
func resolved(t template, match func(pattern []token, value string) bool) matcher {
	return func(value string, c keyValues) (bool, bool) {
		pattern, known := t.resolve(c)
		return known && match(pattern, value), known
	}
}

func stringEquals(want string, variables bool) (matcher, error) {
	t, err := compile(want, false, variables)
	return resolved(t, func(p []token, v string) bool { return plainText(p) == v }), err
}

func stringEqualsIgnoreCase(want string, variables bool) (matcher, error) {
	t, err := compile(want, false, variables)
	return resolved(t, func(p []token, v string) bool { return strings.EqualFold(plainText(p), v) }), err
}

func stringLike(want string, variables bool) (matcher, error) {
	t, err := compile(want, true, variables)
	return resolved(t, func(p []token, v string) bool { return glob(p, v, false) }), err
}

func arnEquals(want string, variables bool) (matcher, error) {
	t, err := compile(want, true, variables)
	if err != nil {
		return nil, err
	}
	if !t.variable() {
		pattern, _ := t.resolve(nil)
		if _, ok := splitARN(pattern); !ok {
			return nil, fmt.Errorf("%q is no ARN of %d parts", want, arnParts)
		}
	}
	return resolved(t, arnLike), nil
}

func boolean(want string, variables bool) (matcher, error) {
	t, err := compile(want, false, variables)
	if err != nil {
		return nil, err
	}
	if !t.variable() && !strings.EqualFold(want, "true") && !strings.EqualFold(want, "false") {
		return nil, fmt.Errorf("%q is neither true nor false", want)
	}
	return resolved(t, func(p []token, v string) bool { return strings.EqualFold(plainText(p), v) }), nil
}

func null(want string, _ bool) (matcher, error) { return boolean(want, false) }

// binary compares what base64 stands for; values of the request are base64, too.
func binary(want string, _ bool) (matcher, error) {
	bytes, err := base64.StdEncoding.DecodeString(want)
	if err != nil {
		return nil, fmt.Errorf("%q is not base64", want)
	}
	return plain(func(v string) bool {
		got, err := base64.StdEncoding.DecodeString(v)
		return err == nil && string(got) == string(bytes)
	}), nil
}

// ipAddress: "If you specify an IP address without the associated routing
// prefix, IAM uses the default prefix value of /32."
func ipAddress(want string, _ bool) (matcher, error) {
	block, err := netip.ParsePrefix(want)
	if err != nil {
		address, err := netip.ParseAddr(want)
		if err != nil {
			return nil, fmt.Errorf("%q is neither an IP address nor a range of them", want)
		}
		block = netip.PrefixFrom(address, address.BitLen())
	}
	return plain(func(v string) bool {
		a, err := netip.ParseAddr(v)
		return err == nil && block.Contains(a)
	}), nil
}

// number is short enough to be computed with exactly.
var number = regexp.MustCompile(`^[+-]?\d{1,40}(\.\d{1,40})?([eE][+-]?\d{1,2})?$`)

func parseNumber(text string) (*big.Rat, bool) {
	if !number.MatchString(text) {
		return nil, false
	}
	return new(big.Rat).SetString(text)
}

func numeric(holds func(order int) bool) builder {
	return func(want string, _ bool) (matcher, error) {
		n, ok := parseNumber(want)
		if !ok {
			return nil, fmt.Errorf("%q is no number", want)
		}
		return plain(func(v string) bool {
			got, ok := parseNumber(v)
			return ok && holds(got.Cmp(n))
		}), nil
	}
}

func date(holds func(order int) bool) builder {
	return func(want string, _ bool) (matcher, error) {
		at, ok := parseDate(want)
		if !ok {
			return nil, fmt.Errorf("%q is neither an ISO 8601 date nor seconds since 1970", want)
		}
		return plain(func(v string) bool {
			got, ok := parseDate(v)
			return ok && holds(got.Compare(at))
		}), nil
	}
}

// parseDate takes "one of the W3C implementations of the ISO 8601 date formats
// or in epoch (UNIX) time"; four digits are a year.
func parseDate(text string) (time.Time, bool) {
	for _, layout := range []string{"2006", "2006-01", "2006-01-02", "2006-01-02T15:04Z07:00", time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, true
		}
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	return time.Unix(seconds, 0), err == nil
}
