package ec2

import (
	"strconv"
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
	page, token, apiErr := volumeKind.choose(q, s.volumesHere(), q.List("VolumeId"), s.findVolume)
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
