package sns

import (
	"encoding/base64"

	"stillpoint/localstack/internal/wire"
)

// perPage is how much one answer lists. https://docs.aws.amazon.com/sns/latest/api/API_ListTopics.html
const perPage = 100

// page returns what follows on the request's NextToken, and the element NextToken if there is more. all is sorted by key. A token
// names the last key that was shown, so that nothing is shown twice or left out when something else comes or goes.
func page[T any](q wire.Query, all []T, key func(T) string) ([]T, []wire.Node, *wire.Error) {
	if q.Get("NextToken") != "" {
		after, err := base64.StdEncoding.DecodeString(q.Get("NextToken"))
		if err != nil {
			return nil, nil, invalid("NextToken")
		}
		for len(all) > 0 && key(all[0]) <= string(after) {
			all = all[1:]
		}
	}
	if len(all) <= perPage {
		return all, nil, nil
	}
	all = all[:perPage]
	token := base64.StdEncoding.EncodeToString([]byte(key(all[perPage-1])))
	return all, []wire.Node{wire.El("NextToken", token)}, nil
}
