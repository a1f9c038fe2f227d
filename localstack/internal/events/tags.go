package events

import (
	"maps"
	"slices"
	"strings"

	"stillpoint/localstack/internal/constraint"
	"stillpoint/localstack/internal/wire"
)

type tag struct {
	Key   string
	Value string
}

// tags are those of a bus or a rule, by key.
type tags map[string]string

// maxTags is from TagResource: "You can associate as many as 50 tags with a resource."
const maxTags = 50

func (t tags) list() []tag {
	out := []tag{}
	for _, k := range slices.Sorted(maps.Keys(t)) {
		out = append(out, tag{k, t[k]})
	}
	return out
}

// with is t with more tags, or what is wrong with those.
func (t tags) with(more []tag) (tags, *wire.Error) {
	var c constraint.Checks
	seen := map[string]bool{}
	for _, m := range more {
		c.Text("tags.key", m.Key, 1, 128, nil)
		c.Text("tags.value", m.Value, 0, 256, nil)
		if seen[m.Key] {
			return nil, invalid("Invalid parameter: Duplicated keys are not allowed.")
		}
		if strings.HasPrefix(strings.ToLower(m.Key), "aws:") {
			return nil, invalid("Invalid parameter: the tag key %s begins with aws:, which is reserved.", m.Key)
		}
		seen[m.Key] = true
	}
	if apiErr := c.Err(); apiErr != nil {
		return nil, apiErr
	}
	out := tags{}
	maps.Copy(out, t)
	for _, m := range more {
		out[m.Key] = m.Value
	}
	if len(out) > maxTags {
		return nil, tooMany()
	}
	return out, nil
}

// tagged finds the tags of the rule or bus with that ARN.
func (s *Service) tagged(arn string) (*tags, *wire.Error) {
	for _, b := range s.buses {
		if s.busARN(b.name) == arn {
			return &b.tags, nil
		}
		for _, r := range b.rules {
			if r.arn == arn {
				return &r.tags, nil
			}
		}
	}
	return nil, missing("Rule or event bus %s does not exist.", arn)
}

type tagInput struct {
	ResourceARN string
	Tags        []tag
	TagKeys     []string
}

func (s *Service) tagResource(c *wire.Call, in tagInput) (none, *wire.Error) {
	c.About(in.ResourceARN)
	s.mu.Lock()
	defer s.mu.Unlock()
	t, apiErr := s.tagged(in.ResourceARN)
	if apiErr != nil {
		return none{}, apiErr
	}
	*t, apiErr = t.replace(in.Tags)
	return none{}, apiErr
}

// replace is with, and t itself where that fails.
func (t *tags) replace(more []tag) (tags, *wire.Error) {
	out, apiErr := t.with(more)
	if apiErr != nil {
		return *t, apiErr
	}
	return out, nil
}

func (s *Service) untagResource(c *wire.Call, in tagInput) (none, *wire.Error) {
	c.About(in.ResourceARN)
	s.mu.Lock()
	defer s.mu.Unlock()
	t, apiErr := s.tagged(in.ResourceARN)
	if apiErr != nil {
		return none{}, apiErr
	}
	for _, k := range in.TagKeys {
		delete(*t, k)
	}
	return none{}, nil
}

type tagsOutput struct{ Tags []tag }

func (s *Service) listTagsForResource(c *wire.Call, in tagInput) (tagsOutput, *wire.Error) {
	c.About(in.ResourceARN)
	s.mu.Lock()
	defer s.mu.Unlock()
	t, apiErr := s.tagged(in.ResourceARN)
	if apiErr != nil {
		return tagsOutput{}, apiErr
	}
	return tagsOutput{t.list()}, nil
}
