package localstack_test

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	schtypes "github.com/aws/aws-sdk-go-v2/service/scheduler/types"

	"stillpoint/localstack"
)

func TestSchedulesAreMadeOnce(t *testing.T) {
	p := startPlanner(t, localstack.Config{})
	in := at("tick", "rate(1 day)")
	in.ClientToken = aws.String("token-1")
	arn := p.create(t, in)
	if again := p.create(t, in); again != arn {
		t.Errorf("the same request again: %s, first %s", again, arn)
	}
	other := in
	other.Description = aws.String("other")
	for _, again := range []scheduler.CreateScheduleInput{other, at("tick", "rate(1 day)")} {
		_, err := p.sch.CreateSchedule(t.Context(), &again)
		wantStatus(t, err, "ConflictException", http.StatusConflict)
	}
	p.wait(t)
	if got := p.drain(t, p.jobs); len(got) != 0 {
		t.Errorf("it ran %d times", 1+len(got))
	}
	nope := at("x", "rate(1 day)")
	nope.GroupName = aws.String("nope")
	_, err := p.sch.CreateSchedule(t.Context(), &nope)
	wantStatus(t, err, "ResourceNotFoundException", http.StatusNotFound)
	_, err = p.sch.GetSchedule(t.Context(), &scheduler.GetScheduleInput{Name: aws.String("nope")})
	wantStatus(t, err, "ResourceNotFoundException", http.StatusNotFound)
	if !strings.Contains(err.Error(), "Schedule nope does not exist.") {
		t.Error(err)
	}
	_, err = p.sch.DeleteSchedule(t.Context(), &scheduler.DeleteScheduleInput{Name: aws.String("nope")})
	wantStatus(t, err, "ResourceNotFoundException", http.StatusNotFound)
	_, err = p.sch.UpdateSchedule(t.Context(), &scheduler.UpdateScheduleInput{
		Name: aws.String("nope"), ScheduleExpression: in.ScheduleExpression, FlexibleTimeWindow: in.FlexibleTimeWindow, Target: in.Target,
	})
	wantStatus(t, err, "ResourceNotFoundException", http.StatusNotFound)
}

func wantStatus(t *testing.T, err error, code string, status int) {
	t.Helper()
	wantCode(t, err, code)
	var answer *awshttp.ResponseError
	if !errors.As(err, &answer) || answer.HTTPStatusCode() != status {
		t.Fatalf("got %v, want the status %d", err, status)
	}
}

func TestSchedulesAreRefused(t *testing.T) {
	p := startPlanner(t, localstack.Config{})
	early := p.Now().Add(-6 * time.Minute)
	for _, c := range []struct {
		part   string
		change func(in *scheduler.CreateScheduleInput)
	}{
		{"Invalid Schedule Expression rate(10 seconds).", func(in *scheduler.CreateScheduleInput) { in.ScheduleExpression = aws.String("rate(10 seconds)") }},
		{"Invalid Schedule Expression cron(0 1 * * * *).", func(in *scheduler.CreateScheduleInput) { in.ScheduleExpression = aws.String("cron(0 1 * * * *)") }},
		{"Invalid Schedule Expression at(2021-12-31).", func(in *scheduler.CreateScheduleInput) { in.ScheduleExpression = aws.String("at(2021-12-31)") }},
		{"Value 'a b' at 'name' failed to satisfy constraint", func(in *scheduler.CreateScheduleInput) { in.Name = aws.String("a b") }},
		{"Member must have length less than or equal to 64", func(in *scheduler.CreateScheduleInput) { in.Name = aws.String(strings.Repeat("x", 65)) }},
		{"Mars/Base", func(in *scheduler.CreateScheduleInput) { in.ScheduleExpressionTimezone = aws.String("Mars/Base") }},
		{"needs MaximumWindowInMinutes", func(in *scheduler.CreateScheduleInput) { in.FlexibleTimeWindow.Mode = "FLEXIBLE" }},
		{"MaximumWindowInMinutes is for", func(in *scheduler.CreateScheduleInput) { in.FlexibleTimeWindow.MaximumWindowInMinutes = aws.Int32(5) }},
		{"'flexibleTimeWindow.maximumWindowInMinutes' failed", func(in *scheduler.CreateScheduleInput) {
			in.FlexibleTimeWindow = &schtypes.FlexibleTimeWindow{Mode: "FLEXIBLE", MaximumWindowInMinutes: aws.Int32(1441)}
		}},
		{"earlier than 5m0s before now", func(in *scheduler.CreateScheduleInput) { in.StartDate = &early }},
		{"'target.roleArn' failed to satisfy constraint", func(in *scheduler.CreateScheduleInput) { in.Target.RoleArn = aws.String("role") }},
		{"Provided Arn is not in correct format.", func(in *scheduler.CreateScheduleInput) { in.Target.Arn = aws.String("queue") }},
		{"universal targets", func(in *scheduler.CreateScheduleInput) {
			in.Target.Arn = aws.String("arn:aws:scheduler:::aws-sdk:sqs:sendMessage")
		}},
		{"not arn:aws:lambda", func(in *scheduler.CreateScheduleInput) {
			in.Target.Arn = aws.String("arn:aws:lambda:eu-west-1:111122223333:function:f")
		}},
		{"FIFO", func(in *scheduler.CreateScheduleInput) { in.Target.Arn = aws.String(jobsARN + ".fifo") }},
		{"SqsParameters", func(in *scheduler.CreateScheduleInput) {
			in.Target.SqsParameters = &schtypes.SqsParameters{MessageGroupId: aws.String("g")}
		}},
		{"'target.deadLetterConfig.arn' failed", func(in *scheduler.CreateScheduleInput) {
			in.Target.DeadLetterConfig = &schtypes.DeadLetterConfig{Arn: aws.String(jobsARN + ".fifo")}
		}},
		{"'target.retryPolicy.maximumRetryAttempts' failed", func(in *scheduler.CreateScheduleInput) {
			in.Target.RetryPolicy = &schtypes.RetryPolicy{MaximumRetryAttempts: aws.Int32(186)}
		}},
		{"KmsKeyArn", func(in *scheduler.CreateScheduleInput) {
			in.KmsKeyArn = aws.String("arn:aws:kms:eu-west-1:111122223333:key/k")
		}},
	} {
		in := at("tick", "rate(1 day)")
		c.change(&in)
		_, err := p.sch.CreateSchedule(t.Context(), &in)
		wantStatus(t, err, "ValidationException", http.StatusBadRequest)
		if !strings.Contains(err.Error(), c.part) {
			t.Errorf("got %v, want %s", err, c.part)
		}
	}
	in := at("tick", "rate(1 day)")
	in.Target.RoleArn = aws.String("arn:aws:iam::999999999999:role/r")
	_, err := p.sch.CreateSchedule(t.Context(), &in)
	wantStatus(t, err, "AccessDeniedException", http.StatusForbidden)
	if got := must(p.sch.ListSchedules(t.Context(), &scheduler.ListSchedulesInput{}))(t); len(got.Schedules) != 0 {
		t.Errorf("made all the same: %+v", got.Schedules)
	}
}

func TestScheduleGroups(t *testing.T) {
	p := startPlanner(t, localstack.Config{})
	tags := []schtypes.Tag{{Key: aws.String("k"), Value: aws.String("v")}, {Key: aws.String("l"), Value: aws.String("w")}}
	create := scheduler.CreateScheduleGroupInput{Name: aws.String("mine"), Tags: tags, ClientToken: aws.String("t")}
	arn := *must(p.sch.CreateScheduleGroup(t.Context(), &create))(t).ScheduleGroupArn
	if arn != "arn:aws:scheduler:eu-west-1:111122223333:schedule-group/mine" {
		t.Errorf("got the ARN %s", arn)
	}
	must(p.sch.CreateScheduleGroup(t.Context(), &create))(t)
	_, err := p.sch.CreateScheduleGroup(t.Context(), &scheduler.CreateScheduleGroupInput{Name: aws.String("mine")})
	wantStatus(t, err, "ConflictException", http.StatusConflict)
	must(p.sch.UntagResource(t.Context(), &scheduler.UntagResourceInput{ResourceArn: &arn, TagKeys: []string{"k", "x"}}))(t)
	must(p.sch.TagResource(t.Context(), &scheduler.TagResourceInput{ResourceArn: &arn, Tags: []schtypes.Tag{{Key: aws.String("a"), Value: aws.String("b")}}}))(t)
	got := must(p.sch.ListTagsForResource(t.Context(), &scheduler.ListTagsForResourceInput{ResourceArn: &arn}))(t).Tags
	if len(got) != 2 || *got[0].Key != "a" || *got[1].Key != "l" {
		t.Errorf("got %+v", got)
	}
	if g := must(p.sch.GetScheduleGroup(t.Context(), &scheduler.GetScheduleGroupInput{Name: aws.String("mine")}))(t); *g.Arn != arn || g.State != "ACTIVE" || p.Now().Sub(*g.CreationDate) > time.Minute {
		t.Errorf("got %+v", g)
	}
	if l := must(p.sch.ListScheduleGroups(t.Context(), &scheduler.ListScheduleGroupsInput{NamePrefix: aws.String("mi")}))(t); len(l.ScheduleGroups) != 1 {
		t.Errorf("got %+v", l.ScheduleGroups)
	}

	for _, name := range []string{"a", "b", "c"} {
		in := at(name, "rate(1 hour)")
		in.GroupName, in.State = aws.String("mine"), schtypes.ScheduleStateDisabled
		p.create(t, in)
		in = at(name, "cron(0 0 1 1 ? 2199)")
		p.create(t, in)
	}
	list := func(in scheduler.ListSchedulesInput) string {
		var out []string
		for in.MaxResults = aws.Int32(2); ; {
			page := must(p.sch.ListSchedules(t.Context(), &in))(t)
			for _, s := range page.Schedules {
				out = append(out, *s.GroupName+"/"+*s.Name)
			}
			if in.NextToken = page.NextToken; in.NextToken == nil {
				return strings.Join(out, " ")
			}
		}
	}
	for want, in := range map[string]scheduler.ListSchedulesInput{
		"default/a default/b default/c mine/a mine/b mine/c": {},
		"mine/a mine/b mine/c":                               {GroupName: aws.String("mine")},
		"default/a default/b default/c":                      {State: schtypes.ScheduleStateEnabled},
		"default/b mine/b":                                   {NamePrefix: aws.String("b")},
	} {
		if got := list(in); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}

	enable := at("late", "rate(1 hour)")
	from := p.Now().Add(time.Minute)
	enable.GroupName, enable.StartDate = aws.String("mine"), &from
	p.create(t, enable)
	must(p.sch.DeleteScheduleGroup(t.Context(), &scheduler.DeleteScheduleGroupInput{Name: aws.String("mine")}))(t)
	p.MoveClock(2 * time.Hour)
	if got := p.drain(t, p.jobs); len(got) != 0 {
		t.Errorf("a schedule of a deleted group ran: %s", bodies(got))
	}
	_, err = p.sch.GetSchedule(t.Context(), &scheduler.GetScheduleInput{Name: aws.String("a"), GroupName: aws.String("mine")})
	wantStatus(t, err, "ResourceNotFoundException", http.StatusNotFound)
	_, err = p.sch.DeleteScheduleGroup(t.Context(), &scheduler.DeleteScheduleGroupInput{Name: aws.String("default")})
	wantStatus(t, err, "ValidationException", http.StatusBadRequest)
}

// What is no operation, a fault, and a body that is no JSON are answered in the REST protocol too.
func TestErrorsOfSchedulerOnTheWire(t *testing.T) {
	p := startPlanner(t, localstack.Config{})
	call := func(method, path, body string) (*http.Response, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, p.URL()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "AWS4-HMAC-SHA256 Credential=a/20260101/eu-west-1/scheduler/aws4_request, SignedHeaders=host, Signature=0")
		answer, err := p.config.HTTPClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		return answer, string(text)
	}
	for _, c := range []struct {
		method, path, body string
		status             int
		code, part         string
	}{
		{"GET", "/schedules/nope", "", 404, "ResourceNotFoundException", `{"Message":"Schedule nope does not exist."}`},
		{"POST", "/schedules/x", "{", 400, "ValidationException", `{"Message":"localstack cannot read`},
		{"POST", "/schedules/x", `{"Other":1}`, 400, "ValidationException", `Other`},
		{"PATCH", "/schedules/x", "", 404, "UnknownOperationException", `PATCH /schedules/x`},
		{"GET", "/schedules?MaxResults=101", "", 400, "ValidationException", "less than or equal to 100"},
		{"GET", "/schedules?NextToken=x", "", 400, "ValidationException", "NextToken"},
	} {
		answer, text := call(c.method, c.path, c.body)
		if answer.StatusCode != c.status || answer.Header.Get("x-amzn-ErrorType") != c.code || !strings.Contains(text, c.part) {
			t.Errorf("%s %s: got %d %s %s", c.method, c.path, answer.StatusCode, answer.Header.Get("x-amzn-ErrorType"), text)
		}
	}
	p.SetFaults(localstack.Fault{Operation: "scheduler:ListSchedules", Code: "ThrottlingException"})
	_, err := p.sch.ListSchedules(t.Context(), &scheduler.ListSchedulesInput{})
	wantStatus(t, err, "ThrottlingException", http.StatusTooManyRequests)
}

func TestSchedulesThroughTheCLI(t *testing.T) {
	p := startPlanner(t, localstack.Config{})
	// As in Stillpoint's documentation.
	const input = `{"plan":"nightly","requestId":"<aws.scheduler.schedule-arn>/<aws.scheduler.scheduled-time>","scheduledTime":"<aws.scheduler.scheduled-time>"}`
	target, err := json.Marshal(map[string]string{"Arn": jobsARN, "RoleArn": schedulerRole, "Input": input})
	if err != nil {
		t.Fatal(err)
	}
	out := p.command(t, "scheduler", "create-schedule", "--name", "nightly", "--schedule-expression", "cron(0 3 * * ? *)",
		"--schedule-expression-timezone", "Europe/Berlin", "--flexible-time-window", `{"Mode":"OFF"}`, "--target", string(target))
	const arn = "arn:aws:scheduler:eu-west-1:111122223333:schedule/default/nightly"
	if !strings.Contains(out, arn) {
		t.Errorf("got %s", out)
	}
	if out := p.command(t, "scheduler", "get-schedule", "--name", "nightly"); !strings.Contains(out, `"ScheduleExpressionTimezone": "Europe/Berlin"`) {
		t.Errorf("got %s", out)
	}
	p.MoveClock(24 * time.Hour)
	got := bodies(p.drain(t, p.jobs))
	var request struct{ Plan, RequestID, ScheduledTime string }
	if len(got) != 1 || json.Unmarshal([]byte(got[0]), &request) != nil {
		t.Fatalf("got %s", got)
	}
	due, err := time.Parse(time.RFC3339, request.ScheduledTime)
	if err != nil || request.Plan != "nightly" || request.RequestID != arn+"/"+request.ScheduledTime || due.Minute() != 0 {
		t.Errorf("got %s", got[0])
	}
}
