package ec2

import (
	"encoding/base64"
	"maps"
	"slices"
	"strconv"
	"strings"

	"stillpoint/localstack/internal/wire"
)

// fields says, for one kind of thing, what its filters compare with.
type fields[T any] map[string]func(*T) []string

// kind is what describing one kind of thing needs to know.
type kind[T any] struct {
	fields   fields[T]
	Tags     func(*T) []tag
	Serial   func(*T) int
	minPage  int    // the smallest MaxResults that AWS takes
	maxPage  int    // how much is on a page whatever MaxResults says; zero is 1000
	idsParam string // "SnapshotIds", for the message that refuses ids and pages together
}

// choose picks from all what the ids, filters and pages of q ask for, and the token of the next page, empty for the last.
func (k kind[T]) choose(q wire.Query, all map[string]*T, ids []string, find func(id string) (*T, *wire.Error)) (page []*T, token string, apiErr *wire.Error) {
	limit, apiErr := q.Number("MaxResults")
	if apiErr != nil {
		return nil, "", apiErr
	}
	most := k.maxPage
	if most == 0 {
		most = 1000
	}
	switch {
	case limit != 0 && len(ids) > 0:
		return nil, "", wire.Errorf("InvalidParameterCombination", "The parameter %s cannot be used with the parameter maxResults", k.idsParam)
	case q.Has("MaxResults") && limit < k.minPage:
		return nil, "", wire.Errorf("InvalidParameterValue", "Value ( %d ) for parameter maxResults is invalid. Expecting a value greater than or equal to %d.", limit, k.minPage)
	case limit == 0 || limit > most:
		limit = most
	}
	after := 0
	if text := q.Get("NextToken"); text != "" {
		raw, err := base64.RawURLEncoding.DecodeString(text)
		if err == nil {
			after, err = strconv.Atoi(string(raw))
		}
		if err != nil {
			return nil, "", wire.Errorf("InvalidParameterValue", "Unable to parse pagination token")
		}
	}
	var named []*T
	for _, id := range ids {
		x, apiErr := find(id)
		if apiErr != nil {
			return nil, "", apiErr
		}
		named = append(named, x)
	}
	keep, apiErr := k.filter(q)
	if apiErr != nil {
		return nil, "", apiErr
	}
	for _, x := range sorted(all, k.Serial) {
		if k.Serial(x) <= after || len(ids) > 0 && !slices.Contains(named, x) || !keep(x) {
			continue
		}
		if len(page) == limit {
			return page, base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(k.Serial(page[limit-1])))), nil
		}
		page = append(page, x)
	}
	return page, "", nil
}

// maxValues: "The maximum number of filter values specified on a single call is 200", FilterLimitExceeded in
// https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
const maxValues = 200

// filter reads Filter.N. All filters must match; of the values of one, any.
func (k kind[T]) filter(q wire.Query) (func(*T) bool, *wire.Error) {
	var tests []func(*T) bool
	total := 0
	for _, f := range q.Under("Filter") {
		name, values := f.Get("Name"), f.List("Value")
		if total += len(values); total > maxValues {
			return nil, wire.Errorf("FilterLimitExceeded", "The maximum number of filter values specified on a single call is %d", maxValues)
		}
		var have func(*T) []string
		if key, ok := strings.CutPrefix(name, "tag:"); ok {
			have = func(x *T) (out []string) {
				for _, t := range k.Tags(x) {
					if t.Key == key {
						out = append(out, t.Value)
					}
				}
				return out
			}
		} else if name == "tag-key" {
			have = func(x *T) (out []string) {
				for _, t := range k.Tags(x) {
					out = append(out, t.Key)
				}
				return out
			}
		} else if have, ok = k.fields[name]; !ok {
			return nil, wire.Errorf("InvalidParameterValue", "The filter '%s' is invalid; localstack knows %s, tag:<key> and tag-key", name, strings.Join(slices.Sorted(maps.Keys(k.fields)), ", "))
		}
		if len(values) == 0 {
			return nil, wire.Errorf("InvalidParameterValue", "The filter '%s' has no values", name)
		}
		tests = append(tests, func(x *T) bool {
			return slices.ContainsFunc(have(x), func(v string) bool {
				return slices.ContainsFunc(values, func(pattern string) bool { return glob(pattern, v) })
			})
		})
	}
	return func(x *T) bool {
		for _, test := range tests {
			if !test(x) {
				return false
			}
		}
		return true
	}, nil
}

// glob matches as EC2's filters do: * is any text, ? any character, and a backslash takes the next one as it is.
func glob(pattern, text string) bool {
	for pattern != "" {
		switch pattern[0] {
		case '*':
			for i := 0; i <= len(text); i++ {
				if glob(pattern[1:], text[i:]) {
					return true
				}
			}
			return false
		case '?':
			if text == "" {
				return false
			}
			pattern, text = pattern[1:], text[1:]
			continue
		case '\\':
			if len(pattern) > 1 {
				pattern = pattern[1:]
			}
		}
		if text == "" || text[0] != pattern[0] {
			return false
		}
		pattern, text = pattern[1:], text[1:]
	}
	return text == ""
}

// described is an answer with one set of things and perhaps a next page.
func described[T any](set string, page []*T, token string, show func(*T) []wire.Node) []wire.Node {
	list := wire.Node{Name: set}
	for _, x := range page {
		list.Kids = append(list.Kids, wire.Node{Name: "item", Kids: show(x)})
	}
	out := []wire.Node{list}
	if token != "" {
		out = append(out, wire.El("nextToken", token))
	}
	return out
}
