package events

import (
	"context"
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
	s := New(target.Targets{Host: host.Host{Region: "r", Account: "111122223333", Clock: clock.New(), Life: context.Background()}})
	var log calls.Log
	for _, call := range [][2]string{
		{"CreateEventBus", `{"Name":"mine","Tags":[{"Key":"k","Value":"v"}]}`},
		{"PutRule", `{"Name":"b","EventPattern":"{\"source\":[\"app\"]}","EventBusName":"mine"}`},
		{"PutRule", `{"Name":"tick","ScheduleExpression":"rate(1 hour)"}`},
		{"PutTargets", `{"Rule":"tick","Targets":[{"Id":"1","Arn":"arn:aws:sqs:r:111122223333:q","Input":"{}"}]}`},
		{"PutRule", `{"Name":"off","ScheduleExpression":"cron(0 0 * * ? *)","State":"DISABLED"}`},
	} {
		if _, apiErr := s.Operation(call[0], []byte(call[1])).Do(context.Background(), &wire.Call{Record: log.Begin(calls.Call{})}); apiErr != nil {
			t.Fatal(apiErr.Message)
		}
	}
	text, err := json.Marshal(s.State(), json.Deterministic(true))
	if err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(s.State(), json.Deterministic(true))
	if err != nil || string(again) != string(text) {
		t.Errorf("two dumps differ: %s and %s", text, again)
	}
	for _, part := range []string{
		`"Name":"default"`, `"Name":"mine"`, `"Tags":[{"Key":"k","Value":"v"}]`, `"EventPattern":"{\"source\":[\"app\"]}"`,
		`"ScheduleExpression":"rate(1 hour)"`, `"Targets":[{"Id":"1","Arn":"arn:aws:sqs:r:111122223333:q","Input":"{}"}]`,
		`"Fires":"` + stamp(s.Clock.Now().Add(time.Hour))[:16],
	} {
		if !strings.Contains(string(text), part) {
			t.Errorf("the dump lacks %s: %s", part, text)
		}
	}
	if n := strings.Count(string(text), `"Fires"`); n != 1 {
		t.Errorf("%d rules are to fire: %s", n, text)
	}
}
