package sns

import (
	"regexp"
	"strconv"

	"github.com/google/uuid"

	"stillpoint/localstack/internal/wire"
)

// maxEntries is how many messages a batch may have.
const maxEntries = 10

// entryID: "This identifier can have up to 80 characters … alphanumeric characters, hyphens(-), and underscores (_)":
// https://docs.aws.amazon.com/sns/latest/api/API_PublishBatchRequestEntry.html
var entryID = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)

// publishBatch publishes up to ten messages. What is wrong with the form of one, such as an attribute without a value, fails the
// batch (recorded). The sum of the sizes may be as large as one message of the topic may be.
func (s *Service) publishBatch(c *wire.Call, q wire.Query) ([]wire.Node, *wire.Error) {
	s.mu.Lock()
	good, bad, out, apiErr := s.readBatch(c, q)
	s.mu.Unlock()
	if apiErr != nil {
		return nil, apiErr
	}
	s.send(out)
	return []wire.Node{wire.Tree("Successful", good...), wire.Tree("Failed", bad...)}, nil
}

// readBatch returns the elements of the answer and what is to be delivered. The lock is held.
func (s *Service) readBatch(c *wire.Call, q wire.Query) (good, bad []wire.Node, out []*delivery, apiErr *wire.Error) {
	t, apiErr := s.openToPublish(c, "TopicArn", q.Get("TopicArn"))
	if apiErr != nil {
		return nil, nil, nil, apiErr
	}
	messages, ids, apiErr := readEntries(q, t.maxSize)
	if apiErr != nil {
		return nil, nil, nil, apiErr
	}
	for i, m := range messages {
		if apiErr := m.checkText(); apiErr != nil {
			bad = append(bad, wire.Tree("member", wire.El("Id", ids[i]), wire.El("Code", apiErr.Code), wire.El("Message", apiErr.Message),
				wire.El("SenderFault", strconv.FormatBool(!apiErr.Receiver()))))
			continue
		}
		id := uuid.NewString()
		out = append(out, s.outgoing(t, id, m)...)
		good = append(good, wire.Tree("member", wire.El("Id", ids[i]), wire.El("MessageId", id)))
	}
	return good, bad, out, nil
}

// readEntries finds what fails the whole batch. The sentences are recorded but for those of an empty batch and a bad id.
func readEntries(q wire.Query, limit int) (messages []Message, ids []string, apiErr *wire.Error) {
	entries := q.Under("PublishBatchRequestEntries.member")
	switch {
	case len(entries) == 0:
		return nil, nil, wire.Errorf("EmptyBatchRequest", "The batch request doesn't contain any entries.")
	case len(entries) > maxEntries:
		return nil, nil, wire.Errorf("TooManyEntriesInBatchRequest", "The batch request contains more entries than permissible.")
	}
	size, seen := 0, map[string]bool{}
	for _, e := range entries {
		id := e.Get("Id")
		switch {
		case !entryID.MatchString(id):
			return nil, nil, wire.Errorf("InvalidBatchEntryId", "The Id of a batch entry in a batch request doesn't abide by the specification.")
		case seen[id]:
			return nil, nil, wire.Errorf("BatchEntryIdsNotDistinct", "Two or more batch entries in the request have the same Id.")
		}
		seen[id] = true
		m, apiErr := readMessage(e)
		if apiErr == nil {
			apiErr = m.checkForm()
		}
		if apiErr != nil {
			return nil, nil, apiErr
		}
		size += m.size()
		messages, ids = append(messages, m), append(ids, id)
	}
	if size > limit {
		return nil, nil, wire.Errorf("BatchRequestTooLong", "The length of all the messages put together is more than the limit.")
	}
	return messages, ids, nil
}
