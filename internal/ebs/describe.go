package ebs

import (
	"context"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"stillpoint/internal/snapshot"
	"stillpoint/messages"
)

// Attached lists the volumes of the instance, as DescribeInstances tells them.
func (c *Client) Attached(ctx context.Context) ([]snapshot.Attachment, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := c.api.DescribeInstances(ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{c.instanceID}})
	if err != nil {
		c.failed("DescribeInstances", err)
		return nil, callError("DescribeInstances", err)
	}
	var list []snapshot.Attachment
	for _, r := range out.Reservations {
		for _, i := range r.Instances {
			for _, m := range i.BlockDeviceMappings {
				if m.Ebs == nil {
					continue
				}
				name := aws.ToString(m.DeviceName)
				list = append(list, snapshot.Attachment{
					VolumeID: aws.ToString(m.Ebs.VolumeId), DeviceName: name, Root: name == aws.ToString(i.RootDeviceName),
				})
			}
		}
	}
	if len(list) == 0 {
		return nil, &snapshot.RefusedError{Sentence: fmt.Sprintf("EC2 knows no volume of instance %s in this region: check instance_id and region", c.instanceID)}
	}
	return list, nil
}

// Find returns this instance's snapshots that bear the request id, over all attempts.
func (c *Client) Find(ctx context.Context, requestID string) ([]snapshot.Existing, error) {
	return c.tagged(ctx, snapshot.TagRequestID, requestID, c.usePinned)
}

// Unverified returns this instance's snapshots whose tags say that there is no verdict yet.
func (c *Client) Unverified(ctx context.Context) ([]snapshot.Existing, error) {
	return c.tagged(ctx, snapshot.TagStatus, snapshot.Unverified)
}

// tagged returns this instance's snapshots that bear a tag with just this value.
func (c *Client) tagged(ctx context.Context, key, value string, with ...func(*ec2.Options)) ([]snapshot.Existing, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	pages := ec2.NewDescribeSnapshotsPaginator(c.api, &ec2.DescribeSnapshotsInput{
		OwnerIds: []string{"self"},
		Filters: []types.Filter{
			{Name: aws.String("tag:" + key), Values: []string{value}},
			{Name: aws.String("tag:" + snapshot.TagInstanceID), Values: []string{c.instanceID}},
		},
		MaxResults: aws.Int32(1000),
	})
	var found []snapshot.Existing
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx, with...)
		if err != nil {
			c.failed("DescribeSnapshots", err)
			return nil, callError("DescribeSnapshots", err)
		}
		for _, s := range page.Snapshots {
			e := snapshot.Existing{Snapshot: messages.Snapshot{
				SnapshotID: aws.ToString(s.SnapshotId), VolumeID: aws.ToString(s.VolumeId), SizeGiB: aws.ToInt32(s.VolumeSize),
				StartTime: aws.ToTime(s.StartTime).UTC(), State: string(s.State),
			}, Tags: map[string]string{}}
			for _, t := range s.Tags {
				e.Tags[aws.ToString(t.Key)] = aws.ToString(t.Value)
			}
			// The filters take * and ? for wildcards; another request's set must not be taken for ours.
			if e.Tags[key] == value && e.Tags[snapshot.TagInstanceID] == c.instanceID {
				found = append(found, e)
			}
		}
	}
	return found, nil
}

// VolumeTags reads the volumes' own tags, by volume id.
func (c *Client) VolumeTags(ctx context.Context, volumeIDs []string) (map[string]map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	tags := map[string]map[string]string{}
	pages := ec2.NewDescribeVolumesPaginator(c.api, &ec2.DescribeVolumesInput{VolumeIds: volumeIDs})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			c.failed("DescribeVolumes", err)
			return nil, callError("DescribeVolumes", err)
		}
		for _, v := range page.Volumes {
			own := map[string]string{}
			for _, t := range v.Tags {
				own[aws.ToString(t.Key)] = aws.ToString(t.Value)
			}
			tags[aws.ToString(v.VolumeId)] = own
		}
	}
	return tags, nil
}

// Progress is how far EBS has come in uploading one snapshot.
type Progress struct {
	SnapshotID, VolumeID string
	// State is EC2's: pending, completed, error.
	State string
	// Percent is EC2's own figure, such as "42%"; "" where it tells none.
	Percent string
}

// Progress asks for the state of the snapshots, in no particular order.
func (c *Client) Progress(ctx context.Context, snapshotIDs []string) ([]Progress, error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	out, err := c.api.DescribeSnapshots(ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: snapshotIDs})
	if err != nil {
		c.failed("DescribeSnapshots", err)
		return nil, callError("DescribeSnapshots", err)
	}
	var list []Progress
	for _, s := range out.Snapshots {
		list = append(list, Progress{
			SnapshotID: aws.ToString(s.SnapshotId), VolumeID: aws.ToString(s.VolumeId), State: string(s.State), Percent: aws.ToString(s.Progress),
		})
	}
	return list, nil
}

// Tag adds tags to one snapshot.
func (c *Client) Tag(ctx context.Context, snapshotID string, tags map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	if _, err := c.api.CreateTags(ctx, &ec2.CreateTagsInput{Resources: []string{snapshotID}, Tags: tagList(tags)}); err != nil {
		c.failed("CreateTags", err)
		return callError("CreateTags", err)
	}
	return nil
}
