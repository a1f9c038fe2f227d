package scheduler

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"stillpoint/localstack/internal/constraint"
	"stillpoint/localstack/internal/wire"
)

type group struct {
	name              string
	created, modified time.Time
	token             string // the ClientToken that it was made with
	tags              map[string]string
	schedules         map[string]*schedule // by name
}

func (g *group) sorted() []*schedule {
	out := make([]*schedule, 0, len(g.schedules))
	for _, name := range slices.Sorted(maps.Keys(g.schedules)) {
		out = append(out, g.schedules[name])
	}
	return out
}

// group finds one; empty is the default one.
func (s *Service) group(name string) (*group, *wire.Error) {
	if name == "" {
		name = defaultGroup
	}
	g, ok := s.groups[name]
	if !ok {
		return nil, missing("Schedule group %s does not exist.", name)
	}
	return g, nil
}

func (s *Service) groupARN(name string) string {
	return "arn:aws:scheduler:" + s.Region + ":" + s.Account + ":schedule-group/" + name
}

// nameRule is that of schedules and groups.
var nameRule = regexp.MustCompile(`^[0-9a-zA-Z-_.]+$`)

var tokenRule = regexp.MustCompile(`^[a-zA-Z0-9-_]+$`)

func checkName(name string) *wire.Error {
	var c constraint.Checks
	c.Text("name", name, 1, 64, nameRule)
	return c.Err()
}

type groupInput struct {
	ClientToken string
	Tags        []tag
}

type groupOutput struct {
	Arn                  string
	CreationDate         float64 // in seconds since 1970
	LastModificationDate float64
	Name                 string
	State                string
}

// showGroup shows every group as active: on AWS one is "DELETING" for a while, here it is gone at once.
func (s *Service) showGroup(g *group) groupOutput {
	return groupOutput{s.groupARN(g.name), epoch(g.created), epoch(g.modified), g.name, "ACTIVE"}
}

type groupARNOutput struct{ ScheduleGroupArn string }

// createGroup answers the same again to a request with the same ClientToken.
func (s *Service) createGroup(r request, in groupInput) (groupARNOutput, *wire.Error) {
	if apiErr := checkName(r.name); apiErr != nil {
		return groupARNOutput{}, apiErr
	}
	if apiErr := checkToken(in.ClientToken); apiErr != nil {
		return groupARNOutput{}, apiErr
	}
	arn := s.groupARN(r.name)
	r.About(arn)
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.groups[r.name]; ok {
		if in.ClientToken != "" && old.token == in.ClientToken {
			return groupARNOutput{arn}, nil
		}
		return groupARNOutput{}, conflict("Schedule group %s already exists.", r.name)
	}
	now := s.Clock.Now()
	g := &group{name: r.name, created: now, modified: now, token: in.ClientToken, tags: map[string]string{}, schedules: map[string]*schedule{}}
	if apiErr := g.tag(in.Tags); apiErr != nil {
		return groupARNOutput{}, apiErr
	}
	s.groups[r.name] = g
	return groupARNOutput{arn}, nil
}

func checkToken(token string) *wire.Error {
	if token == "" {
		return nil
	}
	var c constraint.Checks
	c.Text("clientToken", token, 1, 64, tokenRule)
	return c.Err()
}

func (s *Service) getGroup(r request) (groupOutput, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, apiErr := s.group(r.name)
	if apiErr != nil {
		return groupOutput{}, apiErr
	}
	r.About(s.groupARN(g.name))
	return s.showGroup(g), nil
}

// deleteGroup deletes its schedules too.
func (s *Service) deleteGroup(r request) (none, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g, apiErr := s.group(r.name)
	if apiErr != nil {
		return none{}, apiErr
	}
	r.About(s.groupARN(g.name))
	if g.name == defaultGroup {
		return none{}, invalid("The default schedule group cannot be deleted.")
	}
	for _, sc := range g.schedules {
		sc.disarm()
	}
	delete(s.groups, g.name)
	return none{}, nil
}

type listGroupsOutput struct {
	ScheduleGroups []groupOutput
	NextToken      string `json:",omitempty"`
}

func (s *Service) listGroups(r request) (listGroupsOutput, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []groupOutput
	for _, name := range slices.Sorted(maps.Keys(s.groups)) {
		if strings.HasPrefix(name, r.query.Get("NamePrefix")) {
			list = append(list, s.showGroup(s.groups[name]))
		}
	}
	list, token, apiErr := page(r, list, func(g groupOutput) string { return g.Name })
	return listGroupsOutput{list, token}, apiErr
}
