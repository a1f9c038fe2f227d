package localstack

import (
	"slices"
	"strings"
	"unicode/utf8"
)

type tag struct{ key, value string }

const maxTags = 50

// withTags returns old with add set on it, in the order in which they were set.
func withTags(old, add []tag) ([]tag, *apiError) {
	out := slices.Clone(old)
	seen := map[string]bool{}
	for _, t := range add {
		switch {
		case t.key == "" || utf8.RuneCountInString(t.key) > 128:
			return nil, errf("InvalidParameterValue", "Tag key '%s' is invalid: it must have 1 to 128 characters", t.key)
		case utf8.RuneCountInString(t.value) > 256:
			return nil, errf("InvalidParameterValue", "Tag value for key '%s' exceeds the maximum length of 256 characters", t.key)
		case strings.HasPrefix(strings.ToLower(t.key), "aws:"):
			return nil, errf("InvalidParameterValue", "Value ( %s ) for parameter key is invalid. Tag keys starting with 'aws:' are reserved for internal use", t.key)
		case seen[t.key]:
			return nil, errf("InvalidParameterValue", "Duplicate tag key '%s' specified.", t.key)
		}
		seen[t.key] = true
		if i := slices.IndexFunc(out, func(x tag) bool { return x.key == t.key }); i >= 0 {
			out[i] = t
			continue
		}
		out = append(out, t)
	}
	if len(out) > maxTags {
		return nil, errf("TagLimitExceeded", "The maximum number of tags on a resource is %d; this would be %d", maxTags, len(out))
	}
	return out, nil
}

func readTags(q query, name string) []tag {
	var out []tag
	for _, t := range q.under(name) {
		out = append(out, tag{t.get("Key"), t.get("Value")})
	}
	return out
}

// specified reads the TagSpecification.N of the resource types that the call makes. The result is by resource type, and checked.
func specified(q query, types ...string) (map[string][]tag, *apiError) {
	out := map[string][]tag{}
	for _, spec := range q.under("TagSpecification") {
		kind := spec.get("ResourceType")
		if !slices.Contains(types, kind) {
			return nil, errf("InvalidParameterValue", "'%s' is not a valid taggable resource type for this operation.", kind)
		}
		if _, ok := out[kind]; ok {
			return nil, errf("InvalidParameterValue", "Tag specification resource type '%s' was given twice.", kind)
		}
		tags, apiErr := withTags(nil, readTags(spec, "Tag"))
		if apiErr != nil {
			return nil, apiErr
		}
		out[kind] = tags
	}
	return out, nil
}

func tagNodes(tags []tag) node {
	set := node{name: "tagSet"}
	for _, t := range tags {
		set.kids = append(set.kids, tree("item", el("key", t.key), el("value", t.value)))
	}
	return set
}

// tagsOf finds the tags of a resource, by the prefix of its id.
func (s *ec2Service) tagsOf(id string) (*[]tag, string, *apiError) {
	switch prefix, _, _ := strings.Cut(id, "-"); prefix {
	case "i":
		x, apiErr := s.findInstance(id)
		if apiErr != nil {
			return nil, "", apiErr
		}
		return &x.tags, "instance", nil
	case "vol":
		x, apiErr := s.findVolume(id)
		if apiErr != nil {
			return nil, "", apiErr
		}
		return &x.tags, "volume", nil
	case "snap":
		x, apiErr := s.findSnapshot(id)
		if apiErr != nil {
			return nil, "", apiErr
		}
		return &x.tags, "snapshot", nil
	default:
		return nil, "", errf("InvalidID", "The ID '%s' is not valid", id)
	}
}

// createTags changes all of the resources or none.
func (s *ec2Service) createTags(q query, _ *record) ([]node, *apiError) {
	add := readTags(q, "Tag")
	ids := q.list("ResourceId")
	if len(ids) == 0 || len(add) == 0 {
		return nil, errf("MissingParameter", "The request must contain the parameters resourceIdSet and tagSet")
	}
	targets, results := make([]*[]tag, len(ids)), make([][]tag, len(ids))
	for i, id := range ids {
		tags, _, apiErr := s.tagsOf(id)
		if apiErr != nil {
			return nil, apiErr
		}
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
	return []node{yes("return", true)}, nil
}

// deleteTags deletes the given keys, those with a value only if they have that value; without any, all tags.
func (s *ec2Service) deleteTags(q query, _ *record) ([]node, *apiError) {
	var targets []*[]tag
	for _, id := range q.list("ResourceId") {
		tags, _, apiErr := s.tagsOf(id)
		if apiErr != nil {
			return nil, apiErr
		}
		targets = append(targets, tags)
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	doomed := q.under("Tag")
	for _, tags := range targets {
		*tags = slices.DeleteFunc(*tags, func(t tag) bool {
			return len(doomed) == 0 || slices.ContainsFunc(doomed, func(d query) bool {
				return d.get("Key") == t.key && (!d.has("Value") || d.get("Value") == t.value)
			})
		})
	}
	return []node{yes("return", true)}, nil
}

type taggedResource struct {
	serial   int
	id, kind string
	tag      tag
}

var tagKind = kind[taggedResource]{
	fields: fields[taggedResource]{
		"resource-id":   func(t *taggedResource) []string { return []string{t.id} },
		"resource-type": func(t *taggedResource) []string { return []string{t.kind} },
		"key":           func(t *taggedResource) []string { return []string{t.tag.key} },
		"value":         func(t *taggedResource) []string { return []string{t.tag.value} },
	},
	tags:    func(t *taggedResource) []tag { return []tag{t.tag} },
	serial:  func(t *taggedResource) int { return t.serial },
	minPage: 5,
}

func (s *ec2Service) describeTags(q query, _ *record) ([]node, *apiError) {
	all := map[string]*taggedResource{}
	add := func(serial int, id, kind string, tags []tag) {
		for i, t := range tags {
			all[id+"/"+t.key] = &taggedResource{serial: serial*maxTags + i + 1, id: id, kind: kind, tag: t}
		}
	}
	for _, x := range s.instances {
		add(x.serial, x.id, "instance", x.tags)
	}
	for _, x := range s.volumes {
		add(x.serial, x.id, "volume", x.tags)
	}
	for _, x := range s.snapshots {
		add(x.serial, x.id, "snapshot", x.tags)
	}
	page, token, apiErr := tagKind.choose(q, all, nil, nil)
	if apiErr != nil {
		return nil, apiErr
	}
	return described("tagSet", page, token, func(t *taggedResource) []node {
		return []node{el("resourceId", t.id), el("resourceType", t.kind), el("key", t.tag.key), el("value", t.tag.value)}
	}), nil
}
