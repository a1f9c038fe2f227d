package conformance

import (
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/scheduler"
	schedtypes "github.com/aws/aws-sdk-go-v2/service/scheduler/types"
)

// schedulerRows are all of EventBridge Scheduler.
var schedulerRows = slices.Concat(schedulerNames, schedulerExpressions, schedulerRuns)

// schedule is a request for one that sends to a queue, which has no policy. It has a name that is nobody else's.
func (c *check) schedule(expression, queue string) scheduler.CreateScheduleInput {
	return scheduler.CreateScheduleInput{
		Name: ptr(c.name()), ScheduleExpression: &expression, FlexibleTimeWindow: &schedtypes.FlexibleTimeWindow{Mode: schedtypes.FlexibleTimeWindowModeOff},
		Target: &schedtypes.Target{Arn: ptr(c.queueARN(queue)), RoleArn: ptr("arn:aws:iam::" + c.account + ":role/scheduler"), Input: ptr("run")},
	}
}

func (c *check) scheduling(in scheduler.CreateScheduleInput) error {
	_, err := c.scheduler.CreateSchedule(c.ctx, &in)
	return err
}

// updateOf is a request that changes nothing but what it leaves out: description and the like.
func updateOf(in scheduler.CreateScheduleInput) *scheduler.UpdateScheduleInput {
	return &scheduler.UpdateScheduleInput{
		Name: in.Name, GroupName: in.GroupName, ScheduleExpression: in.ScheduleExpression, FlexibleTimeWindow: in.FlexibleTimeWindow, Target: in.Target,
	}
}

func (c *check) getSchedule(name *string) (*scheduler.GetScheduleOutput, error) {
	return c.scheduler.GetSchedule(c.ctx, &scheduler.GetScheduleInput{Name: name})
}

// once is an expression for a time that comes after d, and that time.
func (c *check) once(d time.Duration) (expression string, due time.Time) {
	due = c.ours.Now().UTC().Add(d).Truncate(time.Second)
	return due.Format("at(2006-01-02T15:04:05)"), due
}

// runs are the bodies of what schedules sent to a queue, in order.
func (c *check) runs(queue string) []string {
	out := []string{}
	for _, m := range c.drain(queue) {
		out = append(out, *m.Body)
	}
	return out
}
