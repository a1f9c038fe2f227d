package scheduler

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"stillpoint/localstack/internal/calls"
	"stillpoint/localstack/internal/clock"
	"stillpoint/localstack/internal/host"
	"stillpoint/localstack/internal/target"
	"stillpoint/localstack/internal/wire"
)

func TestState(t *testing.T) {
	s := New(target.Targets{Host: host.Host{Region: "r", Account: "111122223333", Clock: clock.New(), Life: context.Background()}}, func() uint64 { return 1 })
	var log calls.Log
	for _, call := range [][2]string{
		{"/schedule-groups/mine", `{"Tags":[{"Key":"k","Value":"v"}]}`},
		{"/schedules/yearly", `{"GroupName":"mine","ScheduleExpression":"cron(0 0 1 1 ? *)","FlexibleTimeWindow":{"Mode":"OFF"},` +
			`"Target":{"Arn":"arn:aws:sqs:r:111122223333:q","RoleArn":"arn:aws:iam::111122223333:role/r"}}`},
	} {
		u, err := url.Parse(call[0])
		if err != nil {
			t.Fatal(err)
		}
		if _, apiErr := s.Operation("POST", u, []byte(call[1])).Do(context.Background(), &wire.Call{Record: log.Begin(calls.Call{})}); apiErr != nil {
			t.Fatal(apiErr.Message)
		}
	}
	text, err := json.Marshal(s.State(), json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{
		`"Name":"default"`, `"Name":"mine"`, `"Tags":[{"Key":"k","Value":"v"}]`, `"Name":"yearly"`, `"MaximumRetryAttempts":185`,
		`"Runs":0`, `"Fires":"` + time.Date(s.Clock.Now().UTC().Year()+1, 1, 1, 0, 0, 0, 0, time.UTC).Format(time.RFC3339) + `"`,
	} {
		if !strings.Contains(string(text), part) {
			t.Errorf("the dump lacks %s: %s", part, text)
		}
	}
}
