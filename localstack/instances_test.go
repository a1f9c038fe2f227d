package localstack_test

import (
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
