package localstack_test

import (
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

func (c *cloud) instance(t *testing.T, id string) types.Instance {
	t.Helper()
	return must(c.ec2.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{id}}))(t).Reservations[0].Instances[0]
}

func (c *cloud) instanceState(t *testing.T, id string) string {
	t.Helper()
	return string(c.instance(t, id).State.Name)
}

func (c *cloud) volume(t *testing.T, id string) types.Volume {
	t.Helper()
	return must(c.ec2.DescribeVolumes(t.Context(), &ec2.DescribeVolumesInput{VolumeIds: []string{id}}))(t).Volumes[0]
}

func (c *cloud) newVolume(t *testing.T, gib int32) string {
	t.Helper()
	return *must(c.ec2.CreateVolume(t.Context(), &ec2.CreateVolumeInput{Size: &gib, AvailabilityZone: aws.String("eu-west-1a")}))(t).VolumeId
}

func (c *cloud) attach(t *testing.T, volume, instance, device string) error {
	t.Helper()
	_, err := c.ec2.AttachVolume(t.Context(), &ec2.AttachVolumeInput{VolumeId: &volume, InstanceId: &instance, Device: &device})
	return err
}

func (c *cloud) detach(t *testing.T, volume string) error {
	t.Helper()
	_, err := c.ec2.DetachVolume(t.Context(), &ec2.DetachVolumeInput{VolumeId: &volume})
	return err
}

func TestStopAndStart(t *testing.T) {
	c := start(t, localstack.Config{})
	id, volumes := c.launch(t, 1)
	ids := []string{id}
	wantCode(t, c.detach(t, volumes[0]), "OperationNotPermitted") // the root volume of a running instance
	out := must(c.ec2.StopInstances(t.Context(), &ec2.StopInstancesInput{InstanceIds: ids}))(t).StoppingInstances[0]
	if out.CurrentState.Name != "stopping" || *out.CurrentState.Code != 64 || out.PreviousState.Name != "running" {
		t.Errorf("stopping it answered %+v, %+v", out.CurrentState, out.PreviousState)
	}
	_, err := c.ec2.StartInstances(t.Context(), &ec2.StartInstancesInput{InstanceIds: ids})
	wantCode(t, err, "IncorrectInstanceState")
	wantCode(t, c.attach(t, c.newVolume(t, 1), id, "/dev/sdg"), "IncorrectState")
	c.MoveClock(time.Minute)
	if i := c.instance(t, id); i.State.Name != "stopped" || *i.State.Code != 80 || !strings.HasPrefix(*i.StateTransitionReason, "User initiated (") || len(i.BlockDeviceMappings) != 2 {
		t.Errorf("stopped, it is %+v", i)
	}
	must(c.ec2.StopInstances(t.Context(), &ec2.StopInstancesInput{InstanceIds: ids}))(t) // again is no error

	// Volumes of a stopped instance come and go, the root volume too.
	must(struct{}{}, c.attach(t, c.newVolume(t, 1), id, "/dev/sdg"))(t)
	must(struct{}{}, c.detach(t, volumes[0]))(t)
	_, err = c.ec2.StartInstances(t.Context(), &ec2.StartInstancesInput{InstanceIds: ids})
	wantCode(t, err, "IncorrectInstanceState")
	must(struct{}{}, c.attach(t, volumes[0], id, "/dev/xvda"))(t)
	started := must(c.ec2.StartInstances(t.Context(), &ec2.StartInstancesInput{InstanceIds: ids}))(t).StartingInstances[0]
	if started.CurrentState.Name != "pending" || started.PreviousState.Name != "stopped" {
		t.Errorf("starting it answered %+v, %+v", started.CurrentState, started.PreviousState)
	}
	c.MoveClock(time.Minute)
	if i := c.instance(t, id); i.State.Name != "running" || len(i.BlockDeviceMappings) != 3 || *i.BlockDeviceMappings[0].Ebs.VolumeId != volumes[0] {
		t.Errorf("started again, it is %s with %v", i.State.Name, i.BlockDeviceMappings)
	}
	wantCode(t, c.detach(t, volumes[0]), "OperationNotPermitted")
}

func TestTerminate(t *testing.T) {
	c := start(t, localstack.Config{})
	id, volumes := c.launch(t, 2)
	later := c.newVolume(t, 1)
	must(struct{}{}, c.attach(t, later, id, "/dev/sdm"))(t)
	set := func(device string, flag bool) error {
		_, err := c.ec2.ModifyInstanceAttribute(t.Context(), &ec2.ModifyInstanceAttributeInput{InstanceId: &id, BlockDeviceMappings: []types.InstanceBlockDeviceMappingSpecification{
			{DeviceName: &device, Ebs: &types.EbsInstanceBlockDeviceSpecification{DeleteOnTermination: &flag}},
		}})
		return err
	}
	must(struct{}{}, set("/dev/sdf", false))(t)
	wantCode(t, set("/dev/sdz", false), "InvalidInstanceAttributeValue")
	protect := func(flag bool) {
		_, err := c.ec2.ModifyInstanceAttribute(t.Context(), &ec2.ModifyInstanceAttributeInput{InstanceId: &id, DisableApiTermination: &types.AttributeBooleanValue{Value: &flag}})
		must(struct{}{}, err)(t)
	}
	other, _ := c.launch(t, 0)
	terminate := func() (*ec2.TerminateInstancesOutput, error) {
		return c.ec2.TerminateInstances(t.Context(), &ec2.TerminateInstancesInput{InstanceIds: []string{id, other}})
	}
	protect(true)
	_, err := terminate()
	wantCode(t, err, "OperationNotPermitted")
	if c.instanceState(t, other) != "running" {
		t.Error("one of two is protected, and the other in its zone was terminated")
	}
	protect(false)
	_, err = c.ec2.TerminateInstances(t.Context(), &ec2.TerminateInstancesInput{InstanceIds: []string{id, "i-0123456789abcdef0"}})
	wantCode(t, err, "InvalidInstanceID.NotFound")
	if c.instanceState(t, id) != "running" {
		t.Error("a call with a wrong id terminated the right one")
	}
	out := must(terminate())(t).TerminatingInstances
	if len(out) != 2 || out[0].CurrentState.Name != "shutting-down" || *out[0].CurrentState.Code != 32 {
		t.Errorf("terminating answered %+v", out)
	}
	if v := c.volume(t, volumes[2]); v.State != "in-use" {
		t.Errorf("while it shuts down, a volume is %s", v.State)
	}
	c.MoveClock(time.Minute)
	if i := c.instance(t, id); i.State.Name != "terminated" || *i.State.Code != 48 || len(i.BlockDeviceMappings) != 0 || i.PrivateIpAddress != nil {
		t.Errorf("terminated, it is %+v", i)
	}
	var left []string
	for _, v := range must(c.ec2.DescribeVolumes(t.Context(), &ec2.DescribeVolumesInput{}))(t).Volumes {
		left = append(left, *v.VolumeId+" "+string(v.State))
	}
	if want := []string{volumes[1] + " available", later + " available"}; !cmp.Equal(left, want) {
		t.Errorf("left are %v, want %v", left, want)
	}
	must(terminate())(t) // again is no error
	_, err = c.ec2.StartInstances(t.Context(), &ec2.StartInstancesInput{InstanceIds: []string{id}})
	wantCode(t, err, "IncorrectInstanceState")
	c.MoveClock(2 * time.Hour)
	_, err = c.ec2.DescribeInstances(t.Context(), &ec2.DescribeInstancesInput{InstanceIds: []string{id}})
	wantCode(t, err, "InvalidInstanceID.NotFound")
}

func TestInstanceStatusAndAttributes(t *testing.T) {
	c := start(t, localstack.Config{})
	a, volumes := c.launch(t, 0)
	b, _ := c.launch(t, 0)
	must(c.ec2.StopInstances(t.Context(), &ec2.StopInstancesInput{InstanceIds: []string{b}}))(t)
	status := func(all bool) (out []string) {
		for _, s := range must(c.ec2.DescribeInstanceStatus(t.Context(), &ec2.DescribeInstanceStatusInput{IncludeAllInstances: &all}))(t).InstanceStatuses {
			out = append(out, *s.InstanceId+" "+string(s.InstanceState.Name)+" "+string(s.InstanceStatus.Status))
		}
		return out
	}
	if diff := cmp.Diff([]string{a + " running ok"}, status(false)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{a + " running ok", b + " stopping not-applicable"}, status(true)); diff != "" {
		t.Error(diff)
	}
	get := func(name types.InstanceAttributeName) *ec2.DescribeInstanceAttributeOutput {
		return must(c.ec2.DescribeInstanceAttribute(t.Context(), &ec2.DescribeInstanceAttributeInput{InstanceId: &a, Attribute: name}))(t)
	}
	if m := get("blockDeviceMapping").BlockDeviceMappings; len(m) != 1 || *m[0].Ebs.VolumeId != volumes[0] || !*m[0].Ebs.DeleteOnTermination {
		t.Errorf("the mapping is %+v", m)
	}
	if *get("disableApiTermination").DisableApiTermination.Value || *get("rootDeviceName").RootDeviceName.Value != "/dev/xvda" {
		t.Error("wrong attributes")
	}
	_, err := c.ec2.DescribeInstanceAttribute(t.Context(), &ec2.DescribeInstanceAttributeInput{InstanceId: &a, Attribute: "userData"})
	wantCode(t, err, "UnsupportedOperation")
	resize := func() error {
		_, err := c.ec2.ModifyInstanceAttribute(t.Context(), &ec2.ModifyInstanceAttributeInput{InstanceId: &b, InstanceType: &types.AttributeValue{Value: aws.String("t2.micro")}})
		return err
	}
	wantCode(t, resize(), "IncorrectInstanceState")
	c.MoveClock(time.Minute)
	must(struct{}{}, resize())(t)
	if i := c.instance(t, b); i.InstanceType != "t2.micro" || *i.EnaSupport || i.Hypervisor != "xen" {
		t.Errorf("it is %+v", i)
	}
	if i := c.instance(t, a); !*i.EnaSupport || i.Hypervisor != "xen" {
		t.Errorf("a Nitro instance is %+v", i)
	}
}

func TestTokens(t *testing.T) {
	c := start(t, localstack.Config{})
	run := func(token string, change func(*ec2.RunInstancesInput)) ([]string, error) {
		in := &ec2.RunInstancesInput{ImageId: aws.String("ami-1"), MinCount: aws.Int32(2), MaxCount: aws.Int32(2), ClientToken: &token}
		if change != nil {
			change(in)
		}
		out, err := c.ec2.RunInstances(t.Context(), in)
		if err != nil {
			return nil, err
		}
		var ids []string
		for _, i := range out.Instances {
			ids = append(ids, *i.InstanceId)
		}
		return ids, nil
	}
	first := must(run("a", nil))(t)
	if again := must(run("a", nil))(t); !cmp.Equal(first, again) {
		t.Errorf("the first call made %v, the second %v", first, again)
	}
	_, err := run("a", func(in *ec2.RunInstancesInput) { in.InstanceType = "t3.micro" })
	wantCode(t, err, "IdempotentParameterMismatch")
	zonal := func(in *ec2.RunInstancesInput) {
		in.Placement = &types.Placement{AvailabilityZone: aws.String("eu-west-1b")}
	}
	if other := must(run("a", zonal))(t); cmp.Equal(first, other) {
		t.Error("the token of one zone was taken for another")
	}
	_, err = run(strings.Repeat("x", 65), nil)
	wantCode(t, err, "InvalidParameterValue")

	create := func(token string, gib int32) (string, error) {
		out, err := c.ec2.CreateVolume(t.Context(), &ec2.CreateVolumeInput{Size: &gib, AvailabilityZone: aws.String("eu-west-1a"), ClientToken: &token})
		if err != nil {
			return "", err
		}
		return *out.VolumeId, nil
	}
	id := must(create("a", 1))(t) // the token of another action
	if again := must(create("a", 1))(t); id != again {
		t.Errorf("the first call made %s, the second %s", id, again)
	}
	_, err = create("a", 2)
	wantCode(t, err, "IdempotentParameterMismatch")

	// It is remembered for a day after the volume has gone.
	must(c.ec2.DeleteVolume(t.Context(), &ec2.DeleteVolumeInput{VolumeId: &id}))(t)
	if again := must(create("a", 1))(t); id != again {
		t.Errorf("the volume is deleted, and the token made %s", again)
	}
	c.MoveClock(25 * time.Hour)
	if again := must(create("a", 1))(t); id == again {
		t.Error("the token is remembered for ever")
	}
}

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
	c := start(t, localstack.Config{})
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

func TestFindingInstancesAndVolumes(t *testing.T) {
	c := start(t, localstack.Config{})
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
