package localstack_test

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	ebtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"

	"stillpoint/localstack"
)

func TestPutEventsRefusals(t *testing.T) {
	b := startBridge(t, localstack.Config{})
	good := ebtypes.PutEventsRequestEntry{Source: aws.String("app"), DetailType: aws.String("thing"), Detail: aws.String(`{}`)}
	with := func(change func(e *ebtypes.PutEventsRequestEntry)) ebtypes.PutEventsRequestEntry {
		e := good
		change(&e)
		return e
	}
	entries := map[string]ebtypes.PutEventsRequestEntry{
		"InvalidArgument: Parameter Source is not valid. Reason: Source is a required argument.":         with(func(e *ebtypes.PutEventsRequestEntry) { e.Source = nil }),
		"InvalidArgument: Parameter DetailType is not valid. Reason: DetailType is a required argument.": with(func(e *ebtypes.PutEventsRequestEntry) { e.DetailType = nil }),
		"InvalidArgument: Parameter Detail is not valid. Reason: Detail is a required argument.":         with(func(e *ebtypes.PutEventsRequestEntry) { e.Detail = nil }),
		"InvalidArgument: Parameter DetailType is not valid. Reason: it has more than 128 characters.":   with(func(e *ebtypes.PutEventsRequestEntry) { e.DetailType = aws.String(strings.Repeat("x", 129)) }),
		"NotAuthorizedForSourceException: Not authorized for the source.":                                with(func(e *ebtypes.PutEventsRequestEntry) { e.Source = aws.String("aws.ec2") }),
		"MalformedDetail: Detail is malformed.":                                                          with(func(e *ebtypes.PutEventsRequestEntry) { e.Detail = aws.String(`[1]`) }),
	}
	for want, e := range entries {
		out := must(b.eb.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []ebtypes.PutEventsRequestEntry{good, e}}))(t)
		if out.FailedEntryCount != 1 || out.Entries[0].EventId == nil || out.Entries[1].EventId != nil {
			t.Fatalf("%s: got %+v", want, out)
		}
		if got := *out.Entries[1].ErrorCode + ": " + *out.Entries[1].ErrorMessage; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for _, detail := range []string{"text", `"text"`, "1", "null", `{"a":1`, `{} {}`} {
		out := must(b.eb.PutEvents(t.Context(), &eventbridge.PutEventsInput{
			Entries: []ebtypes.PutEventsRequestEntry{with(func(e *ebtypes.PutEventsRequestEntry) { e.Detail = &detail })},
		}))(t)
		if out.FailedEntryCount != 1 || aws.ToString(out.Entries[0].ErrorCode) != "MalformedDetail" {
			t.Errorf("%s: got %+v", detail, out)
		}
	}
	missing := with(func(e *ebtypes.PutEventsRequestEntry) { e.EventBusName = aws.String("nope") })
	if out := must(b.eb.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []ebtypes.PutEventsRequestEntry{missing}}))(t); out.FailedEntryCount != 0 {
		t.Errorf("an event for a bus that is not there: %+v", out.Entries)
	}
	large := func(n int) []ebtypes.PutEventsRequestEntry {
		text := `{"x":"` + strings.Repeat("x", n-len(`appthing`)-len(`{"x":""}`)) + `"}`
		return []ebtypes.PutEventsRequestEntry{with(func(e *ebtypes.PutEventsRequestEntry) { e.Detail = &text })}
	}
	must(b.eb.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: large(1<<20 - 1)}))(t)
	for _, bad := range [][]ebtypes.PutEventsRequestEntry{{}, slices.Repeat([]ebtypes.PutEventsRequestEntry{good}, 11), large(1 << 20)} {
		_, err := b.eb.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: bad})
		wantCode(t, err, "ValidationException")
	}
}

func TestRulesAreKept(t *testing.T) {
	b := startBridge(t, localstack.Config{})
	_, queueARN := b.open(t, "jobs")
	in := matching("a", ours)
	in.Description, in.RoleArn, in.Tags = aws.String("what"), aws.String("arn:aws:iam::111122223333:role/r"), []ebtypes.Tag{{Key: aws.String("k"), Value: aws.String("v")}}
	arn := b.rule(t, in, ebtypes.Target{Arn: &queueARN, Input: aws.String("{}")})
	if arn != "arn:aws:events:eu-west-1:111122223333:rule/a" {
		t.Errorf("got the ARN %s", arn)
	}
	got := must(b.eb.DescribeRule(t.Context(), &eventbridge.DescribeRuleInput{Name: aws.String("a")}))(t)
	if *got.EventPattern != ours || got.State != "ENABLED" || *got.Description != "what" || *got.EventBusName != "default" || *got.CreatedBy != "111122223333" || got.ScheduleExpression != nil {
		t.Errorf("got %+v", got)
	}

	// Another PutRule leaves nothing of what it does not say, but targets and tags.
	b.rule(t, every("a", "rate(5 minutes)"))
	got = must(b.eb.DescribeRule(t.Context(), &eventbridge.DescribeRuleInput{Name: aws.String("a")}))(t)
	if got.EventPattern != nil || got.Description != nil || got.RoleArn != nil || *got.ScheduleExpression != "rate(5 minutes)" {
		t.Errorf("got %+v", got)
	}
	targets := must(b.eb.ListTargetsByRule(t.Context(), &eventbridge.ListTargetsByRuleInput{Rule: aws.String("a")}))(t).Targets
	if len(targets) != 1 || *targets[0].Input != "{}" || targets[0].RetryPolicy != nil {
		t.Errorf("got %+v", targets)
	}
	must(b.eb.TagResource(t.Context(), &eventbridge.TagResourceInput{ResourceARN: &arn, Tags: []ebtypes.Tag{{Key: aws.String("l"), Value: aws.String("w")}}}))(t)
	must(b.eb.UntagResource(t.Context(), &eventbridge.UntagResourceInput{ResourceARN: &arn, TagKeys: []string{"k"}}))(t)
	tags := must(b.eb.ListTagsForResource(t.Context(), &eventbridge.ListTagsForResourceInput{ResourceARN: &arn}))(t).Tags
	if len(tags) != 1 || *tags[0].Key != "l" || *tags[0].Value != "w" {
		t.Errorf("got %+v", tags)
	}

	for _, name := range []string{"b", "b1", "b2", "b3"} {
		b.rule(t, matching(name, ours))
	}
	var names []string
	for p := (eventbridge.ListRulesInput{NamePrefix: aws.String("b"), Limit: aws.Int32(3)}); ; {
		out := must(b.eb.ListRules(t.Context(), &p))(t)
		for _, r := range out.Rules {
			names = append(names, *r.Name)
		}
		if p.NextToken = out.NextToken; p.NextToken == nil {
			break
		}
	}
	if fmt.Sprint(names) != "[b b1 b2 b3]" {
		t.Errorf("got %s", names)
	}
	if by := must(b.eb.ListRuleNamesByTarget(t.Context(), &eventbridge.ListRuleNamesByTargetInput{TargetArn: &queueARN}))(t); fmt.Sprint(by.RuleNames) != "[a]" {
		t.Errorf("got %s", by.RuleNames)
	}
	_, err := b.eb.ListRules(t.Context(), &eventbridge.ListRulesInput{NextToken: aws.String("x")})
	wantCode(t, err, "InvalidToken")

	for want, bad := range map[string]eventbridge.PutRuleInput{
		"ValidationException: Parameter(s) EventPattern or ScheduleExpression must be specified.": {Name: aws.String("x")},
		"ValidationException: Parameter ScheduleExpression is not valid.":                         every("x", "rate(1 minutes)"),
		"ValidationException: Parameter ScheduleExpression is not valid. ":                        every("x", "at(2030-01-01T00:00:00)"),
		"InvalidEventPatternException: Event pattern is not valid. Reason":                        matching("x", `{"source":"app"}`),
		"ValidationException: 1 validation error detected: Value 'a b' at 'name'":                 matching("a b", ours),
		"ValidationException: 1 validation error detected: Value ":                                matching(strings.Repeat("x", 65), ours),
	} {
		_, err := b.eb.PutRule(t.Context(), &bad)
		code, _, _ := strings.Cut(want, ":")
		wantCode(t, err, code)
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	_, err = b.eb.DescribeRule(t.Context(), &eventbridge.DescribeRuleInput{Name: aws.String("nope")})
	wantCode(t, err, "ResourceNotFoundException")
	if !strings.Contains(err.Error(), "Rule nope does not exist on EventBus default.") {
		t.Error(err)
	}
}

func TestBuses(t *testing.T) {
	b := startBridge(t, localstack.Config{})
	queue, queueARN := b.open(t, "jobs")
	arn := *must(b.eb.CreateEventBus(t.Context(), &eventbridge.CreateEventBusInput{Name: aws.String("mine")}))(t).EventBusArn
	if arn != "arn:aws:events:eu-west-1:111122223333:event-bus/mine" {
		t.Errorf("got the ARN %s", arn)
	}
	in := matching("rule", ours)
	in.EventBusName = aws.String("mine")
	if got := b.rule(t, in, ebtypes.Target{Arn: &queueARN}); got != "arn:aws:events:eu-west-1:111122223333:rule/mine/rule" {
		t.Errorf("got the ARN %s", got)
	}
	b.put(t, "{}") // on the default bus
	must(b.eb.PutEvents(t.Context(), &eventbridge.PutEventsInput{Entries: []ebtypes.PutEventsRequestEntry{
		{Source: aws.String("app"), DetailType: aws.String("thing"), Detail: aws.String(`{"bus":"mine"}`), EventBusName: &arn},
	}}))(t)
	if got := envelopes(t, b.drain(t, queue)); len(got) != 1 || string(got[0].Detail) != `{"bus":"mine"}` {
		t.Errorf("got %+v", got)
	}

	_, err := b.eb.PutRule(t.Context(), &eventbridge.PutRuleInput{Name: aws.String("s"), EventBusName: &arn, ScheduleExpression: aws.String("rate(1 minute)")})
	wantCode(t, err, "ValidationException")
	if !strings.Contains(err.Error(), "ScheduleExpression is supported only on the default event bus.") {
		t.Error(err)
	}
	_, err = b.eb.CreateEventBus(t.Context(), &eventbridge.CreateEventBusInput{Name: aws.String("mine")})
	wantCode(t, err, "ResourceAlreadyExistsException")
	_, err = b.eb.CreateEventBus(t.Context(), &eventbridge.CreateEventBusInput{Name: aws.String("kms"), KmsKeyIdentifier: aws.String("alias/x")})
	wantCode(t, err, "ValidationException")
	if !strings.Contains(err.Error(), "KmsKeyIdentifier") {
		t.Errorf("got %v, want one that names KmsKeyIdentifier", err)
	}
	_, err = b.eb.DeleteEventBus(t.Context(), &eventbridge.DeleteEventBusInput{Name: aws.String("default")})
	wantCode(t, err, "ValidationException")
	_, err = b.eb.DeleteEventBus(t.Context(), &eventbridge.DeleteEventBusInput{Name: aws.String("mine")})
	wantCode(t, err, "ValidationException") // it has a rule
	must(b.eb.RemoveTargets(t.Context(), &eventbridge.RemoveTargetsInput{Rule: in.Name, EventBusName: &arn, Ids: []string{"0"}}))(t)
	must(b.eb.DeleteRule(t.Context(), &eventbridge.DeleteRuleInput{Name: in.Name, EventBusName: &arn}))(t)
	must(b.eb.DeleteEventBus(t.Context(), &eventbridge.DeleteEventBusInput{Name: aws.String("mine")}))(t)
	list := must(b.eb.ListEventBuses(t.Context(), &eventbridge.ListEventBusesInput{}))(t)
	if len(list.EventBuses) != 1 || *list.EventBuses[0].Name != "default" {
		t.Errorf("got %+v", list.EventBuses)
	}
	_, err = b.eb.DescribeEventBus(t.Context(), &eventbridge.DescribeEventBusInput{Name: aws.String("mine")})
	wantCode(t, err, "ResourceNotFoundException")
	_, err = b.eb.ListArchives(t.Context(), &eventbridge.ListArchivesInput{})
	wantCode(t, err, "UnknownOperationException")
}

func TestEventPatternIsTested(t *testing.T) {
	b := startBridge(t, localstack.Config{})
	const event = `{"id":"1","account":"1","source":"app","time":"2020-01-01T00:00:00Z","region":"r","resources":[],"detail-type":"t","detail":{"a":"xyz"}}`
	for pattern, want := range map[string]bool{`{"detail":{"a":[{"prefix":"x"}]}}`: true, `{"detail":{"a":[{"anything-but":"xyz"}]}}`: false} {
		if got := must(b.eb.TestEventPattern(t.Context(), &eventbridge.TestEventPatternInput{Event: aws.String(event), EventPattern: &pattern}))(t); got.Result != want {
			t.Errorf("%s: got %t", pattern, got.Result)
		}
	}
	_, err := b.eb.TestEventPattern(t.Context(), &eventbridge.TestEventPatternInput{Event: aws.String(event), EventPattern: aws.String("[]")})
	wantCode(t, err, "InvalidEventPatternException")
	_, err = b.eb.TestEventPattern(t.Context(), &eventbridge.TestEventPatternInput{Event: aws.String("{}"), EventPattern: aws.String(ours)})
	wantCode(t, err, "ValidationException")
}

// command runs the aws CLI against the server, and returns what it prints.
func (c *cloud) command(t *testing.T, args ...string) string {
	t.Helper()
	name, err := exec.LookPath("aws")
	if err != nil {
		t.Skip("no aws command here: calls by it are left out")
	}
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(append(os.Environ(), "AWS_PAGER=", "AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null"), c.Env()...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

func TestRulesThroughTheCLI(t *testing.T) {
	b := startBridge(t, localstack.Config{})
	queue, queueARN := b.open(t, "jobs")
	b.command(t, "events", "put-rule", "--name", "nightly", "--schedule-expression", "cron(0 3 * * ? *)")
	out := b.command(t, "events", "put-targets", "--rule", "nightly", "--targets", `[{"Id":"1","Arn":"`+queueARN+`","Input":"{\"plan\":\"nightly\"}"}]`)
	if !strings.Contains(out, `"FailedEntryCount": 0`) {
		t.Errorf("got %s", out)
	}
	b.MoveClock(24 * time.Hour)
	if got := bodies(b.drain(t, queue)); len(got) != 1 || got[0] != `{"plan":"nightly"}` {
		t.Errorf("got %s", got)
	}
}
