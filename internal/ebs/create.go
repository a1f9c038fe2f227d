package ebs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// maxExclude is how many volumes one CreateSnapshots call can leave out (EC2
// API reference, InstanceSpecification).
const maxExclude = 40

// dryRunOK is EC2's answer to a dry run that would have succeeded.
const dryRunOK = "DryRunOperation"

// Create starts one snapshot of each volume of the set, in one call; where one
// call cannot leave enough out, in one call a volume, all at once.
func (c *Client) Create(ctx context.Context, set snapshot.CreateSet) ([]messages.Snapshot, error) {
	spec, fits := c.specification(set)
	if fits {
		return c.createSnapshots(ctx, set, spec)
	}
	if !set.AllFrozen {
		return nil, &snapshot.SnapshotRefusedError{Err: errors.New(tooMany(set))}
	}
	return c.createEach(ctx, set)
}

func (c *Client) createSnapshots(ctx context.Context, set snapshot.CreateSet, spec *types.InstanceSpecification) ([]messages.Snapshot, error) {
	out, err := c.api.CreateSnapshots(ctx, &ec2.CreateSnapshotsInput{
		InstanceSpecification: spec, Description: description(set), TagSpecifications: tagSpec(set.Tags),
	}, c.usePinned, once)
	if err != nil {
		c.failed("CreateSnapshots", err)
		return nil, createError(err)
	}
	made := make([]messages.Snapshot, 0, len(out.Snapshots))
	for _, s := range out.Snapshots {
		made = append(made, info(s.SnapshotId, s.VolumeId, s.VolumeSize, s.StartTime, s.State))
	}
	return made, nil
}

// createEach is for sets that one call cannot take. Where only some of the
// calls succeed, what there is must be found and told: that is ambiguous.
func (c *Client) createEach(ctx context.Context, set snapshot.CreateSet) ([]messages.Snapshot, error) {
	made := make([]messages.Snapshot, len(set.Volumes))
	errs := make([]error, len(set.Volumes))
	var wg sync.WaitGroup
	for i, v := range set.Volumes {
		wg.Go(func() {
			out, err := c.api.CreateSnapshot(ctx, &ec2.CreateSnapshotInput{
				VolumeId: aws.String(v.ID), Description: description(set), TagSpecifications: tagSpec(set.Tags),
			}, c.usePinned, once)
			if err != nil {
				c.failed("CreateSnapshot", err)
				errs[i] = createError(err)
				return
			}
			made[i] = info(out.SnapshotId, out.VolumeId, out.VolumeSize, out.StartTime, out.State)
		})
	}
	wg.Wait()
	var sure []messages.Snapshot
	var first error
	for i := range made {
		if errs[i] != nil && (first == nil || errors.As(errs[i], new(*snapshot.AmbiguousError))) {
			first = errs[i]
		}
		if errs[i] == nil {
			sure = append(sure, made[i])
		}
	}
	switch {
	case first == nil:
		return made, nil
	case len(sure) > 0:
		return nil, &snapshot.AmbiguousError{Err: fmt.Errorf("%d of %d snapshots were started: %w", len(sure), len(made), first), Made: sure}
	default:
		return nil, first
	}
}

// CheckCreate asks EC2 whether Create would be allowed, and makes nothing. Of
// separate calls it asks for the first: a dry run counts against EC2's limit on
// create calls, which those of the window are to find untouched.
func (c *Client) CheckCreate(ctx context.Context, set snapshot.CreateSet) error {
	return c.checkCreate(ctx, set, 1)
}

// CheckEveryCreate is CheckCreate with a dry run for each of the separate calls, since
// a policy can tell one volume from another. It is not for the moments before a run.
func (c *Client) CheckEveryCreate(ctx context.Context, set snapshot.CreateSet) error {
	return c.checkCreate(ctx, set, len(set.Volumes))
}

func (c *Client) checkCreate(ctx context.Context, set snapshot.CreateSet, separate int) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	spec, fits := c.specification(set)
	operation := "CreateSnapshots"
	var err error
	switch {
	case fits:
		_, err = c.api.CreateSnapshots(ctx, &ec2.CreateSnapshotsInput{
			InstanceSpecification: spec, Description: description(set), TagSpecifications: tagSpec(set.Tags), DryRun: aws.Bool(true),
		}, c.usePinned)
	case !set.AllFrozen:
		return &snapshot.RefusedError{Sentence: tooMany(set)}
	default:
		operation = "CreateSnapshot"
		for i := 0; i == 0 || i < separate && Code(err) == dryRunOK; i++ {
			_, err = c.api.CreateSnapshot(ctx, &ec2.CreateSnapshotInput{
				VolumeId: aws.String(set.Volumes[i].ID), Description: description(set), TagSpecifications: tagSpec(set.Tags), DryRun: aws.Bool(true),
			}, c.usePinned)
		}
	}
	switch {
	case Code(err) == dryRunOK:
		return nil
	case err == nil:
		return &snapshot.RefusedError{Sentence: "EC2 took a dry run of " + operation + " for a real call: this endpoint cannot be trusted with snapshots"}
	default:
		c.failed(operation, err)
		return callError(operation, err)
	}
}

// specification names the set by what is to be left out of the instance's volumes.
func (c *Client) specification(set snapshot.CreateSet) (spec *types.InstanceSpecification, fits bool) {
	wanted := map[string]bool{}
	for _, v := range set.Volumes {
		wanted[v.ID] = true
	}
	spec = &types.InstanceSpecification{InstanceId: aws.String(c.instanceID), ExcludeBootVolume: aws.Bool(false)}
	for _, a := range set.Attached {
		switch {
		case wanted[a.VolumeID]:
		case a.Root:
			spec.ExcludeBootVolume = aws.Bool(true) // its id among the data volumes is an error
		default:
			spec.ExcludeDataVolumeIds = append(spec.ExcludeDataVolumeIds, a.VolumeID)
		}
	}
	return spec, len(spec.ExcludeDataVolumeIds) <= maxExclude
}

func tooMany(set snapshot.CreateSet) string {
	return fmt.Sprintf("the instance has %d volumes and the plan wants %d: one call can leave out at most %d, and separate calls are only right where every file system of the set is frozen: list all of them under freeze",
		len(set.Attached), len(set.Volumes), maxExclude)
}

func description(set snapshot.CreateSet) *string {
	if set.Description == "" {
		return nil
	}
	return aws.String(set.Description)
}

func tagSpec(tags map[string]string) []types.TagSpecification {
	return []types.TagSpecification{{ResourceType: types.ResourceTypeSnapshot, Tags: tagList(tags)}}
}

func tagList(tags map[string]string) []types.Tag {
	list := make([]types.Tag, 0, len(tags))
	for _, k := range slices.Sorted(maps.Keys(tags)) {
		list = append(list, types.Tag{Key: aws.String(k), Value: aws.String(tags[k])})
	}
	return list
}

func info(id, volume *string, size *int32, start *time.Time, state types.SnapshotState) messages.Snapshot {
	return messages.Snapshot{
		SnapshotID: aws.ToString(id), VolumeID: aws.ToString(volume), SizeGiB: aws.ToInt32(size),
		StartTime: aws.ToTime(start).UTC(), State: string(state),
	}
}
