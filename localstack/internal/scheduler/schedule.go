package scheduler

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"stillpoint/localstack/internal/clock"
	expression "stillpoint/localstack/internal/schedule"
	"stillpoint/localstack/internal/wire"
)

const (
	enabled     = "ENABLED"
	disabled    = "DISABLED"
	keepAfter   = "NONE"
	deleteAfter = "DELETE"
)

type schedule struct {
	name, group, arn  string
	created, modified time.Time
	token             string        // the ClientToken of the last change
	asked             scheduleInput // with that token
	given             scheduleInput // with its defaults
	times             expression.Schedule
	window            expression.Window

	due   time.Time // when the timer is set for
	timer *clock.Timer
	turn  int // counts what sets or stops the timer, so that one that rings meanwhile knows that it is out of date
	runs  int // how often it was due
}

// schedule finds one in a group; the group is nil if there is none.
func (s *Service) schedule(groupName, name string) (*group, *schedule, *wire.Error) {
	g, apiErr := s.group(groupName)
	if apiErr != nil {
		return nil, nil, apiErr
	}
	sc, ok := g.schedules[name]
	if !ok {
		return g, nil, missing("Schedule %s does not exist.", name)
	}
	return g, sc, nil
}

type scheduleARNOutput struct{ ScheduleArn string }

// createSchedule answers the same again to the same request with the same ClientToken. A rate without a StartDate runs at once:
// "your schedule starts invoking the target immediately", https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
func (s *Service) createSchedule(r request, in scheduleInput) (scheduleARNOutput, *wire.Error) {
	if apiErr := checkName(r.name); apiErr != nil {
		return scheduleARNOutput{}, apiErr
	}
	if apiErr := checkToken(in.ClientToken); apiErr != nil {
		return scheduleARNOutput{}, apiErr
	}
	asked := in.clone()
	s.mu.Lock()
	defer s.mu.Unlock()
	g, old, apiErr := s.schedule(in.GroupName, r.name)
	if g == nil {
		return scheduleARNOutput{}, apiErr
	}
	if old != nil {
		r.About(old.arn)
		if old.repeated(asked) {
			return scheduleARNOutput{old.arn}, nil
		}
		return scheduleARNOutput{}, conflict("Schedule %s already exists.", r.name)
	}
	now := s.Clock.Now()
	sc, apiErr := s.read(in, r.name, g.name, now, now)
	if apiErr != nil {
		return scheduleARNOutput{}, apiErr
	}
	r.About(sc.arn)
	sc.token, sc.asked = in.ClientToken, asked
	g.schedules[sc.name] = sc
	s.arm(sc, now.Add(-1)) // now itself is not too early
	return scheduleARNOutput{sc.arn}, nil
}

// clone is a copy that what becomes of the original does not change.
func (in *scheduleInput) clone() scheduleInput {
	out := *in
	if in.Target != nil {
		t := *in.Target
		out.Target = &t
	}
	return out
}

// repeated tells whether a request is the one that made the schedule what it is.
func (sc *schedule) repeated(asked scheduleInput) bool {
	return asked.ClientToken != "" && asked.ClientToken == sc.token && reflect.DeepEqual(asked, sc.asked)
}

// updateSchedule gives a schedule all that the request says and nothing else: "if you do not set an optional field in your request,
// that field will be set to its system-default value". A rate goes on counting from when the schedule was created, and nothing
// runs at once; the documents do not say.
func (s *Service) updateSchedule(r request, in scheduleInput) (scheduleARNOutput, *wire.Error) {
	if apiErr := checkToken(in.ClientToken); apiErr != nil {
		return scheduleARNOutput{}, apiErr
	}
	asked := in.clone()
	s.mu.Lock()
	defer s.mu.Unlock()
	g, old, apiErr := s.schedule(in.GroupName, r.name)
	if apiErr != nil {
		return scheduleARNOutput{}, apiErr
	}
	r.About(old.arn)
	if old.repeated(asked) {
		return scheduleARNOutput{old.arn}, nil
	}
	now := s.Clock.Now()
	sc, apiErr := s.read(in, r.name, g.name, old.created, now)
	if apiErr != nil {
		return scheduleARNOutput{}, apiErr
	}
	sc.token, sc.asked, sc.runs = in.ClientToken, asked, old.runs
	old.disarm()
	g.schedules[sc.name] = sc
	s.arm(sc, now)
	return scheduleARNOutput{sc.arn}, nil
}

func (s *Service) deleteSchedule(r request) (none, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, sc, apiErr := s.schedule(r.query.Get("groupName"), r.name)
	if apiErr != nil {
		return none{}, apiErr
	}
	r.About(sc.arn)
	sc.disarm()
	delete(g.schedules, sc.name)
	return none{}, nil
}

type getScheduleOutput struct {
	ActionAfterCompletion      string
	Arn                        string
	CreationDate               float64  // in seconds since 1970
	Description                string   `json:",omitempty"`
	EndDate                    *float64 `json:",omitzero"`
	FlexibleTimeWindow         *window
	GroupName                  string
	LastModificationDate       float64
	Name                       string
	ScheduleExpression         string
	ScheduleExpressionTimezone string
	StartDate                  *float64 `json:",omitzero"`
	State                      string
	Target                     *targetInput
}

func (sc *schedule) show() getScheduleOutput {
	in := sc.given
	return getScheduleOutput{
		ActionAfterCompletion: in.ActionAfterCompletion, Arn: sc.arn, CreationDate: epoch(sc.created), Description: in.Description,
		EndDate: in.EndDate, FlexibleTimeWindow: in.FlexibleTimeWindow, GroupName: sc.group, LastModificationDate: epoch(sc.modified),
		Name: sc.name, ScheduleExpression: in.ScheduleExpression, ScheduleExpressionTimezone: in.ScheduleExpressionTimezone,
		StartDate: in.StartDate, State: in.State, Target: in.Target,
	}
}

func (s *Service) getSchedule(r request) (getScheduleOutput, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, sc, apiErr := s.schedule(r.query.Get("groupName"), r.name)
	if apiErr != nil {
		return getScheduleOutput{}, apiErr
	}
	r.About(sc.arn)
	return sc.show(), nil
}

type targetSummary struct{ Arn string }

type scheduleSummary struct {
	Arn                  string
	CreationDate         float64
	GroupName            string
	LastModificationDate float64
	Name                 string
	State                string
	Target               targetSummary
}

type listSchedulesOutput struct {
	Schedules []scheduleSummary
	NextToken string `json:",omitempty"`
}

// listSchedules lists those of all groups, or of one.
func (s *Service) listSchedules(r request) (listSchedulesOutput, *wire.Error) {
	groupName, prefix, state := r.query.Get("ScheduleGroup"), r.query.Get("NamePrefix"), r.query.Get("State")
	s.mu.Lock()
	defer s.mu.Unlock()
	if groupName != "" {
		if _, apiErr := s.group(groupName); apiErr != nil {
			return listSchedulesOutput{}, apiErr
		}
	}
	var list []scheduleSummary
	for _, g := range s.groups {
		if groupName != "" && g.name != groupName {
			continue
		}
		for _, sc := range g.schedules {
			if !strings.HasPrefix(sc.name, prefix) || state != "" && sc.given.State != state {
				continue
			}
			list = append(list, scheduleSummary{
				sc.arn, epoch(sc.created), g.name, epoch(sc.modified), sc.name, sc.given.State, targetSummary{sc.given.Target.Arn},
			})
		}
	}
	key := func(x scheduleSummary) string { return x.GroupName + "/" + x.Name }
	slices.SortFunc(list, func(a, b scheduleSummary) int { return strings.Compare(key(a), key(b)) })
	list, token, apiErr := page(r, list, key)
	return listSchedulesOutput{list, token}, apiErr
}
