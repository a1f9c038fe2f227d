package localstack

import (
	"strconv"
	"strings"
	"time"
)

// sizeTag is a tag of a volume that sets the size of its file, in MiB, while the API goes on saying GiB. It is read when the
// volume is made.
const sizeTag = "localstack:size-mib"

// volume is a sparse file, and a loop device on it while it is attached.
type volume struct {
	serial    int
	id        string
	zone      string
	gib       int
	kind      string
	encrypted bool
	from      string // the snapshot that it was made from; empty for none
	launched  string // the instance that it was made with; empty for none
	created   time.Time
	tags      []tag

	instance            string // that it is attached to; empty for none
	device              string // the name that it is attached as: /dev/sdf
	attachTime          time.Time
	deleteOnTermination bool
	loop                *loopDevice // nil for a root volume and without data
	detaching           bool        // detached, but its device is still in use
}

func (v *volume) root() bool { return v.device == rootDevice }

func (v *volume) state() string {
	if v.instance != "" {
		return "in-use"
	}
	return "available"
}

func (v *volume) attachment() string {
	if v.detaching {
		return "detaching"
	}
	return "attached"
}

var volumeKind = kind[volume]{
	fields: fields[volume]{
		"volume-id":              func(v *volume) []string { return []string{v.id} },
		"status":                 func(v *volume) []string { return []string{v.state()} },
		"size":                   func(v *volume) []string { return []string{strconv.Itoa(v.gib)} },
		"volume-type":            func(v *volume) []string { return []string{v.kind} },
		"availability-zone":      func(v *volume) []string { return []string{v.zone} },
		"snapshot-id":            func(v *volume) []string { return []string{v.from} },
		"attachment.instance-id": func(v *volume) []string { return some(v.instance) },
		"attachment.device":      func(v *volume) []string { return some(v.device) },
		"attachment.status": func(v *volume) []string {
			if v.instance == "" {
				return nil
			}
			return []string{v.attachment()}
		},
	},
	tags:     func(v *volume) []tag { return v.tags },
	serial:   func(v *volume) int { return v.serial },
	minPage:  5,
	idsParam: "VolumeIds",
}

func some(s string) []string {
	if s == "" {
		return nil
	}
	return []string{s}
}

func (s *ec2Service) createVolume(q query, _ *record) ([]node, *apiError) {
	tags, apiErr := specified(q, "volume")
	if apiErr != nil {
		return nil, apiErr
	}
	if q.get("AvailabilityZone") == "" {
		return nil, errf("MissingParameter", "The request must contain the parameter zone")
	}
	if q.flag("DryRun") {
		return nil, dryRun(q)
	}
	v := s.remembered(q)
	if v == nil {
		if v, apiErr = s.newVolume(q, tags["volume"]); apiErr != nil {
			return nil, apiErr
		}
		s.remember(q, v.id)
	}
	nodes := s.volumeNodes(v)
	for i := range nodes {
		if nodes[i].name == "status" {
			nodes[i].text = "creating"
		}
	}
	return nodes, nil
}

// remembered is the volume that an earlier call with the same token made, or nil.
func (s *ec2Service) remembered(q query) *volume {
	for _, id := range s.tokens[q.get("ClientToken")] {
		if v, ok := s.volumes[id]; ok {
			return v
		}
	}
	return nil
}

// newVolume makes a volume and its file, empty or from a snapshot.
func (s *ec2Service) newVolume(q query, tags []tag) (*volume, *apiError) {
	gib, apiErr := q.number("Size")
	if apiErr != nil {
		return nil, apiErr
	}
	var from *snapshot
	if id := q.get("SnapshotId"); id != "" {
		if from, apiErr = s.findSnapshot(id); apiErr != nil {
			return nil, apiErr
		}
		if !from.completed(time.Now()) {
			return nil, errf("IncorrectState", "Snapshot is in invalid state - pending: %s", id)
		}
		if gib == 0 {
			gib = from.gib
		}
		if gib < from.gib {
			return nil, errf("InvalidParameterValue", "Volume of %dGiB is smaller than snapshot '%s', expect size >= %dGiB", gib, id, from.gib)
		}
	}
	if gib < 1 || gib > 65_536 {
		return nil, errf("InvalidParameterValue", "Volume size must be from 1 to 65536 GiB, or that of a snapshot; it is %d", gib)
	}
	v := &volume{
		serial: s.next(), id: newID("vol"), zone: q.get("AvailabilityZone"), gib: gib, kind: q.get("VolumeType"),
		encrypted: q.flag("Encrypted"), from: q.get("SnapshotId"), created: time.Now(), tags: append([]tag(nil), tags...),
	}
	if v.kind == "" {
		v.kind = "gp3"
	}
	if s.disks.real() {
		if apiErr := s.fill(v, from); apiErr != nil {
			return nil, apiErr
		}
	}
	s.volumes[v.id] = v
	return v, nil
}

// fill makes the file of a volume. One that is made from a snapshot is as long as that, or longer if a larger size was asked for.
func (s *ec2Service) fill(v *volume, from *snapshot) *apiError {
	size := int64(v.gib) << 30
	sized := false
	for _, t := range v.tags {
		if t.key != sizeTag {
			continue
		}
		mib, err := strconv.Atoi(t.value)
		if err != nil || mib < 1 || mib > v.gib*1024 {
			return errf("InvalidParameterValue", "The tag %s is %q; it must be a number of MiB, up to the size of the volume", sizeTag, t.value)
		}
		size, sized = int64(mib)<<20, true
	}
	var err error
	if from == nil {
		err = s.disks.create(v.id, size)
	} else {
		if !sized && v.gib == from.gib {
			size = 0
		}
		_, err = s.disks.clone(from.id, v.id, size, nil)
	}
	if err != nil {
		return s.internal(err)
	}
	return nil
}

func (s *ec2Service) attachVolume(q query, _ *record) ([]node, *apiError) {
	v, apiErr := s.findVolume(q.get("VolumeId"))
	if apiErr != nil {
		return nil, apiErr
	}
	i, apiErr := s.findInstance(q.get("InstanceId"))
	if apiErr != nil {
		return nil, apiErr
	}
	if q.get("Device") == "" {
		return nil, errf("MissingParameter", "The request must contain the parameter device")
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	if apiErr := s.attach(v, i, q.get("Device")); apiErr != nil {
		return nil, apiErr
	}
	return s.attachmentNodes(v, "attaching"), nil
}

// attach puts a loop device on the file of a volume. A root volume gets none: nothing reads it.
func (s *ec2Service) attach(v *volume, i *instance, device string) *apiError {
	switch {
	case v.instance != "":
		return errf("VolumeInUse", "%s is already attached to an instance", v.id)
	case v.zone != i.zone:
		return errf("InvalidVolume.ZoneMismatch", "The volume '%s' is not in the same availability zone as instance '%s'", v.id, i.id)
	case !strings.HasPrefix(device, "/dev/sd") && !strings.HasPrefix(device, "/dev/xvd"):
		return errf("InvalidParameterValue", "Value (%s) for parameter device is invalid. %s is not a valid EBS device name.", device, device)
	}
	for _, other := range s.attachedTo(i.id) {
		if other.device == device {
			return errf("InvalidParameterValue", "Invalid value '%s' for unixDevice. Attachment point %s is already in use", device, device)
		}
	}
	if s.disks.real() && device != rootDevice {
		loop, err := attachLoop(s.disks.path(v.id))
		if err != nil {
			return s.internal(err)
		}
		v.loop = loop
		s.log.Debug().Str("volume", v.id).Str("device", loop.path).Msg("volume attached")
	}
	v.instance, v.device, v.attachTime = i.id, device, time.Now()
	return nil
}

// detachVolume lets the loop device go. If it is still mounted, the volume is "detaching" until it is not, as on AWS.
func (s *ec2Service) detachVolume(q query, _ *record) ([]node, *apiError) {
	v, apiErr := s.findVolume(q.get("VolumeId"))
	if apiErr != nil {
		return nil, apiErr
	}
	if v.instance == "" {
		return nil, errf("IncorrectState", "Volume '%s' is in the 'available' state.", v.id)
	}
	if id := q.get("InstanceId"); id != "" && id != v.instance {
		return nil, errf("InvalidAttachment.NotFound", "Volume '%s' is not attached to instance '%s'", v.id, id)
	}
	if v.root() {
		return nil, errf("OperationNotPermitted", "Unable to detach root volume '%s' from instance '%s'", v.id, v.instance)
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	nodes := s.attachmentNodes(v, "detaching")
	v.detaching = true
	if v.loop != nil {
		if err := v.loop.release(); err != nil {
			s.log.Warn().Err(err).Str("volume", v.id).Msg("volume stays in the state detaching")
		}
	}
	s.settle()
	return nodes, nil
}

func (s *ec2Service) deleteVolume(q query, _ *record) ([]node, *apiError) {
	v, apiErr := s.findVolume(q.get("VolumeId"))
	if apiErr != nil {
		return nil, apiErr
	}
	if v.instance != "" {
		return nil, errf("VolumeInUse", "Volume %s is currently attached to %s", v.id, v.instance)
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	if s.disks.real() {
		if err := s.disks.remove(v.id); err != nil {
			return nil, s.internal(err)
		}
	}
	delete(s.volumes, v.id)
	return []node{yes("return", true)}, nil
}

func (s *ec2Service) describeVolumes(q query, _ *record) ([]node, *apiError) {
	page, token, apiErr := volumeKind.choose(q, s.volumes, q.list("VolumeId"), s.findVolume)
	if apiErr != nil {
		return nil, apiErr
	}
	return described("volumeSet", page, token, s.volumeNodes), nil
}

func (s *ec2Service) attachmentNodes(v *volume, status string) []node {
	return []node{
		el("volumeId", v.id), el("instanceId", v.instance), el("device", v.device), el("status", status),
		at("attachTime", v.attachTime), yes("deleteOnTermination", v.deleteOnTermination),
	}
}

func (s *ec2Service) volumeNodes(v *volume) []node {
	attachments := node{name: "attachmentSet"}
	if v.instance != "" {
		attachments.kids = []node{{name: "item", kids: s.attachmentNodes(v, v.attachment())}}
	}
	return []node{
		el("volumeId", v.id), num("size", v.gib), el("snapshotId", v.from), el("availabilityZone", v.zone), el("status", v.state()),
		at("createTime", v.created), attachments, tagNodes(v.tags), el("volumeType", v.kind), yes("encrypted", v.encrypted),
		yes("multiAttachEnabled", false),
	}
}
