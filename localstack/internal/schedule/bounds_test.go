package schedule_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"stillpoint/localstack/internal/schedule"
)

var noon = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// Where a rate starts: a rule one period after it was made, Scheduler at once, or at its StartDate.
func TestRateStarts(t *testing.T) {
	for _, tc := range []struct {
		why            string
		kind           schedule.Kind
		created, start time.Time
		after          time.Time
		want           []string
	}{
		{"a rule", schedule.Rule, noon, time.Time{}, noon, []string{"2026-11-20T12:05", "2026-11-20T12:10"}},
		{"a rule, asked early", schedule.Rule, noon, time.Time{}, noon.Add(-time.Hour), []string{"2026-11-20T12:05"}},
		{"a schedule, at once", schedule.Scheduler, noon, time.Time{}, noon.Add(-1), []string{"2026-11-20T12:00", "2026-11-20T12:05"}},
		{"a schedule, then", schedule.Scheduler, noon, time.Time{}, noon, []string{"2026-11-20T12:05"}},
		{"a StartDate", schedule.Scheduler, noon, noon.Add(7 * time.Minute), noon, []string{"2026-11-20T12:07", "2026-11-20T12:12"}},
		{"a StartDate that was", schedule.Scheduler, noon, noon.Add(-3 * time.Minute), noon, []string{"2026-11-20T12:02"}},
		{"years later", schedule.Scheduler, noon, time.Time{}, noon.AddDate(400, 0, 0).Add(time.Second), []string{"2426-11-20T12:05"}},
		{"no moment at all", schedule.Scheduler, time.Time{}, time.Time{}, noon.Add(time.Second), []string{"2026-11-20T12:05"}},
	} {
		s := parse(t, "rate(5 minutes)", tc.kind)
		s.Created, s.Start = tc.created, tc.start
		t.Run(tc.why, func(t *testing.T) { wantRuns(t, s, tc.after, tc.want...) })
	}
	s := parse(t, "rate(1 minute)", schedule.Rule)
	s.Created = noon.Add(300 * time.Millisecond)
	wantRuns(t, s, noon.Add(time.Minute), "2026-11-20T12:01:00.3Z", "2026-11-20T12:02:00.3Z")
	s = parse(t, "rate(2147483647 days)", schedule.Scheduler)
	s.Created = noon
	wantRuns(t, s, noon.Add(-1), "2026-11-20T12:00", "never")
}

func TestStartAndEnd(t *testing.T) {
	s := parse(t, "cron(0 * * * ? *)", schedule.Scheduler)
	s.Start, s.End = noon, noon.Add(2*time.Hour)
	wantRuns(t, s, noon.AddDate(-1, 0, 0), "2026-11-20T12:00", "2026-11-20T13:00", "2026-11-20T14:00", "never")
	s.Start, s.End = noon.Add(1), noon.Add(2*time.Hour-1)
	wantRuns(t, s, time.Time{}, "2026-11-20T13:00", "never")
	s.Start = time.Time{}
	wantRuns(t, s, noon, "2026-11-20T13:00", "never")

	s = parse(t, "rate(1 hours)", schedule.Scheduler)
	s.Created, s.End = noon, noon.Add(time.Hour)
	wantRuns(t, s, noon, "2026-11-20T13:00", "never")

	s = parse(t, "at(2026-11-20T13:00:00)", schedule.Scheduler)
	s.Start, s.End = noon.AddDate(1, 0, 0), noon.AddDate(-1, 0, 0) // a one-time schedule ignores both
	wantRuns(t, s, noon, "2026-11-20T13:00", "never")
	if !s.OneTime() || parse(t, "rate(1 hour)", schedule.Scheduler).OneTime() {
		t.Error("OneTime is for at(...) alone")
	}
	wantRuns(t, schedule.Schedule{}, noon, "never")
}

func TestCheckDates(t *testing.T) {
	for _, tc := range []struct {
		expr       string
		start, end time.Time
		want       string // empty: valid
	}{
		{"rate(1 hour)", time.Time{}, time.Time{}, ""},
		{"rate(1 hour)", noon.Add(-5 * time.Minute), noon, ""},
		{"rate(1 hour)", noon.Add(-5*time.Minute - time.Second), time.Time{}, "the StartDate 2026-11-20T11:54:59Z is earlier than 5m0s before now"},
		{"rate(1 hour)", noon.AddDate(9, 0, 0), time.Time{}, ""},
		{"rate(1 hour)", time.Time{}, noon, ""},
		{"rate(1 hour)", noon, noon, "the EndDate 2026-11-20T12:00:00Z is not after the StartDate"},
		{"rate(1 hour)", noon.Add(1), noon, "is not after the StartDate"},
		{"at(2026-11-20T13:00:00)", noon.AddDate(-1, 0, 0), noon.AddDate(-2, 0, 0), ""},
	} {
		s := parse(t, tc.expr, schedule.Scheduler)
		s.Start, s.End = tc.start, tc.end
		checkError(t, s.CheckDates(noon), tc.want)
	}
}

func checkError(t *testing.T, err error, want string) {
	t.Helper()
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("the error is %v, want %q", err, want)
	}
}

func TestWindow(t *testing.T) {
	for _, tc := range []struct {
		window   schedule.Window
		fraction float64
		later    time.Duration
		want     string
	}{
		{schedule.Window{Mode: "OFF"}, 0.5, 0, ""},
		{schedule.Window{Mode: "OFF", MaximumMinutes: 15}, 0.5, 0, ""},
		{schedule.Window{Mode: "FLEXIBLE", MaximumMinutes: 15}, 0, 0, ""},
		{schedule.Window{Mode: "FLEXIBLE", MaximumMinutes: 15}, 0.5, 7*time.Minute + 30*time.Second, ""},
		{schedule.Window{Mode: "FLEXIBLE", MaximumMinutes: 15}, 1, 15 * time.Minute, ""},
		{schedule.Window{Mode: "FLEXIBLE", MaximumMinutes: 15}, 2, 15 * time.Minute, ""},
		{schedule.Window{Mode: "FLEXIBLE", MaximumMinutes: 15}, -1, 0, ""},
		{schedule.Window{Mode: "FLEXIBLE", MaximumMinutes: 15}, math.NaN(), 0, ""},
		{schedule.Window{Mode: "FLEXIBLE", MaximumMinutes: 1440}, 1, 24 * time.Hour, ""},
		{schedule.Window{Mode: "FLEXIBLE"}, 1, 0, "a FLEXIBLE time window needs MaximumWindowInMinutes, 1-1440"},
		{schedule.Window{Mode: "FLEXIBLE", MaximumMinutes: 1441}, 0, 0, "MaximumWindowInMinutes 1441 is not in 1-1440"},
		{schedule.Window{Mode: "FLEXIBLE", MaximumMinutes: -1}, 0, 0, "MaximumWindowInMinutes -1 is not"},
		{schedule.Window{Mode: "OFF", MaximumMinutes: 1441}, 0, 0, "is not in 1-1440"},
		{schedule.Window{}, 0.5, 0, `the mode "" of the flexible time window is neither OFF nor FLEXIBLE`},
		{schedule.Window{Mode: "off"}, 0.5, 0, `the mode "off"`},
	} {
		checkError(t, tc.window.Check(), tc.want)
		if got := tc.window.Pick(noon, tc.fraction); !got.Equal(noon.Add(tc.later)) {
			t.Errorf("%+v at %v picks %v, want %v later", tc.window, tc.fraction, got, tc.later)
		}
	}
}

func TestLoadZone(t *testing.T) {
	for _, name := range []string{"", "UTC", "America/New_York", "Europe/Berlin", "Asia/Kathmandu"} {
		if loc := zone(t, name); name != "" && loc.String() != name {
			t.Errorf("%s is %s", name, loc)
		}
	}
	if zone(t, "") != time.UTC {
		t.Error("no name is not UTC")
	}
	for _, name := range []string{
		"Local", "localtime", "posixrules", "right/Europe/Berlin", "posix/Europe/Berlin", "Europe/Atlantis", "CEST", "+01:00", "../../etc/passwd", "Europe",
		strings.Repeat("x", 51),
	} {
		_, err := schedule.LoadZone(name)
		if err == nil || !strings.Contains(err.Error(), "cannot find time zone") || !strings.Contains(err.Error(), "such as Europe/Berlin") {
			t.Errorf("zone %q: the error is %v", name, err)
		}
	}
}
