package localstack_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	ebtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"stillpoint/localstack"
)

func TestScheduledRuleFiresAtEachOfItsTimes(t *testing.T) {
	b := startBridge(t, localstack.Config{})
	queue, queueARN := b.open(t, "jobs")
	before := b.Now()
	arn := b.rule(t, every("tick", "rate(1 minute)"), ebtypes.Target{Arn: &queueARN})
	after := b.Now()

	b.MoveClock(59 * time.Second)
	if got := b.drain(t, queue); len(got) != 0 {
		t.Fatalf("fired before its time: %s", bodies(got))
	}
	b.MoveClock(3*time.Minute - 58*time.Second)
	messages := b.drain(t, queue)
	got := envelopes(t, messages)
	if len(got) != 3 {
		t.Fatalf("fired %d times in three minutes: %s", len(got), bodies(messages))
	}
	ids := map[string]bool{}
	for i, e := range got {
		ids[e.ID] = true
		due := time.Duration(i+1) * time.Minute
		if e.Time.Before(before.Add(due).Truncate(time.Second)) || e.Time.After(after.Add(due)) {
			t.Errorf("event %d has the time %s; the rule was made between %s and %s", i, e.Time, before, after)
		}
		var sent int64
		fmt.Sscan(messages[i].Attributes["SentTimestamp"], &sent)
		if late := time.UnixMilli(sent).Sub(e.Time); late < 0 || late > 2*time.Second {
			t.Errorf("event %d was sent %s after its time", i, late)
		}
		e.ID, e.Time = "", time.Time{}
		want := envelope{
			Version: "0", DetailType: "Scheduled Event", Source: "aws.events", Account: "111122223333", Region: "eu-west-1",
			Resources: []string{arn}, Detail: json.RawMessage("{}"),
		}
		if fmt.Sprint(e) != fmt.Sprint(want) {
			t.Errorf("event %d: got %v, want %v", i, e, want)
		}
	}
	if len(ids) != 3 {
		t.Errorf("three events have %d ids", len(ids))
	}
	if !strings.HasSuffix(got[0].Time.Format(time.RFC3339Nano), "Z") || !strings.Contains(*messages[0].Body, got[0].Time.Format(`"2006-01-02T15:04:05Z"`)) {
		t.Errorf("the time is not in whole seconds of UTC: %s", *messages[0].Body)
	}
	for _, call := range b.Calls() {
		if call.Operation == "events:Invoke" || call.Operation == "sqs:SendMessage" {
			if call.Principal != "events.amazonaws.com" || call.Source != arn || !slices.Contains(call.Resources, queueARN) {
				t.Errorf("%s by %s for %s about %s", call.Operation, call.Principal, call.Source, call.Resources)
			}
		}
	}
	if n := b.counted("events:Invoke", "done"); n != 3 {
		t.Errorf("%d firings in the log", n)
	}
}

func TestCronRuleFiresOnTheMinuteInUTC(t *testing.T) {
	b := startBridge(t, localstack.Config{})
	queue, queueARN := b.open(t, "jobs")
	b.rule(t, every("quarters", "cron(0/15 * * * ? *)"), ebtypes.Target{Arn: &queueARN})
	next := b.Now().UTC().Truncate(15 * time.Minute).Add(15 * time.Minute)
	b.MoveClock(time.Hour)
	got := envelopes(t, b.drain(t, queue))
	if len(got) != 4 {
		t.Fatalf("fired %d times in an hour", len(got))
	}
	for i, e := range got {
		if want := next.Add(time.Duration(i) * 15 * time.Minute); !e.Time.Equal(want) {
			t.Errorf("event %d: got %s, want %s", i, e.Time, want)
		}
	}
}

func TestRulesFireInTheOrderOfTheirTimes(t *testing.T) {
	b := startBridge(t, localstack.Config{})
	queue, queueARN := b.open(t, "jobs")
	b.rule(t, every("a", "rate(3 minutes)"), ebtypes.Target{Arn: &queueARN, Input: aws.String(`"a"`)})
	b.rule(t, every("b", "rate(2 minutes)"), ebtypes.Target{Arn: &queueARN, Input: aws.String(`"b"`)})
	b.MoveClock(7 * time.Minute)
	if got := strings.Join(bodies(b.drain(t, queue)), ""); got != `"b""a""b""a""b"` && got != `"b""a""b""b""a"` {
		t.Errorf("got %s", got)
	}
}

func TestDisabledAndDeletedRulesDoNotFire(t *testing.T) {
	b := startBridge(t, localstack.Config{})
	queue, queueARN := b.open(t, "jobs")
	in := every("tick", "rate(10 minutes)")
	in.State, in.EventPattern = ebtypes.RuleStateDisabled, aws.String(ours)
	b.rule(t, in, ebtypes.Target{Arn: &queueARN})
	b.MoveClock(time.Hour)
	b.put(t, "{}")
	if got := b.drain(t, queue); len(got) != 0 {
		t.Fatalf("a disabled rule fired: %s", bodies(got))
	}
	// The rate counts from here.
	must(b.eb.EnableRule(t.Context(), &eventbridge.EnableRuleInput{Name: in.Name}))(t)
	b.MoveClock(9*time.Minute + 50*time.Second)
	if got := b.drain(t, queue); len(got) != 0 {
		t.Fatalf("fired too early: %s", bodies(got))
	}
	must(b.eb.EnableRule(t.Context(), &eventbridge.EnableRuleInput{Name: in.Name}))(t) // which changes nothing
	b.MoveClock(20 * time.Second)
	b.put(t, "{}")
	if got := b.drain(t, queue); len(got) != 2 {
		t.Fatalf("an enabled rule fired %d times, want 2", len(got))
	}
	must(b.eb.DisableRule(t.Context(), &eventbridge.DisableRuleInput{Name: in.Name}))(t)
	b.MoveClock(time.Hour)
	b.put(t, "{}")
	if got := b.drain(t, queue); len(got) != 0 {
		t.Fatalf("a disabled rule fired: %s", bodies(got))
	}
	must(b.eb.EnableRule(t.Context(), &eventbridge.EnableRuleInput{Name: in.Name}))(t)
	_, err := b.eb.DeleteRule(t.Context(), &eventbridge.DeleteRuleInput{Name: in.Name})
	wantCode(t, err, "ValidationException") // it has targets
	must(b.eb.RemoveTargets(t.Context(), &eventbridge.RemoveTargetsInput{Rule: in.Name, Ids: []string{"0"}}))(t)
	must(b.eb.DeleteRule(t.Context(), &eventbridge.DeleteRuleInput{Name: in.Name}))(t)
	must(b.eb.DeleteRule(t.Context(), &eventbridge.DeleteRuleInput{Name: in.Name}))(t) // which succeeds again
	b.MoveClock(time.Hour)
	if n := b.counted("events:Invoke", "done"); n != 2 {
		t.Errorf("%d firings in the log, want 2", n)
	}
}

func TestChangedRuleFiresByItsNewSchedule(t *testing.T) {
	b := startBridge(t, localstack.Config{})
	queue, queueARN := b.open(t, "jobs")
	b.rule(t, every("tick", "rate(10 minutes)"), ebtypes.Target{Arn: &queueARN})
	b.MoveClock(5 * time.Minute)
	again := every("tick", "rate(10 minutes)")
	again.Description = aws.String("what")
	b.rule(t, again) // the rate goes on
	b.MoveClock(6 * time.Minute)
	if got := b.drain(t, queue); len(got) != 1 {
		t.Errorf("fired %d times after another description", len(got))
	}
	b.rule(t, every("tick", "rate(30 minutes)")) // which counts from now
	b.MoveClock(29 * time.Minute)
	if got := b.drain(t, queue); len(got) != 0 {
		t.Errorf("fired %d times too early", len(got))
	}
	b.MoveClock(32 * time.Minute)
	if got := b.drain(t, queue); len(got) != 2 {
		t.Errorf("fired %d times in an hour", len(got))
	}
}

func TestEventsReachTheRulesThatMatchThem(t *testing.T) {
	b := startBridge(t, localstack.Config{})
	queue, queueARN := b.open(t, "jobs")
	other, otherARN := b.open(t, "other")
	b.rule(t, matching("ours", `{"source":["app"],"detail":{"n":[{"numeric":[">",1]}]}}`), ebtypes.Target{Arn: &queueARN})
	b.rule(t, matching("not-ours", `{"source":["else"]}`), ebtypes.Target{Arn: &otherARN})
	b.rule(t, every("schedule", "rate(1 day)"), ebtypes.Target{Arn: &otherARN})

	at := time.Date(2023, 11, 14, 22, 13, 20, 0, time.UTC)
	out := must(b.eb.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []ebtypes.PutEventsRequestEntry{
		{Source: aws.String("app"), DetailType: aws.String("thing"), Detail: aws.String(`{ "n": 2, "s": "<&>", "f": 1.50 }`), Resources: []string{"r"}, Time: &at},
		{Source: aws.String("app"), DetailType: aws.String("thing"), Detail: aws.String(`{"n":1}`)},
		{Source: aws.String("app"), DetailType: aws.String("thing"), Detail: aws.String(`{"n":3}`)},
	}}))(t)
	if out.FailedEntryCount != 0 || len(out.Entries) != 3 {
		t.Fatalf("got %+v", out)
	}
	messages := b.drain(t, queue)
	got := envelopes(t, messages)
	if len(got) != 2 {
		t.Fatalf("got %s", bodies(messages))
	}
	want := `{"version":"0","id":"` + *out.Entries[0].EventId + `","detail-type":"thing","source":"app","account":"111122223333",` +
		`"time":"2023-11-14T22:13:20Z","region":"eu-west-1","resources":["r"],"detail":{"n":2,"s":"<&>","f":1.50}}`
	if *messages[0].Body != want {
		t.Errorf("got  %s\nwant %s", *messages[0].Body, want)
	}
	if e := got[1]; e.ID != *out.Entries[2].EventId || len(e.Resources) != 0 || b.Now().Sub(e.Time) > 10*time.Second || !strings.Contains(*messages[1].Body, `"resources":[]`) {
		t.Errorf("got %s", *messages[1].Body)
	}
	if got := b.drain(t, other); len(got) != 0 {
		t.Errorf("got what does not match: %s", bodies(got))
	}
}
