// Package scheduler is EventBridge Scheduler: schedules, which send to a queue or a topic as a role, and the groups that they are
// in. Time goes by the host's clock, and a schedule runs at the second that it says, where AWS takes up to a minute longer
// ("60-second precision", https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html).
//
// Each attempt to invoke a target is in the log of calls as "scheduler:Invoke", and what it does as the call of the target, so
// faults can be set for both.
package scheduler

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"

	"github.com/go-json-experiment/json"

	"stillpoint/localstack/internal/constraint"
	"stillpoint/localstack/internal/target"
	"stillpoint/localstack/internal/wire"
)

// principal is who assumes the role of a schedule.
const principal = "scheduler.amazonaws.com"

// defaultGroup is the one that is always there.
const defaultGroup = "default"

// Service is Scheduler.
type Service struct {
	target.Targets
	seed func() uint64

	mu     sync.Mutex        // never held while another service is called
	groups map[string]*group // by name
}

// New makes a service with the default group. The host in to is its own, too. What seed returns decides when within their
// flexible time windows schedules run.
func New(to target.Targets, seed func() uint64) *Service {
	s := &Service{Targets: to, seed: seed, groups: map[string]*group{}}
	now := to.Clock.Now()
	s.groups[defaultGroup] = &group{name: defaultGroup, created: now, modified: now, schedules: map[string]*schedule{}}
	return s
}

// request is a call in the REST protocol.
type request struct {
	*wire.Call
	name  string // from the path; for tags the ARN
	query url.Values
	body  []byte
}

// Operation is the call of a method on a path.
func (s *Service) Operation(method string, u *url.URL, body []byte) wire.Operation {
	action, do, name := route(method, u)
	params := wire.JSONParams(body)
	if params == nil {
		params = map[string]string{}
	}
	for k := range u.Query() {
		params[k] = u.Query().Get(k)
	}
	if name != "" {
		params["Name"] = name
	}
	return wire.Operation{
		Name: "scheduler:" + action, Params: params, Fail: fail,
		Do: func(_ context.Context, c *wire.Call) (wire.Reply, *wire.Error) {
			if do == nil {
				return wire.Reply{}, &wire.Error{
					Code: "UnknownOperationException", Status: http.StatusNotFound,
					Message: "localstack has no operation of EventBridge Scheduler for " + method + " " + u.Path,
				}
			}
			out, apiErr := do(s, request{Call: c, name: name, query: u.Query(), body: body})
			if apiErr != nil {
				return wire.Reply{}, apiErr
			}
			reply, apiErr := wire.JSON("1.1", out)
			reply.ContentType = "application/json"
			return reply, apiErr
		},
	}
}

// statuses are those of Scheduler's model where they differ from 400.
var statuses = map[string]int{
	"ServiceQuotaExceededException": http.StatusPaymentRequired,
	"AccessDeniedException":         http.StatusForbidden,
	"ResourceNotFoundException":     http.StatusNotFound,
	"ConflictException":             http.StatusConflict,
	"ThrottlingException":           http.StatusTooManyRequests,
	"InternalServerException":       http.StatusInternalServerError,
}

// fail answers errors as restJson1 has it: the type in a header, the message in the body.
func fail(e *wire.Error) wire.Reply {
	status := e.Status
	if s, ok := statuses[e.Code]; ok && status == 0 {
		status = s
	}
	if status == 0 {
		status = e.HTTPStatus()
	}
	text, err := json.Marshal(struct{ Message string }{e.Message})
	if err != nil {
		text = []byte("{}")
	}
	return wire.Reply{Status: status, ContentType: "application/json", Header: map[string]string{"x-amzn-ErrorType": e.Code}, Body: text}
}

// none is the output of operations that have none.
type none struct{}

func invalid(format string, args ...any) *wire.Error {
	return wire.Errorf(constraint.Code, format, args...)
}

func missing(format string, args ...any) *wire.Error {
	e := wire.Errorf("ResourceNotFoundException", format, args...)
	e.Status = http.StatusNotFound
	return e
}

func conflict(format string, args ...any) *wire.Error {
	e := wire.Errorf("ConflictException", format, args...)
	e.Status = http.StatusConflict
	return e
}

// State is everything, for a dump.
func (s *Service) State() any {
	type scheduleState struct {
		Schedule getScheduleOutput
		Fires    string `json:",omitempty"` // when it is due next
		Runs     int    // how often it was due so far
	}
	type groupState struct {
		Group     groupOutput
		Tags      []tag
		Schedules []scheduleState
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := []groupState{}
	for _, name := range slices.Sorted(maps.Keys(s.groups)) {
		g := s.groups[name]
		gs := groupState{Group: s.showGroup(g), Tags: g.listTags(), Schedules: []scheduleState{}}
		for _, sc := range g.sorted() {
			ss := scheduleState{Schedule: sc.show(), Runs: sc.runs}
			if sc.timer != nil {
				ss.Fires = stamp(sc.due)
			}
			gs.Schedules = append(gs.Schedules, ss)
		}
		out = append(out, gs)
	}
	return map[string]any{"ScheduleGroups": out}
}
