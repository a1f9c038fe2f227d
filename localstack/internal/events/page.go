package events

import (
	"encoding/base64"
	"strings"

	"stillpoint/localstack/internal/constraint"
	"stillpoint/localstack/internal/wire"
)

// maxPage is the largest Limit, and what there is without one: "The maximum number of results per page for requests is 100."
const maxPage = 100

// page cuts a list that is sorted by key, and makes the token for the rest. A token names the last key of the page before, so
// that nothing is left out when the list changes in between.
func page[T any](list []T, key func(T) string, token string, limit *int) ([]T, string, *wire.Error) {
	var c constraint.Checks
	c.Number("limit", limit, 1, maxPage)
	if apiErr := c.Err(); apiErr != nil {
		return nil, "", apiErr
	}
	most := maxPage
	if limit != nil {
		most = *limit
	}
	if token != "" {
		raw, err := base64.StdEncoding.DecodeString(token)
		last, ok := strings.CutPrefix(string(raw), "after ")
		if err != nil || !ok {
			return nil, "", wire.Errorf("InvalidToken", "The pagination token %q is not valid.", token)
		}
		for len(list) > 0 && key(list[0]) <= last {
			list = list[1:]
		}
	}
	if len(list) <= most {
		return append([]T{}, list...), "", nil
	}
	list = list[:most]
	return append([]T{}, list...), base64.StdEncoding.EncodeToString([]byte("after " + key(list[most-1]))), nil
}
