package localstack_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/smithy-go"

	"stillpoint/localstack"
)

// passed calls until it is throttled, at most limit times, and returns how many calls were not.
func passed(t *testing.T, limit int, call func() error) int {
	t.Helper()
	for n := range limit {
		err := call()
		var api smithy.APIError
		if errors.As(err, &api) && api.ErrorCode() == "RequestLimitExceeded" {
			return n
		}
	}
	return limit
}

// The machine's clock goes on while calls are counted, so that a few more pass than the bucket holds.
func TestTokenBuckets(t *testing.T) {
	text := "snap-0123456789abcdef0"
	for name, x := range map[string]struct {
		size, perSecond int
		call            func(c *cloud) error
	}{
		"CreateSnapshot": {100, 5, func(c *cloud) error {
			_, err := c.ec2.CreateSnapshot(t.Context(), &ec2.CreateSnapshotInput{VolumeId: aws.String("vol-0123456789abcdef0")})
			return err
		}},
		"CreateSnapshots": {100, 5, func(c *cloud) error {
			_, err := c.ec2.CreateSnapshots(t.Context(), &ec2.CreateSnapshotsInput{InstanceSpecification: &types.InstanceSpecification{InstanceId: aws.String("i-0123456789abcdef0")}})
			return err
		}},
		"DeleteSnapshot": {100, 5, func(c *cloud) error {
			_, err := c.ec2.DeleteSnapshot(t.Context(), &ec2.DeleteSnapshotInput{SnapshotId: &text})
			return err
		}},
		"DescribeSnapshots": {50, 10, func(c *cloud) error {
			_, err := c.ec2.DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}})
			return err
		}},
		"DescribeSnapshots with pages": {100, 20, func(c *cloud) error {
			_, err := c.ec2.DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{MaxResults: aws.Int32(5)})
			return err
		}},
		"DescribeSnapshots with filter": {100, 20, func(c *cloud) error {
			_, err := c.ec2.DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{Filters: []types.Filter{filter("status", "pending")}})
			return err
		}},
		"CreateTags": {100, 10, func(c *cloud) error {
			_, err := c.ec2.CreateTags(t.Context(), &ec2.CreateTagsInput{Resources: []string{text}, Tags: tags("a", "b")})
			return err
		}},
		"LockSnapshot": {50, 5, func(c *cloud) error {
			_, err := c.ec2.UnlockSnapshot(t.Context(), &ec2.UnlockSnapshotInput{SnapshotId: &text})
			return err
		}},
		"GetSnapshotBlockPublicAccessState": {100, 20, func(c *cloud) error {
			_, err := c.ec2.GetSnapshotBlockPublicAccessState(t.Context(), &ec2.GetSnapshotBlockPublicAccessStateInput{})
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			c := start(t, localstack.Config{})
			began := time.Now()
			n := passed(t, 3*x.size, func() error { return x.call(c) })
			if more := int(time.Since(began).Seconds()*float64(x.perSecond)) + 1; n < x.size || n > x.size+more {
				t.Errorf("%d calls passed, want %d and at most %d more", n, x.size, more)
			}
			calls := c.Calls()
			if last := calls[len(calls)-1]; last.Err != "RequestLimitExceeded" || last.Status != http.StatusServiceUnavailable {
				t.Errorf("the last call is %+v", last)
			}
			c.MoveClock(2 * time.Second)
			began = time.Now()
			n = passed(t, 3*x.size, func() error { return x.call(c) })
			if more := int(time.Since(began).Seconds()*float64(x.perSecond)) + 1; n < 2*x.perSecond || n > 2*x.perSecond+more {
				t.Errorf("2 s later %d calls passed, want %d and at most %d more", n, 2*x.perSecond, more)
			}
			c.MoveClock(time.Hour) // it does not hold more than its size
			began = time.Now()
			n = passed(t, 3*x.size, func() error { return x.call(c) })
			if more := int(time.Since(began).Seconds()*float64(x.perSecond)) + 1; n > x.size+more {
				t.Errorf("an hour later %d calls passed, of a bucket of %d", n, x.size)
			}
		})
	}
}

func TestTokenBucketsAreApart(t *testing.T) {
	c := start(t, localstack.Config{})
	one := map[string]localstack.EC2Bucket{"DescribeSnapshots": {Size: 1, PerSecond: 0.01}}
	c.behave(t, func(b *localstack.EC2Behaviour) { b.Buckets = one })
	describe := func(client *ec2.Client) error {
		_, err := client.DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{MaxResults: aws.Int32(5)})
		return err
	}
	must(struct{}{}, describe(c.ec2))(t)
	wantCode(t, describe(c.ec2), "RequestLimitExceeded")
	must(struct{}{}, describe(c.as("eu-north-1", "a")))(t)     // another region
	must(struct{}{}, describe(c.as("eu-west-1", stranger)))(t) // another account
	wantCode(t, describe(c.as("eu-west-1", "b")), "RequestLimitExceeded")
	must(c.ec2.DescribeVolumes(t.Context(), &ec2.DescribeVolumesInput{}))(t)     // another action
	must(c.ec2.DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{}))(t) // another bucket of the same
	c.MoveClock(50 * time.Second)
	wantCode(t, describe(c.ec2), "RequestLimitExceeded")
	c.MoveClock(50 * time.Second)
	must(struct{}{}, describe(c.ec2))(t)

	c.behave(t, func(b *localstack.EC2Behaviour) { b.Buckets, b.Unthrottled = nil, true })
	if n := passed(t, 200, func() error { return describe(c.ec2) }); n != 200 {
		t.Errorf("without throttling %d calls passed", n)
	}

	// RunInstances is also counted by instance.
	c.behave(t, func(b *localstack.EC2Behaviour) {
		b.Unthrottled, b.Buckets = false, map[string]localstack.EC2Bucket{"RunInstances:resources": {Size: 3, PerSecond: 1}}
	})
	run := func(n int32) error {
		_, err := c.ec2.RunInstances(t.Context(), &ec2.RunInstancesInput{ImageId: aws.String("ami-1"), MinCount: &n, MaxCount: &n})
		return err
	}
	must(struct{}{}, run(2))(t)
	wantCode(t, run(2), "RequestLimitExceeded")
	must(struct{}{}, run(1))(t)

	for _, b := range []localstack.EC2Behaviour{
		{Buckets: map[string]localstack.EC2Bucket{"MakeCoffee": {}}}, {Buckets: map[string]localstack.EC2Bucket{"CreateSnapshot:unfiltered": {}}},
		{DescribeLagMin: time.Second}, {SnapshotTime: -1}, {FailNext: -1},
	} {
		if err := c.BehaveEC2(b); err == nil {
			t.Errorf("it behaves like %+v", b)
		}
	}
}

func TestPendingSnapshotsOfAVolume(t *testing.T) {
	c := start(t, localstack.Config{SnapshotTime: time.Minute})
	for kind, limit := range map[types.VolumeType]int{"gp3": 5, "io2": 5, "standard": 5, "st1": 1, "sc1": 1} {
		t.Run(string(kind), func(t *testing.T) {
			v := must(c.ec2.CreateVolume(t.Context(), &ec2.CreateVolumeInput{Size: aws.Int32(125), Iops: iops(kind), VolumeType: kind, AvailabilityZone: aws.String("eu-west-1a")}))(t)
			var last string
			for range limit {
				last = c.snapOf(t, *v.VolumeId)
			}
			create := func() error {
				_, err := c.ec2.CreateSnapshot(t.Context(), &ec2.CreateSnapshotInput{VolumeId: v.VolumeId})
				return err
			}
			wantCode(t, create(), "ConcurrentSnapshotLimitExceeded")
			// One that failed counts as long as it is there.
			must(struct{}{}, c.FailSnapshot(last, ""))(t)
			wantCode(t, create(), "ConcurrentSnapshotLimitExceeded")
			must(c.ec2.DeleteSnapshot(t.Context(), &ec2.DeleteSnapshotInput{SnapshotId: &last}))(t)
			must(struct{}{}, create())(t)
			c.MoveClock(time.Minute)
			must(struct{}{}, create())(t)
		})
	}
}

func iops(kind types.VolumeType) *int32 {
	if kind == types.VolumeTypeIo2 {
		return aws.Int32(100)
	}
	return nil
}

func TestSnapshotLimits(t *testing.T) {
	c := start(t, localstack.Config{SnapshotTime: time.Minute})
	instance, volumes := c.launch(t, 2)
	set := func() error {
		_, err := c.ec2.CreateSnapshots(t.Context(), &ec2.CreateSnapshotsInput{InstanceSpecification: &types.InstanceSpecification{InstanceId: &instance}})
		return err
	}
	count := func() int { return len(c.snapshots(t)) }
	// One volume is at its limit: none of the set is made.
	for range 5 {
		c.snapOf(t, volumes[2])
	}
	wantCode(t, set(), "ConcurrentSnapshotLimitExceeded")
	if n := count(); n != 5 {
		t.Errorf("a set that was refused left %d snapshots", n-5)
	}
	// A dry run does not see it.
	_, err := c.ec2.CreateSnapshots(t.Context(), &ec2.CreateSnapshotsInput{DryRun: aws.Bool(true), InstanceSpecification: &types.InstanceSpecification{InstanceId: &instance}})
	wantCode(t, err, "DryRunOperation")
	c.MoveClock(time.Minute)

	c.behave(t, func(b *localstack.EC2Behaviour) { b.Limits.Pending = 5 })
	must(struct{}{}, set())(t)
	wantCode(t, set(), "PendingSnapshotLimitExceeded")
	c.MoveClock(time.Minute)
	must(struct{}{}, set())(t)
	c.MoveClock(time.Minute)

	c.behave(t, func(b *localstack.EC2Behaviour) { b.Limits.Snapshots = count() + 2 })
	wantCode(t, set(), "SnapshotLimitExceeded")
	c.snapOf(t, volumes[1])
	source := c.snapshots(t)[0].SnapshotId
	c.behave(t, func(b *localstack.EC2Behaviour) { b.Limits = localstack.EC2Limits{Copies: 2} })
	cp := func() error {
		_, err := c.ec2.CopySnapshot(t.Context(), &ec2.CopySnapshotInput{SourceRegion: aws.String("eu-west-1"), SourceSnapshotId: source})
		return err
	}
	must(struct{}{}, cp())(t)
	must(struct{}{}, cp())(t)
	wantCode(t, cp(), "ResourceLimitExceeded")

	// A limit below zero is none; the pending ones of an account are limited to 100 by default.
	c.MoveClock(time.Minute)
	c.behave(t, func(b *localstack.EC2Behaviour) {
		b.Limits, b.Unthrottled = localstack.EC2Limits{PendingPerVolume: -1}, true
	})
	for range 100 {
		c.snapOf(t, volumes[0])
	}
	_, err = c.ec2.CreateSnapshot(t.Context(), &ec2.CreateSnapshotInput{VolumeId: &volumes[1]})
	wantCode(t, err, "PendingSnapshotLimitExceeded")
}

func TestVolumeSpacing(t *testing.T) {
	c := start(t, localstack.Config{SnapshotTime: -1})
	_, volumes := c.launch(t, 1)
	c.snapOf(t, volumes[1])
	c.snapOf(t, volumes[1]) // by default at once
	c.behave(t, func(b *localstack.EC2Behaviour) { b.VolumeSpacing = 15 * time.Second })
	create := func() error {
		_, err := c.ec2.CreateSnapshot(t.Context(), &ec2.CreateSnapshotInput{VolumeId: &volumes[1]})
		return err
	}
	wantCode(t, create(), "SnapshotCreationPerVolumeRateExceeded")
	c.snapOf(t, volumes[0])
	c.MoveClock(15 * time.Second)
	must(struct{}{}, create())(t)
}

func TestUnlimited(t *testing.T) {
	c := start(t, localstack.Config{SnapshotTime: time.Hour, Unlimited: true})
	_, volumes := c.launch(t, 1)
	for range 150 { // more than any bucket holds, of a volume or of an account can be pending
		c.snapOf(t, volumes[1])
	}
}
