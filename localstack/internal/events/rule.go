package events

import (
	"regexp"
	"strings"
	"time"

	"stillpoint/localstack/internal/clock"
	"stillpoint/localstack/internal/constraint"
	"stillpoint/localstack/internal/pattern"
	"stillpoint/localstack/internal/schedule"
	"stillpoint/localstack/internal/wire"
)

const (
	enabled  = "ENABLED"
	disabled = "DISABLED"
	// enabledAll also matches management events of CloudTrail, of which there are none here.
	enabledAll = "ENABLED_WITH_ALL_CLOUDTRAIL_MANAGEMENT_EVENTS"
)

// maxRules is the quota of a bus, as it is in most regions: https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-quota.html
const maxRules = 300

type rule struct {
	name        string
	arn         string
	bus         string
	description string
	roleARN     string
	state       string
	tags        tags
	targets     []ruleTarget // at most maxTargets; in the order in which they came

	patternText string // empty: it matches no events
	pattern     *pattern.Pattern
	expression  string // empty: it has no schedule
	schedule    schedule.Schedule
	due         time.Time // when the timer is set for
	timer       *clock.Timer
	turn        int // counts what sets or stops the timer, so that one that rings meanwhile knows that it is out of date
}

func (r *rule) on() bool { return r.state != disabled }

var ruleName = regexp.MustCompile(`^[\.\-_A-Za-z0-9]+$`)

type ruleInput struct {
	Name               string
	EventBusName       string
	ScheduleExpression string
	EventPattern       string
	State              string
	Description        string
	RoleArn            string
	Tags               []tag
}

// rule finds one on a bus.
func (s *Service) rule(busName, name string) (*bus, *rule, *wire.Error) {
	b, apiErr := s.bus(busName)
	if apiErr != nil {
		return nil, nil, apiErr
	}
	r, ok := b.rules[name]
	if !ok {
		return b, nil, missing("Rule %s does not exist on EventBus %s.", name, b.name)
	}
	return b, r, nil
}

func (in *ruleInput) check() *wire.Error {
	var c constraint.Checks
	c.Text("name", in.Name, 1, 64, ruleName)
	c.Text("scheduleExpression", in.ScheduleExpression, 0, 256, nil)
	c.Text("eventPattern", in.EventPattern, 0, pattern.MaxEventPattern, nil)
	c.Text("description", in.Description, 0, 512, nil)
	c.Text("roleArn", in.RoleArn, 0, 1600, nil)
	if in.State != "" {
		c.One("state", in.State, enabled, disabled, enabledAll)
	}
	if apiErr := c.Err(); apiErr != nil {
		return apiErr
	}
	if in.ScheduleExpression == "" && in.EventPattern == "" {
		return invalid("Parameter(s) EventPattern or ScheduleExpression must be specified.")
	}
	return nil
}

type ruleARNOutput struct{ RuleArn string }

// putRule makes a rule, or gives an existing one all that the request says and nothing else; targets and tags stay. A rate goes
// on counting where neither it nor the state changes, otherwise it counts from now; the documents speak of creation alone.
func (s *Service) putRule(c *wire.Call, in ruleInput) (ruleARNOutput, *wire.Error) {
	if apiErr := in.check(); apiErr != nil {
		return ruleARNOutput{}, apiErr
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b, old, apiErr := s.rule(in.EventBusName, in.Name)
	if b == nil {
		return ruleARNOutput{}, apiErr
	}
	r := &rule{
		name: in.Name, bus: b.name, description: in.Description, roleARN: in.RoleArn, state: in.State,
		patternText: in.EventPattern, expression: in.ScheduleExpression,
	}
	if r.state == "" {
		r.state = enabled
	}
	r.arn = "arn:aws:events:" + s.Region + ":" + s.Account + ":rule/"
	if b.name != defaultBus {
		r.arn += b.name + "/"
	}
	r.arn += r.name
	c.About(r.arn)
	if apiErr := r.parse(); apiErr != nil {
		return ruleARNOutput{}, apiErr
	}
	now := s.Clock.Now()
	r.schedule.Created = now
	switch {
	case old != nil:
		old.disarm()
		r.tags, r.targets = old.tags, old.targets
		if old.expression == r.expression && old.on() == r.on() {
			r.schedule.Created = old.schedule.Created
		}
	case len(b.rules) >= maxRules:
		return ruleARNOutput{}, tooMany()
	default:
		if r.tags, apiErr = (tags{}).with(in.Tags); apiErr != nil {
			return ruleARNOutput{}, apiErr
		}
	}
	b.rules[r.name] = r
	s.arm(r, now)
	return ruleARNOutput{r.arn}, nil
}

// parse reads pattern and schedule.
func (r *rule) parse() *wire.Error {
	if r.patternText != "" {
		p, err := pattern.ParseEvent([]byte(r.patternText))
		if err != nil {
			return wire.Errorf("InvalidEventPatternException", "Event pattern is not valid. Reason: %v", err)
		}
		r.pattern = p
	}
	if r.expression == "" {
		return nil
	}
	if r.bus != defaultBus {
		return invalid("ScheduleExpression is supported only on the default event bus.")
	}
	sched, err := schedule.Parse(r.expression, schedule.Rule)
	if err != nil {
		return invalid("Parameter ScheduleExpression is not valid. Reason: %v", err)
	}
	r.schedule = sched
	return nil
}

type ruleOutput struct {
	Name               string
	Arn                string
	EventPattern       string `json:",omitempty"`
	ScheduleExpression string `json:",omitempty"`
	State              string
	Description        string `json:",omitempty"`
	RoleArn            string `json:",omitempty"`
	EventBusName       string
	CreatedBy          string `json:",omitempty"` // DescribeRule alone
}

func (s *Service) showRule(r *rule) ruleOutput {
	return ruleOutput{
		Name: r.name, Arn: r.arn, EventPattern: r.patternText, ScheduleExpression: r.expression, State: r.state,
		Description: r.description, RoleArn: r.roleARN, EventBusName: r.bus,
	}
}

type ruleNameInput struct {
	Name         string
	EventBusName string
	Force        bool // is ignored for rules that are not managed by AWS, as all are here
}

func (s *Service) describeRule(c *wire.Call, in ruleNameInput) (ruleOutput, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, r, apiErr := s.rule(in.EventBusName, in.Name)
	if apiErr != nil {
		return ruleOutput{}, apiErr
	}
	c.About(r.arn)
	out := s.showRule(r)
	out.CreatedBy = s.Account
	return out, nil
}

// deleteRule succeeds for a rule that is not there, but not on a bus that is not: "If you call delete rule multiple times for the
// same rule, all calls will succeed."
func (s *Service) deleteRule(c *wire.Call, in ruleNameInput) (none, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, r, apiErr := s.rule(in.EventBusName, in.Name)
	if b == nil {
		return none{}, apiErr
	}
	if r == nil {
		return none{}, nil
	}
	c.About(r.arn)
	if len(r.targets) > 0 {
		return none{}, invalid("Rule can't be deleted since it has targets.")
	}
	r.disarm()
	delete(b.rules, r.name)
	return none{}, nil
}

func (s *Service) enableRule(c *wire.Call, in ruleNameInput) (none, *wire.Error) {
	return s.setState(c, in, enabled)
}

func (s *Service) disableRule(c *wire.Call, in ruleNameInput) (none, *wire.Error) {
	return s.setState(c, in, disabled)
}

// setState also starts or stops the schedule. A rate counts from when the rule is enabled; for one that is enabled already,
// nothing changes.
func (s *Service) setState(c *wire.Call, in ruleNameInput, state string) (none, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, r, apiErr := s.rule(in.EventBusName, in.Name)
	if apiErr != nil {
		return none{}, apiErr
	}
	c.About(r.arn)
	was := r.on()
	r.state = state
	if r.on() != was {
		r.schedule.Created = s.Clock.Now()
		s.arm(r, r.schedule.Created)
	}
	return none{}, nil
}

type listRulesInput struct {
	NamePrefix   string
	EventBusName string
	NextToken    string
	Limit        *int
}

type listRulesOutput struct {
	Rules     []ruleOutput
	NextToken string `json:",omitempty"`
}

func (s *Service) listRules(_ *wire.Call, in listRulesInput) (listRulesOutput, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, apiErr := s.bus(in.EventBusName)
	if apiErr != nil {
		return listRulesOutput{}, apiErr
	}
	var list []ruleOutput
	for _, r := range b.sorted() {
		if strings.HasPrefix(r.name, in.NamePrefix) {
			list = append(list, s.showRule(r))
		}
	}
	list, token, apiErr := page(list, func(r ruleOutput) string { return r.Name }, in.NextToken, in.Limit)
	return listRulesOutput{list, token}, apiErr
}
