package localstack_test

import (
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"

	"stillpoint/localstack"
)

func tags(pairs ...string) []types.Tag {
	var out []types.Tag
	for i := 0; i < len(pairs); i += 2 {
		out = append(out, types.Tag{Key: &pairs[i], Value: &pairs[i+1]})
	}
	return out
}

func onSnapshots(pairs ...string) []types.TagSpecification {
	return []types.TagSpecification{{ResourceType: types.ResourceTypeSnapshot, Tags: tags(pairs...)}}
}

func filter(name string, values ...string) types.Filter {
	return types.Filter{Name: &name, Values: values}
}

func TestInstances(t *testing.T) {
	c := start(t, localstack.Config{})
	id, volumes := c.launch(t, 2)
	if !regexp.MustCompile(`^i-[0-9a-f]{17}$`).MatchString(id) || len(volumes) != 3 {
		t.Fatalf("launched %s with %v", id, volumes)
	}
	other, _ := c.launch(t, 0)
	got := must(c.ec2.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{id}}))(t)
	if len(got.Reservations) != 1 {
		t.Fatalf("found %d reservations", len(got.Reservations))
	}
	i := got.Reservations[0].Instances[0]
	var devices, ids []string
	for _, m := range i.BlockDeviceMappings {
		devices, ids = append(devices, *m.DeviceName), append(ids, *m.Ebs.VolumeId)
	}
	if *i.RootDeviceName != "/dev/xvda" || !cmp.Equal(devices, []string{"/dev/xvda", "/dev/sdf", "/dev/sdg"}) || !cmp.Equal(ids, volumes) {
		t.Errorf("root %s, devices %v, volumes %v, want %v", *i.RootDeviceName, devices, ids, volumes)
	}
	got = must(c.ec2.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{Filters: []types.Filter{filter("instance-id", other)}}))(t)
	if len(got.Reservations) != 1 || *got.Reservations[0].Instances[0].InstanceId != other {
		t.Errorf("the filter found %v", got.Reservations)
	}
	_, err := c.ec2.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{"i-0123456789abcdef0"}})
	wantCode(t, err, "InvalidInstanceID.NotFound")
	_, err = c.ec2.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{"db1"}})
	wantCode(t, err, "InvalidInstanceID.Malformed")

	// A client token makes a retry of a lost answer harmless.
	c.SetFaults(localstack.Fault{Operation: "ec2:RunInstances", Code: "InternalError", After: true, Times: 1})
	in := &ec2.RunInstancesInput{ImageId: aws.String("ami-1"), MinCount: aws.Int32(1), MaxCount: aws.Int32(1), ClientToken: aws.String("token")}
	if _, err := c.ec2.RunInstances(t.Context(), in); err == nil {
		t.Fatal("the fault had no effect")
	}
	must(c.ec2.RunInstances(t.Context(), in))(t)
	if got := must(c.ec2.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{}))(t).Reservations; len(got) != 3 {
		t.Errorf("there are %d instances, want 3", len(got))
	}
}

func TestVolumes(t *testing.T) {
	c := start(t, localstack.Config{})
	instance, _ := c.launch(t, 1)
	made := must(c.ec2.CreateVolume(t.Context(), &ec2.CreateVolumeInput{
		Size: aws.Int32(4), AvailabilityZone: aws.String("eu-west-1a"), VolumeType: types.VolumeTypeIo2, Iops: aws.Int32(100),
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeVolume, Tags: tags("Name", "data")}},
	}))(t)
	id := *made.VolumeId
	describe := func() types.Volume {
		t.Helper()
		return must(c.ec2.DescribeVolumes(t.Context(), &ec2.DescribeVolumesInput{VolumeIds: []string{id}}))(t).Volumes[0]
	}
	if v := describe(); v.State != types.VolumeStateAvailable || *v.Size != 4 || v.VolumeType != types.VolumeTypeIo2 || *v.Tags[0].Value != "data" {
		t.Errorf("the volume is %+v", v)
	}
	attach := func(instance, device string) error {
		_, err := c.ec2.AttachVolume(t.Context(), &ec2.AttachVolumeInput{VolumeId: &id, InstanceId: &instance, Device: &device})
		return err
	}
	wantCode(t, attach(instance, "/dev/sdf"), "InvalidParameterValue") // taken
	wantCode(t, attach(instance, "/dev/nvme1"), "InvalidParameterValue")
	wantCode(t, attach("i-0123456789abcdef0", "/dev/sdg"), "InvalidInstanceID.NotFound")
	must(struct{}{}, attach(instance, "/dev/sdg"))(t)
	wantCode(t, attach(instance, "/dev/sdh"), "VolumeInUse")
	if v := describe(); v.State != types.VolumeStateInUse || *v.Attachments[0].InstanceId != instance || *v.Attachments[0].Device != "/dev/sdg" {
		t.Errorf("the attached volume is %+v", v)
	}
	if device, ok := c.Device(id); ok {
		t.Errorf("without data it has the device %s", device)
	}
	for _, f := range [][]types.Filter{
		{filter("volume-id", id)}, {filter("tag:Name", "data")}, {filter("tag:Name", "d?t*")}, {filter("tag-key", "Name")},
		{filter("attachment.instance-id", instance), filter("attachment.device", "/dev/sdg")}, {filter("status", "in-use"), filter("size", "4")},
	} {
		got := must(c.ec2.DescribeVolumes(t.Context(), &ec2.DescribeVolumesInput{Filters: f}))(t).Volumes
		if len(got) != 1 || *got[0].VolumeId != id {
			t.Errorf("the filter %s %v found %v", *f[0].Name, f[0].Values, got)
		}
	}
	_, err := c.ec2.DescribeVolumes(t.Context(), &ec2.DescribeVolumesInput{Filters: []types.Filter{filter("colour", "red")}})
	wantCode(t, err, "InvalidParameterValue")
	_, err = c.ec2.DeleteVolume(t.Context(), &ec2.DeleteVolumeInput{VolumeId: &id})
	wantCode(t, err, "VolumeInUse")
	must(c.ec2.DetachVolume(t.Context(), &ec2.DetachVolumeInput{VolumeId: &id}))(t)
	_, err = c.ec2.DetachVolume(t.Context(), &ec2.DetachVolumeInput{VolumeId: &id})
	wantCode(t, err, "IncorrectState")
	must(c.ec2.DeleteVolume(t.Context(), &ec2.DeleteVolumeInput{VolumeId: &id}))(t)
	_, err = c.ec2.DescribeVolumes(t.Context(), &ec2.DescribeVolumesInput{VolumeIds: []string{id}})
	wantCode(t, err, "InvalidVolume.NotFound")
}

func TestCreateSnapshots(t *testing.T) {
	c := start(t, localstack.Config{SnapshotTime: 200 * time.Millisecond})
	instance, volumes := c.launch(t, 3)
	root := volumes[0]
	for name, x := range map[string]struct {
		spec types.InstanceSpecification
		want []string // nil: an error
	}{
		"all":              {types.InstanceSpecification{}, volumes},
		"no root":          {types.InstanceSpecification{ExcludeBootVolume: aws.Bool(true)}, volumes[1:]},
		"no root, one not": {types.InstanceSpecification{ExcludeBootVolume: aws.Bool(true), ExcludeDataVolumeIds: volumes[2:3]}, []string{volumes[1], volumes[3]}},
		"root by id":       {types.InstanceSpecification{ExcludeDataVolumeIds: []string{root}}, nil},
		"not attached":     {types.InstanceSpecification{ExcludeDataVolumeIds: []string{"vol-0123456789abcdef0"}}, nil},
		"nothing left":     {types.InstanceSpecification{ExcludeBootVolume: aws.Bool(true), ExcludeDataVolumeIds: volumes[1:]}, nil},
		"41 excluded":      {types.InstanceSpecification{ExcludeDataVolumeIds: slices.Repeat(volumes[1:2], 41)}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			before := len(c.snapshots(t))
			x.spec.InstanceId = &instance
			out, err := c.ec2.CreateSnapshots(t.Context(), &ec2.CreateSnapshotsInput{InstanceSpecification: &x.spec})
			if x.want == nil {
				wantCode(t, err, "InvalidParameterValue")
				if len(c.snapshots(t)) != before {
					t.Error("it made snapshots and failed")
				}
				return
			}
			var got []string
			for _, s := range must(out, err)(t).Snapshots {
				got = append(got, *s.VolumeId)
			}
			if !cmp.Equal(got, x.want) {
				t.Errorf("snapshots of %v, want %v", got, x.want)
			}
		})
	}

	before := time.Now().Truncate(time.Millisecond)
	out := must(c.ec2.CreateSnapshots(t.Context(), &ec2.CreateSnapshotsInput{
		InstanceSpecification: &types.InstanceSpecification{InstanceId: &instance, ExcludeBootVolume: aws.Bool(true)},
		Description:           aws.String("nightly"), TagSpecifications: onSnapshots("request-id", "r1"),
	}))(t)
	s := out.Snapshots[0]
	if s.State != types.SnapshotStatePending || *s.OwnerId != "111122223333" || *s.VolumeSize != 1 || *s.Description != "nightly" ||
		!cmp.Equal([]string{*s.Tags[0].Key, *s.Tags[0].Value}, []string{"request-id", "r1"}) || !regexp.MustCompile(`^snap-[0-9a-f]{17}$`).MatchString(*s.SnapshotId) {
		t.Errorf("the snapshot is %+v", s)
	}
	if s.StartTime.Before(before) || s.StartTime.After(time.Now()) {
		t.Errorf("StartTime is %v, outside the call", s.StartTime)
	}
	_, err := c.ec2.CreateVolume(t.Context(), &ec2.CreateVolumeInput{SnapshotId: s.SnapshotId, AvailabilityZone: aws.String("eu-west-1a")})
	wantCode(t, err, "IncorrectState")
	waiter := ec2.NewSnapshotCompletedWaiter(c.ec2, func(o *ec2.SnapshotCompletedWaiterOptions) {
		o.MinDelay, o.MaxDelay = 5*time.Millisecond, 5*time.Millisecond
	})
	done := must(waiter.WaitForOutput(t.Context(), &ec2.DescribeSnapshotsInput{SnapshotIds: []string{*s.SnapshotId}}, time.Minute))(t).Snapshots[0]
	if *done.Progress != "100%" || done.CompletionTime == nil || done.CompletionTime.Sub(*s.StartTime) < 200*time.Millisecond {
		t.Errorf("completed: %+v", done)
	}
	must(c.ec2.CreateVolume(t.Context(), &ec2.CreateVolumeInput{SnapshotId: s.SnapshotId, AvailabilityZone: aws.String("eu-west-1a")}))(t)
	must(c.ec2.DeleteSnapshot(t.Context(), &ec2.DeleteSnapshotInput{SnapshotId: s.SnapshotId}))(t)
	_, err = c.ec2.DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{SnapshotIds: []string{*s.SnapshotId}})
	wantCode(t, err, "InvalidSnapshot.NotFound")

	count := len(c.snapshots(t))
	_, err = c.ec2.CreateSnapshots(t.Context(), &ec2.CreateSnapshotsInput{DryRun: aws.Bool(true), InstanceSpecification: &types.InstanceSpecification{InstanceId: &instance}})
	wantCode(t, err, "DryRunOperation")
	if calls := c.Calls(); calls[len(calls)-1].Status != http.StatusPreconditionFailed {
		t.Errorf("the status of a dry run is %d", calls[len(calls)-1].Status)
	}
	if len(c.snapshots(t)) != count {
		t.Error("a dry run made snapshots")
	}
}

func TestTags(t *testing.T) {
	c := start(t, localstack.Config{})
	instance, volumes := c.launch(t, 1)
	must(c.ec2.CreateTags(t.Context(), &ec2.CreateTagsInput{Resources: volumes[1:], Tags: tags("from", "volume", "both", "volume")}))(t)
	spec := &types.InstanceSpecification{InstanceId: &instance, ExcludeBootVolume: aws.Bool(true)}
	out := must(c.ec2.CreateSnapshots(t.Context(), &ec2.CreateSnapshotsInput{
		InstanceSpecification: spec, CopyTagsFromSource: types.CopyTagsFromSourceVolume, TagSpecifications: onSnapshots("both", "call"),
	}))(t)
	id := *out.Snapshots[0].SnapshotId
	have := func() map[string]string {
		t.Helper()
		got := map[string]string{}
		for _, tag := range must(c.ec2.DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{SnapshotIds: []string{id}}))(t).Snapshots[0].Tags {
			got[*tag.Key] = *tag.Value
		}
		return got
	}
	if diff := cmp.Diff(map[string]string{"from": "volume", "both": "call"}, have()); diff != "" {
		t.Errorf("tags (-want +got):\n%s", diff)
	}
	create := func(pairs ...string) error {
		_, err := c.ec2.CreateTags(t.Context(), &ec2.CreateTagsInput{Resources: []string{id}, Tags: tags(pairs...)})
		return err
	}
	wantCode(t, create("aws:x", "y"), "InvalidParameterValue")
	wantCode(t, create("", "y"), "InvalidParameterValue")
	wantCode(t, create("x", strings.Repeat("y", 257)), "InvalidParameterValue")
	wantCode(t, create("x", "1", "x", "2"), "InvalidParameterValue")
	var fifty []string
	for i := range 49 {
		fifty = append(fifty, fmt.Sprint("k", i), "v")
	}
	wantCode(t, create(fifty...), "TagLimitExceeded")
	must(struct{}{}, create(fifty[:96]...))(t)
	must(struct{}{}, create("both", "later"))(t) // the 50 are full, but this one is there
	_, err := c.ec2.DeleteTags(t.Context(), &ec2.DeleteTagsInput{Resources: []string{id}, Tags: []types.Tag{{Key: aws.String("from"), Value: aws.String("other")}, {Key: aws.String("both")}}})
	must(struct{}{}, err)(t)
	got := have()
	if _, ok := got["both"]; ok || got["from"] != "volume" || len(got) != 49 {
		t.Errorf("after deleting one of 50 tags: %d tags, %v", len(got), got)
	}
	_, err = c.ec2.CreateSnapshots(t.Context(), &ec2.CreateSnapshotsInput{InstanceSpecification: spec, TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeVolume, Tags: tags("a", "b")}}})
	wantCode(t, err, "InvalidParameterValue")
	_, err = c.ec2.CreateSnapshots(t.Context(), &ec2.CreateSnapshotsInput{InstanceSpecification: spec, TagSpecifications: onSnapshots("aws:a", "b")})
	wantCode(t, err, "InvalidParameterValue")
}

func TestFindingSnapshots(t *testing.T) {
	c := start(t, localstack.Config{SnapshotTime: -1})
	_, volumes := c.launch(t, 2)
	var all []string
	for i := range 12 {
		out := must(c.ec2.CreateSnapshot(t.Context(), &ec2.CreateSnapshotInput{
			VolumeId: &volumes[1+i%2], TagSpecifications: onSnapshots("request-id", fmt.Sprint("r", i/2)),
		}))(t)
		all = append(all, *out.SnapshotId)
	}
	find := func(in ec2.DescribeSnapshotsInput) (ids []string, pages int) {
		t.Helper()
		for p := ec2.NewDescribeSnapshotsPaginator(c.ec2, &in); p.HasMorePages(); pages++ {
			for _, s := range must(p.NextPage(t.Context()))(t).Snapshots {
				ids = append(ids, *s.SnapshotId)
			}
		}
		return ids, pages
	}
	for name, x := range map[string]struct {
		in    ec2.DescribeSnapshotsInput
		want  []string
		pages int
	}{
		"all":         {ec2.DescribeSnapshotsInput{}, all, 1},
		"pages":       {ec2.DescribeSnapshotsInput{MaxResults: aws.Int32(5)}, all, 3},
		"exact pages": {ec2.DescribeSnapshotsInput{MaxResults: aws.Int32(6)}, all, 2},
		"self":        {ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}}, all, 1},
		"others":      {ec2.DescribeSnapshotsInput{OwnerIds: []string{"amazon"}}, nil, 1},
		"ids":         {ec2.DescribeSnapshotsInput{SnapshotIds: all[3:5]}, all[3:5], 1},
		"tag":         {ec2.DescribeSnapshotsInput{Filters: []types.Filter{filter("tag:request-id", "r1")}}, all[2:4], 1},
		"either tag":  {ec2.DescribeSnapshotsInput{Filters: []types.Filter{filter("tag:request-id", "r1", "r2")}}, all[2:6], 1},
		"both":        {ec2.DescribeSnapshotsInput{Filters: []types.Filter{filter("tag:request-id", "r1"), filter("volume-id", volumes[1])}}, all[2:3], 1},
		"tag-key":     {ec2.DescribeSnapshotsInput{Filters: []types.Filter{filter("tag-key", "request-id")}}, all, 1},
		"no such tag": {ec2.DescribeSnapshotsInput{Filters: []types.Filter{filter("tag:request", "r1")}}, nil, 1},
		"pending":     {ec2.DescribeSnapshotsInput{Filters: []types.Filter{filter("status", "pending")}}, nil, 1},
		"completed":   {ec2.DescribeSnapshotsInput{Filters: []types.Filter{filter("status", "completed"), filter("snapshot-id", all[0])}}, all[:1], 1},
	} {
		t.Run(name, func(t *testing.T) {
			if got, pages := find(x.in); !cmp.Equal(got, x.want) || pages != x.pages {
				t.Errorf("found %v on %d pages, want %v on %d", got, pages, x.want, x.pages)
			}
		})
	}
	_, err := c.ec2.DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{MaxResults: aws.Int32(4)})
	wantCode(t, err, "InvalidParameterValue")
	_, err = c.ec2.DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{MaxResults: aws.Int32(5), SnapshotIds: all[:1]})
	wantCode(t, err, "InvalidParameterCombination")
	_, err = c.ec2.DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{NextToken: aws.String("???")})
	wantCode(t, err, "InvalidParameterValue")
}
