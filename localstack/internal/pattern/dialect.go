package pattern

import "strconv"

// dialect is where the two services differ.
type dialect struct {
	what      string
	precision precision

	// numbersByText compares a bare number as it is written.
	numbersByText bool

	// present is what "exists": true takes for a value.
	present test

	operators   map[string]operator
	anythingBut map[string]operator // within an object after anything-but
	lists       bool                // those of anything-but take a list, too
}

// For numbers in an event pattern "EventBridge uses string representation. For
// example, 300, 300.0, and 3.0e2 aren't considered equal":
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern.html
//
// The operators are those of
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
func eventDialect() *dialect {
	return &dialect{
		what: "event pattern", precision: eventPrecision, numbersByText: true, lists: true,
		present: func(value) bool { return true },
		operators: map[string]operator{
			"prefix": prefix, "suffix": suffix, "equals-ignore-case": equalsIgnoreCase, "wildcard": wildcard,
			"anything-but": anythingBut, "numeric": numeric, "cidr": cidr,
		},
		anythingBut: map[string]operator{
			"prefix": plainPrefix, "suffix": plainSuffix, "equals-ignore-case": equalsIgnoreCase, "wildcard": wildcard,
		},
	}
}

// The operators are those that
// https://docs.aws.amazon.com/sns/latest/dg/sns-subscription-filter-policies.html
// lists: no wildcard, and after anything-but no more than a prefix. For
// "exists": true "the key must have a non-null and non-empty value":
// https://docs.aws.amazon.com/sns/latest/dg/attribute-key-matching.html
func filterDialect() *dialect {
	return &dialect{
		what: "filter policy", precision: filterPrecision,
		present: func(v value) bool { return v.text != "" && v.kind != 'n' },
		operators: map[string]operator{
			"prefix": plainPrefix, "suffix": plainSuffix, "equals-ignore-case": equalsIgnoreCase,
			"anything-but": anythingBut, "numeric": numeric, "cidr": cidr,
		},
		anythingBut: map[string]operator{"prefix": plainPrefix},
	}
}

// number gives a number's units, or a reason.
func (d *dialect) number(text string) (int64, string) {
	units, ok := d.precision.parse(text)
	if !ok {
		limit := strconv.FormatInt(d.precision.limit, 10)
		return 0, "Value must be between -" + limit + " and " + limit + ", inclusive, and " + text + " is not"
	}
	return units, ""
}
