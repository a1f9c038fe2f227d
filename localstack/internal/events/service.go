// Package events is EventBridge: buses, rules that match events or have a schedule, and their targets. Time goes by the host's
// clock: a rule with a schedule fires at each time that it says, however fast the clock is moved.
//
// An event is delivered before PutEvents answers; on AWS it is a moment later. Every firing of a rule is in the log of calls as
// "events:Invoke", and each delivery as the call of its target, so faults can be set for both.
package events

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"sync"

	"stillpoint/localstack/internal/constraint"
	"stillpoint/localstack/internal/target"
	"stillpoint/localstack/internal/wire"
)

// principal is who delivers for a rule. The policy of a queue has to let it in.
const principal = "events.amazonaws.com"

// Service is EventBridge.
type Service struct {
	target.Targets

	mu    sync.Mutex // never held while another service is called
	buses map[string]*bus
}

// New makes a service with the default bus. The host in to is its own, too.
func New(to target.Targets) *Service {
	s := &Service{Targets: to, buses: map[string]*bus{}}
	s.buses[defaultBus] = &bus{name: defaultBus, created: to.Clock.Now(), rules: map[string]*rule{}}
	return s
}

// operation does one operation on its JSON input.
type operation func(s *Service, c *wire.Call, body []byte) (any, *wire.Error)

// op makes a call of a method that takes and returns the structures of the API.
func op[In, Out any](f func(s *Service, c *wire.Call, in In) (Out, *wire.Error)) operation {
	return func(s *Service, c *wire.Call, body []byte) (any, *wire.Error) {
		var in In
		if apiErr := constraint.Decode(body, &in); apiErr != nil {
			return nil, apiErr
		}
		return f(s, c, in)
	}
}

var operations = map[string]operation{
	"CreateEventBus":        op((*Service).createEventBus),
	"DeleteEventBus":        op((*Service).deleteEventBus),
	"DescribeEventBus":      op((*Service).describeEventBus),
	"ListEventBuses":        op((*Service).listEventBuses),
	"PutRule":               op((*Service).putRule),
	"DescribeRule":          op((*Service).describeRule),
	"ListRules":             op((*Service).listRules),
	"DeleteRule":            op((*Service).deleteRule),
	"EnableRule":            op((*Service).enableRule),
	"DisableRule":           op((*Service).disableRule),
	"PutTargets":            op((*Service).putTargets),
	"RemoveTargets":         op((*Service).removeTargets),
	"ListTargetsByRule":     op((*Service).listTargetsByRule),
	"ListRuleNamesByTarget": op((*Service).listRuleNamesByTarget),
	"PutEvents":             op((*Service).putEvents),
	"TestEventPattern":      op((*Service).testEventPattern),
	"TagResource":           op((*Service).tagResource),
	"UntagResource":         op((*Service).untagResource),
	"ListTagsForResource":   op((*Service).listTagsForResource),
}

// fail answers errors as the JSON protocol has it, with the types as AWS sends them, without a name space.
var fail = wire.FailJSON("1.1", "")

// Actions are the names of all operations, in order.
func Actions() []string { return slices.Sorted(maps.Keys(operations)) }

// Operation is the call of an action with its JSON.
func (s *Service) Operation(action string, body []byte) wire.Operation {
	return wire.Operation{
		Name: "events:" + action, Params: wire.JSONParams(body), Fail: fail,
		Do: func(_ context.Context, c *wire.Call) (wire.Reply, *wire.Error) {
			call, ok := operations[action]
			if !ok {
				return wire.Reply{}, wire.Errorf("UnknownOperationException", "localstack has no EventBridge operation %q", action)
			}
			out, apiErr := call(s, c, body)
			if apiErr != nil {
				return wire.Reply{}, apiErr
			}
			if out == (none{}) { // what has no output has no body either
				return wire.Reply{Status: http.StatusOK, ContentType: "application/x-amz-json-1.1"}, nil
			}
			return wire.JSON("1.1", out)
		},
	}
}

// none is the output of operations that have none.
type none struct{}

func invalid(format string, args ...any) *wire.Error {
	return wire.Errorf(constraint.Code, format, args...)
}

func missing(format string, args ...any) *wire.Error {
	return wire.Errorf("ResourceNotFoundException", format, args...)
}

func tooMany() *wire.Error {
	return wire.Errorf("LimitExceededException", "The requested resource exceeds the maximum number allowed.")
}

// State is everything, for a dump.
func (s *Service) State() any {
	type ruleState struct {
		Rule    ruleOutput
		Tags    []tag
		Targets []ruleTarget
		Fires   string `json:",omitempty"` // when the schedule is due next
		Counts  string `json:",omitempty"` // since when a rate counts
	}
	type busState struct {
		Bus   busOutput
		Tags  []tag
		Rules []ruleState
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []busState{}
	for _, name := range slices.Sorted(maps.Keys(s.buses)) {
		b := s.buses[name]
		state := busState{Bus: s.showBus(b), Tags: b.tags.list(), Rules: []ruleState{}}
		for _, r := range b.sorted() {
			rs := ruleState{Rule: s.showRule(r), Tags: r.tags.list(), Targets: append([]ruleTarget{}, r.targets...)}
			if r.expression != "" {
				rs.Counts = stamp(r.schedule.Created)
			}
			if r.timer != nil {
				rs.Fires = stamp(r.due)
			}
			state.Rules = append(state.Rules, rs)
		}
		out = append(out, state)
	}
	return map[string]any{"EventBuses": out}
}
