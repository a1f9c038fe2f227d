package localstack_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"

	"stillpoint/localstack"
)

func TestFindingInstancesAndVolumes(t *testing.T) {
	c := start(t, localstack.Config{Unlimited: true})
	var all []string
	volumeOf := map[string]string{}
	for range 12 {
		id, volumes := c.launch(t, 1)
		all, volumeOf[id] = append(all, id), volumes[1]
	}
	must(c.ec2.CreateTags(t.Context(), &ec2.CreateTagsInput{Resources: all[3:5], Tags: tags("role", "db")}))(t)
	must(c.ec2.StopInstances(t.Context(), &ec2.StopInstancesInput{InstanceIds: all[7:8]}))(t)
	for name, x := range map[string]struct {
		in    ec2.DescribeInstancesInput
		want  []string
		pages int
	}{
		"all":      {ec2.DescribeInstancesInput{}, all, 1},
		"pages":    {ec2.DescribeInstancesInput{MaxResults: aws.Int32(5)}, all, 3},
		"tag":      {ec2.DescribeInstancesInput{Filters: []types.Filter{filter("tag:role", "db")}}, all[3:5], 1},
		"stopping": {ec2.DescribeInstancesInput{Filters: []types.Filter{filter("instance-state-name", "stopping", "stopped")}}, all[7:8], 1},
		"code":     {ec2.DescribeInstancesInput{Filters: []types.Filter{filter("instance-state-code", "64")}}, all[7:8], 1},
		"volume":   {ec2.DescribeInstancesInput{Filters: []types.Filter{filter("block-device-mapping.volume-id", volumeOf[all[9]])}}, all[9:10], 1},
		"device":   {ec2.DescribeInstancesInput{Filters: []types.Filter{filter("block-device-mapping.device-name", "/dev/sdg")}}, nil, 1},
		"zone":     {ec2.DescribeInstancesInput{Filters: []types.Filter{filter("availability-zone-id", "euw1-az1"), filter("tag-key", "role")}}, all[3:5], 1},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			pages := 0
			for p := ec2.NewDescribeInstancesPaginator(c.ec2, &x.in); p.HasMorePages(); pages++ {
				for _, r := range must(p.NextPage(t.Context()))(t).Reservations {
					for _, i := range r.Instances {
						got = append(got, *i.InstanceId)
					}
				}
			}
			if !cmp.Equal(got, x.want) || pages != x.pages {
				t.Errorf("found %v on %d pages, want %v on %d", got, pages, x.want, x.pages)
			}
		})
	}
	_, err := c.ec2.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{MaxResults: aws.Int32(5), InstanceIds: all[:1]})
	wantCode(t, err, "InvalidParameterCombination")
	_, err = c.ec2.DescribeVolumes(t.Context(), &ec2.DescribeVolumesInput{MaxResults: aws.Int32(4)})
	wantCode(t, err, "InvalidParameterValue")
	_, err = c.ec2.DescribeVolumes(t.Context(), &ec2.DescribeVolumesInput{Filters: []types.Filter{filter("volume-id", slices.Repeat([]string{"vol-1"}, 201)...)}})
	wantCode(t, err, "FilterLimitExceeded")
	_, err = c.ec2.DescribeVolumes(t.Context(), &ec2.DescribeVolumesInput{DryRun: aws.Bool(true)})
	wantCode(t, err, "DryRunOperation")
	for _, f := range [][]types.Filter{
		{filter("attachment.delete-on-termination", "true"), filter("attachment.instance-id", all[0]), filter("attachment.device", "/dev/sdf")},
		{filter("volume-id", volumeOf[all[0]]), filter("encrypted", "false"), filter("multi-attach-enabled", "false"), filter("create-time", "20*")},
	} {
		if got := must(c.ec2.DescribeVolumes(t.Context(), &ec2.DescribeVolumesInput{Filters: f}))(t).Volumes; len(got) != 1 || *got[0].VolumeId != volumeOf[all[0]] {
			t.Errorf("the filters %s and others found %d volumes", *f[0].Name, len(got))
		}
	}
	if got := must(c.ec2.DescribeVolumeStatus(t.Context(), &ec2.DescribeVolumeStatusInput{VolumeIds: []string{volumeOf[all[0]]}}))(t).VolumeStatuses; len(got) != 1 || got[0].VolumeStatus.Status != "ok" {
		t.Errorf("the status is %+v", got)
	}
	// The instances of one launch are one reservation.
	run := must(c.ec2.RunInstances(t.Context(), &ec2.RunInstancesInput{ImageId: aws.String("ami-1"), MinCount: aws.Int32(2), MaxCount: aws.Int32(2)}))(t)
	got := must(c.ec2.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{Filters: []types.Filter{filter("reservation-id", *run.ReservationId)}}))(t).Reservations
	if len(got) != 1 || len(got[0].Instances) != 2 || *got[0].Instances[1].AmiLaunchIndex != 1 {
		t.Errorf("the reservation is %+v", got)
	}
}

func TestZonesAndRegions(t *testing.T) {
	c := start(t, localstack.Config{})
	var got []string
	for _, z := range must(c.ec2.DescribeAvailabilityZones(t.Context(), &ec2.DescribeAvailabilityZonesInput{Filters: []types.Filter{filter("region-name", "eu-west-1")}}))(t).AvailabilityZones {
		got = append(got, *z.ZoneName+" "+*z.ZoneId)
	}
	if diff := cmp.Diff([]string{"eu-west-1a euw1-az1", "eu-west-1b euw1-az2", "eu-west-1c euw1-az3"}, got); diff != "" {
		t.Error(diff)
	}
	if r := must(c.ec2.DescribeRegions(t.Context(), &ec2.DescribeRegionsInput{}))(t).Regions; len(r) != 1 || *r[0].RegionName != "eu-west-1" {
		t.Errorf("the regions are %+v", r)
	}
	_, err := c.ec2.DescribeRegions(t.Context(), &ec2.DescribeRegionsInput{RegionNames: []string{"mars-1"}})
	wantCode(t, err, "InvalidParameterValue")
}

// What the log of calls says that a call was about.
func TestCallsNameTheirResources(t *testing.T) {
	c := start(t, localstack.Config{})
	instance, _ := c.launch(t, 0)
	id := c.newVolume(t, 1)
	must(struct{}{}, c.attach(t, id, instance, "/dev/sdf"))(t)
	must(c.ec2.CreateTags(t.Context(), &ec2.CreateTagsInput{Resources: []string{id, instance}, Tags: tags("a", "b")}))(t)
	must(struct{}{}, c.detach(t, id))(t)
	must(c.ec2.DeleteVolume(t.Context(), &ec2.DeleteVolumeInput{VolumeId: &id}))(t)
	arn := "arn:aws:ec2:eu-west-1:111122223333:"
	v, i := arn+"volume/"+id, arn+"instance/"+instance
	got := map[string][]string{}
	for _, call := range c.Calls() {
		got[call.Operation] = call.Resources
	}
	for operation, want := range map[string][]string{
		"ec2:CreateVolume": {v}, "ec2:AttachVolume": {v, i}, "ec2:CreateTags": {v, i}, "ec2:DetachVolume": {v, i}, "ec2:DeleteVolume": {v},
	} {
		if !cmp.Equal(got[operation], want) {
			t.Errorf("%s was about %v, want %v", operation, got[operation], want)
		}
	}
	if run := got["ec2:RunInstances"]; len(run) != 2 || run[0] != i || !strings.HasPrefix(run[1], arn+"volume/vol-") {
		t.Errorf("RunInstances was about %v", run)
	}
}
