package localstack_test

import (
	"context"
	"fmt"
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

// as is a client that signs for a region with an access key; one of twelve digits is that account.
func (c *cloud) as(region, key string) *ec2.Client {
	return ec2.NewFromConfig(c.config, func(o *ec2.Options) {
		o.Region = region
		o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: key, SecretAccessKey: "b"}, nil
		})
	})
}

const stranger = "999988887777" // another account

// behave changes the behaviour of EC2.
func (c *cloud) behave(t *testing.T, change func(*localstack.EC2Behaviour)) {
	t.Helper()
	b := c.EC2Behaviour()
	change(&b)
	must(struct{}{}, c.BehaveEC2(b))(t)
}

// snapOf makes a snapshot of a volume.
func (c *cloud) snapOf(t *testing.T, volume string, pairs ...string) string {
	t.Helper()
	in := &ec2.CreateSnapshotInput{VolumeId: &volume}
	if len(pairs) > 0 {
		in.TagSpecifications = onSnapshots(pairs...)
	}
	return *must(c.ec2.CreateSnapshot(t.Context(), in))(t).SnapshotId
}

// snapAll makes snapshots of all volumes of an instance.
func (c *cloud) snapAll(t *testing.T, instance string) []string {
	t.Helper()
	out := must(c.ec2.CreateSnapshots(t.Context(), &ec2.CreateSnapshotsInput{InstanceSpecification: &types.InstanceSpecification{InstanceId: &instance}}))(t)
	var ids []string
	for _, s := range out.Snapshots {
		ids = append(ids, *s.SnapshotId)
	}
	return ids
}

// snapshot describes one snapshot.
func (c *cloud) snapshot(t *testing.T, id string) types.Snapshot {
	t.Helper()
	return must(c.ec2.DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{SnapshotIds: []string{id}}))(t).Snapshots[0]
}

// ids lists what a call finds.
func ids(t *testing.T, client *ec2.Client, in ec2.DescribeSnapshotsInput) []string {
	t.Helper()
	out := []string{}
	for _, s := range must(client.DescribeSnapshots(t.Context(), &in))(t).Snapshots {
		out = append(out, *s.SnapshotId)
	}
	return out
}

func TestSnapshotProgress(t *testing.T) {
	c := start(t, localstack.Config{SnapshotTime: 100 * time.Second})
	_, volumes := c.launch(t, 2)
	id := c.snapOf(t, volumes[1])
	started := c.snapshot(t, id).StartTime
	percent := func() int {
		var n int
		must(fmt.Sscanf(*c.snapshot(t, id).Progress, "%d%%", &n))(t)
		return n
	}
	if n := percent(); n > 1 {
		t.Errorf("the progress at the start is %d%%", n)
	}
	c.MoveClock(40 * time.Second)
	if n := percent(); n < 40 || n > 45 {
		t.Errorf("the progress after 40 of 100 s is %d%%", n)
	}
	if s := c.snapshot(t, id); s.State != types.SnapshotStatePending || s.CompletionTime != nil {
		t.Errorf("after 40 of 100 s: %+v", s)
	}
	c.MoveClock(60 * time.Second)
	s := c.snapshot(t, id)
	if s.State != types.SnapshotStateCompleted || *s.Progress != "100%" || !s.CompletionTime.Equal(started.Add(100*time.Second)) {
		t.Errorf("after 100 s: %+v", s)
	}

	// A speed, by the size that the API tells; and nothing is completed before an older snapshot of the volume.
	c.behave(t, func(b *localstack.EC2Behaviour) { b.SnapshotTime, b.BytesPerSecond = 0, 1<<20 })
	slow := c.snapOf(t, volumes[1])
	c.behave(t, func(b *localstack.EC2Behaviour) { b.BytesPerSecond = 0 })
	late, other := c.snapOf(t, volumes[1]), c.snapOf(t, volumes[2])
	c.MoveClock(1000 * time.Second)
	for id, want := range map[string]types.SnapshotState{slow: "pending", late: "pending", other: "completed"} {
		if s := c.snapshot(t, id); s.State != want {
			t.Errorf("after 1000 s a snapshot is %s, want %s", s.State, want)
		}
	}
	c.MoveClock(24 * time.Second)
	for _, id := range []string{slow, late} {
		if s := c.snapshot(t, id); s.State != types.SnapshotStateCompleted {
			t.Errorf("after 1024 s a snapshot is %s", s.State)
		}
	}
}

func TestSnapshotsThatFail(t *testing.T) {
	c := start(t, localstack.Config{SnapshotTime: 100 * time.Second})
	instance, volumes := c.launch(t, 1)
	set, alone := c.snapAll(t, instance), c.snapOf(t, volumes[0])
	c.MoveClock(30 * time.Second)
	must(struct{}{}, c.FailSnapshot(set[1], "the disk is gone"))(t)
	for _, id := range set { // all of a set
		s := c.snapshot(t, id)
		if s.State != types.SnapshotStateError || *s.StateMessage != "the disk is gone" || !strings.HasPrefix(*s.Progress, "3") || s.CompletionTime != nil {
			t.Errorf("the failed snapshot is %+v", s)
		}
	}
	if s := c.snapshot(t, alone); s.State != types.SnapshotStatePending || s.StateMessage != nil {
		t.Errorf("another snapshot is %+v", s)
	}
	if err := c.FailSnapshot(set[1], ""); err == nil {
		t.Error("it failed twice")
	}
	if err := c.FailSnapshot("snap-0123456789abcdef0", ""); err == nil {
		t.Error("a snapshot failed that there is not")
	}
	_, err := c.ec2.CreateVolume(t.Context(), &ec2.CreateVolumeInput{SnapshotId: &set[0], AvailabilityZone: aws.String("eu-west-1a")})
	wantCode(t, err, "IncorrectState")

	c.behave(t, func(b *localstack.EC2Behaviour) { b.FailNext, b.FailMessage = 1, "no reason" })
	set, after := c.snapAll(t, instance), c.snapOf(t, volumes[0])
	if n := c.EC2Behaviour().FailNext; n != 0 {
		t.Errorf("%d snapshots are still to fail", n)
	}
	if s := c.snapshot(t, set[0]); s.State != types.SnapshotStatePending || s.StateMessage != nil {
		t.Errorf("a snapshot that is to fail begins as %+v", s)
	}
	c.MoveClock(100 * time.Second)
	for _, id := range set {
		if s := c.snapshot(t, id); s.State != types.SnapshotStateError || *s.StateMessage != "no reason" {
			t.Errorf("the snapshot that was to fail is %+v", s)
		}
	}
	if s := c.snapshot(t, after); s.State != types.SnapshotStateCompleted {
		t.Errorf("the next snapshot is %s", s.State)
	}
}

func TestCreateSnapshotsRules(t *testing.T) {
	c := start(t, localstack.Config{SnapshotTime: -1})
	instance, volumes := c.launch(t, 1)
	spec := func() *types.InstanceSpecification { return &types.InstanceSpecification{InstanceId: &instance} }
	set := func(in ec2.CreateSnapshotsInput) error {
		_, err := c.ec2.CreateSnapshots(t.Context(), &in)
		return err
	}
	one := func(in ec2.CreateSnapshotInput) error {
		_, err := c.ec2.CreateSnapshot(t.Context(), &in)
		return err
	}
	long := strings.Repeat("ü", 256)
	var many []string
	for i := range 51 {
		many = append(many, fmt.Sprint("k", i), "v")
	}
	for name, x := range map[string]struct {
		err  error
		code string
	}{
		"outpost of a set":      {set(ec2.CreateSnapshotsInput{InstanceSpecification: spec(), OutpostArn: aws.String("arn:aws:outposts:x")}), "InvalidParameterCombination"},
		"location of a set":     {set(ec2.CreateSnapshotsInput{InstanceSpecification: spec(), Location: types.SnapshotLocationEnumLocal}), "InvalidParameterCombination"},
		"outpost":               {one(ec2.CreateSnapshotInput{VolumeId: &volumes[0], OutpostArn: aws.String("arn:aws:outposts:x")}), "InvalidParameterCombination"},
		"location":              {one(ec2.CreateSnapshotInput{VolumeId: &volumes[0], Location: types.SnapshotLocationEnumLocal}), "InvalidParameterCombination"},
		"description of a set":  {set(ec2.CreateSnapshotsInput{InstanceSpecification: spec(), Description: &long}), "InvalidParameterValue"},
		"description":           {one(ec2.CreateSnapshotInput{VolumeId: &volumes[0], Description: &long}), "InvalidParameterValue"},
		"51 tags":               {set(ec2.CreateSnapshotsInput{InstanceSpecification: spec(), TagSpecifications: onSnapshots(many...)}), "TagLimitExceeded"},
		"copy tags of a stone":  {set(ec2.CreateSnapshotsInput{InstanceSpecification: spec(), CopyTagsFromSource: "stone"}), "InvalidParameterValue"},
		"no such instance":      {set(ec2.CreateSnapshotsInput{InstanceSpecification: &types.InstanceSpecification{InstanceId: aws.String("i-0123456789abcdef0")}}), "InvalidInstanceID.NotFound"},
		"no instance id":        {set(ec2.CreateSnapshotsInput{InstanceSpecification: &types.InstanceSpecification{InstanceId: aws.String("i-zz")}}), "InvalidInstanceID.Malformed"},
		"no such volume":        {one(ec2.CreateSnapshotInput{VolumeId: aws.String("vol-0123456789abcdef0")}), "InvalidVolume.NotFound"},
		"dry run":               {one(ec2.CreateSnapshotInput{VolumeId: &volumes[0], DryRun: aws.Bool(true)}), "DryRunOperation"},
		"dry run of what fails": {set(ec2.CreateSnapshotsInput{InstanceSpecification: spec(), Description: &long, DryRun: aws.Bool(true)}), "InvalidParameterValue"},
	} {
		t.Run(name, func(t *testing.T) { wantCode(t, x.err, x.code) })
	}
	if got := c.snapshots(t); len(got) != 0 {
		t.Errorf("calls that failed made %d snapshots", len(got))
	}

	// 255 characters, not bytes, and the same StartTime for all, to the millisecond.
	in := &ec2.CreateSnapshotsInput{InstanceSpecification: spec(), Description: aws.String(long[2:])}
	out := must(c.ec2.CreateSnapshots(t.Context(), in))(t).Snapshots
	if !out[0].StartTime.Equal(*out[1].StartTime) || out[0].State != types.SnapshotStatePending || *out[0].Progress != "0%" {
		t.Errorf("the set is %+v", out)
	}
	for _, s := range out {
		if got := c.snapshot(t, *s.SnapshotId); !got.StartTime.Equal(*s.StartTime) || got.State != types.SnapshotStateCompleted {
			t.Errorf("later it is %+v", got)
		}
	}
	// Repeating the call makes another set: there is no client token.
	must(c.ec2.CreateSnapshots(t.Context(), in))(t)
	if got := c.snapshots(t); len(got) != 4 {
		t.Errorf("there are %d snapshots, want 4", len(got))
	}
	calls := c.Calls()
	at := slices.IndexFunc(calls, func(call localstack.Call) bool { return call.Operation == "ec2:CreateSnapshots" && call.Effect })
	if got := calls[at].Resources; len(got) != 2 || got[0] != "arn:aws:ec2:eu-west-1::snapshot/"+*out[0].SnapshotId {
		t.Errorf("the log says the call was about %v", got)
	}
}

func TestEncryptedSnapshots(t *testing.T) {
	c := start(t, localstack.Config{SnapshotTime: -1})
	v := must(c.ec2.CreateVolume(t.Context(), &ec2.CreateVolumeInput{Size: aws.Int32(1), Encrypted: aws.Bool(true), AvailabilityZone: aws.String("eu-west-1a")}))(t)
	made := must(c.ec2.CreateSnapshot(t.Context(), &ec2.CreateSnapshotInput{VolumeId: v.VolumeId}))(t)
	arn := regexp.MustCompile(`^arn:aws:kms:eu-west-1:111122223333:key/[0-9a-f-]{36}$`)
	s := c.snapshot(t, *made.SnapshotId)
	if !*made.Encrypted || !*s.Encrypted || !arn.MatchString(aws.ToString(made.KmsKeyId)) || !cmp.Equal(made.KmsKeyId, s.KmsKeyId) {
		t.Errorf("the snapshot of an encrypted volume is %+v", s)
	}
	_, volumes := c.launch(t, 0)
	if s := c.snapshot(t, c.snapOf(t, volumes[0])); *s.Encrypted || s.KmsKeyId != nil {
		t.Errorf("that of another one is %+v", s)
	}
}
