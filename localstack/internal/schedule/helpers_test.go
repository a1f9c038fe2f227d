package schedule_test

import (
	"testing"
	"time"

	"stillpoint/localstack/internal/schedule"
)

// layout is how the tables write times; without a zone they are in that of the case.
const layout = "2006-01-02T15:04:05"

func parse(t testing.TB, expr string, kind schedule.Kind) schedule.Schedule {
	t.Helper()
	s, err := schedule.Parse(expr, kind)
	if err != nil {
		t.Fatal(err)
	}
	if s.String() != expr {
		t.Fatalf("%s says that it is %s", expr, s)
	}
	return s
}

func zone(t testing.TB, name string) *time.Location {
	t.Helper()
	loc, err := schedule.LoadZone(name)
	if err != nil {
		t.Fatal(err)
	}
	return loc
}

// moment reads a time with an offset, or one in loc.
func moment(t testing.TB, text string, loc *time.Location) time.Time {
	t.Helper()
	if m, err := time.Parse(time.RFC3339, text); err == nil {
		return m
	}
	if len(text) == len("2006-01-02T15:04") {
		text += ":00"
	}
	m, err := time.ParseInLocation(layout, text, loc)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// wantRuns checks the runs after a time, one after the other. "never" ends them.
func wantRuns(t testing.TB, s schedule.Schedule, after time.Time, want ...string) {
	t.Helper()
	loc := s.Location
	if loc == nil {
		loc = time.UTC
	}
	for _, w := range want {
		got, ok := s.Next(after)
		switch {
		case w == "never":
			if ok {
				t.Errorf("%s runs after %s at %s, want never", s, after.Format(time.RFC3339), got.Format(time.RFC3339))
			}
			return
		case !ok:
			t.Errorf("%s never runs after %s, want %s", s, after.Format(time.RFC3339), w)
			return
		case !got.Equal(moment(t, w, loc)):
			t.Errorf("%s runs after %s at %s, want %s", s, after.Format(time.RFC3339), got.Format(time.RFC3339), w)
			return
		}
		after = got
	}
}
