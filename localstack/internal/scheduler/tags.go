package scheduler

import (
	"maps"
	"slices"

	"stillpoint/localstack/internal/constraint"
	"stillpoint/localstack/internal/wire"
)

type tag struct {
	Key   string
	Value string
}

// maxTags is that of TagList in the API reference.
const maxTags = 200

// tag adds tags, or none of them if one is wrong.
func (g *group) tag(more []tag) *wire.Error {
	var c constraint.Checks
	for _, t := range more {
		c.Text("tags.key", t.Key, 1, 128, nil)
		c.Text("tags.value", t.Value, 1, 256, nil)
	}
	next := map[string]string{}
	maps.Copy(next, g.tags)
	for _, t := range more {
		next[t.Key] = t.Value
	}
	c.Count("tags", len(next), 0, maxTags)
	if apiErr := c.Err(); apiErr != nil {
		return apiErr
	}
	g.tags = next
	return nil
}

func (g *group) listTags() []tag {
	out := []tag{}
	for _, k := range slices.Sorted(maps.Keys(g.tags)) {
		out = append(out, tag{k, g.tags[k]})
	}
	return out
}

// tagged finds the group with that ARN. Schedules have no tags.
func (s *Service) tagged(arn string) (*group, *wire.Error) {
	for _, g := range s.groups {
		if s.groupARN(g.name) == arn {
			return g, nil
		}
	}
	return nil, missing("Schedule group %s does not exist. Only schedule groups can have tags.", arn)
}

type tagInput struct{ Tags []tag }

func (s *Service) tagResource(r request, in tagInput) (none, *wire.Error) {
	r.About(r.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	g, apiErr := s.tagged(r.name)
	if apiErr != nil {
		return none{}, apiErr
	}
	return none{}, g.tag(in.Tags)
}

func (s *Service) untagResource(r request) (none, *wire.Error) {
	r.About(r.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	g, apiErr := s.tagged(r.name)
	if apiErr != nil {
		return none{}, apiErr
	}
	for _, k := range r.query["TagKeys"] {
		delete(g.tags, k)
	}
	return none{}, nil
}

type tagsOutput struct{ Tags []tag }

func (s *Service) listTagsForResource(r request) (tagsOutput, *wire.Error) {
	r.About(r.name)
	s.mu.Lock()
	defer s.mu.Unlock()
	g, apiErr := s.tagged(r.name)
	if apiErr != nil {
		return tagsOutput{}, apiErr
	}
	return tagsOutput{g.listTags()}, nil
}
