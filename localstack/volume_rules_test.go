package localstack_test

import (
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"stillpoint/localstack"
)

func TestDeviceNames(t *testing.T) {
	c := start(t, localstack.Config{})
	instance, _ := c.launch(t, 0)
	for device, ok := range map[string]bool{
		"/dev/sdf": true, "/dev/sdb": true, "/dev/xvdf": true, "xvdh": true, "sdi": true, "/dev/xvdba": true, "/dev/xvddz": true,
		"/dev/sda1": false, "/dev/xvda": false, "/dev/sdf1": false, "/dev/sdk1": false, "/dev/xvdeo": false, "/dev/nvme1n1": false, "/dev/hdf": false,
		"/dev/sdaa": false, "f": false, "/dev/sdF": false, "/dev/../sdf": false,
	} {
		err := c.attach(t, c.newVolume(t, 1), instance, device)
		if !ok {
			wantCode(t, err, "InvalidParameterValue")
		} else if err != nil {
			t.Errorf("%s: %v", device, err)
		}
	}
	wantCode(t, c.attach(t, c.newVolume(t, 1), instance, "/dev/sdf"), "InvalidParameterValue")

	// An image with its root volume at the other name.
	run := must(c.ec2.RunInstances(t.Context(), &ec2.RunInstancesInput{
		ImageId: aws.String("ami-1"), MinCount: aws.Int32(1), MaxCount: aws.Int32(1), BlockDeviceMappings: []types.BlockDeviceMapping{
			{DeviceName: aws.String("/dev/sda1"), Ebs: &types.EbsBlockDevice{VolumeSize: aws.Int32(20), VolumeType: "gp3", Throughput: aws.Int32(500), DeleteOnTermination: aws.Bool(false)}},
		},
	}))(t).Instances[0]
	if len(run.BlockDeviceMappings) != 1 || *run.RootDeviceName != "/dev/sda1" || *run.BlockDeviceMappings[0].Ebs.DeleteOnTermination || run.State.Name != "pending" {
		t.Errorf("launched %+v", run)
	}
	if v := c.volume(t, *run.BlockDeviceMappings[0].Ebs.VolumeId); *v.Size != 20 || *v.Throughput != 500 || *v.Iops != 3000 {
		t.Errorf("its root volume is %+v", v)
	}
}

func TestManyAttachments(t *testing.T) {
	c := start(t, localstack.Config{Unlimited: true})
	nitro, _ := c.launch(t, 0)
	xen := *must(c.ec2.RunInstances(t.Context(), &ec2.RunInstancesInput{ImageId: aws.String("ami-1"), InstanceType: "t2.micro", MinCount: aws.Int32(1), MaxCount: aws.Int32(1)}))(t).Instances[0].InstanceId
	for i := range 26 {
		for _, id := range []string{nitro, xen} {
			must(struct{}{}, c.attach(t, c.newVolume(t, 1), id, "/dev/xvdb"+string(rune('a'+i))))(t)
		}
	}
	wantCode(t, c.attach(t, c.newVolume(t, 1), nitro, "/dev/sdf"), "AttachmentLimitExceeded")
	must(struct{}{}, c.attach(t, c.newVolume(t, 1), xen, "/dev/sdf"))(t)
}

func TestVolumeRules(t *testing.T) {
	c := start(t, localstack.Config{SnapshotTime: -1})
	secret := *must(c.ec2.CreateVolume(t.Context(), &ec2.CreateVolumeInput{
		Size: aws.Int32(10), AvailabilityZoneId: aws.String("euw1-az2"), Encrypted: aws.Bool(true), KmsKeyId: aws.String("alias/mine"),
	}))(t).VolumeId
	if v := c.volume(t, secret); !*v.Encrypted || *v.KmsKeyId != "arn:aws:kms:eu-west-1:111122223333:alias/mine" || *v.AvailabilityZone != "eu-west-1b" || v.VolumeType != "gp2" || *v.Iops != 100 {
		t.Errorf("the encrypted volume is %+v", v)
	}
	snap := *must(c.ec2.CreateSnapshot(t.Context(), &ec2.CreateSnapshotInput{VolumeId: &secret}))(t).SnapshotId
	type in = ec2.CreateVolumeInput
	for name, x := range map[string]struct {
		in   in
		code string // empty: none
	}{
		"gp2 with iops":         {in{Size: aws.Int32(10), Iops: aws.Int32(3000)}, "InvalidParameterCombination"},
		"gp2 too large":         {in{Size: aws.Int32(16385)}, "InvalidParameterValue"},
		"gp3":                   {in{Size: aws.Int32(65536), VolumeType: "gp3"}, ""},
		"gp3 fast":              {in{Size: aws.Int32(160), VolumeType: "gp3", Iops: aws.Int32(80000), Throughput: aws.Int32(2000)}, ""},
		"gp3 small and fast":    {in{Size: aws.Int32(5), VolumeType: "gp3", Iops: aws.Int32(3001)}, "InvalidParameterValue"},
		"gp3 small":             {in{Size: aws.Int32(1), VolumeType: "gp3", Iops: aws.Int32(3000)}, ""},
		"gp3 throughput":        {in{Size: aws.Int32(100), VolumeType: "gp3", Throughput: aws.Int32(751)}, "InvalidParameterValue"},
		"gp2 throughput":        {in{Size: aws.Int32(100), Throughput: aws.Int32(200)}, "InvalidParameterCombination"},
		"io1 without iops":      {in{Size: aws.Int32(10), VolumeType: "io1"}, "MissingParameter"},
		"io1":                   {in{Size: aws.Int32(4), VolumeType: "io1", Iops: aws.Int32(200)}, ""},
		"io1 too fast":          {in{Size: aws.Int32(4), VolumeType: "io1", Iops: aws.Int32(201)}, "InvalidParameterValue"},
		"io2 too small":         {in{Size: aws.Int32(3), VolumeType: "io2", Iops: aws.Int32(100)}, "InvalidParameterValue"},
		"st1 too small":         {in{Size: aws.Int32(124), VolumeType: "st1"}, "InvalidParameterValue"},
		"standard too large":    {in{Size: aws.Int32(1025), VolumeType: "standard"}, "InvalidParameterValue"},
		"no such type":          {in{Size: aws.Int32(10), VolumeType: "gp4"}, "InvalidParameterValue"},
		"neither size nor snap": {in{}, "MissingParameter"},
		"key without encrypted": {in{Size: aws.Int32(1), KmsKeyId: aws.String("x")}, "InvalidParameterDependency"},
		"snapshot too large":    {in{SnapshotId: &snap, Size: aws.Int32(9)}, "InvalidParameterValue"},
		"snapshot larger":       {in{SnapshotId: &snap, Size: aws.Int32(11)}, ""},
		"no such zone":          {in{Size: aws.Int32(1), AvailabilityZone: aws.String("eu-west-1z")}, "InvalidZone.NotFound"},
		"zone twice":            {in{Size: aws.Int32(1), AvailabilityZone: aws.String("eu-west-1a"), AvailabilityZoneId: aws.String("euw1-az1")}, "InvalidParameterCombination"},
		"multi-attach":          {in{Size: aws.Int32(10), VolumeType: "io2", Iops: aws.Int32(100), MultiAttachEnabled: aws.Bool(true)}, "UnsupportedOperation"},
		"outpost":               {in{Size: aws.Int32(10), OutpostArn: aws.String("arn:x")}, "UnsupportedOperation"},
		"dry run":               {in{Size: aws.Int32(10), DryRun: aws.Bool(true)}, "DryRunOperation"},
		"dry run of nonsense":   {in{Size: aws.Int32(10), VolumeType: "gp4", DryRun: aws.Bool(true)}, "InvalidParameterValue"},
	} {
		t.Run(name, func(t *testing.T) {
			if x.in.AvailabilityZone == nil {
				x.in.AvailabilityZone = aws.String("eu-west-1a")
			}
			before := len(must(c.ec2.DescribeVolumes(t.Context(), &ec2.DescribeVolumesInput{}))(t).Volumes)
			out, err := c.ec2.CreateVolume(t.Context(), &x.in)
			if x.code != "" {
				wantCode(t, err, x.code)
				if n := len(must(c.ec2.DescribeVolumes(t.Context(), &ec2.DescribeVolumesInput{}))(t).Volumes); n != before {
					t.Error("it failed and made a volume")
				}
				return
			}
			v := must(out, err)(t)
			if v.State != "creating" || *v.Encrypted != (x.in.SnapshotId != nil) {
				t.Errorf("made %+v", v)
			}
		})
	}
	_, err := c.ec2.CreateVolume(t.Context(), &in{Size: aws.Int32(1)})
	wantCode(t, err, "MissingParameter")
}

func TestModifyVolume(t *testing.T) {
	c := start(t, localstack.Config{})
	instance, _ := c.launch(t, 0)
	id := c.newVolume(t, 10)
	modify := func(in ec2.ModifyVolumeInput) (*types.VolumeModification, error) {
		in.VolumeId = &id
		out, err := c.ec2.ModifyVolume(t.Context(), &in)
		if err != nil {
			return nil, err
		}
		return out.VolumeModification, nil
	}
	latest := func() types.VolumeModification {
		t.Helper()
		return must(c.ec2.DescribeVolumesModifications(t.Context(), &ec2.DescribeVolumesModificationsInput{VolumeIds: []string{id}}))(t).VolumesModifications[0]
	}
	_, err := c.ec2.DescribeVolumesModifications(t.Context(), &ec2.DescribeVolumesModificationsInput{VolumeIds: []string{id}})
	wantCode(t, err, "InvalidVolumeModification.NotFound")
	_, err = modify(ec2.ModifyVolumeInput{Size: aws.Int32(9)})
	wantCode(t, err, "InvalidParameterValue")
	_, err = modify(ec2.ModifyVolumeInput{VolumeType: "st1"})
	wantCode(t, err, "InvalidParameterValue")
	_, err = modify(ec2.ModifyVolumeInput{MultiAttachEnabled: aws.Bool(true)})
	wantCode(t, err, "UnsupportedOperation")

	m := must(modify(ec2.ModifyVolumeInput{Size: aws.Int32(20), VolumeType: "gp3"}))(t)
	if m.ModificationState != "modifying" || *m.OriginalSize != 10 || *m.TargetSize != 20 || m.OriginalVolumeType != "gp2" || m.TargetVolumeType != "gp3" || *m.TargetIops != 3000 || *m.TargetThroughput != 125 {
		t.Errorf("the modification is %+v", m)
	}
	if v := c.volume(t, id); *v.Size != 10 || v.VolumeType != "gp2" {
		t.Errorf("while it is being modified the volume is %+v", v)
	}
	_, err = modify(ec2.ModifyVolumeInput{Size: aws.Int32(30)})
	wantCode(t, err, "IncorrectModificationState")
	wantCode(t, c.attach(t, id, instance, "/dev/sdf"), "OperationNotPermitted")
	c.MoveClock(5 * time.Second)
	if m := latest(); m.ModificationState != "optimizing" || *m.Progress >= 100 || m.EndTime != nil {
		t.Errorf("the modification is %+v", m)
	}
	if v := c.volume(t, id); *v.Size != 20 || v.VolumeType != "gp3" || *v.Throughput != 125 {
		t.Errorf("modified the volume is %+v", v)
	}
	must(struct{}{}, c.attach(t, id, instance, "/dev/sdf"))(t)
	_, err = modify(ec2.ModifyVolumeInput{Size: aws.Int32(30)})
	wantCode(t, err, "IncorrectModificationState")
	c.MoveClock(2 * time.Minute)
	if m := latest(); m.ModificationState != "completed" || *m.Progress != 100 || m.EndTime.Sub(*m.StartTime) != 62*time.Second {
		t.Errorf("the modification is %+v", m)
	}
	if got := must(c.ec2.DescribeVolumesModifications(t.Context(), &ec2.DescribeVolumesModificationsInput{Filters: []types.Filter{filter("modification-state", "completed"), filter("target-size", "20")}}))(t); len(got.VolumesModifications) != 1 {
		t.Errorf("the filters found %v", got.VolumesModifications)
	}

	// Four in 24 hours, from the start of the first.
	for size := int32(21); size <= 23; size++ {
		must(modify(ec2.ModifyVolumeInput{Size: &size}))(t)
		c.MoveClock(2 * time.Minute)
	}
	_, err = modify(ec2.ModifyVolumeInput{Size: aws.Int32(24)})
	wantCode(t, err, "VolumeModificationRateExceeded")
	c.MoveClock(23*time.Hour + 45*time.Minute)
	_, err = modify(ec2.ModifyVolumeInput{Size: aws.Int32(24)})
	wantCode(t, err, "VolumeModificationRateExceeded")
	c.MoveClock(15 * time.Minute)
	must(modify(ec2.ModifyVolumeInput{Size: aws.Int32(24)}))(t)
}
