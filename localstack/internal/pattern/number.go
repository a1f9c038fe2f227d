package pattern

import (
	"math"
	"strconv"
	"strings"
)

// precision is how exactly a service compares numbers. A number becomes an
// integer count of its last decimal place; what is beyond that is cut off.
type precision struct {
	limit  int64 // the greatest number, and negated the least
	places int   // digits after the decimal point
}

// "limited to values between -5.0e9 and +5.0e9 inclusive, with 15 digits of
// precision, or six digits to the right of the decimal point":
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
var eventPrecision = precision{limit: 5e9, places: 6}

// "the value can range from -10^9 to 10^9, with five digits of accuracy after
// the decimal point":
// https://docs.aws.amazon.com/sns/latest/dg/subscription-filter-policy-constraints.html
var filterPrecision = precision{limit: 1e9, places: 5}

// parse takes a JSON number and is false for one out of range. It does no
// work in proportion to an exponent.
func (p precision) parse(number string) (int64, bool) {
	text, negative := strings.CutPrefix(number, "-")
	exponent := 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		n, err := strconv.Atoi(text[i+1:])
		if err != nil { // beyond an int: a number that is huge or nothing, or zero
			n = math.MaxInt32
			if strings.HasPrefix(text[i+1:], "-") {
				n = math.MinInt32
			}
		}
		text, exponent = text[:i], max(min(n, math.MaxInt32), math.MinInt32)
	}
	whole, fraction, _ := strings.Cut(text, ".")
	digits := strings.TrimLeft(whole+fraction, "0")
	if digits == "" {
		return 0, true
	}
	// The digits are those of 0.ddd times ten to the power of point.
	point := exponent + len(digits) - len(fraction)
	if point > 12 {
		return 0, false
	}
	keep := max(point+p.places, 0)
	if keep > len(digits) {
		digits += strings.Repeat("0", keep-len(digits))
	}
	units, err := strconv.ParseInt("0"+digits[:keep], 10, 64)
	if err != nil || units > p.max() {
		return 0, false
	}
	if negative {
		units = -units
	}
	return units, true
}

func (p precision) max() int64 {
	units := p.limit
	for range p.places {
		units *= 10
	}
	return units
}
