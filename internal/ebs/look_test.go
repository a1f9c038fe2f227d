package ebs

import (
	"context"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"

	"stillpoint/internal/snapshot"
	"stillpoint/localstack"
)

func TestStatesAndIncomplete(t *testing.T) {
	c := start(t, 2)
	client := New(config(t, c.URL()), c.instance)
	one, two := c.attached[1].VolumeID, c.attached[2].VolumeID
	states, err := client.States(t.Context(), []string{one, two})
	if err != nil || len(states) != 2 || !states[0].Attached || states[0].State != "in-use" || states[0].Type == "" || states[0].Encrypted {
		t.Errorf("%+v, %v", states, err)
	}
	if other, err := New(config(t, c.URL()), "i-0fffffffffffffff0").States(t.Context(), []string{one}); err != nil || other[0].Attached {
		t.Errorf("for another instance: %+v, %v", other, err)
	}
	slow := c.EC2Behaviour()
	slow.SnapshotTime = time.Hour
	if err := c.BehaveEC2(slow); err != nil {
		t.Fatal(err)
	}
	made := func(volume string) string {
		out, err := c.api.CreateSnapshot(t.Context(), &ec2.CreateSnapshotInput{VolumeId: &volume})
		if err != nil {
			t.Fatal(err)
		}
		return aws.ToString(out.SnapshotId)
	}
	made(one)
	failed := made(one)
	made(two)
	if err := c.FailSnapshot(failed, "so be it"); err != nil {
		t.Fatal(err)
	}
	got, err := client.Incomplete(t.Context(), []string{one})
	if err != nil || len(got) != 1 || got[one] != (Incomplete{Pending: 1, Failed: 1}) {
		t.Errorf("%+v, %v", got, err)
	}
}

// A dry run of tagging changes nothing, and an answer that is none of a dry run's is refused.
func TestCheckTag(t *testing.T) {
	c := start(t, 1)
	client := New(config(t, c.URL()), c.instance)
	made, err := client.Create(t.Context(), c.set(1))
	if err != nil {
		t.Fatal(err)
	}
	id := made[0].SnapshotID
	if err := client.CheckTag(t.Context(), id, map[string]string{snapshot.TagStatus: "succeeded"}); err != nil {
		t.Error(err)
	}
	found, err := client.Find(context.Background(), "r-1")
	if err != nil || len(found) != 1 || found[0].Tags[snapshot.TagStatus] != "" {
		t.Errorf("%+v, %v", found, err)
	}
	if err := c.SetFaults(localstack.Fault{Operation: "ec2:CreateTags", Code: "UnauthorizedOperation", Status: 403}); err != nil {
		t.Fatal(err)
	}
	if err := client.CheckTag(t.Context(), id, map[string]string{"a": "b"}); kind(err) != "refused before" || Code(err) != "UnauthorizedOperation" {
		t.Errorf("denied: %v", err)
	}
	taken := NewFromAPI(yes{}, c.instance)
	if err := taken.CheckTag(t.Context(), id, map[string]string{"a": "b"}); kind(err) != "refused before" {
		t.Errorf("a dry run that was taken for a call: %v", err)
	}
}

// yes takes every CreateTags for a real one.
type yes struct{ API }

func (yes) CreateTags(context.Context, *ec2.CreateTagsInput, ...func(*ec2.Options)) (*ec2.CreateTagsOutput, error) {
	return &ec2.CreateTagsOutput{}, nil
}
