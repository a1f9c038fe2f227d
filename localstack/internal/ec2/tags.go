package ec2

import (
	"slices"
	"strings"
	"unicode/utf8"

	"stillpoint/localstack/internal/wire"
)

type tag struct{ Key, Value string }

const maxTags = 50

// withTags returns old with add set on it, in the order in which they were set.
func withTags(old, add []tag) ([]tag, *wire.Error) {
	out := slices.Clone(old)
	seen := map[string]bool{}
	for _, t := range add {
		switch {
		case t.Key == "" || utf8.RuneCountInString(t.Key) > 128:
			return nil, wire.Errorf("InvalidParameterValue", "Tag key '%s' is invalid: it must have 1 to 128 characters", t.Key)
		case utf8.RuneCountInString(t.Value) > 256:
			return nil, wire.Errorf("InvalidParameterValue", "Tag value for key '%s' exceeds the maximum length of 256 characters", t.Key)
		case strings.HasPrefix(strings.ToLower(t.Key), "aws:"):
			return nil, wire.Errorf("InvalidParameterValue", "Value ( %s ) for parameter key is invalid. Tag keys starting with 'aws:' are reserved for internal use", t.Key)
		case seen[t.Key]:
			return nil, wire.Errorf("InvalidParameterValue", "Duplicate tag key '%s' specified.", t.Key)
		}
		seen[t.Key] = true
		if i := slices.IndexFunc(out, func(x tag) bool { return x.Key == t.Key }); i >= 0 {
			out[i] = t
			continue
		}
		out = append(out, t)
	}
	if len(out) > maxTags {
		return nil, wire.Errorf("TagLimitExceeded", "The maximum number of tags on a resource is %d; this would be %d", maxTags, len(out))
	}
	return out, nil
}

func readTags(q wire.Query, name string) []tag {
	var out []tag
	for _, t := range q.Under(name) {
		out = append(out, tag{t.Get("Key"), t.Get("Value")})
	}
	return out
}

// specified reads the TagSpecification.N of the resource types that the call makes. The result is by resource type, and checked.
func specified(q wire.Query, types ...string) (map[string][]tag, *wire.Error) {
	out := map[string][]tag{}
	for _, spec := range q.Under("TagSpecification") {
		kind := spec.Get("ResourceType")
		if !slices.Contains(types, kind) {
			return nil, wire.Errorf("InvalidParameterValue", "'%s' is not a valid taggable resource type for this operation.", kind)
		}
		if _, ok := out[kind]; ok {
			return nil, wire.Errorf("InvalidParameterValue", "Tag specification resource type '%s' was given twice.", kind)
		}
		tags, apiErr := withTags(nil, readTags(spec, "Tag"))
		if apiErr != nil {
			return nil, apiErr
		}
		out[kind] = tags
	}
	return out, nil
}

func tagNodes(tags []tag) wire.Node {
	set := wire.Node{Name: "tagSet"}
	for _, t := range tags {
		set.Kids = append(set.Kids, wire.Tree("item", wire.El("key", t.Key), wire.El("value", t.Value)))
	}
	return set
}

// tagsOf finds the tags of a resource, by the prefix of its id.
func (s *Service) tagsOf(id string) (*[]tag, string, *wire.Error) {
	switch prefix, _, _ := strings.Cut(id, "-"); prefix {
	case "i":
		x, apiErr := s.findInstance(id)
		if apiErr != nil {
			return nil, "", apiErr
		}
		return &x.Tags, "instance", nil
	case "vol":
		x, apiErr := s.findVolume(id)
		if apiErr != nil {
			return nil, "", apiErr
		}
		return &x.Tags, "volume", nil
	case "snap":
		x, apiErr := s.findSnapshot(id)
		if apiErr != nil {
			return nil, "", apiErr
		}
		return &x.Tags, "snapshot", nil
	default:
		return nil, "", wire.Errorf("InvalidID", "The ID '%s' is not valid", id)
	}
}

// createTags changes all of the resources or none.
func (s *Service) createTags(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	add := readTags(q, "Tag")
	ids := q.List("ResourceId")
	if len(ids) == 0 || len(add) == 0 {
		return nil, wire.Errorf("MissingParameter", "The request must contain the parameters resourceIdSet and tagSet")
	}
	targets, results := make([]*[]tag, len(ids)), make([][]tag, len(ids))
	for i, id := range ids {
		tags, kind, apiErr := s.tagsOf(id)
		if apiErr != nil {
			return nil, apiErr
		}
		c.About(s.arn(kind, id))
		s.askForTags(c, kind, id, *tags, add)
		if results[i], apiErr = withTags(*tags, add); apiErr != nil {
			return nil, apiErr
		}
		targets[i] = tags
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	for i := range targets {
		*targets[i] = results[i]
	}
	return []wire.Node{wire.Bool("return", true)}, nil
}

// deleteTags deletes the given keys, those with a value only if they have that value; without any, all tags.
func (s *Service) deleteTags(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	var targets []*[]tag
	for _, id := range q.List("ResourceId") {
		tags, kind, apiErr := s.tagsOf(id)
		if apiErr != nil {
			return nil, apiErr
		}
		c.About(s.arn(kind, id))
		targets = append(targets, tags)
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	doomed := q.Under("Tag")
	for _, tags := range targets {
		*tags = slices.DeleteFunc(*tags, func(t tag) bool {
			return len(doomed) == 0 || slices.ContainsFunc(doomed, func(d wire.Query) bool {
				return d.Get("Key") == t.Key && (!d.Has("Value") || d.Get("Value") == t.Value)
			})
		})
	}
	return []wire.Node{wire.Bool("return", true)}, nil
}

type taggedResource struct {
	Serial   int
	ID, kind string
	tag      tag
}

var tagKind = kind[taggedResource]{
	fields: fields[taggedResource]{
		"resource-id":   func(t *taggedResource) []string { return []string{t.ID} },
		"resource-type": func(t *taggedResource) []string { return []string{t.kind} },
		"key":           func(t *taggedResource) []string { return []string{t.tag.Key} },
		"value":         func(t *taggedResource) []string { return []string{t.tag.Value} },
	},
	Tags:    func(t *taggedResource) []tag { return []tag{t.tag} },
	Serial:  func(t *taggedResource) int { return t.Serial },
	minPage: 5,
}

func (s *Service) describeTags(q wire.Query, _ *wire.Call) ([]wire.Node, *wire.Error) {
	all := map[string]*taggedResource{}
	add := func(serial int, id, kind string, tags []tag) {
		for i, t := range tags {
			all[id+"/"+t.Key] = &taggedResource{Serial: serial*maxTags + i + 1, ID: id, kind: kind, tag: t}
		}
	}
	for _, x := range s.instances {
		add(x.Serial, x.ID, "instance", x.Tags)
	}
	for _, x := range s.volumes {
		add(x.Serial, x.ID, "volume", x.Tags)
	}
	for _, x := range s.ownShown() {
		add(x.Serial, x.ID, "snapshot", x.shownTags(s.Clock.Now()))
	}
	page, token, apiErr := tagKind.choose(q, all, nil, nil)
	if apiErr != nil {
		return nil, apiErr
	}
	return described("tagSet", page, token, func(t *taggedResource) []wire.Node {
		return []wire.Node{wire.El("resourceId", t.ID), wire.El("resourceType", t.kind), wire.El("key", t.tag.Key), wire.El("value", t.tag.Value)}
	}), nil
}
