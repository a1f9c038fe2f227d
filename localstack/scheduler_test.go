package localstack_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	schtypes "github.com/aws/aws-sdk-go-v2/service/scheduler/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"stillpoint/localstack"
)

const (
	schedulerRole = "arn:aws:iam::111122223333:role/ops/stillpoint-scheduler"
	jobsARN       = "arn:aws:sqs:eu-west-1:111122223333:jobs"
)

// planner is a server with the client of Scheduler, and a queue named jobs.
type planner struct {
	*cloud
	sch  *scheduler.Client
	jobs string
}

func startPlanner(t *testing.T, c localstack.Config) *planner {
	t.Helper()
	cloud := start(t, c)
	return &planner{cloud, scheduler.NewFromConfig(cloud.config), cloud.queue(t, "jobs", nil)}
}

// at is a schedule that sends to the queue jobs.
func at(name, expression string) scheduler.CreateScheduleInput {
	return scheduler.CreateScheduleInput{
		Name: &name, ScheduleExpression: &expression, FlexibleTimeWindow: &schtypes.FlexibleTimeWindow{Mode: schtypes.FlexibleTimeWindowModeOff},
		Target: &schtypes.Target{Arn: aws.String(jobsARN), RoleArn: aws.String(schedulerRole)},
	}
}

func (p *planner) create(t *testing.T, in scheduler.CreateScheduleInput) string {
	t.Helper()
	return *must(p.sch.CreateSchedule(t.Context(), &in))(t).ScheduleArn
}

// once is an expression for that much from now.
func (p *planner) once(d time.Duration) (string, time.Time) {
	at := p.Now().UTC().Add(d).Truncate(time.Second)
	return at.Format("at(2006-01-02T15:04:05)"), at
}

// wait takes the next message, for which it waits.
func (p *planner) wait(t *testing.T) sqstypes.Message {
	t.Helper()
	got := must(p.sqs.ReceiveMessage(t.Context(), &sqs.ReceiveMessageInput{QueueUrl: &p.jobs, WaitTimeSeconds: 10, VisibilityTimeout: 43_000}))(t).Messages
	if len(got) != 1 {
		t.Fatal("waited in vain for a message")
	}
	return got[0]
}

func (p *planner) gone(t *testing.T, name string) bool {
	t.Helper()
	_, err := p.sch.GetSchedule(t.Context(), &scheduler.GetScheduleInput{Name: &name})
	var none *schtypes.ResourceNotFoundException
	return errors.As(err, &none)
}

func TestRateRunsAtOnceAndThenOnAndOn(t *testing.T) {
	p := startPlanner(t, localstack.Config{})
	arn := p.create(t, at("tick", "rate(5 minutes)"))
	if arn != "arn:aws:scheduler:eu-west-1:111122223333:schedule/default/tick" {
		t.Errorf("got the ARN %s", arn)
	}
	messages := []sqstypes.Message{p.wait(t)}
	p.MoveClock(16 * time.Minute)
	messages = append(messages, p.drain(t, p.jobs)...)
	if len(messages) != 4 {
		t.Fatalf("ran %d times: %s", len(messages), bodies(messages))
	}
	var times []time.Time
	ids := map[any]bool{}
	for _, m := range messages {
		var got map[string]any
		if err := json.Unmarshal([]byte(*m.Body), &got); err != nil {
			t.Fatal(err)
		}
		when, err := time.Parse("2006-01-02T15:04:05Z", got["time"].(string))
		if err != nil {
			t.Fatal(err)
		}
		times = append(times, when)
		ids[got["id"]] = true
		delete(got, "id")
		delete(got, "time")
		// The detail is a string, unlike that of a rule's event.
		want := fmt.Sprint(map[string]any{
			"version": "0", "detail-type": "Scheduled Event", "source": "aws.scheduler", "account": "111122223333", "region": "eu-west-1",
			"resources": []any{arn}, "detail": "{}",
		})
		if fmt.Sprint(got) != want {
			t.Errorf("got %v, want %s", got, want)
		}
	}
	for i := range times[1:] {
		if d := times[i+1].Sub(times[i]); d != 5*time.Minute {
			t.Errorf("%s from one to the next", d)
		}
	}
	if len(ids) != 4 {
		t.Errorf("%d ids of 4 messages", len(ids))
	}
	for _, call := range p.Calls() {
		switch call.Operation {
		case "scheduler:Invoke":
			if call.Principal != "scheduler.amazonaws.com" || call.Source != arn || !slices.Contains(call.Resources, jobsARN) {
				t.Errorf("%+v", call)
			}
		case "sqs:SendMessage":
			if !strings.HasPrefix(call.Principal, "arn:aws:sts::111122223333:assumed-role/stillpoint-scheduler/") || call.Source != arn {
				t.Errorf("%+v", call)
			}
		}
	}
}

// Nothing has to move the clock.
func TestScheduleRunsByItself(t *testing.T) {
	p := startPlanner(t, localstack.Config{})
	expression, due := p.once(2 * time.Second)
	in := at("soon", expression)
	in.Target.Input = aws.String("<aws.scheduler.scheduled-time>")
	p.create(t, in)
	if got := *p.wait(t).Body; got != due.Format("2006-01-02T15:04:05Z") || p.Now().Before(due) {
		t.Errorf("got %s at %s, due was %s", got, p.Now(), due)
	}
}

func TestOneTimeScheduleRunsOnce(t *testing.T) {
	p := startPlanner(t, localstack.Config{})
	expression, due := p.once(10 * time.Minute)
	keep := at("keep", expression)
	keep.Target.Input = aws.String("<aws.scheduler.scheduled-time>")
	p.create(t, keep)
	remove := at("remove", expression)
	remove.ActionAfterCompletion, remove.Target.Input = schtypes.ActionAfterCompletionDelete, keep.Target.Input
	p.create(t, remove)
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	zoned := at("zoned", due.Add(time.Minute).In(berlin).Format("at(2006-01-02T15:04:05)"))
	zoned.ScheduleExpressionTimezone, zoned.Target.Input = aws.String("Europe/Berlin"), aws.String("<aws.scheduler.scheduled-time>")
	p.create(t, zoned)
	past, _ := p.once(-time.Hour)
	p.create(t, at("past", past)) // which never runs

	p.MoveClock(9 * time.Minute)
	if got := p.drain(t, p.jobs); len(got) != 0 || p.gone(t, "remove") {
		t.Fatalf("ran too early: %s", bodies(got))
	}
	p.MoveClock(48 * time.Hour)
	got := bodies(p.drain(t, p.jobs))
	first, second := due.Format("2006-01-02T15:04:05Z"), due.Add(time.Minute).Format("2006-01-02T15:04:05Z")
	if want := []string{first, first, second}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %s, want %s", got, want)
	}
	for name, want := range map[string]bool{"keep": false, "remove": true, "zoned": false, "past": false} {
		if got := p.gone(t, name); got != want {
			t.Errorf("%s: deleted: %t", name, got)
		}
	}
}

func TestScheduleRunsBetweenItsDates(t *testing.T) {
	p := startPlanner(t, localstack.Config{})
	from := p.Now().Add(time.Hour).Truncate(time.Second)
	to := from.Add(25 * time.Minute)
	in := at("tick", "rate(10 minutes)")
	in.StartDate, in.EndDate, in.ActionAfterCompletion = &from, &to, schtypes.ActionAfterCompletionDelete
	in.Target.Input = aws.String("<aws.scheduler.scheduled-time>")
	p.create(t, in)
	got := must(p.sch.GetSchedule(t.Context(), &scheduler.GetScheduleInput{Name: in.Name}))(t)
	if !got.StartDate.Equal(from) || !got.EndDate.Equal(to) {
		t.Errorf("got %s to %s", got.StartDate, got.EndDate)
	}
	p.MoveClock(time.Hour + 19*time.Minute)
	if p.gone(t, "tick") {
		t.Error("deleted before its last run")
	}
	p.MoveClock(time.Hour)
	var want []string
	for i := range 3 {
		want = append(want, from.UTC().Add(time.Duration(i)*10*time.Minute).Format("2006-01-02T15:04:05Z"))
	}
	if got := bodies(p.drain(t, p.jobs)); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %s, want %s", got, want)
	}
	if !p.gone(t, "tick") {
		t.Error("it is still there after its last run")
	}
}

// offsets are how much later than its time a schedule ran, in seconds.
func offsets(t *testing.T, messages []sqstypes.Message) []time.Duration {
	t.Helper()
	var out []time.Duration
	for _, m := range messages {
		due, err := time.Parse(time.RFC3339, *m.Body)
		if err != nil {
			t.Fatal(err)
		}
		var sent int64
		fmt.Sscan(m.Attributes["SentTimestamp"], &sent)
		out = append(out, time.UnixMilli(sent).Sub(due).Round(time.Second))
	}
	return out
}

func TestFlexibleTimeWindow(t *testing.T) {
	run := func(seed uint64) []time.Duration {
		p := startPlanner(t, localstack.Config{Seed: seed})
		from := p.Now().Add(time.Minute)
		in := at("tick", "rate(1 hour)")
		in.StartDate = &from
		in.FlexibleTimeWindow = &schtypes.FlexibleTimeWindow{Mode: schtypes.FlexibleTimeWindowModeFlexible, MaximumWindowInMinutes: aws.Int32(90)}
		in.Target.Input = aws.String("<aws.scheduler.scheduled-time>")
		p.create(t, in)
		p.MoveClock(30 * time.Hour)
		messages := p.drain(t, p.jobs)
		slices.SortFunc(messages, func(a, b sqstypes.Message) int { return strings.Compare(*a.Body, *b.Body) })
		return offsets(t, messages[:20]) // those of the end may come after the end
	}
	first := run(7)
	least, most := slices.Min(first), slices.Max(first)
	if least < 0 || most > 90*time.Minute || most-least < 30*time.Minute {
		t.Errorf("ran %s to %s after their time: %s", least, most, first)
	}
	if slices.Equal(first, run(8)) {
		t.Error("another seed gave the same moments")
	}
	for i, d := range run(7) {
		if diff := d - first[i]; diff < -time.Second || diff > time.Second {
			t.Errorf("run %d came %s late, and %s in another run of the same", i, first[i], d)
		}
	}
}

func TestDisabledSchedulesDoNotRun(t *testing.T) {
	p := startPlanner(t, localstack.Config{})
	in := at("tick", "rate(10 minutes)")
	in.State, in.Description = schtypes.ScheduleStateDisabled, aws.String("what")
	p.create(t, in)
	p.MoveClock(35 * time.Minute)
	if got := p.drain(t, p.jobs); len(got) != 0 {
		t.Fatalf("a disabled schedule ran: %s", bodies(got))
	}
	update := scheduler.UpdateScheduleInput{Name: in.Name, ScheduleExpression: in.ScheduleExpression, FlexibleTimeWindow: in.FlexibleTimeWindow, Target: in.Target}
	must(p.sch.UpdateSchedule(t.Context(), &update))(t)
	p.MoveClock(4 * time.Minute)
	if got := p.drain(t, p.jobs); len(got) != 0 {
		t.Fatalf("an update ran at once: %s", bodies(got))
	}
	p.MoveClock(2 * time.Minute)
	if got := p.drain(t, p.jobs); len(got) != 1 { // 40 minutes after it was made
		t.Fatalf("ran %d times after it was enabled", len(got))
	}
	got := must(p.sch.GetSchedule(t.Context(), &scheduler.GetScheduleInput{Name: in.Name}))(t)
	if got.State != "ENABLED" || got.Description != nil || *got.ScheduleExpressionTimezone != "UTC" || got.ActionAfterCompletion != "NONE" ||
		*got.Target.RetryPolicy.MaximumRetryAttempts != 185 || *got.Target.RetryPolicy.MaximumEventAgeInSeconds != 86400 || !got.LastModificationDate.After(*got.CreationDate) {
		t.Errorf("got %+v", got)
	}
	update.ScheduleExpression = aws.String("rate(1 hour)")
	must(p.sch.UpdateSchedule(t.Context(), &update))(t)
	p.MoveClock(40 * time.Minute) // an hour and 21 minutes after it was made
	if got := p.drain(t, p.jobs); len(got) != 1 {
		t.Fatalf("ran %d times after it was changed", len(got))
	}
	must(p.sch.DeleteSchedule(t.Context(), &scheduler.DeleteScheduleInput{Name: in.Name}))(t)
	p.MoveClock(time.Hour)
	if got := p.drain(t, p.jobs); len(got) != 0 {
		t.Fatalf("a deleted schedule ran: %s", bodies(got))
	}
}
