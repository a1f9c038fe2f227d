package policy

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"stillpoint/localstack"
	"stillpoint/localstack/iam"
	"stillpoint/test/stack"
)

const (
	here    = stack.Region + ":" + stack.Account + ":"
	someone = "i-0fffffffffffffff0"
	foreign = "arn:aws:ec2:" + here + "volume/vol-0fffffffffffffff0"
)

// never are actions that the role is denied whatever they are about: with each
// of the questions that the program asked, and put to each of its resources.
var never = []string{
	"ec2:DeleteSnapshot", "ec2:ModifySnapshotAttribute", "ec2:ResetSnapshotAttribute", "ec2:LockSnapshot", "ec2:UnlockSnapshot", "ec2:CopySnapshot",
	"ec2:ModifySnapshotTier", "ec2:EnableFastSnapshotRestores", "ec2:DeleteTags", "ec2:CreateVolume", "ec2:AttachVolume", "ec2:DetachVolume",
	"ec2:DeleteVolume", "ec2:ModifyVolume", "ec2:TerminateInstances", "ec2:ModifyInstanceAttribute", "ebs:GetSnapshotBlock", "ebs:ListSnapshotBlocks",
	"sqs:PurgeQueue", "sqs:DeleteQueue", "sqs:SetQueueAttributes", "sqs:AddPermission", "sqs:TagQueue", "sqs:StartMessageMoveTask",
	"sns:Subscribe", "sns:SetTopicAttributes", "sns:DeleteTopic", "sns:AddPermission",
	"kms:Encrypt", "kms:ScheduleKeyDeletion", "kms:PutKeyPolicy", "kms:CreateGrant", "iam:PassRole", "sts:AssumeRole",
}

// forbidden: what is not needed is denied.
func forbidden(t *testing.T, s *stage, record []localstack.Call) {
	whole, few := policyOf(t, s.instance), policyOf(t, s.with(t, "OtherTagKeys", fewTags))
	p := whole.parse(t)
	for _, c := range record {
		for _, a := range c.Asks {
			for _, action := range never {
				a.Action = action
				if ok, sid := p.Allows(a); ok {
					t.Errorf("%s on %s is allowed by %s", action, a.Resource, sid)
				}
			}
		}
	}
	cases := wrongs(s, record)
	for _, w := range cases {
		t.Run(w.what, func(t *testing.T) {
			denies(t, few.parse(t), w)
			if !w.few {
				denies(t, p, w)
			}
		})
	}
	t.Run("each condition", func(t *testing.T) { eachCondition(t, whole, few, cases) })
	t.Run("a volume that is not named", func(t *testing.T) {
		denies(t, policyOf(t, s.with(t, "VolumeIds", s.volumeIDs())).parse(t), wrong{asks: altered(record, "ec2:CreateSnapshots", "volume/", func(a *localstack.Ask) { a.Resource = foreign })})
	})
}

func denies(t *testing.T, p *iam.Policy, w wrong) {
	t.Helper()
	if len(w.asks) == 0 {
		t.Fatal("the program asked nothing like it")
	}
	for _, a := range w.asks {
		if ok, sid := p.Allows(a); ok {
			t.Fatalf("%s on %s is allowed by %s", a.Action, a.Resource, sid)
		}
	}
}

// wrong is something that the role must not do, each as a change to what the
// program did.
type wrong struct {
	what string
	asks []localstack.Ask
	few  bool // denied only where OtherTagKeys names those that there may be
}

func wrongs(s *stage, record []localstack.Call) []wrong {
	change := func(what, action, resource string, f func(*localstack.Ask)) wrong {
		return wrong{what: what, asks: altered(record, action, resource, f)}
	}
	resource := func(arn string) func(*localstack.Ask) { return func(a *localstack.Ask) { a.Resource = arn } }
	region := func(a *localstack.Ask) { a.Context["aws:RequestedRegion"] = []string{"us-east-1"} }
	after := func(f func(*localstack.Ask)) func(*localstack.Ask) { // a CreateTags by itself
		return func(a *localstack.Ask) {
			if a.Context["ec2:CreateAction"] != nil {
				a.Action = "" // not one of these
				return
			}
			f(a)
		}
	}
	out := []wrong{
		change("a snapshot of another instance", "ec2:CreateSnapshots", "instance/", func(a *localstack.Ask) {
			a.Resource, a.Context["ec2:InstanceID"] = "arn:aws:ec2:"+here+"instance/"+someone, []string{someone}
		}),
		change("with the credentials elsewhere", "ec2:CreateSnapshots", "instance/", without("ec2:SourceInstanceARN")),
		change("of a volume without the tag", "ec2:CreateSnapshots", "volume/", without("aws:ResourceTag/stillpoint:role")),
		change("of another database's volume", "ec2:CreateSnapshots", "volume/", keyed("aws:ResourceTag/stillpoint:role", "db2")),
		change("of one volume without the tag", "ec2:CreateSnapshot", "volume/", without("aws:ResourceTag/stillpoint:role")),
		change("without any tags", "ec2:CreateSnapshots", "snapshot/", func(a *localstack.Ask) {
			maps.DeleteFunc(a.Context, func(k string, _ []string) bool { return strings.HasPrefix(k, "aws:RequestTag/") || k == "aws:TagKeys" })
		}),
		change("in the name of another instance", "ec2:CreateSnapshots", "snapshot/", keyed("aws:RequestTag/stillpoint:instance-id", someone)),
		change("in the name of every instance", "ec2:CreateSnapshots", "snapshot/", keyed("aws:RequestTag/stillpoint:instance-id", "*")),
		change("called succeeded from the beginning", "ec2:CreateSnapshots", "snapshot/", keyed("aws:RequestTag/stillpoint:status", "succeeded")),
		change("called consistent from the beginning", "ec2:CreateSnapshot", "snapshot/", keyed("aws:RequestTag/stillpoint:consistency", "application")),
		change("tags on a volume", "ec2:CreateTags", "snapshot/", resource(foreign)),
		change("tags on the instance", "ec2:CreateTags", "snapshot/", resource("arn:aws:ec2:"+here+"instance/"+s.InstanceID)),
		change("tags in the name of another creation", "ec2:CreateTags", "snapshot/", func(a *localstack.Ask) {
			if a.Context["ec2:CreateAction"] == nil {
				a.Action = ""
			}
			a.Context["ec2:CreateAction"] = []string{"CreateVolume"}
		}),
		change("tags on another instance's snapshot", "ec2:CreateTags", "snapshot/snap-", after(keyed("aws:ResourceTag/stillpoint:instance-id", someone))),
		change("tags on a snapshot that is not Stillpoint's", "ec2:CreateTags", "snapshot/snap-", after(without("aws:ResourceTag/stillpoint:instance-id"))),
		change("tags on a snapshot of every instance", "ec2:CreateTags", "snapshot/snap-", after(keyed("aws:ResourceTag/stillpoint:instance-id", "i-*"))),
		{what: "a tag that nobody allowed", asks: altered(record, "ec2:CreateSnapshots", "snapshot/", tagged("delete-after", "today")), few: true},
		{what: "a tag that nobody allowed, afterwards", asks: altered(record, "ec2:CreateTags", "snapshot/snap-", after(tagged("delete-after", "today"))), few: true},
		change("no tags at all", "ec2:CreateTags", "snapshot/snap-", after(without("aws:TagKeys"))),
		change("another queue", "sqs:ReceiveMessage", "", resource("arn:aws:sqs:"+here+"stillpoint-db2")),
		change("reading the dead letters", "sqs:ReceiveMessage", "", resource("arn:aws:sqs:"+here+"stillpoint-db1-dead")),
		change("sending itself requests", "sqs:SendMessage", "", resource("arn:aws:sqs:"+here+"stillpoint-db1")),
		change("another dead-letter queue", "sqs:SendMessage", "", resource("arn:aws:sqs:"+here+"stillpoint-db2-dead")),
		change("requests to the fleet", "sns:Publish", "", resource(s.fleet.Outputs["RequestsTopic"])),
		change("another key", "kms:Decrypt", "", resource("arn:aws:kms:"+here+"key/other")),
		change("the key without SNS", "kms:Decrypt", "", without("kms:ViaService")),
		change("looking elsewhere", "ec2:DescribeSnapshots", "", region),
	}
	for _, tag := range []string{"request-id", "plan", "set-size", "status", "consistency", "instance-id"} {
		out = append(out, change("without the tag "+tag, "ec2:CreateSnapshots", "snapshot/", without("aws:RequestTag/stillpoint:"+tag)))
	}
	for _, tag := range []string{"instance-id", "request-id", "attempt-id", "plan", "set-size"} {
		out = append(out, change("changing the tag "+tag, "ec2:CreateTags", "snapshot/snap-", after(tagged("stillpoint:"+tag, "x"))))
	}
	return out
}

// altered are the program's questions about an action and a kind of resource,
// each changed; those whose action the change takes away are left out.
func altered(record []localstack.Call, action, resource string, change func(*localstack.Ask)) (out []localstack.Ask) {
	for _, c := range record {
		for _, a := range c.Asks {
			if a.Action != action || !strings.Contains(a.Resource, resource) {
				continue
			}
			a.Context = maps.Clone(a.Context)
			if change(&a); a.Action != "" {
				out = append(out, a)
			}
		}
	}
	return out
}

func without(key string) func(*localstack.Ask) {
	return func(a *localstack.Ask) { delete(a.Context, key) }
}

func keyed(key, value string) func(*localstack.Ask) {
	return func(a *localstack.Ask) { a.Context[key] = []string{value} }
}

func tagged(key, value string) func(*localstack.Ask) {
	return func(a *localstack.Ask) {
		a.Context["aws:RequestTag/"+key] = []string{value}
		a.Context["aws:TagKeys"] = append(slices.Clone(a.Context["aws:TagKeys"]), key)
	}
}

// eachCondition: without any of the conditions something of what is forbidden would be allowed, by default or where few tags are, so
// that none of them stands there for show.
func eachCondition(t *testing.T, whole, few document, cases []wrong) {
	for i, st := range whole.Statement {
		conditions, _ := st["Condition"].(map[string]any)
		for operator, keys := range conditions {
			for key := range keys.(map[string]any) {
				if !anyAllowed(whole.loosened(i, operator, key).parse(t), cases, false) && !anyAllowed(few.loosened(i, operator, key).parse(t), cases, true) {
					t.Errorf("statement %v: the condition %s of %s keeps nothing out", st["Sid"], operator, key)
				}
			}
		}
	}
}

// loosened is the document without a condition of its i-th statement.
func (d document) loosened(i int, operator, key string) document {
	statement := maps.Clone(d.Statement[i])
	conditions := maps.Clone(statement["Condition"].(map[string]any))
	keys := maps.Clone(conditions[operator].(map[string]any))
	delete(keys, key)
	if conditions[operator] = keys; len(keys) == 0 {
		delete(conditions, operator)
	}
	if statement["Condition"] = conditions; len(conditions) == 0 {
		delete(statement, "Condition")
	}
	d.Statement = slices.Clone(d.Statement)
	d.Statement[i] = statement
	return d
}

func anyAllowed(p *iam.Policy, cases []wrong, few bool) bool {
	return slices.ContainsFunc(cases, func(w wrong) bool {
		return (few || !w.few) && slices.ContainsFunc(w.asks, func(a localstack.Ask) bool { ok, _ := p.Allows(a); return ok })
	})
}
