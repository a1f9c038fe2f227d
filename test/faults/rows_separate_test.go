package faults

import (
	"context"
	"fmt"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"stillpoint/test/scene"
)

// leftOut is one volume more than a CreateSnapshots call can leave out (40 by
// the EC2 API reference, InstanceSpecification): the set of two needs a call each.
const leftOut = 41

// setSeparate makes a bench whose instance has that many more volumes.
func setSeparate(t, group *testing.T) *bench {
	t.Helper()
	// One of before Nitro, whose volumes are not bounded by its 28 attachments.
	b := set(t, group, scene.Config{Extra: "ext4", InstanceType: "m4.large"})
	for i := range leftOut {
		made, err := b.s.EC2.CreateVolume(b.ctx, &ec2.CreateVolumeInput{
			AvailabilityZone: aws.String("eu-west-1a"), Size: aws.Int32(1),
			TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeVolume, Tags: []types.Tag{
				{Key: aws.String("localstack:size-mib"), Value: aws.String("1")},
			}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.s.EC2.AttachVolume(b.ctx, &ec2.AttachVolumeInput{
			InstanceId: aws.String(b.s.InstanceID), VolumeId: made.VolumeId, Device: aws.String(fmt.Sprintf("/dev/xvd%c%c", 'b'+i/26, 'a'+i%26)),
		}); err != nil {
			t.Fatal(err)
		}
		b.s.Defer("volume "+aws.ToString(made.VolumeId), func(ctx context.Context) error {
			_, err := b.s.EC2.DetachVolume(ctx, &ec2.DetachVolumeInput{VolumeId: made.VolumeId})
			return err
		})
	}
	return b
}

// separateRows are those of a set that one call cannot take.
func separateRows() []*cell {
	const op = "ec2:CreateSnapshot"
	whole := is(succeeded, oneGood, askedTwice, once)
	half := is("inconsistent snapshot_ambiguous (crash)", "1 of 2 snapshots tagged inconsistent", askedTwice, once)
	const whyHalf = "a set that is not whole; what there is stays, and is tagged"
	one := calls{
		row: "CreateSnapshot (one of two separate calls)", operation: op, effect: true, skip: 1, times: 1,
		want: map[string][]string{fails: {half}, denied: {half}, hangs: {half}, reset: {half}, throttled: {half}, "": {whole}},
		why: map[string]string{
			fails: whyHalf, denied: whyHalf, hangs: whyHalf, reset: whyHalf, throttled: whyHalf, failsAfter: whySeen, resetAfter: whySeen, cut: whySeen, late: "within snapshot_timeout",
		},
	}
	both := calls{
		row: "CreateSnapshot (both separate calls)", operation: op, skip: 1, times: 2,
		want: map[string][]string{
			denied: {is("failed snapshot_failed", none, askedTwice, once)}, "": {is("failed snapshot_ambiguous", none, askedTwice, once)},
			throttled: {is(succeeded, oneGood, "asked 4 times", once)}, cut: {whole}, late: {whole},
		},
		why: map[string]string{
			"": "never sent a second time after an ambiguous answer", denied: "a refusal proves that nothing was made",
			throttled: "proves that nothing ran", cut: whySeen, late: "within snapshot_timeout",
		},
	}
	return append(one.cells(), both.cells()...)
}
