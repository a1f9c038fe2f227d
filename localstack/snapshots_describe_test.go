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

func TestDescribeSnapshotsRules(t *testing.T) {
	c := start(t, localstack.Config{SnapshotTime: -1})
	_, volumes := c.launch(t, 1)
	a, b := c.snapOf(t, volumes[0], "Name", "R*1"), c.snapOf(t, volumes[1], "Name", "Rx1")
	day := c.snapshot(t, a).StartTime.UTC().Format("2006-01-02") + "*"
	for name, x := range map[string]struct {
		filters []types.Filter
		want    []string
	}{
		"volume":         {[]types.Filter{filter("volume-id", volumes[0])}, []string{a}},
		"size":           {[]types.Filter{filter("volume-size", "1")}, []string{b}},
		"not encrypted":  {[]types.Filter{filter("encrypted", "false")}, []string{a, b}},
		"owner":          {[]types.Filter{filter("owner-id", "111122223333")}, []string{a, b}},
		"owner alias":    {[]types.Filter{filter("owner-alias", "amazon")}, []string{}},
		"progress":       {[]types.Filter{filter("progress", "100%")}, []string{a, b}},
		"start":          {[]types.Filter{filter("start-time", day)}, []string{a, b}},
		"tier":           {[]types.Filter{filter("storage-tier", "standard")}, []string{a, b}},
		"archive":        {[]types.Filter{filter("storage-tier", "archive")}, []string{}},
		"copies":         {[]types.Filter{filter("transfer-type", "standard")}, []string{}},
		"no description": {[]types.Filter{filter("description", "")}, []string{a, b}},
		"status":         {[]types.Filter{filter("status", "error", "pending")}, []string{}},
		"id":             {[]types.Filter{filter("snapshot-id", "snap-0123456789abcdef0")}, []string{}},
		"star":           {[]types.Filter{filter("tag:Name", "R*1")}, []string{a, b}},
		"no star":        {[]types.Filter{filter("tag:Name", `R\*1`)}, []string{a}},
		"case":           {[]types.Filter{filter("tag:Name", "r*1")}, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ids(t, c.ec2, ec2.DescribeSnapshotsInput{Filters: x.filters}); !cmp.Equal(got, x.want) {
				t.Errorf("found %v, want %v", got, x.want)
			}
		})
	}
	for name, x := range map[string]struct {
		in            ec2.DescribeSnapshotsInput
		code, message string
	}{
		"filter":         {ec2.DescribeSnapshotsInput{Filters: []types.Filter{filter("colour", "red")}}, "InvalidParameterValue", "colour"},
		"no id":          {ec2.DescribeSnapshotsInput{SnapshotIds: []string{"disk"}}, "InvalidParameterValue", "Expected: 'snap-...'"},
		"malformed":      {ec2.DescribeSnapshotsInput{SnapshotIds: []string{"snap-zz"}}, "InvalidSnapshotID.Malformed", `"snap-zz"`},
		"missing":        {ec2.DescribeSnapshotsInput{SnapshotIds: []string{a, "snap-0123456789abcdef0"}}, "InvalidSnapshot.NotFound", "The snapshot 'snap-0123456789abcdef0' does not exist."},
		"several":        {ec2.DescribeSnapshotsInput{SnapshotIds: []string{"snap-0123456789abcdef0", "snap-01234567"}}, "InvalidSnapshot.NotFound", "'snap-0123456789abcdef0, snap-01234567'"},
		"owner":          {ec2.DescribeSnapshotsInput{OwnerIds: []string{"me"}}, "InvalidUserID.Malformed", `"me"`},
		"restorable":     {ec2.DescribeSnapshotsInput{RestorableByUserIds: []string{"1"}}, "InvalidUserID.Malformed", `"1"`},
		"dry run":        {ec2.DescribeSnapshotsInput{DryRun: aws.Bool(true)}, "DryRunOperation", ""},
		"page too small": {ec2.DescribeSnapshotsInput{MaxResults: aws.Int32(4)}, "InvalidParameterValue", "4"},
	} {
		t.Run("refused "+name, func(t *testing.T) {
			_, err := c.ec2.DescribeSnapshots(t.Context(), &x.in)
			wantCode(t, err, x.code)
			if !strings.Contains(err.Error(), x.message) {
				t.Errorf("the message is %v", err)
			}
		})
	}
	if got := ids(t, c.ec2, ec2.DescribeSnapshotsInput{MaxResults: aws.Int32(5000)}); len(got) != 2 {
		t.Errorf("a page of 5000 has %v", got)
	}
}

func TestDeletedWhilePending(t *testing.T) {
	c := start(t, localstack.Config{SnapshotTime: time.Minute})
	_, volumes := c.launch(t, 1)
	id := c.snapOf(t, volumes[1])
	must(c.ec2.DeleteSnapshot(t.Context(), &ec2.DeleteSnapshotInput{SnapshotId: &id}))(t)
	_, err := c.ec2.DeleteSnapshot(t.Context(), &ec2.DeleteSnapshotInput{SnapshotId: &id})
	wantCode(t, err, "InvalidSnapshot.NotFound")
	for range 4 {
		c.snapOf(t, volumes[1])
	}
	// It still counts until it would have been completed.
	_, err = c.ec2.CreateSnapshot(t.Context(), &ec2.CreateSnapshotInput{VolumeId: &volumes[1]})
	wantCode(t, err, "ConcurrentSnapshotLimitExceeded")
	c.MoveClock(time.Minute)
	c.snapOf(t, volumes[1])
}
