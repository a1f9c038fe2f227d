package schedule_test

import (
	"strings"
	"testing"

	"stillpoint/localstack/internal/schedule"
)

// invalid expressions, each with what the error has to say beside the expression itself.
var invalid = []struct{ expr, want string }{
	// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-cron-expressions.html: one expression with #, one ?, one minute
	{"cron(0 0 ? * 3#1,6#3 *)", "# goes between one day of the week and 1-5"},
	{"cron(0 0 * * * *)", `day-of-month "*" and day-of-week "*" are both set; one of them must be ?`},
	{"cron(0 0 1 * 2 *)", `day-of-month "1" and day-of-week "2" are both set`},
	{"cron(0/15 0 0 * * ? *)", "it has 7 fields, not the six"}, // with seconds
	// tried at AWS: https://github.com/aws/aws-sdk-js/issues/4212, https://github.com/buildkite/buildkite-agent-scaler/pull/100,
	// https://github.com/wata727/elastic_whenever/pull/70, https://github.com/aws/aws-cdk/issues/7514
	{"cron(*/60 * * * ? *)", `minutes "*/60": the step "60" is not in 1-59`},
	{"cron(30 1,8 ? * 1,2,5,6,0 *)", `day-of-week "1,2,5,6,0": 0 is not in 1-7 or SUN-SAT`},
	{"cron(* * * * *)", "it has 5 fields, not the six"},

	{"", "it must be rate(value unit) or cron("},
	{"rate", "it must be"},
	{"rate(5 minutes", "it must be"},
	{" rate(5 minutes)", `it starts with " rate"`},
	{"rate(5 minutes) ", "it must be"},
	{"Rate(5 minutes)", `it starts with "Rate"`},
	{"CRON(0 10 * * ? *)", `it starts with "CRON"`},
	{"every(5 minutes)", `it starts with "every", but must be rate(value unit)`},
	{"5 minutes", "it must be"},
	{"0 10 * * ? *", "it must be"},
	{"rate(" + strings.Repeat(" ", 300) + "5 minutes)", "more than 256"},
	{"rate()", "a rate is a value and a unit"},
	{"rate(5)", "a rate is a value and a unit"},
	{"rate(minutes)", "a rate is a value and a unit"},
	{"rate(5minutes)", "a rate is a value and a unit"},
	{"rate(5 minutes 3)", "a rate is a value and a unit"},
	{"rate(0 minutes)", `value "0" is not positive`},
	{"rate(-1 minutes)", `value "-1" is no integer`},
	{"rate(+5 minutes)", `value "+5" is no integer`},
	{"rate(1.5 hours)", `value "1.5" is no integer`},
	{"rate(5e3 minutes)", "is no integer"},
	{"rate(99999999999999999999 days)", "is no integer in 1-2147483647"},
	{"rate(2147483648 days)", "is no integer in 1-2147483647"},
	{"rate(30 seconds)", `unit "seconds" is none of minute, minutes`},
	{"rate(1 week)", `unit "week" is none of`},
	{"rate(5 Minutes)", `unit "Minutes" is none of`},
	{"rate(5 minutes))", `unit "minutes)" is none of`},

	{"cron()", "it has 0 fields"},
	{"cron(0 10 * *)", "it has 4 fields"},
	{"cron(60 * * * ? *)", `minutes "60": 60 is not in 0-59`},
	{"cron(0 24 * * ? *)", `hours "24": 24 is not in 0-23`},
	{"cron(0 0 0 * ? *)", `day-of-month "0": 0 is not in 1-31`},
	{"cron(0 0 32 * ? *)", `day-of-month "32": 32 is not in 1-31`},
	{"cron(0 0 1 0 ? *)", `month "0": 0 is not in 1-12 or JAN-DEC`},
	{"cron(0 0 1 13 ? *)", `month "13": 13 is not in 1-12`},
	{"cron(0 0 ? * 0 *)", `day-of-week "0": 0 is not in 1-7`},
	{"cron(0 0 ? * 8 *)", `day-of-week "8": 8 is not in 1-7`},
	{"cron(0 0 1 1 ? 1969)", `year "1969": 1969 is not in 1970-2199`},
	{"cron(0 0 1 1 ? 2200)", `year "2200": 2200 is not in 1970-2199`},
	{"cron(0 0 1 1 ? 2026-2200)", "2200 is not in 1970-2199"},
	{"cron(0 0 1 1 ? 2027-2026)", "the range 2027-2026 ends before it starts"},
	{"cron(0 0 1 1 ? */231)", `the step "231" is not in 1-230`},
	{"cron(0 0 ? * ? *)", "both ?, and only one of them may be"},
	{"cron(? 0 * * ? *)", `minutes "?": "?" is not a value of it; it takes 0-59 and the wildcards , - * /`},
	{"cron(0 ? * * ? *)", `hours "?"`},
	{"cron(0 0 * ? ? *)", `month "?"`},
	{"cron(0 0 * * ? ?)", `year "?"`},
	{"cron(L 0 * * ? *)", `minutes "L"`},
	{"cron(0 0 ? * 3W *)", `day-of-week "3W": "3W" is not a value`},
	{"cron(0 0 3#2 * ? *)", `day-of-month "3#2"`},
	{"cron(MON 0 * * ? *)", `minutes "MON"`},
	{"cron(0 0 1 MON ? *)", `month "MON": "MON" is not a value of it; it takes 1-12 or JAN-DEC`},
	{"cron(0 0 1 JANUARY ? *)", `month "JANUARY"`},
	{"cron(0 0 ? * MONDAY *)", `day-of-week "MONDAY"`},
	{"cron(0 0 ? * 2/2 *)", "AWS documents no / for it"}, // not in the table's row
	{"cron(0 0 ? * */2 *)", "AWS documents no / for it"},
	{"cron(*/0 0 * * ? *)", `the step "0" is not in 1-59`},
	{"cron(0 */24 * * ? *)", `the step "24" is not in 1-23`},
	{"cron(0 0 */32 * ? *)", `the step "32" is not in 1-31`},
	{"cron(0 0 1 */13 ? *)", `the step "13" is not in 1-12`},
	{"cron(*/ 0 * * ? *)", `the step "" is not in 1-59`},
	{"cron(/5 0 * * ? *)", `"" is not a value of it`},
	{"cron(*/5/2 0 * * ? *)", `the step "5/2"`},
	{"cron(*/x 0 * * ? *)", `the step "X"`},
	{"cron(*-5 0 * * ? *)", `"*" is not a value of it`},
	{"cron(5-* 0 * * ? *)", `"*" is not a value of it`},
	{"cron(1-2-3 0 * * ? *)", `"2-3" is not a value of it`},
	{"cron(1, 0 * * ? *)", `"" is not a value of it`},
	{"cron(,1 0 * * ? *)", `"" is not a value of it`},
	{"cron(- 0 * * ? *)", `"" is not a value of it`},
	{"cron(-1 0 * * ? *)", `"" is not a value of it`},
	{"cron(+1 0 * * ? *)", `"+1" is not a value of it`},
	{"cron(99999999999999999999 0 * * ? *)", "is not a value of it"},
	{"cron(0 0 LW * ? *)", "W goes after one day of the month, as in 3W"},
	{"cron(0 0 W * ? *)", "W goes after one day of the month"},
	{"cron(0 0 0W * ? *)", "W goes after one day of the month"},
	{"cron(0 0 32W * ? *)", "W goes after one day of the month"},
	{"cron(0 0 1-5W * ? *)", "W goes after one day of the month"},
	{"cron(0 0 W3 * ? *)", "W goes after one day of the month"},
	{"cron(0 0 L-3 * ? *)", "L stands alone"},
	{"cron(0 0 1,L * ? *)", "L stands alone"},
	{"cron(0 0 15W,L * ? *)", "L stands alone"},
	{"cron(0 0 ? * 8L *)", "L stands alone or after one day of the week"},
	{"cron(0 0 ? * 2-6L *)", "L stands alone or after one day of the week"},
	{"cron(0 0 ? * 2L,3 *)", `"2L" is not a value`},
	{"cron(0 0 ? * 3#0 *)", "# goes between"},
	{"cron(0 0 ? * 3#6 *)", "# goes between"},
	{"cron(0 0 ? * 8#1 *)", "# goes between"},
	{"cron(0 0 ? * #1 *)", "# goes between"},
	{"cron(0 0 ? * 3# *)", "# goes between"},
	{"cron(0 0 ? * 2-3#1 *)", "# goes between"},
	{"cron(0 0 ? * FRı *)", "is not ASCII"}, // whose upper case is FRI
	{"cron(0\n0 * * ? *)", "it has 5 fields"},
	{"cron(0\u00a00 * * ? *)", "is not ASCII"},
}

func TestInvalid(t *testing.T) {
	for _, tc := range invalid {
		for _, kind := range []schedule.Kind{schedule.Rule, schedule.Scheduler} {
			s, err := schedule.Parse(tc.expr, kind)
			switch {
			case err == nil:
				t.Errorf("%q is valid for kind %d", tc.expr, kind)
			case !strings.HasPrefix(err.Error(), "cannot read schedule expression \""):
				t.Errorf("%q: the error does not say what it is about: %v", tc.expr, err)
			case kind == schedule.Rule && !strings.Contains(err.Error(), tc.want): // Scheduler names at(...) too, and may have five fields
				t.Errorf("%q: the error is %q, want %q in it", tc.expr, err, tc.want)
			}
			if _, ok := s.Next(s.Created); ok {
				t.Errorf("%q is invalid and runs", tc.expr)
			}
		}
	}
}

// What Scheduler takes and rules do not, and what neither does of that.
func TestInvalidForOneKind(t *testing.T) {
	for _, tc := range []struct {
		expr string
		kind schedule.Kind
		want string
	}{
		{"rate(1 hours)", schedule.Rule, `unit "hours" does not go with the value 1, which takes "hour"`}, // of the rules' page on rates
		{"rate(5 hour)", schedule.Rule, `unit "hour" does not go with the value 5, which takes "hours"`},  // its "Limitations"
		{"rate(3 minute)", schedule.Rule, `which takes "minutes"`},                                        // https://github.com/aws/aws-cdk/issues/7514
		{"rate( 10 minutes )", schedule.Scheduler, "a rate is a value and a unit"},                        // recorded, see parseRate
		{"rate(1 minutes)", schedule.Rule, `which takes "minute"`},
		{"rate(1 days)", schedule.Rule, `which takes "day"`},
		{"at(2022-11-20T13:00:00)", schedule.Rule, "at(...) is for EventBridge Scheduler"},
		{"cron(0 10 * * ?)", schedule.Rule, "it has 5 fields, not the six of cron(minutes hours day-of-month month day-of-week year)"},
		{"once(2022-11-20T13:00:00)", schedule.Scheduler, "or at(yyyy-mm-ddThh:mm:ss)"},
		{"at()", schedule.Scheduler, "in the form yyyy-mm-ddThh:mm:ss"},
		{"at(2022-11-20)", schedule.Scheduler, "is no date and time"},
		{"at(2022-11-20 13:00:00)", schedule.Scheduler, "is no date and time"},
		{"at(2022-11-20T13:00)", schedule.Scheduler, "is no date and time"},
		{"at(2022-11-20T1:00:00)", schedule.Scheduler, "is no date and time"},
		{"at(2022-11-20T13:00:00Z)", schedule.Scheduler, "is no date and time"},
		{"at(2022-11-20T13:00:00+01:00)", schedule.Scheduler, "is no date and time"},
		{"at(2022-11-20T13:00:00.5)", schedule.Scheduler, "is no date and time"},
		{"at(2022-02-29T13:00:00)", schedule.Scheduler, "is no date and time"},
		{"at(2022-11-20T24:00:00)", schedule.Scheduler, "is no date and time"},
		{"at(22-11-20T13:00:00)", schedule.Scheduler, "is no date and time"},
	} {
		_, err := schedule.Parse(tc.expr, tc.kind)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: the error is %v, want %q in it", tc.expr, err, tc.want)
		}
	}
}
