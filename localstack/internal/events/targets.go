package events

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/go-json-experiment/json/jsontext"

	"stillpoint/localstack/internal/constraint"
	"stillpoint/localstack/internal/target"
	"stillpoint/localstack/internal/wire"
)

const (
	// maxTargets is how many a rule can have, and maxEntries how many a request. The model allows 100, the text of PutTargets and
	// RemoveTargets says 10.
	maxTargets = 5
	maxEntries = 10
)

type deadLetterConfig struct{ Arn string }

// ruleTarget is a target as it was put, and as it is shown.
type ruleTarget struct {
	Id               string
	Arn              string
	RoleArn          string              `json:",omitempty"` // kept and shown; queues and topics go by their own policies
	Input            *string             `json:",omitzero"`
	InputPath        *string             `json:",omitzero"`
	InputTransformer *inputTransformer   `json:",omitzero"`
	DeadLetterConfig *deadLetterConfig   `json:",omitzero"`
	RetryPolicy      *target.RetryPolicy `json:",omitzero"`

	// Those are refused, and so never shown.
	KinesisParameters           jsontext.Value `json:",omitzero"`
	RunCommandParameters        jsontext.Value `json:",omitzero"`
	EcsParameters               jsontext.Value `json:",omitzero"`
	BatchParameters             jsontext.Value `json:",omitzero"`
	SqsParameters               jsontext.Value `json:",omitzero"`
	HttpParameters              jsontext.Value `json:",omitzero"`
	RedshiftDataParameters      jsontext.Value `json:",omitzero"`
	SageMakerPipelineParameters jsontext.Value `json:",omitzero"`
	AppSyncParameters           jsontext.Value `json:",omitzero"`
}

// refused names the parameter of the target that is for something which is not there. Empty: none.
func (t *ruleTarget) refused() string {
	for _, p := range []struct {
		name  string
		value jsontext.Value
	}{
		{"KinesisParameters", t.KinesisParameters}, {"RunCommandParameters", t.RunCommandParameters}, {"EcsParameters", t.EcsParameters},
		{"BatchParameters", t.BatchParameters}, {"SqsParameters", t.SqsParameters}, {"HttpParameters", t.HttpParameters},
		{"RedshiftDataParameters", t.RedshiftDataParameters}, {"SageMakerPipelineParameters", t.SageMakerPipelineParameters},
		{"AppSyncParameters", t.AppSyncParameters},
	} {
		if p.value != nil {
			return p.name
		}
	}
	return ""
}

var (
	targetID = regexp.MustCompile(`^[\.\-_A-Za-z0-9]+$`)
	mapKey   = regexp.MustCompile(`^[A-Za-z0-9\_\-]+$`)
)

func (t *ruleTarget) constrain(c *constraint.Checks, at string) {
	c.Text(at+".id", t.Id, 1, 64, targetID)
	c.Text(at+".arn", t.Arn, 1, 1600, nil)
	c.Text(at+".roleArn", t.RoleArn, 0, 1600, nil)
	if t.Input != nil {
		c.Text(at+".input", *t.Input, 0, 8192, nil)
	}
	if t.InputPath != nil {
		c.Text(at+".inputPath", *t.InputPath, 0, 256, nil)
	}
	if tr := t.InputTransformer; tr != nil {
		c.Need(at+".inputTransformer.inputTemplate", tr.InputTemplate != nil)
		if tr.InputTemplate != nil {
			c.Text(at+".inputTransformer.inputTemplate", *tr.InputTemplate, 1, 8192, nil)
		}
		c.Count(at+".inputTransformer.inputPathsMap", len(tr.InputPathsMap), 0, 100)
		for k, v := range tr.InputPathsMap {
			c.Text(at+".inputTransformer.inputPathsMap", k, 1, 256, mapKey)
			c.Text(at+".inputTransformer.inputPathsMap."+k, v, 0, 256, nil)
		}
	}
	t.RetryPolicy.Check(c, at+".retryPolicy")
}

type putTargetsInput struct {
	Rule         string
	EventBusName string
	Targets      []ruleTarget
}

type failedEntry struct {
	TargetId     string
	ErrorCode    string
	ErrorMessage string
}

type entriesOutput struct {
	FailedEntryCount int
	FailedEntries    []failedEntry
}

func (s *Service) checkTargets(in putTargetsInput) *wire.Error {
	var c constraint.Checks
	c.Count("targets", len(in.Targets), 1, maxEntries)
	for i := range in.Targets {
		in.Targets[i].constrain(&c, fmt.Sprintf("targets.%d.member", i+1))
	}
	if apiErr := c.Err(); apiErr != nil {
		return apiErr
	}
	for i := range in.Targets {
		t := &in.Targets[i]
		if !target.IsARN(t.Arn) {
			return invalid("Parameter %s is not valid. Reason: Provided Arn is not in correct format.", t.Arn)
		}
		if apiErr := t.checkInput(); apiErr != nil {
			return apiErr
		}
		if d := t.DeadLetterConfig; d != nil && d.Arn != "" && !target.IsQueue(d.Arn) {
			return invalid("Parameter %s is not valid. Reason: the dead-letter queue of target %s must be a standard SQS queue.", d.Arn, t.Id)
		}
	}
	return nil
}

// putTargets adds targets, or replaces those with the same id. What localstack has no target for is in FailedEntries, while the
// other entries of the request are put.
func (s *Service) putTargets(c *wire.Call, in putTargetsInput) (entriesOutput, *wire.Error) {
	if apiErr := s.checkTargets(in); apiErr != nil {
		return entriesOutput{}, apiErr
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, r, apiErr := s.rule(in.EventBusName, in.Rule)
	if apiErr != nil {
		return entriesOutput{}, apiErr
	}
	c.About(r.arn)
	out := entriesOutput{FailedEntries: []failedEntry{}}
	list := slices.Clone(r.targets) // a firing may still read the old ones
	for _, t := range in.Targets {
		why := s.Refuse(t.Arn)
		if p := t.refused(); p != "" {
			why = "localstack does not implement " + p
		}
		if why != "" {
			out.FailedEntries = append(out.FailedEntries, failedEntry{t.Id, constraint.Code, why})
			continue
		}
		if i := slices.IndexFunc(list, func(old ruleTarget) bool { return old.Id == t.Id }); i >= 0 {
			list[i] = t
		} else {
			list = append(list, t)
		}
	}
	if len(list) > maxTargets {
		return entriesOutput{}, tooMany()
	}
	r.targets = list
	out.FailedEntryCount = len(out.FailedEntries)
	return out, nil
}

type removeTargetsInput struct {
	Rule         string
	EventBusName string
	Ids          []string
	Force        bool // is ignored for rules that are not managed by AWS
}

// removeTargets says nothing of ids that are not there. Whether AWS does is unknown; its FailedEntries are meant for "too many
// requests".
func (s *Service) removeTargets(c *wire.Call, in removeTargetsInput) (entriesOutput, *wire.Error) {
	var checks constraint.Checks
	checks.Count("ids", len(in.Ids), 1, maxEntries)
	if apiErr := checks.Err(); apiErr != nil {
		return entriesOutput{}, apiErr
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_, r, apiErr := s.rule(in.EventBusName, in.Rule)
	if apiErr != nil {
		return entriesOutput{}, apiErr
	}
	c.About(r.arn)
	r.targets = slices.DeleteFunc(slices.Clone(r.targets), func(t ruleTarget) bool { return slices.Contains(in.Ids, t.Id) })
	return entriesOutput{FailedEntries: []failedEntry{}}, nil
}

type listTargetsInput struct {
	Rule         string
	EventBusName string
	NextToken    string
	Limit        *int
}

type listTargetsOutput struct {
	Targets   []ruleTarget
	NextToken string `json:",omitempty"`
}

func (s *Service) listTargetsByRule(c *wire.Call, in listTargetsInput) (listTargetsOutput, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, r, apiErr := s.rule(in.EventBusName, in.Rule)
	if apiErr != nil {
		return listTargetsOutput{}, apiErr
	}
	c.About(r.arn)
	list := slices.SortedFunc(slices.Values(r.targets), func(a, b ruleTarget) int {
		if a.Id < b.Id {
			return -1
		}
		return 1
	})
	list, token, apiErr := page(list, func(t ruleTarget) string { return t.Id }, in.NextToken, in.Limit)
	return listTargetsOutput{list, token}, apiErr
}

type listRuleNamesInput struct {
	TargetArn    string
	EventBusName string
	NextToken    string
	Limit        *int
}

type listRuleNamesOutput struct {
	RuleNames []string
	NextToken string `json:",omitempty"`
}

func (s *Service) listRuleNamesByTarget(_ *wire.Call, in listRuleNamesInput) (listRuleNamesOutput, *wire.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, apiErr := s.bus(in.EventBusName)
	if apiErr != nil {
		return listRuleNamesOutput{}, apiErr
	}
	var list []string
	for _, r := range b.sorted() {
		if slices.ContainsFunc(r.targets, func(t ruleTarget) bool { return t.Arn == in.TargetArn }) {
			list = append(list, r.name)
		}
	}
	list, token, apiErr := page(list, func(name string) string { return name }, in.NextToken, in.Limit)
	return listRuleNamesOutput{list, token}, apiErr
}
