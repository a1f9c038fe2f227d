package e2e

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"stillpoint/internal/snapshot"
	"stillpoint/localstack"
	"stillpoint/messages"
	"stillpoint/test/scene"
)

// sets returns the snapshots in EC2 by request id.
func sets(t *testing.T, ctx context.Context, s *scene.Scene) map[string][]types.Snapshot {
	t.Helper()
	out, err := s.EC2.DescribeSnapshots(ctx, &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}})
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]types.Snapshot{}
	for _, snap := range out.Snapshots {
		all[tag(snap, snapshot.TagRequestID)] = append(all[tag(snap, snapshot.TagRequestID)], snap)
	}
	return all
}

func tag(s types.Snapshot, key string) string {
	for _, t := range s.Tags {
		if aws.ToString(t.Key) == key {
			return aws.ToString(t.Value)
		}
	}
	return ""
}

// Every way in leads to one set and one result; the same one twice to one set.
func TestEveryWayInLeadsToOneSet(t *testing.T) {
	ctx, s := set(t, scene.Config{Writers: 4, Extra: "ext4", PlanYAML: "copy_tags: true\ntags: {env: test}\nrequest_tags: [ticket]"})
	work(t, ctx, s)
	rule, err := s.Rule(ctx, "every-minute", "rate(1 minute)")
	if err != nil {
		t.Fatal(err)
	}
	topic, err := s.Topic(ctx, "requests", false)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := s.Topic(ctx, "raw-requests", true)
	if err != nil {
		t.Fatal(err)
	}

	ways := []struct {
		name   string
		send   func() (id string)
		source messages.Source
		twice  bool // the same delivery again is the same request
	}{
		{"aws sqs send-message", func() string {
			if _, err := exec.LookPath("aws"); err != nil {
				t.Log("no aws command here: sent by the SDK instead")
				return "sqs:" + send(t, ctx, s, `{"plan":"nightly"}`)
			}
			cmd := exec.CommandContext(ctx, "aws", "--endpoint-url", s.AWS.URL(), "sqs", "send-message", "--queue-url", s.QueueURL,
				"--message-body", `{"plan":"nightly"}`, "--query", "MessageId", "--output", "text")
			cmd.Env = append(cmd.Environ(), s.AWS.Env()...)
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("aws: %v\n%s", err, out)
			}
			return "sqs:" + strings.TrimSpace(string(out))
		}, messages.SourceSQS, false},
		{"an EventBridge rule that fires, twice for one tick", tick(t, ctx, s, rule), messages.SourceEventBridge, true},
		{"an EventBridge Scheduler schedule", func() string {
			at := s.AWS.Now().Add(2 * time.Second).UTC().Truncate(time.Second)
			arn, err := s.Schedule(ctx, "once", "at("+at.Format("2006-01-02T15:04:05")+")", time.Time{})
			if err != nil {
				t.Fatal(err)
			}
			return arn + "/" + at.Format(time.RFC3339)
		}, messages.SourceSQS, false},
		{"an SNS topic, twice for one message", twice(t, s, func() string {
			return "sns:" + publish(t, ctx, s, topic, `{"plan":"nightly","tags":{"ticket":"OPS-1"}}`)
		}), messages.SourceSNS, true},
		{"an SNS topic with raw delivery", func() string {
			publish(t, ctx, s, raw, `{"plan":"nightly","requestId":"raw-1"}`)
			return "raw-1"
		}, messages.SourceSQS, true},
		{"a request id", func() string { send(t, ctx, s, `{"requestId":"once/2026-11-22"}`); return "once/2026-11-22" }, messages.SourceSQS, true},
		{"stillpoint snapshot", func() string {
			out, errs, code := cli(t, ctx, s, "snapshot", "nightly", "--config", s.ConfigPath, "--request-id", "by-hand", "--wait")
			if code != 0 || !strings.Contains(out, "SUCCEEDED") || !strings.Contains(out, "writes blocked") || !strings.Contains(errs, "2 of 2 completed") {
				t.Fatalf("exit %d\n%s\n%s", code, out, errs)
			}
			return "by-hand"
		}, messages.SourceCLI, true},
		{"stillpoint send", func() string {
			out, errs, code := cli(t, ctx, s, "send", "--config", s.ConfigPath, "--request-id", "sent-1", "nightly")
			if code != 0 || !strings.HasPrefix(out, "sent: message id ") {
				t.Fatalf("exit %d\n%s\n%s", code, out, errs)
			}
			return "sent-1"
		}, messages.SourceSQS, true},
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			id := way.send()
			d := next(t, ctx, s)
			wants(t, d.Result, messages.Succeeded, "", messages.ConsistencyApplication)
			if d.Result.RequestID != id || d.Result.Source != way.source {
				t.Fatalf("got request %q from %s, want %q from %s", d.Result.RequestID, d.Result.Source, id, way.source)
			}
			if !strings.HasPrefix(d.Subject, "[OK] stillpoint nightly "+s.InstanceID+": 2 snapshots started, writes blocked ") {
				t.Errorf("subject %q", d.Subject)
			}
			if d.Attributes["status"] != "succeeded" || d.Attributes["severity"] != "info" || d.Attributes["plan"] != "nightly" || d.Attributes["instanceId"] != s.InstanceID {
				t.Errorf("attributes %v", d.Attributes)
			}
			checkTags(t, ctx, s, d.Result)
			if !way.twice {
				return
			}
			way.send()
			again := next(t, ctx, s)
			if again.Result.EventID != d.Result.EventID || again.Body != d.Body {
				t.Errorf("the second time is another event: %s\n%s", again.Body, d.Body)
			}
			if n := len(sets(t, ctx, s)[id]); n != 2 {
				t.Errorf("%d snapshots bear the request id after the second time, want 2", n)
			}
		})
	}
}

// tick lets a rule with rate(1 minute) fire once, and EventBridge run it twice for that one time, as it may. The second send has been
// made by the first.
func tick(t *testing.T, ctx context.Context, s *scene.Scene, rule string) func() string {
	id := ""
	return func() string {
		if id != "" {
			return id
		}
		fault := localstack.Fault{Operation: "events:Invoke", Wrong: "twice", Times: 1}
		if err := s.AWS.SetFaults(fault); err != nil {
			t.Fatal(err)
		}
		s.AWS.MoveClock(time.Minute)
		if err := s.DisableRule(ctx, "every-minute"); err != nil {
			t.Fatal(err)
		}
		for _, call := range s.AWS.Calls() {
			if call.Operation == "events:Invoke" && call.Source == rule {
				id = "eb:" + rule + "/" + call.Params["EventTime"]
			}
		}
		if id == "" {
			t.Fatal("the rule did not fire")
		}
		return id
	}
}

// twice loses the answer of the queue to SNS, which delivers the message again, as it may. The second send has been made by the first.
func twice(t *testing.T, s *scene.Scene, send func() string) func() string {
	id := ""
	return func() string {
		if id == "" {
			lost := localstack.Fault{Operation: "sqs:SendMessage", Principal: "sns.amazonaws.com", Drop: true, After: true, Times: 1}
			if err := s.AWS.SetFaults(lost); err != nil {
				t.Fatal(err)
			}
			id = send()
		}
		return id
	}
}

func publish(t *testing.T, ctx context.Context, s *scene.Scene, topic, message string) (messageID string) {
	t.Helper()
	messageID, err := s.Publish(ctx, topic, message)
	if err != nil {
		t.Fatal(err)
	}
	return messageID
}

// checkTags holds the tags in EC2 against the result.
func checkTags(t *testing.T, ctx context.Context, s *scene.Scene, r *messages.Result) {
	t.Helper()
	if len(r.Warnings) > 0 {
		t.Errorf("warnings: %v", r.Warnings)
	}
	got := sets(t, ctx, s)[r.RequestID]
	if len(got) != len(s.Volumes) || len(r.Snapshots) != len(s.Volumes) {
		t.Fatalf("%d snapshots in EC2 and %d in the result, want %d", len(got), len(r.Snapshots), len(s.Volumes))
	}
	for _, snap := range got {
		for key, want := range map[string]string{
			"stillpoint:attempt-id": r.AttemptID, "stillpoint:plan": "nightly", "stillpoint:instance-id": s.InstanceID, "stillpoint:set-size": "2",
			"stillpoint:consistency": "application", "stillpoint:status": "succeeded", "stillpoint:volume-id": aws.ToString(snap.VolumeId),
			"stillpoint:gtid": r.MySQL.GTID, "env": "test", "team": "storage", "localstack:size-mib": "512",
		} {
			if v := tag(snap, key); v != want {
				t.Errorf("%s: tag %s is %q, want %q", aws.ToString(snap.SnapshotId), key, v, want)
			}
		}
		if !strings.HasPrefix(tag(snap, "stillpoint:binlog"), r.MySQL.BinlogFile+":") || !r.MySQL.CoordinatesExact {
			t.Errorf("coordinates: tag %q, result %+v", tag(snap, "stillpoint:binlog"), r.MySQL)
		}
		if d := aws.ToString(snap.Description); d != "nightly "+s.InstanceID {
			t.Errorf("description %q", d)
		}
	}
}

// A message that comes back after it was deleted leads to the same result once more, and to no second set.
func TestDeletedMessageComesBack(t *testing.T) {
	t.Parallel()
	ctx, s := set(t, scene.Config{})
	work(t, ctx, s)
	id := send(t, ctx, s, `{}`)
	first := next(t, ctx, s)
	wants(t, first.Result, messages.Succeeded, "", messages.ConsistencyApplication)
	await(t, ctx, "the message's deletion", func() bool {
		for _, c := range s.AWS.Calls() {
			if c.Operation == "sqs:DeleteMessage" && c.Effect && c.Params["QueueUrl"] == s.QueueURL {
				return true
			}
		}
		return false
	})
	if err := s.AWS.DeliverAgain(s.QueueURL[strings.LastIndexByte(s.QueueURL, '/')+1:], id); err != nil {
		t.Fatal(err)
	}
	again := next(t, ctx, s)
	if again.Result.EventID != first.Result.EventID || again.Body != first.Body {
		t.Errorf("the second time is another event: %s\n%s", again.Body, first.Body)
	}
	if n := len(sets(t, ctx, s)["sqs:"+id]); n != 1 {
		t.Errorf("%d snapshots bear the request id, want 1", n)
	}
}
