package policy

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"stillpoint/localstack"
	"stillpoint/messages"
	"stillpoint/test/scene"
)

// One run through everything that the program asks of AWS; what it came to is
// checked as well, since it ran on the templates' queues, topics and filters.
func TestPolicy(t *testing.T) {
	s := set(t, scene.Config{
		NoDatabase: true, Extra: "ext4", VolumeMiB: 320, InstanceType: "m4.large",
		PlanYAML: "copy_tags: true\ntags: {cost-center: a1}\nrequest_tags: [ticket]",
	}, map[string]string{})
	s.tag(s.Volumes...)
	w := s.work()

	if r := s.next(messages.Succeeded); r.RequestID != s.scheduled { // the schedule comes due by itself
		t.Errorf("the schedule's request is %s, want %s", r.RequestID, s.scheduled)
	}
	s.holds("stillpoint-db1-success", "1")
	s.ask(`{"requestId":"by-hand","tags":{"ticket":"OPS-1"}}`, messages.Succeeded)
	s.ask(`{"dryRun":true,"requestId":"`+s.scheduled+`/dry"}`, messages.Succeeded)
	if _, err := s.Publish(s.ctx, s.fleet.Outputs["RequestsTopic"], `{"plan":"nightly"}`); err != nil {
		t.Fatal(err)
	}
	if r := s.next(messages.Succeeded); !strings.HasPrefix(r.RequestID, "sns:") {
		t.Errorf("a request to the fleet has the id %s", r.RequestID)
	}
	s.ask(`{"plan":"nobody-has-this"}`, messages.Rejected)
	s.holds("stillpoint-db1-dead", "1")
	s.doctor()
	s.holds("stillpoint-db1-success", "1") // neither requests by hand nor a dry run count
	s.killedInTheWindow(w)
	s.holds("stillpoint-inconsistent", "1")
	s.separately()
	s.holds("stillpoint-undelivered", "0")

	t.Run("the alarm's queue forgets", func(t *testing.T) {
		s.AWS.MoveClock(25 * time.Hour)
		s.holds("stillpoint-db1-success", "1")
		s.AWS.MoveClock(time.Hour + time.Minute)
		s.holds("stillpoint-db1-success", "0")
	})
	record := s.record()
	t.Run("allowed", func(t *testing.T) { allowed(t, s, record) })
	t.Run("needed", func(t *testing.T) { needed(t, s, record) })
	t.Run("forbidden", func(t *testing.T) { forbidden(t, s, record) })
}

// killedInTheWindow kills the worker while EC2 answers: the next one finds the
// set, and tags what it cannot prove.
func (s *stage) killedInTheWindow(w *scene.Worker) {
	s.Helper()
	if err := s.AWS.SetFaults(localstack.Fault{Operation: "ec2:CreateSnapshots", Latency: 3 * time.Second}); err != nil {
		s.Fatal(err)
	}
	if _, err := s.Send(s.ctx, `{"requestId":"killed"}`); err != nil {
		s.Fatal(err)
	}
	s.until("the create call", func(c localstack.Call) bool {
		return c.Operation == "ec2:CreateSnapshots" && c.State == "running" && c.Params["DryRun"] != "true"
	})
	if err := w.Kill(); err != nil {
		s.Fatal(err)
	}
	_ = w.Wait(s.ctx) // killed
	if err := s.AWS.SetFaults(); err != nil {
		s.Fatal(err)
	}
	s.until("the set", func(c localstack.Call) bool {
		return c.Operation == "ec2:CreateSnapshots" && c.Params["DryRun"] != "true" && c.Effect && strings.Contains(fmt.Sprint(c.Params), "killed")
	})
	next := s.work()
	if r := s.next(messages.Inconsistent); r.RequestID != "killed" {
		s.Errorf("the result is of %s", r.RequestID)
	}
	if err := next.Kill(); err != nil { // it is idle
		s.Fatal(err)
	}
	_ = next.Wait(s.ctx)
}

// separately makes a set that one call cannot leave enough out for: 41 other
// volumes are attached, and bear no tag.
func (s *stage) separately() {
	s.Helper()
	for i := range 41 {
		made, err := s.EC2.CreateVolume(s.ctx, &ec2.CreateVolumeInput{
			AvailabilityZone: aws.String("eu-west-1a"), Size: aws.Int32(1),
			TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeVolume, Tags: []types.Tag{
				{Key: aws.String("localstack:size-mib"), Value: aws.String("1")},
			}}},
		})
		if err == nil {
			_, err = s.EC2.AttachVolume(s.ctx, &ec2.AttachVolumeInput{
				InstanceId: aws.String(s.InstanceID), VolumeId: made.VolumeId, Device: aws.String(fmt.Sprintf("/dev/xvd%c%c", 'b'+i/26, 'a'+i%26)),
			})
		}
		if err != nil {
			s.Fatal(err)
		}
		s.Defer("volume "+aws.ToString(made.VolumeId), func(ctx context.Context) error {
			_, err := s.EC2.DetachVolume(ctx, &ec2.DetachVolumeInput{VolumeId: made.VolumeId})
			return err
		})
	}
	if out, err := s.Command(s.ctx, "snapshot", "--config", s.ConfigPath, "--request-id", "separately").CombinedOutput(); err != nil {
		s.Fatalf("%v\n%s", err, out)
	}
	s.next(messages.Succeeded)
	s.doctor()
}

// doctor looks at everything, and finds nothing that fails.
func (s *stage) doctor() {
	s.Helper()
	if out, err := s.Command(s.ctx, "doctor", "--config", s.ConfigPath).CombinedOutput(); err != nil {
		s.Fatalf("%v\n%s", err, out)
	}
}
