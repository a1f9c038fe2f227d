package localstack_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"

	"stillpoint/localstack"
)

func TestCopySnapshot(t *testing.T) {
	c := start(t, localstack.Config{SnapshotTime: time.Minute})
	far := c.as("eu-north-1", "a")
	_, volumes := c.launch(t, 1)
	source := c.snapOf(t, volumes[1], "Name", "data")
	in := &ec2.CopySnapshotInput{SourceRegion: aws.String("eu-west-1"), SourceSnapshotId: &source, Description: aws.String("far away"), TagSpecifications: onSnapshots("copy", "yes")}
	_, err := far.CopySnapshot(t.Context(), in)
	wantCode(t, err, "IncorrectState") // it is pending
	c.MoveClock(time.Minute)

	dry := *in
	dry.DryRun = aws.Bool(true)
	_, err = far.CopySnapshot(t.Context(), &dry)
	wantCode(t, err, "DryRunOperation")
	out := must(far.CopySnapshot(t.Context(), in))(t)
	describe := func() types.Snapshot {
		t.Helper()
		return must(far.DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{SnapshotIds: []string{*out.SnapshotId}}))(t).Snapshots[0]
	}
	s := describe()
	if s.State != types.SnapshotStatePending || *s.VolumeId != "vol-ffffffff" || *s.Description != "far away" || *s.VolumeSize != 1 ||
		s.TransferType != types.TransferTypeStandard || s.CompletionDurationMinutes != nil || *s.Encrypted {
		t.Errorf("the copy is %+v", s)
	}
	if len(s.Tags) != 1 || *s.Tags[0].Key != "copy" || len(out.Tags) != 1 {
		t.Errorf("the tags of the copy are %v", s.Tags)
	}
	c.MoveClock(time.Minute)
	if s := describe(); s.State != types.SnapshotStateCompleted {
		t.Errorf("a minute later it is %s", s.State)
	}

	// Each region has its own.
	if got := ids(t, far, ec2.DescribeSnapshotsInput{}); !cmp.Equal(got, []string{*out.SnapshotId}) {
		t.Errorf("far away there are %v", got)
	}
	if got := ids(t, c.ec2, ec2.DescribeSnapshotsInput{}); !cmp.Equal(got, []string{source}) {
		t.Errorf("here there are %v", got)
	}
	_, err = far.DescribeSnapshots(t.Context(), &ec2.DescribeSnapshotsInput{SnapshotIds: []string{source}})
	wantCode(t, err, "InvalidSnapshot.NotFound")
	_, err = far.DeleteSnapshot(t.Context(), &ec2.DeleteSnapshotInput{SnapshotId: &source})
	wantCode(t, err, "InvalidSnapshot.NotFound")
	_, err = far.CreateTags(t.Context(), &ec2.CreateTagsInput{Resources: []string{source}, Tags: tags("a", "b")})
	wantCode(t, err, "InvalidSnapshot.NotFound")
	_, err = far.CreateSnapshot(t.Context(), &ec2.CreateSnapshotInput{VolumeId: &volumes[1]})
	wantCode(t, err, "InvalidVolume.NotFound") // volumes are in the server's region
	_, err = far.CopySnapshot(t.Context(), &ec2.CopySnapshotInput{SourceRegion: aws.String("eu-central-1"), SourceSnapshotId: &source})
	wantCode(t, err, "InvalidSnapshot.NotFound")
	calls := c.Calls()
	if got := calls[len(calls)-1].Resources; len(got) != 0 {
		t.Errorf("a call that found nothing was about %v", got)
	}

	// There is no client token.
	must(far.CopySnapshot(t.Context(), in))(t)
	if got := ids(t, far, ec2.DescribeSnapshotsInput{}); len(got) != 2 {
		t.Errorf("after another copy there are %v", got)
	}
	calls = c.Calls()
	if got := calls[len(calls)-2].Resources; len(got) != 2 || got[0] != "arn:aws:ec2:eu-west-1::snapshot/"+source {
		t.Errorf("the copy was about %v", got)
	}
}

func TestCopySnapshotRules(t *testing.T) {
	c := start(t, localstack.Config{SnapshotTime: -1})
	_, volumes := c.launch(t, 1)
	plain := c.snapOf(t, volumes[1])
	v := must(c.ec2.CreateVolume(t.Context(), &ec2.CreateVolumeInput{Size: aws.Int32(1), Encrypted: aws.Bool(true), AvailabilityZone: aws.String("eu-west-1a")}))(t)
	secret := c.snapOf(t, *v.VolumeId)
	const uuid = "1234abcd-12ab-34cd-56ef-1234567890ab"
	for name, x := range map[string]struct {
		in    ec2.CopySnapshotInput
		code  string // refused
		key   string // of the copy; empty for not encrypted, "default"
		error string // the copy ends so
	}{
		"plain":                 {in: ec2.CopySnapshotInput{SourceSnapshotId: &plain}},
		"not encrypted":         {in: ec2.CopySnapshotInput{SourceSnapshotId: &plain, Encrypted: aws.Bool(false)}},
		"encrypt":               {in: ec2.CopySnapshotInput{SourceSnapshotId: &plain, Encrypted: aws.Bool(true)}, key: "default"},
		"encrypt with alias":    {in: ec2.CopySnapshotInput{SourceSnapshotId: &plain, Encrypted: aws.Bool(true), KmsKeyId: aws.String("alias/mine")}, key: "arn:aws:kms:eu-west-1:111122223333:alias/mine"},
		"encrypt with id":       {in: ec2.CopySnapshotInput{SourceSnapshotId: &plain, Encrypted: aws.Bool(true), KmsKeyId: aws.String(uuid)}, key: "arn:aws:kms:eu-west-1:111122223333:key/" + uuid},
		"encrypt with arn":      {in: ec2.CopySnapshotInput{SourceSnapshotId: &plain, Encrypted: aws.Bool(true), KmsKeyId: aws.String("arn:aws:kms:eu-west-1:123456789012:key/" + uuid)}, key: "arn:aws:kms:eu-west-1:123456789012:key/" + uuid},
		"default by its alias":  {in: ec2.CopySnapshotInput{SourceSnapshotId: &plain, Encrypted: aws.Bool(true), KmsKeyId: aws.String("alias/aws/ebs")}, key: "default"},
		"key without encrypted": {in: ec2.CopySnapshotInput{SourceSnapshotId: &plain, KmsKeyId: aws.String(uuid)}, code: "InvalidParameterDependency"},
		"encrypted source":      {in: ec2.CopySnapshotInput{SourceSnapshotId: &secret}, key: "default"},
		"other key":             {in: ec2.CopySnapshotInput{SourceSnapshotId: &secret, KmsKeyId: aws.String(uuid)}, key: "arn:aws:kms:eu-west-1:111122223333:key/" + uuid},
		"decrypt":               {in: ec2.CopySnapshotInput{SourceSnapshotId: &secret, Encrypted: aws.Bool(false)}, code: "InvalidParameterValue"},
		"no key":                {in: ec2.CopySnapshotInput{SourceSnapshotId: &plain, Encrypted: aws.Bool(true), KmsKeyId: aws.String("mine")}, key: "mine", error: "Given key ID is not accessible"},
		"key of another region": {in: ec2.CopySnapshotInput{SourceSnapshotId: &plain, Encrypted: aws.Bool(true), KmsKeyId: aws.String("arn:aws:kms:eu-north-1:111122223333:key/" + uuid)}, key: "arn:aws:kms:eu-north-1:111122223333:key/" + uuid, error: "Given key ID is not accessible"},
		"seven minutes":         {in: ec2.CopySnapshotInput{SourceSnapshotId: &plain, CompletionDurationMinutes: aws.Int32(7)}, code: "InvalidParameterValue"},
		"twenty minutes":        {in: ec2.CopySnapshotInput{SourceSnapshotId: &plain, CompletionDurationMinutes: aws.Int32(20)}, code: "InvalidParameterValue"},
		"more than two days":    {in: ec2.CopySnapshotInput{SourceSnapshotId: &plain, CompletionDurationMinutes: aws.Int32(2895)}, code: "InvalidParameterValue"},
		"outpost":               {in: ec2.CopySnapshotInput{SourceSnapshotId: &plain, DestinationOutpostArn: aws.String("arn:aws:outposts:x")}, code: "InvalidParameterCombination"},
		"local zone":            {in: ec2.CopySnapshotInput{SourceSnapshotId: &plain, DestinationAvailabilityZone: aws.String("eu-west-1-x-1a")}, code: "InvalidParameterCombination"},
		"missing":               {in: ec2.CopySnapshotInput{SourceSnapshotId: aws.String("snap-0123456789abcdef0")}, code: "InvalidSnapshot.NotFound"},
		"malformed":             {in: ec2.CopySnapshotInput{SourceSnapshotId: aws.String("snap-zz")}, code: "InvalidSnapshotID.Malformed"},
	} {
		t.Run(name, func(t *testing.T) {
			x.in.SourceRegion = aws.String("eu-west-1")
			out, err := c.ec2.CopySnapshot(t.Context(), &x.in)
			if x.code != "" {
				wantCode(t, err, x.code)
				return
			}
			s := c.snapshot(t, *must(out, err)(t).SnapshotId)
			if x.key == "default" {
				x.key = *c.snapshot(t, secret).KmsKeyId
			}
			if *s.Encrypted != (x.key != "") || aws.ToString(s.KmsKeyId) != x.key {
				t.Errorf("encrypted: %v, with %q, want %q", *s.Encrypted, aws.ToString(s.KmsKeyId), x.key)
			}
			if want := map[bool]types.SnapshotState{true: "completed", false: "error"}[x.error == ""]; s.State != want || aws.ToString(s.StateMessage) != x.error {
				t.Errorf("the copy is %s, %q", s.State, aws.ToString(s.StateMessage))
			}
		})
	}
	timed := must(c.ec2.CopySnapshot(t.Context(), &ec2.CopySnapshotInput{SourceRegion: aws.String("eu-west-1"), SourceSnapshotId: &plain, CompletionDurationMinutes: aws.Int32(15)}))(t)
	if s := c.snapshot(t, *timed.SnapshotId); s.TransferType != types.TransferTypeTimeBased || *s.CompletionDurationMinutes != 15 {
		t.Errorf("a copy in 15 minutes is %+v", s)
	}
}

// The copy has the data of the snapshot, and keeps it when that is deleted.
func TestCopySnapshotWithData(t *testing.T) {
	dir := t.TempDir()
	c := start(t, localstack.Config{Dir: dir, SnapshotTime: -1})
	v := must(c.ec2.CreateVolume(t.Context(), &ec2.CreateVolumeInput{
		Size: aws.Int32(1), AvailabilityZone: aws.String("eu-west-1a"),
		TagSpecifications: []types.TagSpecification{{ResourceType: types.ResourceTypeVolume, Tags: tags("localstack:size-mib", "1")}},
	}))(t)
	data := random(t, 1<<20)
	must(struct{}{}, os.WriteFile(filepath.Join(dir, *v.VolumeId+".img"), data, 0o600))(t)
	source := c.snapOf(t, *v.VolumeId)
	far := c.as("eu-north-1", "a")
	out := must(far.CopySnapshot(t.Context(), &ec2.CopySnapshotInput{SourceRegion: aws.String("eu-west-1"), SourceSnapshotId: &source}))(t)
	must(c.ec2.DeleteSnapshot(t.Context(), &ec2.DeleteSnapshotInput{SnapshotId: &source}))(t)
	if got := must(os.ReadFile(filepath.Join(dir, *out.SnapshotId+".img")))(t); !bytes.Equal(got, data) {
		t.Error("the copy has other data")
	}
	if files := must(filepath.Glob(filepath.Join(dir, "snap-*")))(t); len(files) != 1 {
		t.Errorf("there are the files %v", files)
	}
}
