package policy

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"stillpoint/localstack"
	"stillpoint/localstack/iam"
	"stillpoint/test/stack"
)

// record is what the program did with its role's credentials.
func (s *stage) record() []localstack.Call {
	s.Helper()
	me := "arn:aws:sts::" + stack.Account + ":assumed-role/stillpoint-" + role + "/" + s.InstanceID
	var out []localstack.Call
	for _, c := range s.AWS.Calls() {
		switch {
		case c.Principal != me, c.Operation == "sts:GetCallerIdentity": // which needs no permission
		case len(c.Asks) == 0:
			s.Errorf("nobody knows here what IAM is asked about %s", c.Operation)
		default:
			out = append(out, c)
		}
	}
	return out
}

// document is the policy of the template, as its statements.
type document struct {
	Version   string
	Statement []map[string]any
}

func policyOf(t *testing.T, s *stack.Stack) document {
	t.Helper()
	raw, err := json.Marshal(s.Resources["Policy"].Properties["PolicyDocument"])
	if err != nil {
		t.Fatal(err)
	}
	var d document
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d document) parse(t *testing.T) *iam.Policy {
	t.Helper()
	raw, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	p, err := iam.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// denied are the calls of which the policy does not allow everything.
func denied(p *iam.Policy, record []localstack.Call) (out []string) {
	for _, c := range record {
		for _, a := range c.Asks {
			if ok, _ := p.Allows(a); !ok {
				out = append(out, c.Operation+": "+a.Action+" on "+a.Resource)
			}
		}
	}
	return out
}

// allowed: every call that the program makes is allowed, however the parameters say which volumes and tags.
func allowed(t *testing.T, s *stage, record []localstack.Call) {
	counts := map[string]int{}
	for _, c := range record {
		counts[c.Operation]++
	}
	t.Logf("%d calls with the role's credentials: %v", len(record), counts)
	for name, st := range map[string]*stack.Stack{
		"by default": s.instance, "with tags by name": s.with(t, "OtherTagKeys", fewTags), "with volumes by name": s.with(t, "VolumeIds", s.volumeIDs()),
	} {
		for _, d := range denied(policyOf(t, st).parse(t), record) {
			t.Errorf("%s, denied: %s", name, d)
		}
	}
}

// fewTags are the keys of the tags that the plan, its requests and its volumes have.
const fewTags = "cost-center, ticket, team, localstack:*"

func (s *stage) volumeIDs() string {
	ids := make([]string, len(s.Volumes))
	for i, v := range s.Volumes {
		ids[i] = v.ID
	}
	return strings.Join(ids, ", ")
}

// with is the instance's stack with another parameter.
func (s *stage) with(t *testing.T, parameter, value string) *stack.Stack {
	t.Helper()
	other, err := stack.Instance(s.fleet, role, stack.Env{Parameters: map[string]string{parameter: value}})
	if err != nil {
		t.Fatal(err)
	}
	return other
}

// needed: without any of the statements, or any action of one, a call of the
// program would be denied.
func needed(t *testing.T, s *stage, record []localstack.Call) {
	whole := policyOf(t, s.instance)
	for i, st := range whole.Statement {
		less := document{Version: whole.Version, Statement: slices.Delete(slices.Clone(whole.Statement), i, i+1)}
		if len(denied(less.parse(t), record)) == 0 {
			t.Errorf("the statement %v is not needed", st["Sid"])
		}
		actions, several := st["Action"].([]any)
		for j := range actions {
			if !several {
				break
			}
			one := maps.Clone(st)
			one["Action"] = slices.Delete(slices.Clone(actions), j, j+1)
			less := document{Version: whole.Version, Statement: slices.Clone(whole.Statement)}
			less.Statement[i] = one
			if len(denied(less.parse(t), record)) == 0 {
				t.Errorf("the action %v of the statement %v is not needed", actions[j], st["Sid"])
			}
		}
	}
}
