package scheduler

import (
	"math"
	"regexp"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"stillpoint/localstack/internal/constraint"
	expression "stillpoint/localstack/internal/schedule"
	"stillpoint/localstack/internal/target"
	"stillpoint/localstack/internal/wire"
)

type window struct {
	MaximumWindowInMinutes *int `json:",omitzero"`
	Mode                   string
}

type deadLetterConfig struct{ Arn string }

// targetInput is a target as it is given and shown.
type targetInput struct {
	Arn              string
	DeadLetterConfig *deadLetterConfig   `json:",omitzero"`
	Input            *string             `json:",omitzero"`
	RetryPolicy      *target.RetryPolicy `json:",omitzero"`
	RoleArn          string

	// Those are refused, and so never shown.
	SqsParameters               jsontext.Value `json:",omitzero"`
	EcsParameters               jsontext.Value `json:",omitzero"`
	EventBridgeParameters       jsontext.Value `json:",omitzero"`
	KinesisParameters           jsontext.Value `json:",omitzero"`
	SageMakerPipelineParameters jsontext.Value `json:",omitzero"`
}

// scheduleInput is what CreateSchedule and UpdateSchedule take.
type scheduleInput struct {
	ActionAfterCompletion      string
	ClientToken                string
	Description                string
	EndDate                    *float64 // in seconds since 1970
	FlexibleTimeWindow         *window
	GroupName                  string
	KmsKeyArn                  string
	ScheduleExpression         string
	ScheduleExpressionTimezone string
	StartDate                  *float64
	State                      string
	Target                     *targetInput
}

// roleARN is RoleArn of the model, in parts: the account, and the role's name without its path.
var roleARN = regexp.MustCompile(`^arn:aws(?:-[a-z]+)?:iam::(\d{12}):role/(?:[\w+=,.@/-]*/)?([\w+=,.@-]+)$`)

// roleRule is the pattern as errors show it.
var roleRule = regexp.MustCompile(`^arn:aws(-[a-z]+)?:iam::\d{12}:role\/[\w+=,.@\/-]+$`)

var deadLetterRule = regexp.MustCompile(`^arn:aws(-[a-z]+)?:sqs:[a-z0-9\-]+:\d{12}:[a-zA-Z0-9\-_]+$`)

func (in *scheduleInput) constrain() *wire.Error {
	var c constraint.Checks
	c.Need("scheduleExpression", in.ScheduleExpression != "")
	c.Need("flexibleTimeWindow", in.FlexibleTimeWindow != nil)
	c.Need("target", in.Target != nil)
	c.Text("description", in.Description, 0, 512, nil)
	c.Text("scheduleExpression", in.ScheduleExpression, 0, 256, nil)
	c.Text("scheduleExpressionTimezone", in.ScheduleExpressionTimezone, 0, 50, nil)
	if in.State != "" {
		c.One("state", in.State, enabled, disabled)
	}
	if in.ActionAfterCompletion != "" {
		c.One("actionAfterCompletion", in.ActionAfterCompletion, keepAfter, deleteAfter)
	}
	if w := in.FlexibleTimeWindow; w != nil {
		c.One("flexibleTimeWindow.mode", w.Mode, expression.Off, expression.Flexible)
		c.Number("flexibleTimeWindow.maximumWindowInMinutes", w.MaximumWindowInMinutes, 1, 1440)
	}
	if t := in.Target; t != nil {
		c.Text("target.arn", t.Arn, 1, 1600, nil)
		c.Text("target.roleArn", t.RoleArn, 1, 1600, roleRule)
		if t.Input != nil {
			c.Text("target.input", *t.Input, 1, math.MaxInt, nil)
		}
		if t.DeadLetterConfig != nil && t.DeadLetterConfig.Arn != "" {
			c.Text("target.deadLetterConfig.arn", t.DeadLetterConfig.Arn, 1, 1600, deadLetterRule)
		}
		t.RetryPolicy.Check(&c, "target.retryPolicy")
	}
	return c.Err()
}

// checkTarget tells what is wrong with a target that has the right form. That the role exists and may be assumed is not looked
// at: there are no roles here.
func (s *Service) checkTarget(t *targetInput) *wire.Error {
	if !target.IsARN(t.Arn) && !strings.HasPrefix(t.Arn, "arn:aws:scheduler:::") {
		return invalid("Provided Arn is not in correct format.")
	}
	for name, value := range map[string]jsontext.Value{
		"SqsParameters": t.SqsParameters, "EcsParameters": t.EcsParameters, "EventBridgeParameters": t.EventBridgeParameters,
		"KinesisParameters": t.KinesisParameters, "SageMakerPipelineParameters": t.SageMakerPipelineParameters,
	} {
		if value != nil {
			return invalid("localstack does not implement %s.", name)
		}
	}
	if why := s.Refuse(t.Arn); why != "" {
		return invalid("%s.", why)
	}
	if m := roleARN.FindStringSubmatch(t.RoleArn); m == nil || m[1] != s.Account {
		// In the words in which IAM refuses to pass a role to any service. That Scheduler has the same is a guess.
		return wire.Errorf("AccessDeniedException", "Cross-account pass role is not allowed: %s is not of the account %s.", t.RoleArn, s.Account)
	}
	return nil
}

// read makes a schedule of a request that came at now, with what is not given as AWS has it by default. Created is when the
// schedule was made, from which a rate counts.
func (s *Service) read(in scheduleInput, name, groupName string, created, now time.Time) (*schedule, *wire.Error) {
	if apiErr := in.constrain(); apiErr != nil {
		return nil, apiErr
	}
	if in.KmsKeyArn != "" {
		return nil, invalid("localstack has no encryption of schedules: KmsKeyArn is refused.")
	}
	if apiErr := s.checkTarget(in.Target); apiErr != nil {
		return nil, apiErr
	}
	sched, err := expression.Parse(in.ScheduleExpression, expression.Scheduler)
	if err != nil {
		// These words are recorded: https://github.com/localstack/localstack/blob/main/tests/aws/services/scheduler/test_scheduler.snapshot.json
		return nil, invalid("Invalid Schedule Expression %s.", in.ScheduleExpression)
	}
	if in.ScheduleExpressionTimezone == "" {
		in.ScheduleExpressionTimezone = "UTC"
	}
	if sched.Location, err = expression.LoadZone(in.ScheduleExpressionTimezone); err != nil {
		return nil, invalid("The provided timezone %s is not supported: %v.", in.ScheduleExpressionTimezone, err)
	}
	sched.Created, sched.Start, sched.End = created, moment(in.StartDate), moment(in.EndDate)
	if err := sched.CheckDates(now); err != nil {
		return nil, invalid("Invalid dates: %v.", err)
	}
	w := expression.Window{Mode: in.FlexibleTimeWindow.Mode}
	if m := in.FlexibleTimeWindow.MaximumWindowInMinutes; m != nil {
		w.MaximumMinutes = *m
		if w.Mode == expression.Off { // not documented
			return nil, invalid("MaximumWindowInMinutes is for a flexible time window of the mode FLEXIBLE, not OFF.")
		}
	}
	if err := w.Check(); err != nil {
		return nil, invalid("Invalid flexible time window: %v.", err)
	}
	if in.State == "" {
		in.State = enabled
	}
	if in.ActionAfterCompletion == "" {
		in.ActionAfterCompletion = keepAfter
	}
	limits := in.Target.RetryPolicy.Limits()
	age := int(limits.Age / time.Second)
	in.Target.RetryPolicy = &target.RetryPolicy{MaximumEventAgeInSeconds: &age, MaximumRetryAttempts: &limits.Retries}
	return &schedule{
		name: name, group: groupName, arn: "arn:aws:scheduler:" + s.Region + ":" + s.Account + ":schedule/" + groupName + "/" + name,
		created: created, modified: now, given: in, times: sched, window: w,
	}, nil
}

// moment is a time in seconds since 1970; nil is none.
func moment(seconds *float64) time.Time {
	if seconds == nil {
		return time.Time{}
	}
	whole, part := math.Modf(*seconds)
	return time.Unix(int64(whole), int64(part*1e9))
}

// epoch is a time in seconds since 1970, in milliseconds.
func epoch(t time.Time) float64 { return float64(t.UnixMilli()) / 1000 }
