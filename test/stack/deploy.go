package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
)

// Cloud is where a stack is deployed to.
type Cloud struct {
	SQS       *sqs.Client
	SNS       *sns.Client
	Events    *eventbridge.Client
	Scheduler *scheduler.Client
}

// elsewhere are the types that the local AWS does not have: keys, IAM, CloudWatch.
var elsewhere = []string{
	"AWS::KMS::Key", "AWS::KMS::Alias", "AWS::IAM::Role", "AWS::IAM::ManagedPolicy", "AWS::IAM::InstanceProfile",
	"AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard",
}

// Deploy makes what the local AWS has of a stack: queues, topics, their
// policies and subscriptions, rules and schedules. A type that is neither among
// those nor known to be missing there is an error.
func (s *Stack) Deploy(ctx context.Context, c Cloud) error {
	steps := []struct {
		kind string
		make func(context.Context, Cloud, map[string]any) error
	}{
		{"AWS::SQS::Queue", makeQueue},
		{"AWS::SNS::Topic", makeTopic},
		{"AWS::SQS::QueuePolicy", setQueuePolicy},
		{"AWS::SNS::TopicPolicy", setTopicPolicy},
		{"AWS::SNS::Subscription", subscribe},
		{"AWS::Events::Rule", makeRule},
		{"AWS::Scheduler::Schedule", makeSchedule},
	}
	left := maps.Clone(s.Resources)
	for _, step := range steps {
		for _, id := range s.ofType(step.kind) {
			if err := step.make(ctx, c, s.Resources[id].Properties); err != nil {
				return fmt.Errorf("cannot make %s: %w", id, err)
			}
			delete(left, id)
		}
	}
	for id, r := range left {
		if !slices.Contains(elsewhere, r.Type) {
			return fmt.Errorf("cannot make %s: nobody knows here how to make a %s", id, r.Type)
		}
	}
	return nil
}

// ofType are the ids of the resources of a type, in order, queues that others
// name as their dead-letter queue first.
func (s *Stack) ofType(kind string) []string {
	var out []string
	for _, id := range slices.Sorted(maps.Keys(s.Resources)) {
		if s.Resources[id].Type == kind {
			out = append(out, id)
		}
	}
	redrives := func(id string) bool { return s.Resources[id].Properties["RedrivePolicy"] != nil }
	return slices.Concat(slices.DeleteFunc(slices.Clone(out), redrives), slices.DeleteFunc(out, func(id string) bool { return !redrives(id) }))
}

// text is a property as the APIs take it: objects as JSON.
func text(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case map[string]any, []any:
		out, _ := json.Marshal(v)
		return string(out)
	}
	return fmt.Sprint(v)
}

// pick makes the parameters of a call of properties. What is not to be picked
// or handled by the caller is an error: a property that nobody reads would be
// tested by nobody.
func pick(properties map[string]any, names []string, handled ...string) (map[string]string, error) {
	out := map[string]string{}
	for name, v := range properties {
		switch {
		case slices.Contains(names, name):
			out[name] = text(v)
		case !slices.Contains(handled, name):
			return nil, fmt.Errorf("nobody knows here what to do with the property %s", name)
		}
	}
	return out, nil
}

func makeQueue(ctx context.Context, c Cloud, p map[string]any) error {
	attributes, err := pick(p, []string{
		"SqsManagedSseEnabled", "VisibilityTimeout", "ReceiveMessageWaitTimeSeconds", "MessageRetentionPeriod", "MaximumMessageSize",
		"RedrivePolicy", "RedriveAllowPolicy",
	}, "QueueName", "Tags")
	if err != nil {
		return err
	}
	tags := map[string]string{}
	list, _ := p["Tags"].([]any)
	for _, t := range list {
		tags[text(t.(map[string]any)["Key"])] = text(t.(map[string]any)["Value"])
	}
	_, err = c.SQS.CreateQueue(ctx, &sqs.CreateQueueInput{QueueName: aws.String(text(p["QueueName"])), Attributes: attributes, Tags: tags})
	return err
}

func setQueuePolicy(ctx context.Context, c Cloud, p map[string]any) error {
	for _, url := range p["Queues"].([]any) {
		if _, err := c.SQS.SetQueueAttributes(ctx, &sqs.SetQueueAttributesInput{
			QueueUrl: aws.String(text(url)), Attributes: map[string]string{"Policy": text(p["PolicyDocument"])},
		}); err != nil {
			return err
		}
	}
	return nil
}

func makeTopic(ctx context.Context, c Cloud, p map[string]any) error {
	attributes, err := pick(p, []string{"KmsMasterKeyId"}, "TopicName")
	if err == nil {
		_, err = c.SNS.CreateTopic(ctx, &sns.CreateTopicInput{Name: aws.String(text(p["TopicName"])), Attributes: attributes})
	}
	return err
}

func setTopicPolicy(ctx context.Context, c Cloud, p map[string]any) error {
	for _, arn := range p["Topics"].([]any) {
		if _, err := c.SNS.SetTopicAttributes(ctx, &sns.SetTopicAttributesInput{
			TopicArn: aws.String(text(arn)), AttributeName: aws.String("Policy"), AttributeValue: aws.String(text(p["PolicyDocument"])),
		}); err != nil {
			return err
		}
	}
	return nil
}

func subscribe(ctx context.Context, c Cloud, p map[string]any) error {
	if p["Protocol"] == "https" {
		return nil // the local AWS delivers to loopback only
	}
	attributes, err := pick(p, []string{"FilterPolicy", "FilterPolicyScope", "RawMessageDelivery", "RedrivePolicy"}, "TopicArn", "Protocol", "Endpoint")
	if err == nil {
		_, err = c.SNS.Subscribe(ctx, &sns.SubscribeInput{
			TopicArn: aws.String(text(p["TopicArn"])), Protocol: aws.String(text(p["Protocol"])), Endpoint: aws.String(text(p["Endpoint"])), Attributes: attributes,
		})
	}
	return err
}

func makeRule(ctx context.Context, c Cloud, p map[string]any) error {
	in, err := pick(p, []string{"Name", "Description", "ScheduleExpression", "EventPattern"}, "Targets")
	if err != nil {
		return err
	}
	rule := &eventbridge.PutRuleInput{Name: aws.String(in["Name"]), Description: aws.String(in["Description"])}
	if v := in["ScheduleExpression"]; v != "" {
		rule.ScheduleExpression = aws.String(v)
	}
	if v := in["EventPattern"]; v != "" {
		rule.EventPattern = aws.String(v)
	}
	if _, err := c.Events.PutRule(ctx, rule); err != nil {
		return err
	}
	targets, err := as[[]eventtypes.Target](p["Targets"])
	if err != nil {
		return err
	}
	put, err := c.Events.PutTargets(ctx, &eventbridge.PutTargetsInput{Rule: rule.Name, Targets: targets})
	if err == nil && put.FailedEntryCount > 0 {
		err = fmt.Errorf("%s", aws.ToString(put.FailedEntries[0].ErrorMessage))
	}
	return err
}

func makeSchedule(ctx context.Context, c Cloud, p map[string]any) error {
	in, err := as[scheduler.CreateScheduleInput](p)
	if err == nil {
		_, err = c.Scheduler.CreateSchedule(ctx, &in)
	}
	return err
}

// as makes the SDK's type of properties: the members have the same names.
func as[T any](properties any) (out T, err error) {
	raw, err := json.Marshal(properties)
	if err != nil {
		return out, err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	return out, d.Decode(&out)
}
