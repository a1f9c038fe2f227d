package doctor

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/sns"
	"github.com/aws/aws-sdk-go-v2/service/sqs"

	judged "stillpoint/internal/doctor"
	"stillpoint/localstack"
	"stillpoint/messages"
	"stillpoint/test/scene"
	"stillpoint/test/stack"
)

// broken is one way in which AWS, or what the file says of it, is not as it should be.
type broken struct {
	name string
	// make breaks it, and returns which lines of the file are other ones, and what
	// is added to the environment. What it did is undone by t.Cleanup.
	make func(t *testing.T, s *stage) (file map[string]string, env []string)
	want wants
}

// silentMetadata is what a doctor says that has no credentials.
var silentMetadata = wants{
	"identity.metadata": "unchecked hop-limit 2", "identity.credentials": "FAIL give the instance a profile", "identity.caller": "unchecked it needs identity.credentials",
	"queue.*": "gone", "dead_letters.*": "gone", "queue.exists": "unchecked it needs identity.credentials", "queue.tag": "unchecked it needs", "queue.permissions": "unchecked it needs",
	"topic.*": "gone", "topic.exists": "unchecked it needs identity.credentials", "clock.skew": "unchecked no answer", "sets.unverified": "unchecked it needs",
	"nightly: ec2.volumes": "unchecked it needs", "nightly: ec2.create": "unchecked it needs", "nightly: ec2.tag": "unchecked it needs", "nightly: ec2.pending": "gone",
	"nightly: volumes.*": "unchecked ",
}

func cloudCases() []broken {
	fault := func(f ...localstack.Fault) func(*testing.T, *stage) (map[string]string, []string) {
		return func(t *testing.T, s *stage) (map[string]string, []string) {
			s.faults(t, f...)
			return nil, nil
		}
	}
	file := func(lines map[string]string) func(*testing.T, *stage) (map[string]string, []string) {
		return func(*testing.T, *stage) (map[string]string, []string) { return lines, nil }
	}
	env := func(env ...string) func(*testing.T, *stage) (map[string]string, []string) {
		return func(*testing.T, *stage) (map[string]string, []string) { return nil, env }
	}
	queue := func(attributes map[string]string) func(*testing.T, *stage) (map[string]string, []string) {
		return func(t *testing.T, s *stage) (map[string]string, []string) {
			return map[string]string{"queue_url": s.queue(t, attributes)}, nil
		}
	}
	const me = "arn:aws:sts::" + stack.Account + ":assumed-role/stillpoint-" + role + "/*"
	denied := func(operation string) localstack.Fault {
		return localstack.Fault{Operation: operation, Principal: me, Code: "AccessDenied", Status: 403}
	}
	return []broken{
		{"a key that the file does not know", file(map[string]string{"default_plan": "nightly\nplan: nightly"}), wants{"file": "FAIL plan", "*": "gone"}},
		{"a FIFO queue", file(map[string]string{"queue_url": "https://sqs.eu-west-1.amazonaws.com/111122223333/stillpoint.fifo"}), wants{"file": "FAIL FIFO queues are not supported", "*": "gone"}},
		{"no topic in the file", file(map[string]string{"topic_arn": ""}), wants{"file.worker": "FAIL add topic_arn", "topic.*": "gone"}},
		{"a runtime_dir on a disk", func(t *testing.T, s *stage) (map[string]string, []string) {
			dir := filepath.Join(s.Dir, "on-disk")
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			return map[string]string{"runtime_dir": dir}, nil
		}, wants{"file.runtime_dir": "warn under /run", "worker.running": "warn systemctl enable --now", "worker.ready": "gone", "worker.http_addr": "FAIL give http_addr another port"}},

		{"metadata that do not answer", fault(localstack.Fault{Operation: "imds:*", Drop: true}), silentMetadata},
		{"metadata that may not be asked, and nothing else", func(*testing.T, *stage) (map[string]string, []string) {
			return map[string]string{"instance_id": ""}, []string{"AWS_EC2_METADATA_DISABLED=true"}
		}, with(silentMetadata, wants{"identity.metadata": "FAIL set region and instance_id", "host.state_owner": "unchecked not known which instance"})},
		{"another instance's id", file(map[string]string{"instance_id": "i-0fffffffffffffff0"}), wants{
			"identity.metadata": "FAIL take instance_id out", "identity.caller": "warn another instance", "host.state_owner": "FAIL ", "nightly: volumes.*": "unchecked ", "nightly: ec2.*": "FAIL correct region, instance_id", "nightly: ec2.pending": "gone", "nightly: ec2.tag": "gone",
		}},
		{"another region", file(map[string]string{"region": "us-east-1"}), wants{
			"identity.metadata": "FAIL take region out", "nightly: volumes.*": "unchecked ", "nightly: ec2.*": "FAIL ", "nightly: ec2.pending": "gone", "nightly: ec2.tag": "gone",
		}},
		{"a key in the environment", env("AWS_ACCESS_KEY_ID=AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY=x"), wants{"identity.credentials": "warn give the instance a profile"}},
		{"credentials that AWS does not take", fault(localstack.Fault{Operation: "sts:GetCallerIdentity", Code: "ExpiredToken", Status: 403}), wants{"identity.caller": "FAIL see identity.credentials"}},
		{"STS that cannot be reached", env("AWS_ENDPOINT_URL_STS=http://127.0.0.1:1"), wants{"identity.caller": "unchecked a VPC endpoint for sts"}},
		{"SQS that cannot be reached", env("AWS_ENDPOINT_URL_SQS=http://127.0.0.1:1"), noQueue(wants{"queue.exists": "FAIL a VPC endpoint for sqs"})},

		{"EC2 that cannot be reached", env("AWS_ENDPOINT_URL_EC2=http://127.0.0.1:1"), wants{ // which is waited for once
			"sets.unverified": "FAIL a VPC endpoint for ec2", "nightly: volumes.*": "unchecked ", "nightly: ec2.*": "unchecked EC2 has not answered", "nightly: ec2.pending": "gone",
		}},
		{"a queue that is not there", func(_ *testing.T, s *stage) (map[string]string, []string) {
			return map[string]string{"queue_url": s.QueueURL + "-not"}, nil
		}, noQueue(wants{"queue.exists": "FAIL correct its name"})},
		{"attributes that may not be read", fault(denied("sqs:GetQueueAttributes")), noQueue(wants{"queue.exists": `FAIL "Action": "sqs:GetQueueAttributes"`})},
		{"messages that may not be deleted", queue(map[string]string{"Policy": deny("sqs:DeleteMessage")}), wants{"queue.permissions": `FAIL "Action": "sqs:DeleteMessage", "Resource": "arn:aws:sqs:`}},
		{"messages that may not be held", queue(map[string]string{"Policy": deny("sqs:ChangeMessageVisibility")}), wants{"queue.permissions": `FAIL "Action": "sqs:ChangeMessageVisibility"`}},
		{"tags that may not be read", fault(denied("sqs:ListQueueTags")), wants{"queue.tag": `unchecked "Action": "sqs:ListQueueTags"`}},
		{"another instance's queue", func(t *testing.T, s *stage) (map[string]string, []string) {
			url := s.queue(t, nil)
			if _, err := s.SQS.TagQueue(s.ctx, &sqs.TagQueueInput{QueueUrl: &url, Tags: map[string]string{"stillpoint:instance-id": "i-0fffffffffffffff0"}}); err != nil {
				t.Fatal(err)
			}
			return map[string]string{"queue_url": url}, nil
		}, wants{"queue.tag": "FAIL correct the tag"}},
		{"messages that come back at once", queue(map[string]string{"VisibilityTimeout": "5"}), wants{"queue.visibility": "warn set VisibilityTimeout to 120"}},
		{"messages that are hidden for hours", queue(map[string]string{"VisibilityTimeout": "7200"}), wants{"queue.visibility": "warn set VisibilityTimeout to 120"}},
		{"no dead-letter queue", queue(map[string]string{"RedrivePolicy": ""}), wants{"queue.redrive": "warn maxReceiveCount 10", "dead_letters.*": "gone"}},
		{"one receive alone", queue(map[string]string{"RedrivePolicy": redrive("stillpoint-db1-dead", "1")}), wants{"queue.redrive": "FAIL set maxReceiveCount to 10"}},
		{"three receives", queue(map[string]string{"RedrivePolicy": redrive("stillpoint-db1-dead", "3")}), wants{"queue.redrive": "warn set maxReceiveCount to 10"}},
		{"requests that are soon forgotten", queue(map[string]string{"MessageRetentionPeriod": "600"}), wants{"queue.retention": "warn set MessageRetentionPeriod"}},
		{"small messages", queue(map[string]string{"MaximumMessageSize": "1024"}), wants{"queue.delivery": "warn set MaximumMessageSize to 65536"}},
		{"requests that are held back", queue(map[string]string{"DelaySeconds": "300"}), wants{"queue.delivery": "warn set DelaySeconds to 0"}},
		{"a queue that is open to everybody", queue(map[string]string{"Policy": strings.ReplaceAll(deny("sqs:SendMessage"), "Deny", "Allow")}), wants{"queue.policy": "warn aws:SourceArn"}},
		{"a queue under AWS's own key", queue(map[string]string{"SqsManagedSseEnabled": "false", "KmsMasterKeyId": "alias/aws/sqs"}), wants{"queue.encryption": "warn EventBridge and SNS may not use"}},
		{"a queue in the clear", queue(map[string]string{"SqsManagedSseEnabled": "false"}), wants{"queue.encryption": "warn set SqsManagedSseEnabled"}},
		{"requests that nobody takes", func(t *testing.T, s *stage) (map[string]string, []string) {
			url := s.queue(t, nil)
			s.put(t, url)
			return map[string]string{"queue_url": url}, nil
		}, wants{"queue.waiting": "warn 1 request waits"}},

		{"a dead-letter queue that is gone", func(t *testing.T, s *stage) (map[string]string, []string) {
			dead := s.queue(t, map[string]string{"RedrivePolicy": ""})
			url := s.queue(t, map[string]string{"RedrivePolicy": redrive(nameOf(dead), "10")})
			if _, err := s.SQS.DeleteQueue(s.ctx, &sqs.DeleteQueueInput{QueueUrl: &dead}); err != nil {
				t.Fatal(err)
			}
			return map[string]string{"queue_url": url}, nil
		}, wants{"dead_letters.*": "gone", "dead_letters.exists": "FAIL make it again"}},
		{"dead letters that are soon forgotten", func(t *testing.T, s *stage) (map[string]string, []string) {
			dead := s.queue(t, map[string]string{"RedrivePolicy": "", "MessageRetentionPeriod": "86400"})
			return map[string]string{"queue_url": s.queue(t, map[string]string{"RedrivePolicy": redrive(nameOf(dead), "10")})}, nil
		}, wants{"dead_letters.retention": "warn set its MessageRetentionPeriod to 1209600"}},
		{"dead letters", func(t *testing.T, s *stage) (map[string]string, []string) {
			dead := s.queue(t, map[string]string{"RedrivePolicy": "", "MessageRetentionPeriod": "1209600"})
			s.put(t, dead)
			return map[string]string{"queue_url": s.queue(t, map[string]string{"RedrivePolicy": redrive(nameOf(dead), "10")})}, nil
		}, wants{"dead_letters.waiting": "warn stillpoint-reason"}},
		{"another dead-letter queue in the file", func(t *testing.T, s *stage) (map[string]string, []string) {
			return map[string]string{"queue_url": s.QueueURL + "\ndead_letter_queue_url: " + s.queue(t, map[string]string{"RedrivePolicy": "", "MessageRetentionPeriod": "1209600"})}, nil
		}, wants{"dead_letters.exists": "warn take dead_letter_queue_url out"}},

		{"a topic that is not there", func(_ *testing.T, s *stage) (map[string]string, []string) {
			return map[string]string{"topic_arn": s.TopicARN + "-not"}, nil
		}, wants{"topic.*": "gone", "topic.exists": "FAIL deploy fleet.yaml"}},
		{"a topic that may not be looked at", fault(localstack.Fault{Operation: "sns:GetTopicAttributes", Principal: me, Code: "AuthorizationError", Status: 403}),
			wants{"topic.*": "gone", "topic.exists": `unchecked "Action": "sns:GetTopicAttributes"`}},
		{"nobody hears", func(t *testing.T, s *stage) (map[string]string, []string) {
			return map[string]string{"topic_arn": s.topic(t, nil)}, nil
		}, wants{"topic.subscriptions": "warn aws sns subscribe"}},
		{"a mail that nobody has answered", func(t *testing.T, s *stage) (map[string]string, []string) {
			arn := s.topic(t, nil)
			if _, err := s.SNS.Subscribe(s.ctx, &sns.SubscribeInput{TopicArn: &arn, Protocol: aws.String("http"), Endpoint: aws.String("http://127.0.0.1:1/")}); err != nil {
				t.Fatal(err)
			}
			return map[string]string{"topic_arn": arn}, nil
		}, wants{"topic.subscriptions": "warn follow the link"}},
		{"a topic under AWS's own key", func(t *testing.T, s *stage) (map[string]string, []string) {
			arn := s.topic(t, map[string]string{"KmsMasterKeyId": "alias/aws/sns"})
			s.hear(t, arn)
			return map[string]string{"topic_arn": arn}, nil
		}, wants{"topic.encryption": "warn give it a key of your own"}},
		{"a topic that is open to everybody", func(t *testing.T, s *stage) (map[string]string, []string) {
			arn := s.topic(t, map[string]string{"Policy": `{"Version":"2012-10-17","Statement":[{"Sid":"All","Effect":"Allow","Principal":{"AWS":"*"},"Action":"sns:Publish","Resource":"*"}]}`})
			s.hear(t, arn)
			return map[string]string{"topic_arn": arn}, nil
		}, wants{"topic.policy": "warn the statement All"}},

		{"snapshots that may not be made", fault(localstack.Fault{Operation: "ec2:CreateSnapshots", Code: "UnauthorizedOperation", Status: 403}), wants{"nightly: ec2.create": "FAIL stillpoint:role"}},
		{"verdicts that may not be written", fault(localstack.Fault{Operation: "ec2:CreateTags", Code: "UnauthorizedOperation", Status: 403}), wants{"nightly: ec2.tag": "FAIL TheVerdictAfterwards"}},
		{"snapshots that may not be looked at", fault(localstack.Fault{Operation: "ec2:DescribeSnapshots", Code: "UnauthorizedOperation", Status: 403}), wants{
			"sets.unverified": `FAIL "Action": "ec2:DescribeSnapshots"`, "nightly: ec2.tag": "FAIL ec2:DescribeSnapshots", "nightly: ec2.volumes": "gone", "nightly: ec2.pending": "FAIL ec2:DescribeSnapshots",
		}},
		{"five snapshots under way", func(t *testing.T, s *stage) (map[string]string, []string) {
			s.slowly(t, 5)
			return nil, nil
		}, wants{"nightly: ec2.pending": "FAIL wait for the uploads"}},
		{"four snapshots under way", func(t *testing.T, s *stage) (map[string]string, []string) {
			s.slowly(t, 4)
			return nil, nil
		}, wants{"nightly: ec2.pending": "warn ask less often"}},
		{"five snapshots that failed", func(t *testing.T, s *stage) (map[string]string, []string) {
			for _, id := range s.slowly(t, 5) {
				if err := s.AWS.FailSnapshot(id, "so be it"); err != nil {
					t.Fatal(err)
				}
			}
			return nil, nil
		}, wants{"nightly: ec2.pending": "FAIL delete the snapshots in the state error, of which there are 5"}},
		{"a result that waits", func(t *testing.T, s *stage) (map[string]string, []string) {
			// As a worker leaves it that could not publish; the name begins with the time.
			dir := filepath.Join(t.TempDir(), "state")
			for _, d := range []string{dir, filepath.Join(dir, "outbox")} {
				if err := os.Mkdir(d, 0o700); err != nil {
					t.Fatal(err)
				}
			}
			if err := os.WriteFile(filepath.Join(dir, "outbox", "01700000000000000000-00000000-0000-5000-8000-000000000000.json"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			return map[string]string{"state_dir": dir}, nil
		}, wants{"results.waiting": "warn 2023-11-14", "host.state_owner": "gone"}},
	}
}

func with(a, b wants) wants {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

// noQueue is what is not said of a queue that cannot be looked at.
func noQueue(w wants) wants {
	return with(wants{"queue.*": "gone", "dead_letters.*": "gone", "queue.tag": "unchecked it needs queue.exists", "queue.permissions": "unchecked it needs queue.exists"}, w)
}

// ofTheMachine are lines that may warn of the machine that the tests run on: who
// keeps its clock, what root may do there, whether the server's plugins are installed.
var ofTheMachine = []string{"clock.sync", "host.rights", "freeze.guardian", "database.sight"}

// TestCloud starts from where all is well, and breaks AWS's side of it in one
// way after the other.
func TestCloud(t *testing.T) {
	t.Parallel()
	s := set(t, scene.Config{})
	s.work()
	if _, err := s.Send(s.ctx, `{"plan":"nightly"}`); err != nil {
		t.Fatal(err)
	}
	if d, err := s.NextResult(s.ctx); err != nil || d.Result.Status != messages.Succeeded {
		t.Fatalf("the first snapshot: %+v, %v", d, err)
	}
	s.settled()
	s.well = s.doctor(t, s.ConfigPath)
	t.Logf("where all is well:\n%s", text(s.well))
	for _, f := range s.well.Findings {
		if (f.Status != judged.OK || !f.Checked) && (f.Status == judged.Fail || !f.Checked || !slices.Contains(ofTheMachine, f.Check)) {
			t.Errorf("where all is well %s is %s: %s", key(f), f.Status, f.Message)
		}
	}
	if got := strings.Join(s.well.NotAsked, "; "); strings.Contains(got, "sqs:ReceiveMessage") || !strings.Contains(got, "sns:Publish") {
		t.Errorf("not asked: %s", got)
	}
	for _, c := range cloudCases() {
		t.Run(c.name, func(t *testing.T) {
			lines, env := c.make(t, s)
			got := s.doctor(t, s.file(t, lines), env...)
			s.compare(t, got, c.want)
			if t.Failed() {
				t.Logf("it says:\n%s", text(got))
			}
		})
	}
	t.Run("a file that others may write", func(t *testing.T) {
		path := s.file(t, nil)
		if err := os.Chmod(path, 0o666); err != nil {
			t.Fatal(err)
		}
		s.compare(t, s.doctor(t, path), wants{"file": "FAIL chmod go-w", "*": "gone"})
	})
	t.Run("no worker", func(t *testing.T) {
		if err := s.worker.Kill(); err != nil { // it is idle
			t.Fatal(err)
		}
		_ = s.worker.Wait(s.ctx)
		got := s.doctor(t, s.ConfigPath)
		s.compare(t, got, wants{"worker.running": "warn systemctl enable --now stillpoint", "worker.ready": "gone", "worker.http_addr": "ok"})
		if !strings.Contains(strings.Join(got.NotAsked, "; "), "sqs:ReceiveMessage") {
			t.Errorf("nobody has received, and not asked is %s", got.NotAsked)
		}
		s.well = got
	})
	t.Run("a set without a verdict", func(t *testing.T) {
		s.leave(t)
		s.compare(t, s.doctor(t, s.ConfigPath), nil) // it is young
		s.AWS.MoveClock(16 * time.Minute)            // which moves this host's clock away from AWS's as well
		s.compare(t, s.doctor(t, s.ConfigPath), wants{"sets.unverified": "warn killed-by-somebody", "clock.skew": "FAIL chronyd"})
	})
}

// settled waits until the snapshot is completed and nothing is in hand.
func (s *stage) settled() {
	s.Helper()
	for s.ctx.Err() == nil {
		visible, inFlight, err := s.Depth(s.ctx, s.QueueURL)
		if err != nil {
			s.Fatal(err)
		}
		out, err := s.EC2.DescribeSnapshots(s.ctx, &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}})
		if err != nil {
			s.Fatal(err)
		}
		done := visible == "0" && inFlight == "0"
		for _, snap := range out.Snapshots {
			done = done && snap.State == types.SnapshotStateCompleted
		}
		if entries, err := os.ReadDir(filepath.Join(s.Dir, "state", "outbox")); done && err == nil && len(entries) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	s.Fatal("the first snapshot does not come to rest")
}

// faults sets them for the length of a test.
func (s *stage) faults(t *testing.T, f ...localstack.Fault) {
	t.Helper()
	if err := s.AWS.SetFaults(f...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.AWS.SetFaults(); err != nil {
			t.Error(err)
		}
	})
}

// queue makes one as the template does, but for what is given; an empty value is left out.
func (s *stage) queue(t *testing.T, other map[string]string) string {
	t.Helper()
	attributes := map[string]string{
		"SqsManagedSseEnabled": "true", "VisibilityTimeout": "120", "MessageRetentionPeriod": "345600", "MaximumMessageSize": "65536",
		"RedrivePolicy": redrive("stillpoint-db1-dead", "10"),
	}
	maps.Copy(attributes, other)
	maps.DeleteFunc(attributes, func(_, v string) bool { return v == "" })
	name := "broken-" + strings.NewReplacer(" ", "-", ",", "", "'", "").Replace(filepath.Base(t.Name())) + "-" + time.Now().Format("150405.000000")
	name = strings.ReplaceAll(name, ".", "-")
	// The template's dead-letter queue takes from its own queue alone.
	if _, err := s.SQS.SetQueueAttributes(s.ctx, &sqs.SetQueueAttributesInput{QueueUrl: &s.DeadLetterURL, Attributes: map[string]string{"RedriveAllowPolicy": ""}}); err != nil {
		t.Fatal(err)
	}
	out, err := s.SQS.CreateQueue(s.ctx, &sqs.CreateQueueInput{QueueName: &name, Attributes: attributes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = s.SQS.DeleteQueue(s.ctx, &sqs.DeleteQueueInput{QueueUrl: out.QueueUrl}) // gone, perhaps
	})
	return *out.QueueUrl
}

func nameOf(url string) string { return filepath.Base(url) }

func redrive(name, receives string) string {
	return `{"deadLetterTargetArn":"arn:aws:sqs:` + stack.Region + ":" + stack.Account + ":" + name + `","maxReceiveCount":` + receives + `}`
}

// deny is a policy against everybody.
func deny(action string) string {
	return `{"Version":"2012-10-17","Statement":[{"Sid":"Broken","Effect":"Deny","Principal":"*","Action":"` + action + `","Resource":"*"}]}`
}

func (s *stage) put(t *testing.T, url string) {
	t.Helper()
	if _, err := s.SQS.SendMessage(s.ctx, &sqs.SendMessageInput{QueueUrl: &url, MessageBody: aws.String("{}")}); err != nil {
		t.Fatal(err)
	}
}

// topic makes one that nobody has subscribed to.
func (s *stage) topic(t *testing.T, attributes map[string]string) string {
	t.Helper()
	out, err := s.SNS.CreateTopic(s.ctx, &sns.CreateTopicInput{Name: aws.String("broken-" + time.Now().Format("150405-000000000")), Attributes: attributes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if _, err := s.SNS.DeleteTopic(s.ctx, &sns.DeleteTopicInput{TopicArn: out.TopicArn}); err != nil {
			t.Error(err)
		}
	})
	return *out.TopicArn
}

// hear subscribes a queue.
func (s *stage) hear(t *testing.T, topic string) {
	t.Helper()
	if _, err := s.SNS.Subscribe(s.ctx, &sns.SubscribeInput{TopicArn: &topic, Protocol: aws.String("sqs"), Endpoint: aws.String("arn:aws:sqs:" + stack.Region + ":" + stack.Account + ":results")}); err != nil {
		t.Fatal(err)
	}
}

// slowly has n snapshots of the database's volume pending for the length of a test.
func (s *stage) slowly(t *testing.T, n int) (ids []string) {
	t.Helper()
	was := s.AWS.EC2Behaviour()
	slow := was
	slow.SnapshotTime = time.Hour
	if err := s.AWS.BehaveEC2(slow); err != nil {
		t.Fatal(err)
	}
	for range n {
		out, err := s.EC2.CreateSnapshot(s.ctx, &ec2.CreateSnapshotInput{VolumeId: aws.String(s.Volumes[0].ID)})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, *out.SnapshotId)
		t.Cleanup(func() {
			_ = s.AWS.FailSnapshot(*out.SnapshotId, "no longer needed") // it has failed, perhaps
			if _, err := s.EC2.DeleteSnapshot(s.ctx, &ec2.DeleteSnapshotInput{SnapshotId: out.SnapshotId}); err != nil {
				t.Error(err)
			}
		})
	}
	if err := s.AWS.BehaveEC2(was); err != nil {
		t.Fatal(err)
	}
	return ids
}

// leave makes a set as a run does that is killed before its verdict.
func (s *stage) leave(t *testing.T) {
	t.Helper()
	tag := func(key, value string) types.Tag { return types.Tag{Key: &key, Value: &value} }
	if _, err := s.EC2.CreateSnapshot(s.ctx, &ec2.CreateSnapshotInput{
		VolumeId: aws.String(s.Volumes[0].ID), TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeSnapshot, Tags: []types.Tag{
			tag("stillpoint:instance-id", s.InstanceID), tag("stillpoint:request-id", "killed-by-somebody"), tag("stillpoint:status", "unverified"),
		}}},
	}); err != nil {
		t.Fatal(err)
	}
	for s.ctx.Err() == nil { // until it is completed
		out, err := s.EC2.DescribeSnapshots(s.ctx, &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}, Filters: []types.Filter{{Name: aws.String("status"), Values: []string{"pending"}}}})
		if err != nil {
			t.Fatal(err)
		}
		if len(out.Snapshots) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}
