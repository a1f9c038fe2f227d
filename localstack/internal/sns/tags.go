package sns

import (
	"net/http"
	"slices"
	"strings"

	"stillpoint/localstack/internal/wire"
)

type tag struct{ key, value string }

// maxTags is the quota of a topic. https://docs.aws.amazon.com/sns/latest/dg/sns-tags.html, which also has the lengths.
const (
	maxTags     = 50
	maxTagKey   = 128 // characters
	maxTagValue = 256
)

// readTags reads Tags.member.1.Key and so on. That a key may be there once only was recorded.
func readTags(q wire.Query) ([]tag, *wire.Error) {
	var out []tag
	for _, e := range q.Under("Tags.member") {
		t := tag{e.Get("Key"), e.Get("Value")}
		switch {
		case t.key == "" || len([]rune(t.key)) > maxTagKey || len([]rune(t.value)) > maxTagValue:
			return nil, invalid("Tags Reason: a key has 1 to 128 characters and a value 256 at most")
		case strings.HasPrefix(strings.ToLower(t.key), "aws:"):
			return nil, invalid("Tags Reason: aws: prefixed tag key names are not allowed for external use.")
		case slices.ContainsFunc(out, func(x tag) bool { return x.key == t.key }):
			return nil, invalid("Duplicated keys are not allowed.")
		}
		out = append(out, t)
	}
	return out, nil
}

// tag adds tags, in place of those with the same keys.
func (t *topic) tag(add []tag) *wire.Error {
	tags := slices.Clone(t.tags)
	for _, a := range add {
		if i := slices.IndexFunc(tags, func(x tag) bool { return x.key == a.key }); i >= 0 {
			tags[i] = a
			continue
		}
		tags = append(tags, a)
	}
	if len(tags) > maxTags {
		return wire.Errorf("TagLimitExceeded", "Could not complete request: tag quota of per resource exceeded")
	}
	t.tags = tags
	return nil
}

// resource is the topic that is tagged. No policy of a topic can grant that to others.
func (s *Service) resource(c *wire.Call, q wire.Query, action string) (*topic, *wire.Error) {
	arn := q.Get("ResourceArn")
	if arn != "" {
		c.About(arn)
	}
	if apiErr := s.owner(c, action, arn); apiErr != nil {
		return nil, apiErr
	}
	t, apiErr := s.topic("ResourceArn", arn)
	if apiErr != nil && apiErr.Code == notFound {
		return nil, coded("ResourceNotFound", http.StatusNotFound, "Resource does not exist")
	}
	return t, apiErr
}

func (s *Service) tagResource(c *wire.Call, q wire.Query) ([]wire.Node, *wire.Error) {
	t, apiErr := s.resource(c, q, "TagResource")
	if apiErr != nil {
		return nil, apiErr
	}
	tags, apiErr := readTags(q)
	if apiErr != nil {
		return nil, apiErr
	}
	return nil, t.tag(tags)
}

func (s *Service) untagResource(c *wire.Call, q wire.Query) ([]wire.Node, *wire.Error) {
	t, apiErr := s.resource(c, q, "UntagResource")
	if apiErr != nil {
		return nil, apiErr
	}
	keys := q.List("TagKeys.member")
	t.tags = slices.DeleteFunc(t.tags, func(x tag) bool { return slices.Contains(keys, x.key) })
	return nil, nil
}

func (s *Service) listTags(c *wire.Call, q wire.Query) ([]wire.Node, *wire.Error) {
	t, apiErr := s.resource(c, q, "ListTagsForResource")
	if apiErr != nil {
		return nil, apiErr
	}
	list := wire.Node{Name: "Tags"}
	for _, tag := range t.tags {
		list.Kids = append(list.Kids, wire.Tree("member", wire.El("Key", tag.key), wire.El("Value", tag.value)))
	}
	return []wire.Node{list}, nil
}
