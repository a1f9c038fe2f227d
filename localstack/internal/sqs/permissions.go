package sqs

import (
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"stillpoint/localstack/internal/wire"
)

type permissionInput struct {
	QueueUrl      string
	Label         string
	AWSAccountIds []string
	Actions       []string
}

// permissions is a policy in the form that AddPermission makes, which was recorded from AWS (test_sqs_permission_lifecycle in
// https://github.com/localstack/localstack/blob/main/tests/aws/services/sqs/test_sqs.snapshot.json).
type permissions struct {
	Version   string
	ID        string           `json:"Id,omitempty"`
	Statement []jsontext.Value `json:",omitempty"`
}

type permission struct {
	Sid       string
	Effect    string
	Principal struct{ AWS oneOrMore }
	Action    oneOrMore
	Resource  string
}

// oneOrMore is a string if it is one, as AWS writes it.
type oneOrMore []string

// MarshalJSON is for the package json.
func (o oneOrMore) MarshalJSON() ([]byte, error) {
	if len(o) == 1 {
		return json.Marshal(o[0])
	}
	return json.Marshal([]string(o))
}

// shareable are the actions that can be granted to others; those for one message stand for their batches, too.
var shareable = []string{
	"*", "ChangeMessageVisibility", "DeleteMessage", "GetQueueAttributes", "GetQueueUrl", "ListDeadLetterSourceQueues", "PurgeQueue",
	"ReceiveMessage", "SendMessage",
}

var (
	permissionLabel = regexp.MustCompile(`^[A-Za-z0-9_-]{1,80}$`)
	accountNumber   = regexp.MustCompile(`^[0-9]{12}$`)
)

func (s *Service) addPermission(_ context.Context, c *wire.Call, in permissionInput) (struct{}, *wire.Error) {
	return s.with(c, "AddPermission", queueInput{QueueUrl: in.QueueUrl}, func(q *queue) *wire.Error {
		if apiErr := in.check(); apiErr != nil {
			return apiErr
		}
		p, apiErr := s.permissions(q)
		if apiErr != nil {
			return apiErr
		}
		if slices.IndexFunc(p.Statement, labelled(in.Label)) >= 0 {
			return badParameter(in.Label, "Label", "Already exists.")
		}
		added := permission{Sid: in.Label, Effect: "Allow", Resource: s.arn(q)}
		for _, id := range in.AWSAccountIds {
			added.Principal.AWS = append(added.Principal.AWS, "arn:aws:iam::"+id+":root")
		}
		for _, action := range in.Actions {
			added.Action = append(added.Action, "SQS:"+action)
		}
		text, err := json.Marshal(added)
		if err != nil {
			return wire.Errorf("InternalFailure", "cannot write the policy: %v", err)
		}
		p.Statement = append(p.Statement, text)
		return s.permit(q, p)
	})
}

// check knows the limits. The wording of the errors is moto's, but for the number of actions, which is documented.
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_AddPermission.html
func (in permissionInput) check() *wire.Error {
	switch {
	case in.Label == "":
		return missingParameter("Label")
	case !permissionLabel.MatchString(in.Label):
		return badParameter(in.Label, "Label", "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length.")
	case len(in.AWSAccountIds) == 0:
		return wire.Errorf(invalidValue, "Value [] for parameter PrincipalId is invalid. Reason: Unable to verify.")
	case len(in.Actions) == 0:
		return missingParameter("Actions")
	case len(in.Actions) > maxPolicyActions:
		return wire.Errorf(overLimit, "%d Actions were found, maximum allowed is %d.", len(in.Actions), maxPolicyActions)
	}
	for _, id := range in.AWSAccountIds {
		if !accountNumber.MatchString(id) {
			return badParameter("["+id+"]", "PrincipalId", "Unable to verify.")
		}
	}
	for _, action := range in.Actions {
		if ownersOnly[action] {
			return badParameter("SQS:"+action, "ActionName", "Only the queue owner is allowed to invoke this action.")
		}
		if !slices.Contains(shareable, strings.TrimSuffix(action, "Batch")) {
			return badParameter("SQS:"+action, "ActionName", "Please refer to the appropriate WSDL for a list of valid actions.")
		}
	}
	return nil
}

func (s *Service) removePermission(_ context.Context, c *wire.Call, in permissionInput) (struct{}, *wire.Error) {
	return s.with(c, "RemovePermission", queueInput{QueueUrl: in.QueueUrl}, func(q *queue) *wire.Error {
		p, apiErr := s.permissions(q)
		if apiErr != nil {
			return apiErr
		}
		before := len(p.Statement)
		if p.Statement = slices.DeleteFunc(p.Statement, labelled(in.Label)); len(p.Statement) == before {
			return badParameter(in.Label, "Label", "can't find label.")
		}
		return s.permit(q, p)
	})
}

// labelled tells whether a statement has that Sid.
func labelled(label string) func(statement jsontext.Value) bool {
	return func(statement jsontext.Value) bool {
		var st struct{ Sid string }
		return json.Unmarshal(statement, &st) == nil && st.Sid == label
	}
}

// permissions takes the queue's policy apart; without one it is the empty one that AWS begins with.
func (s *Service) permissions(q *queue) (permissions, *wire.Error) {
	p := permissions{Version: "2008-10-17", ID: s.arn(q) + "/SQSDefaultPolicy"}
	if q.policyText == "" {
		return p, nil
	}
	var raw struct {
		Version   string
		ID        string `json:"Id"`
		Statement jsontext.Value
	}
	err := json.Unmarshal([]byte(q.policyText), &raw)
	if err == nil {
		p.Version, p.ID = raw.Version, raw.ID
		p.Statement, err = listOf(raw.Statement)
	}
	if err != nil {
		return p, wire.Errorf("InternalFailure", "cannot read the policy that the queue has: %v", err)
	}
	return p, nil
}

// permit makes p the queue's policy; without statements it has none.
func (s *Service) permit(q *queue, p permissions) *wire.Error {
	var text strings.Builder
	if len(p.Statement) > 0 {
		if err := json.MarshalWrite(&text, p); err != nil {
			return wire.Errorf("InternalFailure", "cannot write the policy: %v", err)
		}
	}
	next, apiErr := s.set(q.name, q.settings, map[string]string{"Policy": text.String()})
	if apiErr != nil {
		return apiErr
	}
	q.settings, q.modified = next, s.Clock.Now()
	return nil
}
