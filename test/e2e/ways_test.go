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
	at := time.Now().UTC().Truncate(time.Second).Format(time.RFC3339)
	rule := "eb:arn:aws:events:eu-west-1:111122223333:rule/nightly/" + at

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
		{"an EventBridge rule", func() string { send(t, ctx, s, scene.Event("e-1", "nightly", at)); return rule }, messages.SourceEventBridge, true},
		{"an SNS notification", func() string {
			send(t, ctx, s, scene.Notification("9d3c7a52-0000-4000-8000-000000000001", `{"plan":"nightly","tags":{"ticket":"OPS-1"}}`, at))
			return "sns:9d3c7a52-0000-4000-8000-000000000001"
		}, messages.SourceSNS, true},
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
