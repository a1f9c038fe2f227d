package scene

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/eventbridge"
	eventtypes "github.com/aws/aws-sdk-go-v2/service/eventbridge/types"
	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	scheduletypes "github.com/aws/aws-sdk-go-v2/service/scheduler/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
)

// queueARN is the ARN of the worker's queue.
func (s *Scene) queueARN() string {
	return arns + "sqs:" + place + s.QueueURL[strings.LastIndexByte(s.QueueURL, '/')+1:]
}

// Rule makes an EventBridge rule with a schedule that sends its bare event to the worker's queue.
func (s *Scene) Rule(ctx context.Context, name, expression string) (arn string, err error) {
	rule, err := s.Events.PutRule(ctx, &eventbridge.PutRuleInput{Name: aws.String(name), ScheduleExpression: aws.String(expression)})
	if err != nil {
		return "", fmt.Errorf("cannot make the rule: %w", err)
	}
	put, err := s.Events.PutTargets(ctx, &eventbridge.PutTargetsInput{
		Rule: aws.String(name), Targets: []eventtypes.Target{{Id: aws.String("worker"), Arn: aws.String(s.queueARN())}},
	})
	if err != nil || put.FailedEntryCount > 0 {
		return "", fmt.Errorf("cannot make the queue a target: %w %v", err, put)
	}
	return aws.ToString(rule.RuleArn), nil
}

// DisableRule keeps a rule from firing again.
func (s *Scene) DisableRule(ctx context.Context, name string) error {
	_, err := s.Events.DisableRule(ctx, &eventbridge.DisableRuleInput{Name: aws.String(name)})
	return err
}

// ScheduleInput is what the contract tells users to give to an EventBridge Scheduler schedule.
const ScheduleInput = `{"plan":"nightly","requestId":"<aws.scheduler.schedule-arn>/<aws.scheduler.scheduled-time>","scheduledTime":"<aws.scheduler.scheduled-time>"}`

// Schedule makes an EventBridge Scheduler schedule for the worker's queue, with that input. from is when it starts; zero: at once.
func (s *Scene) Schedule(ctx context.Context, name, expression string, from time.Time) (arn string, err error) {
	in := &scheduler.CreateScheduleInput{
		Name: aws.String(name), ScheduleExpression: aws.String(expression),
		FlexibleTimeWindow: &scheduletypes.FlexibleTimeWindow{Mode: scheduletypes.FlexibleTimeWindowModeOff},
		Target: &scheduletypes.Target{
			Arn: aws.String(s.queueARN()), RoleArn: aws.String("arn:aws:iam::111122223333:role/stillpoint-schedule"), Input: aws.String(ScheduleInput),
		},
	}
	if !from.IsZero() {
		in.StartDate = aws.Time(from)
	}
	out, err := s.Scheduler.CreateSchedule(ctx, in)
	if err != nil {
		return "", fmt.Errorf("cannot make the schedule: %w", err)
	}
	return aws.ToString(out.ScheduleArn), nil
}

// Unschedule deletes a schedule.
func (s *Scene) Unschedule(ctx context.Context, name string) error {
	_, err := s.Scheduler.DeleteSchedule(ctx, &scheduler.DeleteScheduleInput{Name: aws.String(name)})
	return err
}

// Topic makes a topic to which the worker's queue is subscribed.
func (s *Scene) Topic(ctx context.Context, name string, raw bool) (arn string, err error) {
	topic, err := s.SNS.CreateTopic(ctx, &sns.CreateTopicInput{Name: aws.String(name)})
	if err != nil {
		return "", fmt.Errorf("cannot make the topic: %w", err)
	}
	if _, err := s.SNS.Subscribe(ctx, &sns.SubscribeInput{
		TopicArn: topic.TopicArn, Protocol: aws.String("sqs"), Endpoint: aws.String(s.queueARN()),
		Attributes: map[string]string{"RawMessageDelivery": fmt.Sprint(raw)},
	}); err != nil {
		return "", fmt.Errorf("cannot subscribe the queue: %w", err)
	}
	return aws.ToString(topic.TopicArn), nil
}

// Publish publishes a request, and returns the id of the SNS message.
func (s *Scene) Publish(ctx context.Context, topic, message string) (messageID string, err error) {
	out, err := s.SNS.Publish(ctx, &sns.PublishInput{TopicArn: aws.String(topic), Message: aws.String(message)})
	if err != nil {
		return "", fmt.Errorf("cannot publish: %w", err)
	}
	return aws.ToString(out.MessageId), nil
}
