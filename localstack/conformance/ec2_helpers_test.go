package conformance

import (
	"errors"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	ec2types "github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"stillpoint/localstack"
)

// ec2Rows are all of EC2.
var ec2Rows = slices.Concat(ec2Sets, ec2Pending, ec2Limits, ec2Describe, ec2Tags, ec2Copy, ec2Share, ec2Lock, ec2Restore, ec2Volumes, ec2Instances)

// Sources that many rows have.
var (
	// ec2Codes is the table of error codes by action. Its first part and the common codes could be read, its rows not.
	ec2Codes = source{url: guides["ec2-dev"] + "errors-overview.html#api-error-codes-table-client", read: unread}
	// ec2Common is the list of codes that all actions share, and what is said of their HTTP status.
	ec2Common = in("ec2-dev", "errors-overview#CommonErrors", page)
	// ec2Client is what the driver of EBS volumes for Kubernetes takes errors of EC2 for.
	ec2Client = source{url: "https://github.com/kubernetes-sigs/aws-ebs-csi-driver/blob/master/pkg/cloud/cloud.go", note: "isAWSError…", read: code}
	// custodian is a program that deletes and lists snapshots.
	custodian = source{url: "https://github.com/cloud-custodian/cloud-custodian/blob/main/c7n/resources/ebs.py", read: code}

	throttling = in("ec2-dev", "ec2-api-throttling", page)
)

// Ids that are well-formed and of nothing.
const (
	noInstance = "i-0123456789abcdef0"
	noVolume   = "vol-0123456789abcdef0"
	noSnapshot = "snap-0123456789abcdef0"
)

const (
	zone = region + "a"

	// stranger is another account. Localstack takes an access key of twelve digits for one.
	stranger = "999988887777"
)

// calm keeps rows that share a localstack from throttling each other. Snapshots are completed there at once, as moto's are.
func (c *check) calm() {
	if c.ours != nil && c.row.Needs == 0 {
		c.behave(func(b *localstack.EC2Behaviour) { b.Unthrottled, b.SnapshotTime = true, 0 })
	}
}

// behave changes the behaviour of localstack's EC2.
func (c *check) behave(change func(*localstack.EC2Behaviour)) {
	b := c.ours.EC2Behaviour()
	change(&b)
	must(0, c.ours.BehaveEC2(b))(c)
}

// machine is an instance with what is attached to it.
type machine struct {
	id, root, rootDevice string
	data                 []string // volumes of 1 GiB, on /dev/sdf and so on
}

func (m machine) all() []string { return append([]string{m.root}, m.data...) }

// machine starts an instance, and makes and attaches its data volumes.
func (c *check) machine(data int) machine {
	c.calm()
	out := must(c.ec2.RunInstances(c.ctx, &ec2.RunInstancesInput{
		ImageId: ptr("ami-12345678"), MinCount: ptr(int32(1)), MaxCount: ptr(int32(1)),
		Placement: &ec2types.Placement{AvailabilityZone: ptr(zone)},
	}))(c)
	m := machine{id: *out.Instances[0].InstanceId}
	i := c.instance(m.id)
	m.rootDevice = value(i.RootDeviceName)
	for _, b := range i.BlockDeviceMappings {
		if *b.DeviceName == m.rootDevice {
			m.root = *b.Ebs.VolumeId
		}
	}
	c.need("an instance has a root volume", m.root != "", i.BlockDeviceMappings)
	for n := range data {
		id := c.volume(nil)
		must(0, c.attach(id, m.id, "/dev/sd"+string(rune('f'+n))))(c)
		m.data = append(m.data, id)
	}
	return m
}

func (c *check) instance(id string) ec2types.Instance {
	out := must(c.ec2.DescribeInstances(c.ctx, &ec2.DescribeInstancesInput{InstanceIds: []string{id}}))(c)
	c.need("the instance is found", len(out.Reservations) == 1 && len(out.Reservations[0].Instances) == 1, len(out.Reservations))
	return out.Reservations[0].Instances[0]
}

// volume makes one of 1 GiB, unless change says otherwise.
func (c *check) volume(change func(*ec2.CreateVolumeInput)) string {
	c.calm()
	in := &ec2.CreateVolumeInput{Size: ptr(int32(1)), AvailabilityZone: ptr(zone)}
	if change != nil {
		change(in)
	}
	return *must(c.ec2.CreateVolume(c.ctx, in))(c).VolumeId
}

func encrypted(in *ec2.CreateVolumeInput) { in.Encrypted = ptr(true) }

func (c *check) attach(volume, instance, device string) error {
	_, err := c.ec2.AttachVolume(c.ctx, &ec2.AttachVolumeInput{VolumeId: &volume, InstanceId: &instance, Device: &device})
	return err
}

func (c *check) describeVolume(id string) ec2types.Volume {
	out := must(c.ec2.DescribeVolumes(c.ctx, &ec2.DescribeVolumesInput{VolumeIds: []string{id}}))(c)
	c.need("the volume is found", len(out.Volumes) == 1, len(out.Volumes))
	return out.Volumes[0]
}

// set makes snapshots of an instance, with what change says.
func (c *check) set(m machine, change func(*ec2.CreateSnapshotsInput)) ([]ec2types.SnapshotInfo, error) {
	in := &ec2.CreateSnapshotsInput{InstanceSpecification: &ec2types.InstanceSpecification{InstanceId: &m.id}}
	if change != nil {
		change(in)
	}
	out, err := c.ec2.CreateSnapshots(c.ctx, in)
	if err != nil {
		return nil, err
	}
	return out.Snapshots, nil
}

// sources are the volumes that snapshots are of, sorted.
func sources(of []ec2types.SnapshotInfo) []string {
	out := []string{}
	for _, s := range of {
		out = append(out, value(s.VolumeId))
	}
	slices.Sort(out)
	return out
}

func sorted(list ...string) []string {
	out := append([]string{}, list...)
	slices.Sort(out)
	return out
}

// snapping is an attempt to make a snapshot of a volume.
func (c *check) snapping(volume string) error {
	_, err := c.ec2.CreateSnapshot(c.ctx, &ec2.CreateSnapshotInput{VolumeId: &volume})
	return err
}

// snapshot makes one of a volume, with tags.
func (c *check) snapshot(volume string, pairs ...string) string {
	in := &ec2.CreateSnapshotInput{VolumeId: &volume}
	if len(pairs) > 0 {
		in.TagSpecifications = tagged(pairs...)
	}
	return *must(c.ec2.CreateSnapshot(c.ctx, in))(c).SnapshotId
}

// snap makes a snapshot of a new volume. It is completed, unless the row has a localstack of its own.
func (c *check) snap() string { return c.snapshot(c.volume(nil)) }

func (c *check) describe(id string) ec2types.Snapshot {
	out := must(c.ec2.DescribeSnapshots(c.ctx, &ec2.DescribeSnapshotsInput{SnapshotIds: []string{id}}))(c)
	c.need("the snapshot is found", len(out.Snapshots) == 1, len(out.Snapshots))
	return out.Snapshots[0]
}

// find lists the snapshots that match all filters, sorted by id.
func (c *check) find(filters ...ec2types.Filter) []string {
	out, err := c.finding(filters...)
	return must(out, err)(c)
}

func (c *check) finding(filters ...ec2types.Filter) ([]string, error) {
	out, err := c.ec2.DescribeSnapshots(c.ctx, &ec2.DescribeSnapshotsInput{Filters: filters})
	if err != nil {
		return nil, err
	}
	ids := []string{}
	for _, s := range out.Snapshots {
		ids = append(ids, *s.SnapshotId)
	}
	slices.Sort(ids)
	return ids, nil
}

func (c *check) deleteSnapshot(id string) error {
	_, err := c.ec2.DeleteSnapshot(c.ctx, &ec2.DeleteSnapshotInput{SnapshotId: &id})
	return err
}

func filter(name string, values ...string) ec2types.Filter {
	return ec2types.Filter{Name: &name, Values: values}
}

func tagList(pairs ...string) []ec2types.Tag {
	out := []ec2types.Tag{}
	for pair := range slices.Chunk(pairs, 2) {
		out = append(out, ec2types.Tag{Key: &pair[0], Value: &pair[1]})
	}
	return out
}

func tagged(pairs ...string) []ec2types.TagSpecification {
	return []ec2types.TagSpecification{{ResourceType: ec2types.ResourceTypeSnapshot, Tags: tagList(pairs...)}}
}

func tagMap(tags []ec2types.Tag) map[string]string {
	out := map[string]string{}
	for _, t := range tags {
		out[*t.Key] = value(t.Value)
	}
	return out
}

func (c *check) tag(id string, pairs ...string) error {
	_, err := c.ec2.CreateTags(c.ctx, &ec2.CreateTagsInput{Resources: []string{id}, Tags: tagList(pairs...)})
	return err
}

// as is a client of another account.
func (c *check) as(account string) *ec2.Client {
	return ec2.NewFromConfig(c.config, func(o *ec2.Options) {
		o.Credentials = credentials.NewStaticCredentialsProvider(account, "secret", "")
	})
}

// seenBy lists what snapshots an account sees of the given owners.
func (c *check) seenBy(client *ec2.Client, owners ...string) []string {
	out := must(client.DescribeSnapshots(c.ctx, &ec2.DescribeSnapshotsInput{OwnerIds: owners}))(c)
	ids := []string{}
	for _, s := range out.Snapshots {
		ids = append(ids, *s.SnapshotId)
	}
	slices.Sort(ids)
	return ids
}

// burst makes calls until one is refused, but not more than limit, and returns how many passed and the refusal.
func (c *check) burst(limit int, call func() error) (passed int, err error) {
	for range limit {
		if err = call(); throttled(err) {
			return passed, err
		}
		passed++
	}
	return passed, nil
}

func throttled(err error) bool {
	_, code, _ := failure(err)
	return code == "RequestLimitExceeded"
}

// dryRun expects that a call with DryRun says that it would have worked.
func (c *check) dryRun(what string, err error) { c.refused(what, err, 412, "DryRunOperation") }

var errNone = errors.New("no error")

// refusal is err, or an error that says that there was none.
func refusal(err error) error {
	if err == nil {
		return errNone
	}
	return err
}

var yes = aws.Bool(true)
