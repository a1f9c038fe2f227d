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
	Serial    int
	ID        string
	Zone      string
	GiB       int
	Type      string
	Encrypted bool
	From      string // the snapshot that it was made from; empty for none
	Launched  string // the instance that it was made with; empty for none
	Created   time.Time
	Tags      []tag

	Instance            string // that it is attached to; empty for none
	Device              string // the name that it is attached as: /dev/sdf
	AttachTime          time.Time
	DeleteOnTermination bool
	loop                *disk.Loop // nil for a root volume and without data
	Detaching           bool       // detached, but its device is still in use
}

func (v *volume) root() bool { return v.Device == rootDevice }

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

var volumeKind = kind[volume]{
	fields: fields[volume]{
		"volume-id":              func(v *volume) []string { return []string{v.ID} },
		"status":                 func(v *volume) []string { return []string{v.state()} },
		"size":                   func(v *volume) []string { return []string{strconv.Itoa(v.GiB)} },
		"volume-type":            func(v *volume) []string { return []string{v.Type} },
		"availability-zone":      func(v *volume) []string { return []string{v.Zone} },
		"snapshot-id":            func(v *volume) []string { return []string{v.From} },
		"attachment.instance-id": func(v *volume) []string { return some(v.Instance) },
		"attachment.device":      func(v *volume) []string { return some(v.Device) },
		"attachment.status": func(v *volume) []string {
			if v.Instance == "" {
				return nil
			}
			return []string{v.attachment()}
		},
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

func (s *Service) createVolume(q wire.Query, _ *wire.Call) ([]wire.Node, *wire.Error) {
	tags, apiErr := specified(q, "volume")
	if apiErr != nil {
		return nil, apiErr
	}
	if q.Get("AvailabilityZone") == "" {
		return nil, wire.Errorf("MissingParameter", "The request must contain the parameter zone")
	}
	if q.Flag("DryRun") {
		return nil, dryRun(q)
	}
	v := s.remembered(q)
	if v == nil {
		if v, apiErr = s.newVolume(q, tags["volume"]); apiErr != nil {
			return nil, apiErr
		}
		s.remember(q, v.ID)
	}
	nodes := s.volumeNodes(v)
	for i := range nodes {
		if nodes[i].Name == "status" {
			nodes[i].Text = "creating"
		}
	}
	return nodes, nil
}

// remembered is the volume that an earlier call with the same token made, or nil.
func (s *Service) remembered(q wire.Query) *volume {
	for _, id := range s.tokens[q.Get("ClientToken")] {
		if v, ok := s.volumes[id]; ok {
			return v
		}
	}
	return nil
}

// newVolume makes a volume and its file, empty or from a snapshot.
func (s *Service) newVolume(q wire.Query, tags []tag) (*volume, *wire.Error) {
	gib, apiErr := q.Number("Size")
	if apiErr != nil {
		return nil, apiErr
	}
	var from *snapshot
	if id := q.Get("SnapshotId"); id != "" {
		if from, apiErr = s.findSnapshot(id); apiErr != nil {
			return nil, apiErr
		}
		if !from.completed(s.Clock.Now()) {
			return nil, wire.Errorf("IncorrectState", "Snapshot is in invalid state - pending: %s", id)
		}
		if gib == 0 {
			gib = from.GiB
		}
		if gib < from.GiB {
			return nil, wire.Errorf("InvalidParameterValue", "Volume of %dGiB is smaller than snapshot '%s', expect size >= %dGiB", gib, id, from.GiB)
		}
	}
	if gib < 1 || gib > 65_536 {
		return nil, wire.Errorf("InvalidParameterValue", "Volume size must be from 1 to 65536 GiB, or that of a snapshot; it is %d", gib)
	}
	v := &volume{
		Serial: s.next(), ID: newID("vol"), Zone: q.Get("AvailabilityZone"), GiB: gib, Type: q.Get("VolumeType"),
		Encrypted: q.Flag("Encrypted"), From: q.Get("SnapshotId"), Created: s.Clock.Now(), Tags: append([]tag(nil), tags...),
	}
	if v.Type == "" {
		v.Type = "gp3"
	}
	if s.disks.Real() {
		if apiErr := s.fill(v, from); apiErr != nil {
			return nil, apiErr
		}
	}
	s.volumes[v.ID] = v
	return v, nil
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

func (s *Service) attachVolume(q wire.Query, _ *wire.Call) ([]wire.Node, *wire.Error) {
	v, apiErr := s.findVolume(q.Get("VolumeId"))
	if apiErr != nil {
		return nil, apiErr
	}
	i, apiErr := s.findInstance(q.Get("InstanceId"))
	if apiErr != nil {
		return nil, apiErr
	}
	if q.Get("Device") == "" {
		return nil, wire.Errorf("MissingParameter", "The request must contain the parameter device")
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	if apiErr := s.attach(v, i, q.Get("Device")); apiErr != nil {
		return nil, apiErr
	}
	return s.attachmentNodes(v, "attaching"), nil
}

// attach puts a loop device on the file of a volume. A root volume gets none: nothing reads it.
func (s *Service) attach(v *volume, i *instance, device string) *wire.Error {
	switch {
	case v.Instance != "":
		return wire.Errorf("VolumeInUse", "%s is already attached to an instance", v.ID)
	case v.Zone != i.Zone:
		return wire.Errorf("InvalidVolume.ZoneMismatch", "The volume '%s' is not in the same availability zone as instance '%s'", v.ID, i.ID)
	case !strings.HasPrefix(device, "/dev/sd") && !strings.HasPrefix(device, "/dev/xvd"):
		return wire.Errorf("InvalidParameterValue", "Value (%s) for parameter device is invalid. %s is not a valid EBS device name.", device, device)
	}
	for _, other := range s.attachedTo(i.ID) {
		if other.Device == device {
			return wire.Errorf("InvalidParameterValue", "Invalid value '%s' for unixDevice. Attachment point %s is already in use", device, device)
		}
	}
	if s.disks.Real() && device != rootDevice {
		loop, err := disk.Attach(s.disks.Path(v.ID))
		if err != nil {
			return s.internal(err)
		}
		v.loop = loop
		s.Log.Debug().Str("volume", v.ID).Str("device", loop.Path).Msg("volume attached")
	}
	v.Instance, v.Device, v.AttachTime = i.ID, device, s.Clock.Now()
	return nil
}

// detachVolume lets the loop device go. If it is still mounted, the volume is "detaching" until it is not, as on AWS.
func (s *Service) detachVolume(q wire.Query, _ *wire.Call) ([]wire.Node, *wire.Error) {
	v, apiErr := s.findVolume(q.Get("VolumeId"))
	if apiErr != nil {
		return nil, apiErr
	}
	if v.Instance == "" {
		return nil, wire.Errorf("IncorrectState", "Volume '%s' is in the 'available' state.", v.ID)
	}
	if id := q.Get("InstanceId"); id != "" && id != v.Instance {
		return nil, wire.Errorf("InvalidAttachment.NotFound", "Volume '%s' is not attached to instance '%s'", v.ID, id)
	}
	if v.root() {
		return nil, wire.Errorf("OperationNotPermitted", "Unable to detach root volume '%s' from instance '%s'", v.ID, v.Instance)
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	nodes := s.attachmentNodes(v, "detaching")
	v.Detaching = true
	if v.loop != nil {
		if err := v.loop.Release(); err != nil {
			s.Log.Warn().Err(err).Str("volume", v.ID).Msg("volume stays in the state detaching")
		}
	}
	s.settle()
	return nodes, nil
}

func (s *Service) deleteVolume(q wire.Query, _ *wire.Call) ([]wire.Node, *wire.Error) {
	v, apiErr := s.findVolume(q.Get("VolumeId"))
	if apiErr != nil {
		return nil, apiErr
	}
	if v.Instance != "" {
		return nil, wire.Errorf("VolumeInUse", "Volume %s is currently attached to %s", v.ID, v.Instance)
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	if s.disks.Real() {
		if err := s.disks.Remove(v.ID); err != nil {
			return nil, s.internal(err)
		}
	}
	delete(s.volumes, v.ID)
	return []wire.Node{wire.Bool("return", true)}, nil
}

func (s *Service) describeVolumes(q wire.Query, _ *wire.Call) ([]wire.Node, *wire.Error) {
	page, token, apiErr := volumeKind.choose(q, s.volumes, q.List("VolumeId"), s.findVolume)
	if apiErr != nil {
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
	return []wire.Node{
		wire.El("volumeId", v.ID), wire.Num("size", v.GiB), wire.El("snapshotId", v.From), wire.El("availabilityZone", v.Zone), wire.El("status", v.state()),
		wire.Time("createTime", v.Created), attachments, tagNodes(v.Tags), wire.El("volumeType", v.Type), wire.Bool("encrypted", v.Encrypted),
		wire.Bool("multiAttachEnabled", false),
	}
}
