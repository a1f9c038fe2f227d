package cloudformation

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"stillpoint/test/stack"
)

func TestLint(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("cfn-lint")
	if err != nil {
		t.Skip("cfn-lint is not on this machine: pip install cfn-lint")
	}
	if out, err := exec.Command(path, "fleet.yaml", "instance.yaml").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// both resolves the templates with parameters for the instance's.
func both(t *testing.T, env stack.Env) (fleet, instance *stack.Stack) {
	t.Helper()
	everybody := map[string]string{
		"OnCallEmail": "oncall@example.com", "OnCallUrl": "https://pager.example.com/sns", "TeamEmail": "team@example.com", "EverythingEmail": "all@example.com",
	}
	fleet, err := stack.Fleet(stack.Env{Parameters: everybody, QueueURL: env.QueueURL})
	if err != nil {
		t.Fatal(err)
	}
	if instance, err = stack.Instance(fleet, "db1", env); err != nil {
		t.Fatal(err)
	}
	return fleet, instance
}

// instances are the stacks of all combinations of what decides over resources.
func instances(t *testing.T) map[string]*stack.Stack {
	out := map[string]*stack.Stack{}
	for _, by := range []string{"scheduler", "rule", "nothing"} {
		for _, joins := range []string{"yes", "no"} {
			for _, hours := range []string{"0", "26"} {
				for _, one := range []map[string]string{{}, {"ExistingRole": "app", "VolumeIds": "vol-0a, vol-0b", "InstanceId": "i-0123456789abcdef0", "ScheduleWindowMinutes": "15"}} {
					p := map[string]string{"ScheduleBy": by, "JoinFleet": joins, "NoSuccessHours": hours}
					for k, v := range one {
						p[k] = v
					}
					_, out[fmt.Sprint(p)] = both(t, stack.Env{Parameters: p})
				}
			}
		}
	}
	return out
}

// all calls f for each resource of a type in all stacks.
func all(t *testing.T, kind string, f func(t *testing.T, id string, p map[string]any)) {
	t.Helper()
	stacks := instances(t)
	stacks["fleet"], _ = both(t, stack.Env{})
	for name, s := range stacks {
		for id, r := range s.Resources {
			if r.Type == kind {
				f(t, id+" of "+name, r.Properties)
			}
		}
	}
}

// Nothing that runs code, costs by the hour or needs another agent.
func TestTypes(t *testing.T) {
	known := []string{
		"AWS::SQS::Queue", "AWS::SQS::QueuePolicy", "AWS::SNS::Topic", "AWS::SNS::TopicPolicy", "AWS::SNS::Subscription", "AWS::KMS::Key", "AWS::KMS::Alias",
		"AWS::Scheduler::Schedule", "AWS::Events::Rule", "AWS::CloudWatch::Alarm", "AWS::CloudWatch::Dashboard",
		"AWS::IAM::Role", "AWS::IAM::ManagedPolicy", "AWS::IAM::InstanceProfile",
	}
	stacks := instances(t)
	stacks["fleet"], _ = both(t, stack.Env{})
	for name, s := range stacks {
		for id, r := range s.Resources {
			if !slices.Contains(known, r.Type) {
				t.Errorf("%s: %s is a %s", name, id, r.Type)
			}
		}
	}
}

func TestEncryption(t *testing.T) {
	all(t, "AWS::SQS::Queue", func(t *testing.T, id string, p map[string]any) {
		if p["SqsManagedSseEnabled"] != true {
			t.Errorf("the queue %s is not encrypted", id)
		}
	})
	fleet, _ := both(t, stack.Env{})
	all(t, "AWS::SNS::Topic", func(t *testing.T, id string, p map[string]any) {
		if p["KmsMasterKeyId"] != fleet.Exports["stillpoint-KeyArn"] {
			t.Errorf("the topic %s is not under our key", id)
		}
	})
	services := map[string]bool{} // whether there is a condition
	for _, st := range list(fleet.Resources["Key"].Properties["KeyPolicy"], "Statement") {
		if service, ok := st["Principal"].(map[string]any)["Service"].(string); ok {
			services[service] = st["Condition"] != nil
		}
	}
	// EventBridge does not say for whom it uses a key: a condition would lose its events.
	if want := map[string]bool{"cloudwatch.amazonaws.com": true, "events.amazonaws.com": false}; fmt.Sprint(services) != fmt.Sprint(want) {
		t.Errorf("services that may use the key, with a condition: %v, want %v", services, want)
	}
}

// Policies of queues and topics let no service in that does not come from what
// the stacks name.
func TestServicesAreBound(t *testing.T) {
	check := func(t *testing.T, id string, p map[string]any) {
		for _, st := range list(p["PolicyDocument"], "Statement") {
			principal, _ := st["Principal"].(map[string]any)
			text := fmt.Sprint(st["Condition"])
			switch {
			case st["Effect"] == "Deny":
			case principal["Service"] == nil:
				t.Errorf("%s lets in %v", id, st["Principal"])
			case !strings.Contains(text, "aws:SourceArn"):
				t.Errorf("%s lets %v in for whomever", id, principal["Service"])
			}
		}
	}
	all(t, "AWS::SQS::QueuePolicy", check)
	all(t, "AWS::SNS::TopicPolicy", check)
	all(t, "AWS::IAM::Role", func(t *testing.T, id string, p map[string]any) {
		st := list(p["AssumeRolePolicyDocument"], "Statement")[0]
		if service := st["Principal"].(map[string]any)["Service"]; service != "ec2.amazonaws.com" && st["Condition"] == nil {
			t.Errorf("the role %s can be had by %v for whomever", id, service)
		}
	})
}

// Rules reach queues, by the one condition that EventBridge's guide has for them: a topic's policy can have none, it says.
// https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-resource-based.html
func TestRulesReachQueues(t *testing.T) {
	stacks := instances(t)
	stacks["fleet"], _ = both(t, stack.Env{})
	for name, s := range stacks {
		admitted := map[string]bool{} // rule and queue
		for _, r := range s.Resources {
			if r.Type != "AWS::SQS::QueuePolicy" {
				continue
			}
			for _, st := range list(r.Properties["PolicyDocument"], "Statement") {
				admitted[fmt.Sprint(st["Condition"], st["Resource"])] = true
			}
		}
		for id, r := range s.Resources {
			if r.Type != "AWS::Events::Rule" {
				continue
			}
			rule := fmt.Sprintf("arn:aws:events:%s:%s:rule/%s", stack.Region, stack.Account, r.Properties["Name"])
			for _, target := range list(r.Properties, "Targets") {
				condition := map[string]any{"ArnEquals": map[string]any{"aws:SourceArn": rule}}
				if !admitted[fmt.Sprint(condition, target["Arn"])] {
					t.Errorf("%s: no queue's policy lets %s in to %v", name, id, target["Arn"])
				}
			}
		}
	}
}

// A replaced instance goes on with the same queue, so nothing is named by it.
func TestNamedByRole(t *testing.T) {
	const id = "i-0123456789abcdef0"
	for _, given := range []string{"", id} {
		_, s := both(t, stack.Env{Parameters: map[string]string{"InstanceId": given}})
		text, _ := json.Marshal(s)
		tagged := []any{map[string]any{"Key": "stillpoint:instance-id", "Value": id}}
		if got := s.Resources["Queue"].Properties["Tags"]; (given == "") != (got == nil) || given != "" && fmt.Sprint(got) != fmt.Sprint(tagged) {
			t.Errorf("with InstanceId %q the queue has the tags %v", given, got)
		}
		if n := strings.Count(string(text), id); n > 1 {
			t.Errorf("the instance's id stands at %d places", n)
		}
		if got := s.Resources["Queue"].Properties["QueueName"]; got != "stillpoint-db1" {
			t.Errorf("the queue is %v", got)
		}
	}
}

// What stands in docs and issues as forbidden is in no statement, and no action has a wildcard.
func TestPolicyNames(t *testing.T) {
	all(t, "AWS::IAM::ManagedPolicy", func(t *testing.T, id string, p map[string]any) {
		for _, st := range list(p["PolicyDocument"], "Statement") {
			actions, several := st["Action"].([]any)
			if !several {
				actions = []any{st["Action"]}
			}
			for _, a := range actions {
				_, name, _ := strings.Cut(a.(string), ":")
				for _, bad := range []string{"*", "Delete", "Modify", "Lock", "Reset", "Attribute", "Share", "Put", "Set"} {
					if strings.Contains(name, bad) && !slices.Contains([]string{"DeleteMessage", "GetQueueAttributes", "GetTopicAttributes"}, name) {
						t.Errorf("%v allows %v", st["Sid"], a)
					}
				}
			}
			if st["Effect"] != "Allow" {
				t.Errorf("%v is no Allow", st["Sid"])
			}
		}
	})
}

// list is a list of objects in a property.
func list(of any, name string) (out []map[string]any) {
	m, _ := of.(map[string]any)
	items, _ := m[name].([]any)
	for _, item := range items {
		out = append(out, item.(map[string]any))
	}
	return out
}
