package schedule

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// rate is rate(value unit): a run every so many seconds. A day is 24 hours, whatever the clocks do:
// https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html#daylist-savings-time
type rate struct{ seconds int64 }

// maxRate bounds the value. It is not documented, and large enough for a rate that never runs again.
const maxRate = 1<<31 - 1

// lastYear is the last that time.RFC3339 can write.
const lastYear = 9999

var units = []struct {
	one, many string
	seconds   int64
}{{"minute", "minutes", 60}, {"hour", "hours", 3600}, {"day", "days", 86400}}

// parseRate reads the inside of rate(...). Rules want the singular with 1 and the plural with all else:
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-rate-expressions.html. Scheduler has both rate(1 hour) and
// rate(1 days) in its User Guide, and was recorded to take rate(2 minute), and not to take white space at the ends: LocalStack's
// tests/aws/services/scheduler/test_scheduler.snapshot.json, which were validated against AWS.
func parseRate(body string, kind Kind) (times, error) {
	parts := split(body)
	if len(parts) != 2 || kind == Scheduler && strings.TrimSpace(body) != body {
		return nil, fmt.Errorf("a rate is a value and a unit with white space between them, as in rate(5 minutes), not %q", body)
	}
	value, name := parts[0], parts[1]
	n, err := strconv.ParseUint(value, 10, 64)
	if err != nil || n > maxRate {
		return nil, fmt.Errorf("value %q is no integer in 1-%d", value, maxRate)
	}
	if n == 0 {
		return nil, fmt.Errorf("value %q is not positive", value)
	}
	for _, u := range units {
		if name != u.one && name != u.many {
			continue
		}
		want := u.many
		if n == 1 {
			want = u.one
		}
		if name == want || kind == Scheduler {
			return rate{int64(n) * u.seconds}, nil
		}
		return nil, fmt.Errorf("unit %q does not go with the value %d, which takes %q", name, n, want)
	}
	return nil, fmt.Errorf("unit %q is none of minute, minutes, hour, hours, day, days", name)
}

// next is a whole number of periods after the anchor. A schedule without a StartDate "starts invoking the target immediately",
// and with one the StartDate is the first occurrence, so the anchor itself counts. A rule's rate "starts when you create the
// rule", which does not say whether it also runs then: here its first run is one period later.
func (r rate) next(after time.Time, s *Schedule) (time.Time, bool) {
	anchor, first := s.Created, int64(1)
	if s.kind == Scheduler {
		first = 0
		if !s.Start.IsZero() {
			anchor = s.Start
		}
	}
	moment := func(n int64) time.Time { return time.Unix(anchor.Unix()+n*r.seconds, int64(anchor.Nanosecond())) }
	n := max(first, (after.Unix()-anchor.Unix())/r.seconds)
	t := moment(n)
	if !t.After(after) {
		t = moment(n + 1)
	}
	return t, t.Year() <= lastYear
}
