package ebs

import (
	"context"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"stillpoint/internal/snapshot"
)

// VolumeState is a volume as EC2 sees it.
type VolumeState struct {
	ID, Type, State string
	// Attached says that it is attached to this instance.
	Attached, Encrypted bool
}

// States asks for the volumes' states, in no particular order.
func (c *Client) States(ctx context.Context, volumeIDs []string) ([]VolumeState, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	var list []VolumeState
	pages := ec2.NewDescribeVolumesPaginator(c.api, &ec2.DescribeVolumesInput{VolumeIds: volumeIDs})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			c.failed("DescribeVolumes", err)
			return nil, callError("DescribeVolumes", err)
		}
		for _, v := range page.Volumes {
			s := VolumeState{ID: aws.ToString(v.VolumeId), Type: string(v.VolumeType), State: string(v.State), Encrypted: aws.ToBool(v.Encrypted)}
			for _, a := range v.Attachments {
				if aws.ToString(a.InstanceId) == c.instanceID && a.State == types.VolumeAttachmentStateAttached {
					s.Attached = true
				}
			}
			list = append(list, s)
		}
	}
	return list, nil
}

// Incomplete counts the snapshots of one volume that are not completed, both of
// which EC2 counts against its limit (Amazon EBS User Guide, create snapshots).
type Incomplete struct {
	Pending int
	// Failed ended in the state error.
	Failed int
}

// Incomplete counts the account's snapshots of each volume that are not completed.
func (c *Client) Incomplete(ctx context.Context, volumeIDs []string) (map[string]Incomplete, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	count := map[string]Incomplete{}
	pages := ec2.NewDescribeSnapshotsPaginator(c.api, &ec2.DescribeSnapshotsInput{
		OwnerIds: []string{"self"},
		Filters: []types.Filter{
			{Name: aws.String("volume-id"), Values: volumeIDs},
			{Name: aws.String("status"), Values: []string{string(types.SnapshotStatePending), string(types.SnapshotStateError)}},
		},
		MaxResults: aws.Int32(1000),
	})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			c.failed("DescribeSnapshots", err)
			return nil, callError("DescribeSnapshots", err)
		}
		for _, s := range page.Snapshots {
			n := count[aws.ToString(s.VolumeId)]
			if s.State == types.SnapshotStateError {
				n.Failed++
			} else {
				n.Pending++
			}
			count[aws.ToString(s.VolumeId)] = n
		}
	}
	return count, nil
}

// Latest is the newest snapshot that a plan of this instance has made; ok is
// false where there is none.
func (c *Client) Latest(ctx context.Context, plan string) (found snapshot.Existing, ok bool, err error) {
	all, err := c.tagged(ctx, snapshot.TagPlan, plan)
	for _, s := range all {
		if !ok || s.StartTime.After(found.StartTime) {
			found, ok = s, true
		}
	}
	return found, ok, err
}

// CheckTag asks EC2 whether Tag would be allowed, and changes nothing.
func (c *Client) CheckTag(ctx context.Context, snapshotID string, tags map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	_, err := c.api.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{snapshotID}, Tags: tagList(tags), DryRun: aws.Bool(true)})
	switch {
	case Code(err) == dryRunOK:
		return nil
	case err == nil:
		return &snapshot.RefusedError{Sentence: "EC2 took a dry run of CreateTags for a real call: this endpoint cannot be trusted with snapshots"}
	default:
		c.failed("CreateTags", err)
		return callError("CreateTags", err)
	}
}
