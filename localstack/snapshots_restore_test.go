package localstack_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"stillpoint/localstack"
)

func enableRestores(t *testing.T, client *ec2.Client, zone string, ids ...string) *ec2.EnableFastSnapshotRestoresOutput {
	t.Helper()
	return must(client.EnableFastSnapshotRestores(t.Context(), &ec2.EnableFastSnapshotRestoresInput{AvailabilityZones: []string{zone}, SourceSnapshotIds: ids}))(t)
}

func restores(t *testing.T, client *ec2.Client, filters ...types.Filter) []types.DescribeFastSnapshotRestoreSuccessItem {
	t.Helper()
	return must(client.DescribeFastSnapshotRestores(t.Context(), &ec2.DescribeFastSnapshotRestoresInput{Filters: filters}))(t).FastSnapshotRestores
}

func TestFastRestore(t *testing.T) {
	c := start(t, localstack.Config{SnapshotTime: -1})
	v := must(c.ec2.CreateVolume(t.Context(), &ec2.CreateVolumeInput{Size: aws.Int32(1024), AvailabilityZone: aws.String("eu-west-1a")}))(t)
	id := c.snapOf(t, *v.VolumeId)
	made := enableRestores(t, c.ec2, "eu-west-1a", id).Successful
	if len(made) != 1 || made[0].State != types.FastSnapshotRestoreStateCodeEnabling || *made[0].StateTransitionReason != "Client.UserInitiated" || made[0].OptimizingTime != nil {
		t.Fatalf("enabled: %+v", made)
	}
	for _, step := range []struct {
		move time.Duration
		want types.FastSnapshotRestoreStateCode
	}{{36 * time.Second, "optimizing"}, {time.Hour - time.Second, "optimizing"}, {time.Second, "enabled"}} {
		c.MoveClock(step.move)
		if r := restores(t, c.ec2)[0]; r.State != step.want || *r.StateTransitionReason != "Client.UserInitiated - Lifecycle state transition" {
			t.Errorf("%v later it is %+v, want %s", step.move, r, step.want)
		}
	}
	r := restores(t, c.ec2, filter("state", "enabled"), filter("snapshot-id", id), filter("availability-zone", "eu-west-1a"))
	if len(r) != 1 || !r[0].EnabledTime.Equal(r[0].OptimizingTime.Add(time.Hour)) || *r[0].OwnerId != "111122223333" {
		t.Errorf("the filters found %+v", r)
	}
	again := enableRestores(t, c.ec2, "eu-west-1a", id).Successful
	if again[0].State != types.FastSnapshotRestoreStateCodeEnabled {
		t.Errorf("enabled twice: %+v", again)
	}
	off := must(c.ec2.DisableFastSnapshotRestores(t.Context(), &ec2.DisableFastSnapshotRestoresInput{AvailabilityZones: []string{"eu-west-1a", "eu-west-1b"}, SourceSnapshotIds: []string{id}}))(t)
	if len(off.Successful) != 1 || off.Successful[0].State != types.FastSnapshotRestoreStateCodeDisabling || len(off.Unsuccessful) != 1 || *off.Unsuccessful[0].FastSnapshotRestoreStateErrors[0].AvailabilityZone != "eu-west-1b" {
		t.Errorf("disabled: %+v", off)
	}
	c.MoveClock(31 * time.Second)
	if r := restores(t, c.ec2)[0]; r.State != types.FastSnapshotRestoreStateCodeDisabled || r.DisabledTime == nil || r.EnabledTime == nil {
		t.Errorf("in the end it is %+v", r)
	}
}

func TestFastRestoreRules(t *testing.T) {
	c := start(t, localstack.Config{SnapshotTime: -1})
	_, volumes := c.launch(t, 1)
	var all []string
	for range 6 {
		all = append(all, c.snapOf(t, volumes[1]))
	}
	failed := func(out *ec2.EnableFastSnapshotRestoresOutput) string {
		if len(out.Unsuccessful) == 0 {
			return ""
		}
		return *out.Unsuccessful[0].FastSnapshotRestoreStateErrors[0].Error.Code
	}
	if out := enableRestores(t, c.ec2, "eu-west-1a", all[0], "snap-0123456789abcdef0"); failed(out) != "InvalidSnapshot.NotFound" || len(out.Successful) != 1 {
		t.Errorf("with one that there is not: %+v", out)
	}
	for _, zone := range []string{"eu-north-1a", "eu-west-1", "eu-west-1ab"} {
		if out := enableRestores(t, c.ec2, zone, all[1]); failed(out) != "InvalidZone.NotFound" {
			t.Errorf("in the zone %s: %+v", zone, out)
		}
	}
	// Five snapshots, each in as many zones as there are.
	if out := enableRestores(t, c.ec2, "eu-west-1a", all...); len(out.Successful) != 5 || failed(out) != "ResourceLimitExceeded" {
		t.Errorf("six snapshots: %d are enabled, then %s", len(out.Successful), failed(out))
	}
	if out := enableRestores(t, c.ec2, "eu-west-1b", all[:5]...); len(out.Successful) != 5 {
		t.Errorf("in another zone: %+v", out)
	}
	// Deleting one makes room.
	must(c.ec2.DeleteSnapshot(t.Context(), &ec2.DeleteSnapshotInput{SnapshotId: &all[0]}))(t)
	if got := restores(t, c.ec2, filter("snapshot-id", all[0]), filter("state", "disabling")); len(got) != 2 {
		t.Errorf("of the deleted one there are %+v", got)
	}
	if out := enableRestores(t, c.ec2, "eu-west-1a", all[5]); len(out.Successful) != 1 {
		t.Errorf("with room for one more: %+v", out)
	}
	if page := must(c.ec2.DescribeFastSnapshotRestores(t.Context(), &ec2.DescribeFastSnapshotRestoresInput{MaxResults: aws.Int32(2)}))(t); len(page.FastSnapshotRestores) != 2 || page.NextToken == nil {
		t.Errorf("a page of two is %+v", page)
	}

	c.behave(t, func(b *localstack.EC2Behaviour) { b.SnapshotTime, b.Limits.FastRestores = time.Hour, -1 })
	if out := enableRestores(t, c.ec2, "eu-west-1a", c.snapOf(t, volumes[0])); failed(out) != "IncorrectState" {
		t.Errorf("of a pending one: %+v", out)
	}
	var many []string
	for i := range 11 {
		many = append(many, fmt.Sprintf("snap-%08x", i))
	}
	_, err := c.ec2.EnableFastSnapshotRestores(t.Context(), &ec2.EnableFastSnapshotRestoresInput{AvailabilityZones: []string{"eu-west-1a"}, SourceSnapshotIds: many})
	wantCode(t, err, "InvalidRequest")
	_, err = c.ec2.EnableFastSnapshotRestores(t.Context(), &ec2.EnableFastSnapshotRestoresInput{AvailabilityZoneIds: []string{"euw1-az1"}, SourceSnapshotIds: many[:1]})
	wantCode(t, err, "InvalidParameterValue")
	_, err = c.ec2.EnableFastSnapshotRestores(t.Context(), &ec2.EnableFastSnapshotRestoresInput{AvailabilityZones: []string{"eu-west-1a"}, AvailabilityZoneIds: []string{"euw1-az1"}, SourceSnapshotIds: many[:1]})
	wantCode(t, err, "InvalidParameterCombination")
}

// Somebody with whom a snapshot was shared has fast restores of their own, until it is no longer shared.
func TestFastRestoreOfAShared(t *testing.T) {
	c := start(t, localstack.Config{SnapshotTime: -1})
	them := c.as("eu-west-1", stranger)
	_, volumes := c.launch(t, 1)
	id := c.snapOf(t, volumes[1])
	if out := enableRestores(t, them, "eu-west-1a", id); len(out.Successful) != 0 {
		t.Errorf("of what is not theirs: %+v", out)
	}
	must(struct{}{}, c.share(t, id, types.OperationTypeAdd, stranger))(t)
	if out := enableRestores(t, them, "eu-west-1a", id); len(out.Successful) != 1 {
		t.Errorf("of what was shared: %+v", out)
	}
	if got := restores(t, c.ec2); len(got) != 0 {
		t.Errorf("we have %+v", got)
	}
	must(struct{}{}, c.share(t, id, types.OperationTypeRemove, stranger))(t)
	if got := restores(t, them); len(got) != 1 || got[0].State != types.FastSnapshotRestoreStateCodeDisabling {
		t.Errorf("they have %+v", got)
	}
}
