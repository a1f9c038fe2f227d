package schedule_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"stillpoint/localstack/internal/schedule"
)

// pattern is a field's text and, made beside it and without reading it, what it means.
type pattern[T any] struct {
	text string
	has  func(T) bool
}

// drawItem makes one item of a field that has values from low to high.
func drawItem(t *rapid.T, label string, low, high int, stepped, wraps bool, names string) pattern[int] {
	size := high - low + 1
	draw := func(what string, from, to int) int { return rapid.IntRange(from, to).Draw(t, label+" "+what) }
	name := func(v int) string {
		if names != "" && draw("name", 0, 1) == 1 {
			return strings.Fields(names)[v-low]
		}
		return fmt.Sprint(v)
	}
	// within tells whether v is a step of those from a up to b, where b may be past the end.
	within := func(a, b, step int) func(int) bool {
		return func(v int) bool {
			for x := v; x <= b; x += size {
				if x >= a && (x-a)%step == 0 {
					return true
				}
			}
			return false
		}
	}
	kinds := []string{"star", "value", "range"}
	if stepped {
		kinds = append(kinds, "star step", "value step", "range step")
	}
	a, b, step := draw("from", low, high), draw("to", low, high), draw("step", 1, min(high, size))
	if b < a && !wraps {
		a, b = b, a
	}
	end := b
	if b < a {
		end += size
	}
	switch kind := rapid.SampledFrom(kinds).Draw(t, label); kind {
	case "star":
		return pattern[int]{"*", within(low, high, 1)}
	case "value":
		return pattern[int]{name(a), within(a, a, 1)}
	case "range":
		return pattern[int]{name(a) + "-" + name(b), within(a, end, 1)}
	case "star step":
		return pattern[int]{fmt.Sprintf("*/%d", step), within(low, high, step)}
	case "value step":
		return pattern[int]{fmt.Sprintf("%s/%d", name(a), step), within(a, high, step)}
	default:
		return pattern[int]{fmt.Sprintf("%s-%s/%d", name(a), name(b), step), within(a, end, step)}
	}
}

func drawField(t *rapid.T, label string, low, high int, stepped, wraps bool, names string) pattern[int] {
	var texts []string
	var items []pattern[int]
	for i := range rapid.IntRange(1, 3).Draw(t, label+" items") {
		items = append(items, drawItem(t, fmt.Sprint(label, i), low, high, stepped, wraps, names))
		texts = append(texts, items[i].text)
	}
	return pattern[int]{strings.Join(texts, ","), func(v int) bool {
		for _, item := range items {
			if item.has(v) {
				return true
			}
		}
		return false
	}}
}

const weekdays = "SUN MON TUE WED THU FRI SAT"

// drawDays makes the two fields of days, with a space where the month goes between them. The meaning is told by going from day
// to day in the calendar.
func drawDays(t *rapid.T) pattern[time.Time] {
	n := rapid.IntRange(1, 31).Draw(t, "day")
	w := rapid.IntRange(1, 7).Draw(t, "weekday")
	nth := rapid.IntRange(1, 5).Draw(t, "nth")
	sameMonth := func(d time.Time, days int) bool { return d.AddDate(0, 0, days).Month() == d.Month() }
	weekday := func(d time.Time) int { return int(d.Weekday()) + 1 }
	switch rapid.SampledFrom([]string{"of month", "of week", "L", "nW", "L of week", "nL", "n#i"}).Draw(t, "days") {
	case "of month":
		f := drawField(t, "day of month", 1, 31, true, true, "")
		return pattern[time.Time]{f.text + " %s ?", func(d time.Time) bool { return f.has(d.Day()) }}
	case "of week":
		f := drawField(t, "day of week", 1, 7, false, true, weekdays)
		return pattern[time.Time]{"? %s " + f.text, func(d time.Time) bool { return f.has(weekday(d)) }}
	case "L":
		return pattern[time.Time]{"L %s ?", func(d time.Time) bool { return !sameMonth(d, 1) }}
	case "L of week":
		return pattern[time.Time]{"? %s L", func(d time.Time) bool { return d.Weekday() == time.Saturday }}
	case "nL":
		return pattern[time.Time]{fmt.Sprintf("? %%s %dL", w), func(d time.Time) bool { return weekday(d) == w && !sameMonth(d, 7) }}
	case "n#i":
		return pattern[time.Time]{fmt.Sprintf("? %%s %d#%d", w, nth), func(d time.Time) bool {
			count := 0
			for e := d; e.Month() == d.Month(); e = e.AddDate(0, 0, -7) {
				count++
			}
			return weekday(d) == w && count == nth
		}}
	default: // of the month's Mondays to Fridays the one with the least way to go; there are never two
		return pattern[time.Time]{fmt.Sprintf("%dW %%s ?", n), func(d time.Time) bool {
			best, way, exists := 0, 99, false
			for e := d.AddDate(0, 0, 1-d.Day()); e.Month() == d.Month(); e = e.AddDate(0, 0, 1) {
				exists = exists || e.Day() == n
				if off := max(e.Day()-n, n-e.Day()); e.Weekday() != time.Saturday && e.Weekday() != time.Sunday && off < way {
					best, way = e.Day(), off
				}
			}
			return exists && d.Day() == best
		}}
	}
}

// scan goes from minute to minute, over a time that was on the clocks before. The end is when it gives up.
func scan(after, end time.Time, loc *time.Location, date func(time.Time) bool, clock func(h, m int) bool) (time.Time, bool) {
	before := func(t time.Time) bool {
		const format = "2006-01-02 15:04"
		for back := 15 * time.Minute; back <= 26*time.Hour; back += 15 * time.Minute { // no zone goes back by less, or by other steps
			if t.Add(-back).In(loc).Format(format) == t.In(loc).Format(format) {
				return true
			}
		}
		return false
	}
	for t := after.Truncate(time.Minute).Add(time.Minute); t.Before(end); {
		local := t.In(loc)
		if !date(local) {
			if local.Hour() < 20 {
				t = t.Add(15 * time.Minute)
				continue
			}
		} else if clock(local.Hour(), local.Minute()) && !before(t) {
			return t, true
		}
		t = t.Add(time.Minute)
	}
	return time.Time{}, false
}

func TestNextIsWhatAScanFinds(t *testing.T) {
	const horizon = 500 * 24 * time.Hour
	found, never, shifts := 0, 0, 0
	rapid.Check(t, func(t *rapid.T) {
		minute := drawField(t, "minute", 0, 59, true, true, "")
		hour := drawField(t, "hour", 0, 23, true, true, "")
		month := pattern[int]{"*", func(int) bool { return true }}
		if rapid.IntRange(0, 2).Draw(t, "some months") == 0 {
			month = drawField(t, "month", 1, 12, true, true, "JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC")
		}
		year := pattern[int]{"*", func(int) bool { return true }}
		if rapid.IntRange(0, 5).Draw(t, "some years") == 0 {
			year = drawField(t, "year", 1970, 2199, true, false, "")
		}
		day := drawDays(t)
		expr := fmt.Sprintf("cron(%s %s "+day.text+" %s)", minute.text, hour.text, month.text, year.text)
		if rapid.Bool().Draw(t, "lower case") {
			expr = strings.ToLower(expr)
		}
		s, err := schedule.Parse(expr, schedule.Rule)
		if err != nil {
			if len(expr) > 256 {
				t.Skip("longer than AWS takes: no expression to compare")
			}
			t.Fatal(err)
		}
		s.Location, err = schedule.LoadZone(rapid.SampledFrom([]string{"UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe",
			"America/Sao_Paulo", "Pacific/Apia", "Antarctica/Troll", "Asia/Kathmandu", "Africa/Casablanca"}).Draw(t, "zone"))
		if err != nil {
			t.Fatal(err)
		}
		after := time.Unix(rapid.Int64Range(1104537600, 1924992000).Draw(t, "after"), 0) // 2005 to 2030
		if _, shift := after.In(s.Location).ZoneBounds(); !shift.IsZero() && rapid.IntRange(0, 3).Draw(t, "anywhere") > 0 {
			after = shift.Add(time.Duration(rapid.IntRange(-3*3600, 3*3600).Draw(t, "near a shift")) * time.Second)
			shifts++
		}

		want, ok := scan(after, after.Add(horizon), s.Location, func(d time.Time) bool {
			d = time.Date(d.Year(), d.Month(), d.Day(), 0, 0, 0, 0, time.UTC)
			return year.has(d.Year()) && month.has(int(d.Month())) && day.has(d)
		}, func(h, m int) bool { return hour.has(h) && minute.has(m) })
		got, runs := s.Next(after)
		switch {
		case ok && (!runs || !got.Equal(want)):
			t.Fatalf("%s after %s: Next has %v %v, a scan %s", expr, after.In(s.Location), got, runs, want.In(s.Location))
		case !ok && runs && got.Before(after.Add(horizon)):
			t.Fatalf("%s after %s: Next has %s, a scan nothing", expr, after.In(s.Location), got)
		}
		if ok {
			found++
		} else {
			never++
		}
	})
	t.Logf("%d expressions ran, %d did not within %v; %d near a shift of the clocks", found, never, horizon, shifts)
	if found < never {
		t.Error("hardly any expression ran: the property says little")
	}
}
