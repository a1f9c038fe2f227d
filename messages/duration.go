package messages

import (
	"fmt"
	"time"
)

// Duration is a time.Duration that is written as a string with a unit ("90s", "1h").
type Duration time.Duration

// D is the plain duration.
func (d Duration) D() time.Duration { return time.Duration(d) }

// String is Go's own form, such as "1h0m0s".
func (d Duration) String() string { return time.Duration(d).String() }

// MarshalText writes the string form.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText reads a positive number with a unit; "300" is refused, since
// nobody can tell whether seconds or minutes were meant.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := ParseDuration(string(b))
	if err != nil {
		return err
	}
	*d = Duration(v)
	return nil
}

// ParseDuration reads a duration that is not negative and has a unit; "0" needs one too.
func ParseDuration(s string) (time.Duration, error) {
	v, err := time.ParseDuration(s)
	if err != nil || s == "0" || s == "+0" || s == "-0" {
		return 0, fmt.Errorf("%q is not a duration: write a number with a unit, such as 500ms, 10s or 1h", s)
	}
	if v < 0 {
		return 0, fmt.Errorf("%q is negative: write a duration of 0s or more", s)
	}
	return v, nil
}
