package localstack_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/google/go-cmp/cmp"

	"stillpoint/localstack"
)

// share adds or removes accounts; "all" is everybody.
func (c *cloud) share(t *testing.T, id string, operation types.OperationType, who ...string) error {
	t.Helper()
	in := &ec2.ModifySnapshotAttributeInput{SnapshotId: &id, Attribute: types.SnapshotAttributeNameCreateVolumePermission, OperationType: operation}
	for _, account := range who {
		if account == "all" {
			in.GroupNames = append(in.GroupNames, account)
			continue
		}
		in.UserIds = append(in.UserIds, account)
	}
	_, err := c.ec2.ModifySnapshotAttribute(t.Context(), in)
	return err
}

// permissions lists who may make volumes of a snapshot.
func (c *cloud) permissions(t *testing.T, id string) []string {
	t.Helper()
	out := []string{}
	for _, p := range must(c.ec2.DescribeSnapshotAttribute(t.Context(), &ec2.DescribeSnapshotAttributeInput{
		SnapshotId: &id, Attribute: types.SnapshotAttributeNameCreateVolumePermission,
	}))(t).CreateVolumePermissions {
		out = append(out, aws.ToString(p.UserId)+string(p.Group))
	}
	return out
}

func TestSnapshotPermissions(t *testing.T) {
	c := start(t, localstack.Config{SnapshotTime: -1})
	_, volumes := c.launch(t, 1)
	id := c.snapOf(t, volumes[1])
	for range 2 { // twice is no error
		must(struct{}{}, c.share(t, id, types.OperationTypeAdd, stranger, "123456789012"))(t)
	}
	if got := c.permissions(t, id); !cmp.Equal(got, []string{stranger, "123456789012"}) {
		t.Errorf("shared with %v", got)
	}
	must(struct{}{}, c.share(t, id, types.OperationTypeRemove, "123456789012", "000000000000"))(t)
	modify := func(m types.CreateVolumePermissionModifications) error {
		_, err := c.ec2.ModifySnapshotAttribute(t.Context(), &ec2.ModifySnapshotAttributeInput{SnapshotId: &id, CreateVolumePermission: &m})
		return err
	}
	everybody := []types.CreateVolumePermission{{Group: types.PermissionGroupAll}}
	must(struct{}{}, modify(types.CreateVolumePermissionModifications{Add: everybody}))(t)
	if got := c.permissions(t, id); !cmp.Equal(got, []string{"all", stranger}) {
		t.Errorf("shared with %v", got)
	}
	must(struct{}{}, modify(types.CreateVolumePermissionModifications{Remove: everybody}))(t)
	if got := c.permissions(t, id); !cmp.Equal(got, []string{stranger}) {
		t.Errorf("shared with %v", got)
	}

	wantCode(t, c.share(t, id, types.OperationTypeAdd, "1"), "InvalidUserID.Malformed")
	wantCode(t, c.share(t, id, types.OperationTypeAdd), "InvalidParameterCombination")
	wantCode(t, c.share(t, id, "swap", stranger), "InvalidParameterValue")
	wantCode(t, modify(types.CreateVolumePermissionModifications{Add: everybody, Remove: everybody}), "InvalidParameterCombination")
	var many []string
	for i := range 501 {
		many = append(many, fmt.Sprintf("%012d", i))
	}
	wantCode(t, c.share(t, id, types.OperationTypeAdd, many...), "InvalidParameterValue")
	must(struct{}{}, c.share(t, id, types.OperationTypeAdd, many[:500]...))(t)
	_, err := c.ec2.ModifySnapshotAttribute(t.Context(), &ec2.ModifySnapshotAttributeInput{SnapshotId: &id, Attribute: types.SnapshotAttributeNameProductCodes, UserIds: []string{stranger}, OperationType: types.OperationTypeAdd})
	wantCode(t, err, "InvalidParameterValue")
	codes := must(c.ec2.DescribeSnapshotAttribute(t.Context(), &ec2.DescribeSnapshotAttributeInput{SnapshotId: &id, Attribute: types.SnapshotAttributeNameProductCodes}))(t)
	if len(codes.ProductCodes) != 0 || len(codes.CreateVolumePermissions) != 0 || *codes.SnapshotId != id {
		t.Errorf("the product codes are %+v", codes)
	}

	must(c.ec2.ResetSnapshotAttribute(t.Context(), &ec2.ResetSnapshotAttributeInput{SnapshotId: &id, Attribute: types.SnapshotAttributeNameCreateVolumePermission}))(t)
	if got := c.permissions(t, id); len(got) != 0 {
		t.Errorf("after a reset it is shared with %v", got)
	}
	_, err = c.ec2.ResetSnapshotAttribute(t.Context(), &ec2.ResetSnapshotAttributeInput{SnapshotId: &id, Attribute: types.SnapshotAttributeNameProductCodes})
	wantCode(t, err, "InvalidParameterValue")
}

func TestEncryptedSnapshotsAreNotShared(t *testing.T) {
	c := start(t, localstack.Config{SnapshotTime: -1})
	v := must(c.ec2.CreateVolume(t.Context(), &ec2.CreateVolumeInput{Size: aws.Int32(1), Encrypted: aws.Bool(true), AvailabilityZone: aws.String("eu-west-1a")}))(t)
	id := c.snapOf(t, *v.VolumeId)
	wantCode(t, c.share(t, id, types.OperationTypeAdd, stranger), "OperationNotPermitted")
	wantCode(t, c.share(t, id, types.OperationTypeAdd, "all"), "OperationNotPermitted")
	// With a key of one's own it can be shared with accounts, though not with all.
	own := must(c.ec2.CopySnapshot(t.Context(), &ec2.CopySnapshotInput{SourceRegion: aws.String("eu-west-1"), SourceSnapshotId: &id, KmsKeyId: aws.String("alias/mine")}))(t)
	must(struct{}{}, c.share(t, *own.SnapshotId, types.OperationTypeAdd, stranger))(t)
	wantCode(t, c.share(t, *own.SnapshotId, types.OperationTypeAdd, "all"), "OperationNotPermitted")
}

func TestOtherAccounts(t *testing.T) {
	c := start(t, localstack.Config{SnapshotTime: -1})
	them := c.as("eu-west-1", stranger)
	_, volumes := c.launch(t, 1)
	private, shared, public := c.snapOf(t, volumes[1]), c.snapOf(t, volumes[1], "Name", "x"), c.snapOf(t, volumes[1])
	must(struct{}{}, c.share(t, shared, types.OperationTypeAdd, stranger))(t)
	must(struct{}{}, c.share(t, public, types.OperationTypeAdd, "all"))(t)
	copied := *must(them.CopySnapshot(t.Context(), &ec2.CopySnapshotInput{SourceRegion: aws.String("eu-west-1"), SourceSnapshotId: &shared}))(t).SnapshotId
	for name, x := range map[string]struct {
		client *ec2.Client
		in     ec2.DescribeSnapshotsInput
		want   []string
	}{
		"all that they may use":   {them, ec2.DescribeSnapshotsInput{}, []string{shared, public, copied}},
		"their own":               {them, ec2.DescribeSnapshotsInput{OwnerIds: []string{"self"}}, []string{copied}},
		"ours":                    {them, ec2.DescribeSnapshotsInput{OwnerIds: []string{"111122223333"}}, []string{shared, public}},
		"ours and theirs":         {them, ec2.DescribeSnapshotsInput{OwnerIds: []string{"111122223333", "self"}}, []string{shared, public, copied}},
		"by id":                   {them, ec2.DescribeSnapshotsInput{SnapshotIds: []string{private, shared}}, []string{shared}}, // no error: it is left out
		"by id only private ones": {them, ec2.DescribeSnapshotsInput{SnapshotIds: []string{private}}, []string{}},
		"restorable by self":      {them, ec2.DescribeSnapshotsInput{RestorableByUserIds: []string{"self"}}, []string{shared, copied}},
		"restorable by all":       {them, ec2.DescribeSnapshotsInput{RestorableByUserIds: []string{"all"}}, []string{public}},
		"tags are not shared":     {them, ec2.DescribeSnapshotsInput{Filters: []types.Filter{filter("tag:Name", "x")}}, []string{}},
		"what we see":             {c.ec2, ec2.DescribeSnapshotsInput{}, []string{private, shared, public}},
		"what we gave them":       {c.ec2, ec2.DescribeSnapshotsInput{RestorableByUserIds: []string{stranger}}, []string{shared}},
		"nothing of theirs":       {c.ec2, ec2.DescribeSnapshotsInput{OwnerIds: []string{stranger}}, []string{}},
	} {
		t.Run(name, func(t *testing.T) {
			if got := ids(t, x.client, x.in); !cmp.Equal(got, x.want) {
				t.Errorf("found %v, want %v", got, x.want)
			}
		})
	}
	_, err := them.DeleteSnapshot(t.Context(), &ec2.DeleteSnapshotInput{SnapshotId: &shared})
	wantCode(t, err, "UnauthorizedOperation")
	_, err = them.CreateTags(t.Context(), &ec2.CreateTagsInput{Resources: []string{shared}, Tags: tags("a", "b")})
	wantCode(t, err, "UnauthorizedOperation")
	_, err = them.DeleteSnapshot(t.Context(), &ec2.DeleteSnapshotInput{SnapshotId: &private})
	wantCode(t, err, "InvalidSnapshot.NotFound")
	_, err = them.CopySnapshot(t.Context(), &ec2.CopySnapshotInput{SourceRegion: aws.String("eu-west-1"), SourceSnapshotId: &private})
	wantCode(t, err, "InvalidSnapshot.NotFound")
	_, err = them.CreateSnapshot(t.Context(), &ec2.CreateSnapshotInput{VolumeId: &volumes[1]})
	wantCode(t, err, "InvalidVolume.NotFound")
}

func TestBlockPublicAccess(t *testing.T) {
	c := start(t, localstack.Config{SnapshotTime: -1})
	them := c.as("eu-west-1", stranger)
	_, volumes := c.launch(t, 1)
	public, other := c.snapOf(t, volumes[1]), c.snapOf(t, volumes[1])
	must(struct{}{}, c.share(t, public, types.OperationTypeAdd, "all"))(t)
	state := func() types.SnapshotBlockPublicAccessState {
		t.Helper()
		out := must(c.ec2.GetSnapshotBlockPublicAccessState(t.Context(), &ec2.GetSnapshotBlockPublicAccessStateInput{}))(t)
		if out.ManagedBy != types.ManagedByAccount {
			t.Errorf("it is managed by %s", out.ManagedBy)
		}
		return out.State
	}
	enable := func(state types.SnapshotBlockPublicAccessState) error {
		c.MoveClock(10 * time.Second) // there is one token, and another one every ten seconds
		_, err := c.ec2.EnableSnapshotBlockPublicAccess(t.Context(), &ec2.EnableSnapshotBlockPublicAccessInput{State: state})
		return err
	}
	seen := func() int { return len(ids(t, them, ec2.DescribeSnapshotsInput{})) }
	if got := state(); got != types.SnapshotBlockPublicAccessStateUnblocked {
		t.Errorf("the state is %s", got)
	}
	wantCode(t, enable(types.SnapshotBlockPublicAccessStateUnblocked), "InvalidParameterValue")

	must(struct{}{}, enable(types.SnapshotBlockPublicAccessStateBlockNewSharing))(t)
	wantCode(t, c.share(t, other, types.OperationTypeAdd, "all"), "OperationNotPermitted")
	must(struct{}{}, c.share(t, other, types.OperationTypeAdd, "123456789012"))(t)
	if got := state(); got != types.SnapshotBlockPublicAccessStateBlockNewSharing || seen() != 1 {
		t.Errorf("in the state %s others see %d snapshots", got, seen())
	}

	must(struct{}{}, enable(types.SnapshotBlockPublicAccessStateBlockAllSharing))(t)
	wantCode(t, c.share(t, other, types.OperationTypeAdd, "all"), "OperationNotPermitted")
	if seen() != 0 || !cmp.Equal(c.permissions(t, public), []string{"all"}) {
		t.Errorf("others see %d snapshots, and it is shared with %v", seen(), c.permissions(t, public))
	}
	_, err := them.CopySnapshot(t.Context(), &ec2.CopySnapshotInput{SourceRegion: aws.String("eu-west-1"), SourceSnapshotId: &public})
	wantCode(t, err, "InvalidSnapshot.NotFound")

	// It is by region.
	far := c.as("eu-north-1", "a")
	if got := must(far.GetSnapshotBlockPublicAccessState(t.Context(), &ec2.GetSnapshotBlockPublicAccessStateInput{}))(t).State; got != types.SnapshotBlockPublicAccessStateUnblocked {
		t.Errorf("in another region it is %s", got)
	}
	out := must(c.ec2.DisableSnapshotBlockPublicAccess(t.Context(), &ec2.DisableSnapshotBlockPublicAccessInput{}))(t)
	if out.State != types.SnapshotBlockPublicAccessStateUnblocked || seen() != 1 {
		t.Errorf("disabled, it is %s and others see %d snapshots", out.State, seen())
	}
}
