package scheduler

import (
	"net/url"
	"slices"
	"strings"

	"stillpoint/localstack/internal/constraint"
	"stillpoint/localstack/internal/wire"
)

type handler func(s *Service, r request) (any, *wire.Error)

// with makes a handler of a method that takes the request's JSON.
func with[In, Out any](f func(s *Service, r request, in In) (Out, *wire.Error)) handler {
	return func(s *Service, r request) (any, *wire.Error) {
		var in In
		if apiErr := constraint.Decode(r.body, &in); apiErr != nil {
			return nil, apiErr
		}
		return f(s, r, in)
	}
}

// without makes a handler of a method that has all it needs in the path and the query.
func without[Out any](f func(s *Service, r request) (Out, *wire.Error)) handler {
	return func(s *Service, r request) (any, *wire.Error) { return f(s, r) }
}

// routes are the operations by method and kind of path.
var routes = map[string]struct {
	action string
	do     handler
}{
	"POST /schedules/*":         {"CreateSchedule", with((*Service).createSchedule)},
	"GET /schedules/*":          {"GetSchedule", without((*Service).getSchedule)},
	"PUT /schedules/*":          {"UpdateSchedule", with((*Service).updateSchedule)},
	"DELETE /schedules/*":       {"DeleteSchedule", without((*Service).deleteSchedule)},
	"GET /schedules":            {"ListSchedules", without((*Service).listSchedules)},
	"POST /schedule-groups/*":   {"CreateScheduleGroup", with((*Service).createGroup)},
	"GET /schedule-groups/*":    {"GetScheduleGroup", without((*Service).getGroup)},
	"DELETE /schedule-groups/*": {"DeleteScheduleGroup", without((*Service).deleteGroup)},
	"GET /schedule-groups":      {"ListScheduleGroups", without((*Service).listGroups)},
	"POST /tags/*":              {"TagResource", with((*Service).tagResource)},
	"DELETE /tags/*":            {"UntagResource", without((*Service).untagResource)},
	"GET /tags/*":               {"ListTagsForResource", without((*Service).listTagsForResource)},
}

// Actions are the names of all operations, in order.
func Actions() []string {
	var all []string
	for _, r := range routes {
		all = append(all, r.action)
	}
	slices.Sort(all)
	return all
}

// route finds the operation that a method on a path means, and the name in the path.
func route(method string, u *url.URL) (action string, do handler, name string) {
	kind, rest, named := strings.Cut(strings.TrimPrefix(u.EscapedPath(), "/"), "/")
	key := method + " /" + kind
	if named && rest != "" {
		var err error
		if name, err = url.PathUnescape(rest); err != nil {
			name = rest
		}
		key += "/*"
	}
	if r, ok := routes[key]; ok {
		return r.action, r.do, name
	}
	return method, nil, name
}
