package schedule

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// field is one of the six fields of a cron expression, with what AWS's table says of it:
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cron-expressions.html
type field struct {
	name      string
	min, max  int
	names     []string // of min and what follows; nil: none
	wildcards string
	wraps     bool // a range may go past the end and on at the start
}

// That a range may wrap is shown for the hours alone ("0/30 20-2 ? * MON-FRI *" among the examples) and for days of the week in
// AWS's workshop (mon-sun). It is taken to go for all that come round again.
var (
	minutes     = field{name: "minutes", min: 0, max: 59, wildcards: ", - * /", wraps: true}
	hours       = field{name: "hours", min: 0, max: 23, wildcards: ", - * /", wraps: true}
	daysOfMonth = field{name: "day-of-month", min: 1, max: 31, wildcards: ", - * ? / L W", wraps: true}
	months      = field{name: "month", min: 1, max: 12, wildcards: ", - * /", wraps: true,
		names: []string{"JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"}}
	daysOfWeek = field{name: "day-of-week", min: 1, max: 7, wildcards: ", - * ? L #", wraps: true,
		names: []string{"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"}}
	years = field{name: "year", min: 1970, max: 2199, wildcards: ", - * /"}
)

// takes says what the field may hold, for an error.
func (f field) takes() string {
	s := fmt.Sprintf("%d-%d", f.min, f.max)
	if f.names != nil {
		s += fmt.Sprintf(" or %s-%s", f.names[0], f.names[len(f.names)-1])
	}
	return s
}

// list reads values, ranges and steps with commas between them, in upper case. The values are sorted, and each is there once.
func (f field) list(text string) ([]int, error) {
	var all []int
	for item := range strings.SplitSeq(text, ",") {
		values, err := f.item(item)
		if err != nil {
			return nil, err
		}
		all = append(all, values...)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// item reads one of *, v, v-v, */n, v/n and v-v/n. v/n goes from v to the end of the field.
func (f field) item(text string) ([]int, error) {
	span, by, stepped := strings.Cut(text, "/")
	step := 1
	if stepped {
		var err error
		if step, err = f.step(by); err != nil {
			return nil, err
		}
	}
	first, last := f.min, f.max
	if span != "*" {
		from, to, isRange := strings.Cut(span, "-")
		var err error
		if first, err = f.value(from); err != nil {
			return nil, err
		}
		if isRange {
			if last, err = f.value(to); err != nil {
				return nil, err
			}
		} else if !stepped {
			last = first
		}
	}
	size := f.max - f.min + 1
	if last < first {
		if !f.wraps {
			return nil, fmt.Errorf("the range %s ends before it starts", span)
		}
		last += size
	}
	var values []int
	for v := first; v <= last; v += step {
		values = append(values, f.min+(v-f.min)%size)
	}
	return values, nil
}

// step reads n of */n. One that is larger than the field is long is refused, as AWS refuses */60 of minutes:
// https://github.com/aws/aws-sdk-js/issues/4212. The years have no value as low as their number, so theirs is bounded by that.
func (f field) step(text string) (int, error) {
	if !strings.Contains(f.wildcards, "/") {
		return 0, fmt.Errorf("AWS documents no / for it, only %s", f.wildcards)
	}
	limit := min(f.max, f.max-f.min+1)
	n, err := number(text)
	if err != nil || n < 1 || n > limit {
		return 0, fmt.Errorf("the step %q is not in 1-%d", text, limit)
	}
	return n, nil
}

// value reads a number or a name.
func (f field) value(text string) (int, error) {
	if i := slices.Index(f.names, text); i >= 0 {
		return f.min + i, nil
	}
	n, err := number(text)
	if err != nil {
		return 0, fmt.Errorf("%q is not a value of it; it takes %s and the wildcards %s", text, f.takes(), f.wildcards)
	}
	if n < f.min || n > f.max {
		return 0, fmt.Errorf("%d is not in %s", n, f.takes())
	}
	return n, nil
}

// number reads digits. Leading zeros are taken, which is not documented.
func number(text string) (int, error) {
	if strings.Trim(text, "0123456789") != "" {
		return 0, errors.New("not all digits")
	}
	return strconv.Atoi(text)
}

// split cuts at white space: spaces and tabs, any number of them.
func split(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == '\t' })
}

// atLeast is what of the sorted values is not below v.
func atLeast(values []int, v int) []int {
	i, _ := slices.BinarySearch(values, v)
	return values[i:]
}
