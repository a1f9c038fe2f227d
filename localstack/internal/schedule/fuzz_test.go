package schedule_test

import (
	"strings"
	"testing"
	"time"

	"stillpoint/localstack/internal/schedule"
)

// Whatever is parsed: an expression or an error, never a panic and never long; what a rule takes Scheduler takes too; and the
// runs are in order.
func FuzzParse(f *testing.F) {
	for _, expr := range []string{
		"rate(5 minutes)", "rate(1 day)", "cron(0 10 ? * MON-FRI *)", "cron(0/30 20-2 ? * 2#1 2026-2030/2)", "cron(15 10 L FEB,6 ? 2199)", "cron(5 8 31W * ?)",
		"at(2026-11-20T13:00:00)", "cron(* * ? * 6L *)", "cron(59 23 29 2 ? */4)",
	} {
		f.Add(expr, int64(1790000000))
	}
	for _, tc := range invalid {
		f.Add(tc.expr, int64(0))
	}
	loc := zone(f, "America/New_York")
	f.Fuzz(func(t *testing.T, expr string, unix int64) {
		_, ruleErr := schedule.Parse(expr, schedule.Rule)
		s, err := schedule.Parse(expr, schedule.Scheduler)
		if err != nil {
			if ruleErr == nil {
				t.Errorf("%q is valid for a rule, but not for Scheduler: %v", expr, err)
			}
			if !strings.HasPrefix(err.Error(), "cannot read schedule expression ") {
				t.Errorf("%q: the error is %v", expr, err)
			}
			return
		}
		if s.String() != expr {
			t.Errorf("%q became %q", expr, s)
		}
		s.Location = loc
		s.Created = time.Unix(unix%(1<<34), 0)
		after := s.Created
		for range 3 {
			next, ok := s.Next(after)
			if !ok {
				return
			}
			if !next.After(after) {
				t.Fatalf("%s runs after %s at %s", expr, after, next)
			}
			if strings.HasPrefix(expr, "cron") && next.Second() != 0 {
				t.Fatalf("%s runs at %s, within a minute", expr, next)
			}
			if early, ok := s.Next(next.Add(-1)); !ok || !early.Equal(next) {
				t.Fatalf("%s runs at %s, but asked a moment before, at %v %v", expr, next, early, ok)
			}
			after = next
		}
	})
}
