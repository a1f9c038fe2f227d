package scheduler

import (
	"encoding/base64"
	"strconv"
	"strings"

	"stillpoint/localstack/internal/constraint"
	"stillpoint/localstack/internal/wire"
)

// maxPage is the largest MaxResults, and what there is without one.
const maxPage = 100

// page cuts a list that is sorted by key, and makes the token for the rest. A token names the last key of the page before.
func page[T any](r request, list []T, key func(T) string) ([]T, string, *wire.Error) {
	most := maxPage
	if text := r.query.Get("MaxResults"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil {
			return nil, "", invalid("MaxResults %q is not a number.", text)
		}
		var c constraint.Checks
		c.Number("maxResults", &n, 1, maxPage)
		if apiErr := c.Err(); apiErr != nil {
			return nil, "", apiErr
		}
		most = n
	}
	if token := r.query.Get("NextToken"); token != "" {
		raw, err := base64.URLEncoding.DecodeString(token)
		last, ok := strings.CutPrefix(string(raw), "after ")
		if err != nil || !ok {
			return nil, "", invalid("Invalid NextToken %q.", token)
		}
		for len(list) > 0 && key(list[0]) <= last {
			list = list[1:]
		}
	}
	if len(list) <= most {
		return append([]T{}, list...), "", nil
	}
	list = list[:most]
	return append([]T{}, list...), base64.URLEncoding.EncodeToString([]byte("after " + key(list[most-1]))), nil
}
