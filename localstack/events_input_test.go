package localstack_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	ebtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"stillpoint/localstack"
)

func TestInputOfTargets(t *testing.T) {
	b := startBridge(t, localstack.Config{})
	queue, queueARN := b.open(t, "jobs")
	in := matching("rule", ours)
	arn := b.rule(t, in)
	paths := map[string]string{
		"plan": "$.detail.plan", "n": "$.detail.n", "all": "$.detail", "first": "$.detail.list[0].a", "gone": "$.detail.nothing",
		"every": "$.detail.list[*].a", "type": "$.detail-type", "yes": "$.detail.yes",
	}
	transform := func(template string) ebtypes.Target {
		return ebtypes.Target{InputTransformer: &ebtypes.InputTransformer{InputPathsMap: paths, InputTemplate: &template}}
	}
	const detail = `{"plan":"nightly","n":7.0,"list":[{"a":1},{"a":"b"}],"yes":true}`
	for name, c := range map[string]struct {
		target ebtypes.Target
		want   string
	}{
		"constant":            {ebtypes.Target{Input: aws.String(`{ "plan": "x" }`)}, `{ "plan": "x" }`},
		"a part":              {ebtypes.Target{InputPath: aws.String("$.detail")}, detail},
		"a string":            {ebtypes.Target{InputPath: aws.String("$.detail.plan")}, `"nightly"`},
		"in brackets":         {ebtypes.Target{InputPath: aws.String("$['detail'].list[1]")}, `{"a":"b"}`},
		"values":              {transform(`{ "plan": <plan>, "n": <n>, "yes": <yes>, "d": <all>, "f": <first>, "e": <every> }`), `{"plan":"nightly","n":7.0,"yes":true,"d":` + detail + `,"f":1,"e":[1,"b"]}`},
		"within quotes":       {transform(`{"s":"plan/<plan>/<n>", "q":"\"<plan>\""}`), `{"s":"plan/nightly/7.0","q":"\"nightly\""}`},
		"not in the event":    {transform(`{"a":<gone>,"b":"x<gone>y"}`), `{"a":"","b":"xy"}`},
		"a text":              {transform(`"<type> of <plan>, <gone>"`), `"thing of nightly, "`},
		"an object in a text": {transform(`"<all>"`), `"{plan:nightly,n:7.0,list:[{a:1},{a:b}],yes:true}"`},
		"the rule":            {transform(`{"arn":<aws.events.rule-arn>,"name":"<aws.events.rule-name>"}`), `{"arn":"` + arn + `","name":"rule"}`},
	} {
		c.target.Arn = &queueARN
		b.target(t, in, c.target)
		b.put(t, detail)
		if got := bodies(b.drain(t, queue)); len(got) != 1 || got[0] != c.want {
			t.Errorf("%s: got %s, want %s", name, got, c.want)
		}
	}

	whole := transform(`{"event":<aws.events.event>,"json":<aws.events.event.json>,"at":<aws.events.event.ingestion-time>}`)
	whole.Arn = &queueARN
	b.target(t, in, whole)
	id := b.put(t, detail)
	var got struct {
		Event map[string]any
		JSON  json.RawMessage
		At    time.Time
	}
	body := bodies(b.drain(t, queue))[0]
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	_, hasDetail := got.Event["detail"]
	if got.Event["id"] != id || got.Event["detailType"] != "thing" || hasDetail || !strings.Contains(string(got.JSON), `"detail":`+detail) || b.Now().Sub(got.At) > 10*time.Second {
		t.Errorf("got %s", body)
	}
}

func TestTemplateThatGivesNoJSONGoesToTheDeadLetterQueue(t *testing.T) {
	b := startBridge(t, localstack.Config{})
	queue, queueARN := b.open(t, "jobs")
	dead, deadARN := b.open(t, "dead")
	b.rule(t, matching("rule", ours), ebtypes.Target{
		Arn: &queueARN, DeadLetterConfig: &ebtypes.DeadLetterConfig{Arn: &deadARN},
		InputTransformer: &ebtypes.InputTransformer{InputPathsMap: map[string]string{"x": "$.detail.x"}, InputTemplate: aws.String(`{"a":"<x>"}`)},
	})
	b.put(t, `{"x":"say \"hi\""}`)
	if got := b.drain(t, queue); len(got) != 0 {
		t.Errorf("got %s", bodies(got))
	}
	got := b.drain(t, dead)
	if len(got) != 1 || aws.ToString(got[0].MessageAttributes["ERROR_CODE"].StringValue) != "INVALID_JSON" {
		t.Fatalf("got %+v", got)
	}
	if e := envelopes(t, got)[0]; string(e.Detail) != `{"x":"say \"hi\""}` {
		t.Errorf("got the detail %s", e.Detail)
	}
}

func TestTargetsAreRefused(t *testing.T) {
	b := startBridge(t, localstack.Config{})
	_, queueARN := b.open(t, "jobs")
	in := matching("rule", ours)
	b.rule(t, in, ebtypes.Target{Id: aws.String("old"), Arn: &queueARN})
	put := func(targets ...ebtypes.Target) (*eventbridge.PutTargetsOutput, error) {
		for i := range targets {
			if targets[i].Id == nil {
				targets[i].Id = aws.String(fmt.Sprint(i))
			}
			if targets[i].Arn == nil {
				targets[i].Arn = &queueARN
			}
		}
		return b.eb.PutTargets(t.Context(), &eventbridge.PutTargetsInput{Rule: in.Name, Targets: targets})
	}

	out := must(put(ebtypes.Target{Arn: aws.String("arn:aws:lambda:eu-west-1:111122223333:function:f")},
		ebtypes.Target{Arn: aws.String(queueARN + ".fifo")}, ebtypes.Target{SqsParameters: &ebtypes.SqsParameters{MessageGroupId: aws.String("g")}},
		ebtypes.Target{Id: aws.String("good")}))(t)
	if out.FailedEntryCount != 3 {
		t.Fatalf("got %+v", out)
	}
	for i, part := range []string{"function:f", "FIFO", "SqsParameters"} {
		if e := out.FailedEntries[i]; *e.TargetId != fmt.Sprint(i) || !strings.Contains(*e.ErrorMessage, part) {
			t.Errorf("got %s: %s", *e.TargetId, *e.ErrorMessage)
		}
	}
	list := must(b.eb.ListTargetsByRule(t.Context(), &eventbridge.ListTargetsByRuleInput{Rule: in.Name}))(t)
	if len(list.Targets) != 2 || *list.Targets[0].Id != "good" || *list.Targets[1].Id != "old" {
		t.Fatalf("got %+v", list.Targets)
	}

	text := func(s string) *ebtypes.InputTransformer {
		return &ebtypes.InputTransformer{InputPathsMap: map[string]string{"a": "$.detail.a"}, InputTemplate: &s}
	}
	for part, bad := range map[string]ebtypes.Target{
		"Provided Arn is not in correct format":                              {Arn: aws.String("abc")},
		"Only one of Input, InputPath, or InputTransformer must be provided": {Input: aws.String("{}"), InputPath: aws.String("$")},
		"Input for target 0 is not a valid JSON text":                        {Input: aws.String("text")},
		"which localstack cannot read":                                       {InputPath: aws.String("detail")},
		"InputTemplate for target 0 contains invalid placeholder b":          {InputTransformer: text(`{"x":<b>}`)},
		"it is neither JSON nor a string in quotes":                          {InputTransformer: text(`hello <a>`)},
		"the placeholder cannot be used as an object key":                    {InputTransformer: text(`{"<a>":1}`)},
		"'targets.1.member.retryPolicy.maximumRetryAttempts' failed":         {RetryPolicy: &ebtypes.RetryPolicy{MaximumRetryAttempts: aws.Int32(186)}},
		"'targets.1.member.retryPolicy.maximumEventAgeInSeconds' failed":     {RetryPolicy: &ebtypes.RetryPolicy{MaximumEventAgeInSeconds: aws.Int32(59)}},
		"less than or equal to 8192":                                         {Input: aws.String(`"` + strings.Repeat("x", 8192) + `"`)},
		`Value 'a b' at 'targets.1.member.id' failed to satisfy constraint`:  {Id: aws.String("a b")},
		"the dead-letter queue of target 0 must be a standard SQS queue":     {DeadLetterConfig: &ebtypes.DeadLetterConfig{Arn: aws.String(queueARN + ".fifo")}},
	} {
		_, err := put(bad)
		wantCode(t, err, "ValidationException")
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got %v, want %s", err, part)
		}
	}
	_, err := put(make([]ebtypes.Target, 4)...)
	wantCode(t, err, "LimitExceededException")
	_, err = put(make([]ebtypes.Target, 11)...)
	wantCode(t, err, "ValidationException")
	_, err = b.eb.PutTargets(t.Context(), &eventbridge.PutTargetsInput{Rule: aws.String("nope"), Targets: []ebtypes.Target{{Id: aws.String("a"), Arn: &queueARN}}})
	wantCode(t, err, "ResourceNotFoundException")
}
