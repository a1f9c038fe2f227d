package ec2

import (
	"strconv"
	"strings"
	"time"

	"stillpoint/localstack/internal/disk"
	"stillpoint/localstack/internal/wire"
)

// sizeTag is a tag of a volume that sets the size of its file, in MiB, while the API goes on saying GiB. It is read when the
// volume is made.
const sizeTag = "localstack:size-mib"

// volume is a sparse file, and a loop device on it while it is attached.
type volume struct {
	Serial     int
	ID         string
	Zone       string
	GiB        int
	Type       string
	Iops       int // zero: the type has none
	Throughput int // MiB/s; zero: the type has none
	Encrypted  bool
	KmsKey     string // an ARN; empty: not encrypted
	From       string // the snapshot that it was made from; empty for none
	Launched   string // the instance that it was made with; empty for none
	Created    time.Time
	Tags       []tag

	Instance            string // that it is attached to; empty for none
	Device              string // the name that it is attached as: /dev/sdf
	Root                bool   // it is the root volume of Instance
	AttachTime          time.Time
	DeleteOnTermination bool
	loop                *disk.Loop // nil for a root volume and without data
	Detaching           bool       // detached, but its device is still in use
	Doomed              bool       // it is deleted once it is detached

	Modifications []modification // those that count for the limit, the latest last
}

func (v *volume) root() bool { return v.Root }

func (v *volume) state() string {
	if v.Instance != "" {
		return "in-use"
	}
	return "available"
}

func (v *volume) attachment() string {
	if v.Detaching {
		return "detaching"
	}
	return "attached"
}

// attached is what a filter sees that only an attached volume has.
func attached(of func(*volume) string) func(*volume) []string {
	return func(v *volume) []string {
		if v.Instance == "" {
			return nil
		}
		return []string{of(v)}
	}
}

var volumeKind = kind[volume]{
	fields: fields[volume]{
		"attachment.attach-time":           attached(func(v *volume) string { return stamp(v.AttachTime) }),
		"attachment.delete-on-termination": attached(func(v *volume) string { return strconv.FormatBool(v.DeleteOnTermination) }),
		"attachment.device":                attached(func(v *volume) string { return v.Device }),
		"attachment.instance-id":           attached(func(v *volume) string { return v.Instance }),
		"attachment.status":                attached((*volume).attachment),
		"availability-zone":                func(v *volume) []string { return []string{v.Zone} },
		"availability-zone-id":             func(v *volume) []string { return []string{zoneID(v.Zone)} },
		"create-time":                      func(v *volume) []string { return []string{stamp(v.Created)} },
		"encrypted":                        func(v *volume) []string { return []string{strconv.FormatBool(v.Encrypted)} },
		"multi-attach-enabled":             func(*volume) []string { return []string{"false"} },
		"size":                             func(v *volume) []string { return []string{strconv.Itoa(v.GiB)} },
		"snapshot-id":                      func(v *volume) []string { return []string{v.From} },
		"status":                           func(v *volume) []string { return []string{v.state()} },
		"volume-id":                        func(v *volume) []string { return []string{v.ID} },
		"volume-type":                      func(v *volume) []string { return []string{v.Type} },
	},
	Tags:     func(v *volume) []tag { return v.Tags },
	Serial:   func(v *volume) int { return v.Serial },
	minPage:  5,
	idsParam: "VolumeIds",
}

func some(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

// createVolume makes a volume that is available at once, though the answer says "creating", as AWS's does.
func (s *Service) createVolume(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	if apiErr := refuse(q, "AvailabilityZone", "AvailabilityZoneId", "Size", "SnapshotId", "VolumeType", "Iops", "Throughput", "Encrypted", "KmsKeyId",
		"TagSpecification", "ClientToken"); apiErr != nil {
		return nil, apiErr
	}
	tags, apiErr := specified(q, "volume")
	if apiErr != nil {
		return nil, apiErr
	}
	if q.Get("AvailabilityZone") == "" && q.Get("AvailabilityZoneId") == "" {
		return nil, wire.Errorf("MissingParameter", "The request must contain the parameter zone")
	}
	zone, apiErr := s.zone(q.Get("AvailabilityZone"), q.Get("AvailabilityZoneId"), c)
	if apiErr != nil {
		return nil, apiErr
	}
	before, apiErr := s.repeated(q, "Parameters")
	if apiErr != nil {
		return nil, apiErr
	}
	var v *volume
	if before != nil {
		v = s.volumesOf(before)[0]
	} else {
		spec := wire.Query{"AvailabilityZone": {zone}}
		for _, name := range []string{"Size", "SnapshotId", "VolumeType", "Iops", "Throughput", "Encrypted", "KmsKeyId", "DryRun"} {
			if have, ok := q[name]; ok {
				spec[name] = have
			}
		}
		if v, apiErr = s.newVolume(spec, tags["volume"]); apiErr != nil {
			return nil, apiErr
		}
		s.remember(q, v.ID)
	}
	c.About(s.arn("volume", v.ID))
	nodes := s.volumeNodes(v)
	for i := range nodes {
		if nodes[i].Name == "status" {
			nodes[i].Text = "creating"
		}
	}
	return nodes, nil
}

// newVolume makes a volume and its file, empty or from a snapshot. With DryRun it ends after the checks.
func (s *Service) newVolume(q wire.Query, tags []tag) (*volume, *wire.Error) {
	v := &volume{
		ID: newID("vol"), Zone: q.Get("AvailabilityZone"), Type: q.Get("VolumeType"), From: q.Get("SnapshotId"), Created: s.Clock.Now(),
		Encrypted: q.Flag("Encrypted"), Tags: append([]tag(nil), tags...),
	}
	var apiErr *wire.Error
	if v.GiB, apiErr = q.Number("Size"); apiErr != nil {
		return nil, apiErr
	}
	if v.Iops, apiErr = q.Number("Iops"); apiErr != nil {
		return nil, apiErr
	}
	if v.Throughput, apiErr = q.Number("Throughput"); apiErr != nil {
		return nil, apiErr
	}
	var from *snapshot
	if v.From != "" {
		if from, apiErr = s.source(v); apiErr != nil {
			return nil, apiErr
		}
	} else if !q.Has("Size") {
		return nil, wire.Errorf("MissingParameter", "The request must contain the parameter size/snapshot")
	}
	if v.Type == "" {
		v.Type = "gp2" // "Default: gp2", CreateVolume in the API reference
	}
	if apiErr := v.checkRates(); apiErr != nil {
		return nil, apiErr
	}
	if apiErr := s.encrypt(v, q.Get("KmsKeyId")); apiErr != nil {
		return nil, apiErr
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	if s.disks.Real() {
		if apiErr := s.fill(v, from); apiErr != nil {
			return nil, apiErr
		}
	}
	v.Serial = s.next()
	s.volumes[v.ID] = v
	return v, nil
}

// source is the snapshot that a volume is to be made from, which sets its smallest size, and its encryption.
func (s *Service) source(v *volume) (*snapshot, *wire.Error) {
	from, apiErr := s.findSnapshot(v.From)
	if apiErr != nil {
		return nil, apiErr
	}
	if !from.completed(s.Clock.Now()) {
		return nil, wire.Errorf("IncorrectState", "Snapshot is in invalid state - pending: %s", v.From)
	}
	if v.GiB == 0 {
		v.GiB = from.GiB
	}
	if v.GiB < from.GiB {
		return nil, wire.Errorf("InvalidParameterValue", "Volume of %dGiB is smaller than snapshot '%s', expect size >= %dGiB", v.GiB, v.From, from.GiB)
	}
	// "Volumes that are created from encrypted snapshots are also automatically encrypted."
	v.Encrypted = v.Encrypted || from.Encrypted
	return from, nil
}

// encrypt sets the key of an encrypted volume. There is no KMS: any key exists, and nothing is encrypted.
func (s *Service) encrypt(v *volume, key string) *wire.Error {
	if key != "" && !v.Encrypted {
		return wire.Errorf("InvalidParameterDependency", "The parameter KmsKeyId requires the parameter Encrypted to be set.")
	}
	if !v.Encrypted {
		return nil
	}
	switch {
	case key == "":
		key = "key/00000000-0000-4000-8000-000000000000" // stands for the account's key for EBS
	case strings.HasPrefix(key, "arn:"):
		v.KmsKey = key
		return nil
	case !strings.HasPrefix(key, "alias/"):
		key = "key/" + key
	}
	v.KmsKey = "arn:aws:kms:" + s.Region + ":" + s.Account + ":" + key
	return nil
}

// fill makes the file of a volume. One that is made from a snapshot is as long as that, or longer if a larger size was asked for.
func (s *Service) fill(v *volume, from *snapshot) *wire.Error {
	size := int64(v.GiB) << 30
	sized := false
	for _, t := range v.Tags {
		if t.Key != sizeTag {
			continue
		}
		mib, err := strconv.Atoi(t.Value)
		if err != nil || mib < 1 || mib > v.GiB*1024 {
			return wire.Errorf("InvalidParameterValue", "The tag %s is %q; it must be a number of MiB, up to the size of the volume", sizeTag, t.Value)
		}
		size, sized = int64(mib)<<20, true
	}
	var err error
	if from == nil {
		err = s.disks.Create(v.ID, size)
	} else {
		if !sized && v.GiB == from.GiB {
			size = 0
		}
		_, err = s.disks.Clone(from.ID, v.ID, size, nil)
	}
	if err != nil {
		return s.internal(err)
	}
	return nil
}

func (s *Service) deleteVolume(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	v, apiErr := s.findVolume(q.Get("VolumeId"))
	if apiErr != nil {
		return nil, apiErr
	}
	c.About(s.arn("volume", v.ID))
	if v.Instance != "" {
		return nil, wire.Errorf("VolumeInUse", "Volume %s is currently attached to %s", v.ID, v.Instance)
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	if err := s.erase(v); err != nil {
		return nil, s.internal(err)
	}
	return []wire.Node{wire.Bool("return", true)}, nil
}

// erase deletes a volume that is not attached, with its file.
func (s *Service) erase(v *volume) error {
	if s.disks.Real() {
		if err := s.disks.Remove(v.ID); err != nil {
			return err
		}
	}
	s.forgetVolume(v)
	return nil
}

func (s *Service) describeVolumes(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	page, token, apiErr := volumeKind.choose(q, s.volumes, q.List("VolumeId"), s.findVolume)
	if apiErr != nil {
		return nil, apiErr
	}
	for _, id := range q.List("VolumeId") {
		c.About(s.arn("volume", id))
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	return described("volumeSet", page, token, s.volumeNodes), nil
}

func (s *Service) attachmentNodes(v *volume, status string) []wire.Node {
	return []wire.Node{
		wire.El("volumeId", v.ID), wire.El("instanceId", v.Instance), wire.El("device", v.Device), wire.El("status", status),
		wire.Time("attachTime", v.AttachTime), wire.Bool("deleteOnTermination", v.DeleteOnTermination),
	}
}

func (s *Service) volumeNodes(v *volume) []wire.Node {
	attachments := wire.Node{Name: "attachmentSet"}
	if v.Instance != "" {
		attachments.Kids = []wire.Node{{Name: "item", Kids: s.attachmentNodes(v, v.attachment())}}
	}
	out := []wire.Node{
		wire.El("volumeId", v.ID), wire.Num("size", v.GiB), wire.El("snapshotId", v.From), wire.El("availabilityZone", v.Zone),
		wire.El("availabilityZoneId", zoneID(v.Zone)), wire.El("status", v.state()),
		wire.Time("createTime", v.Created), attachments, tagNodes(v.Tags), wire.El("volumeType", v.Type), wire.Bool("encrypted", v.Encrypted),
		wire.Bool("multiAttachEnabled", false),
	}
	for _, x := range []struct {
		name  string
		value int
	}{{"iops", v.Iops}, {"throughput", v.Throughput}} {
		if x.value != 0 {
			out = append(out, wire.Num(x.name, x.value))
		}
	}
	if v.KmsKey != "" {
		out = append(out, wire.El("kmsKeyId", v.KmsKey))
	}
	return out
}
