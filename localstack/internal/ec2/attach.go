package ec2

import (
	"regexp"

	"stillpoint/localstack/internal/disk"
	"stillpoint/localstack/internal/wire"
)

// deviceName is what AttachVolume takes on HVM instances, with or without /dev/ ("for example, /dev/sdh or xvdh"): /dev/sd[a-z],
// /dev/xvd[a-d][a-z] and /dev/xvd[e-z]; /dev/sda1 and /dev/xvda are for the root volume. Partitions such as /dev/sdi1 are for
// paravirtual instances, and refused for others (https://github.com/sous-chefs/aws/issues/134).
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/device_naming.html
//
// The table leaves out /dev/xvd[b-d], which are known to work. AWS also takes /dev/sdf beside /dev/xvdf, though on Xen both are the
// same device in the instance, and then the second never gets attached (https://github.com/joeduffy/blocker/pull/1); here it does.
var deviceName = regexp.MustCompile(`^(/dev/)?(sd[a-z]|sda1|xvd[a-z]|xvd[a-d][a-z])$`)

// maxAttachments is how many volumes an instance on the Nitro System has at most: 28 attachments, of which a network interface takes
// one. Larger and newer types have more, which is not followed here.
// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/volume_limits.html
const maxAttachments = 27

func (s *Service) attachVolume(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	v, apiErr := s.findVolume(q.Get("VolumeId"))
	if apiErr != nil {
		return nil, apiErr
	}
	c.About(s.arn("volume", v.ID))
	i, apiErr := s.findInstance(q.Get("InstanceId"))
	if apiErr != nil {
		return nil, apiErr
	}
	c.About(s.arn("instance", i.ID))
	if q.Get("Device") == "" {
		return nil, wire.Errorf("MissingParameter", "The request must contain the parameter device")
	}
	if apiErr := refuse(q, "VolumeId", "InstanceId", "Device"); apiErr != nil {
		return nil, apiErr
	}
	if apiErr := s.attachable(v, i, q.Get("Device")); apiErr != nil {
		return nil, apiErr
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	if apiErr := s.attach(v, i, q.Get("Device")); apiErr != nil {
		return nil, apiErr
	}
	return s.attachmentNodes(v, "attaching"), nil
}

func (s *Service) attachable(v *volume, i *instance, device string) *wire.Error {
	switch {
	case v.Instance != "":
		return wire.Errorf("VolumeInUse", "%s is already attached to an instance", v.ID)
	case v.modifying() == "modifying": // https://github.com/hashicorp/terraform-provider-aws/issues/17547
		return wire.Errorf("OperationNotPermitted", "Cannot attach volume %s when it is in modification state: MODIFYING", v.ID)
	case i.State != "running" && i.State != "stopped":
		return wire.Errorf("IncorrectState", "Instance '%s' is not 'running'.", i.ID)
	case v.Zone != i.Zone:
		return wire.Errorf("InvalidVolume.ZoneMismatch", "The volume '%s' is not in the same availability zone as instance '%s'", v.ID, i.ID)
	case !deviceName.MatchString(device), device == altRoot && i.Root != altRoot:
		return wire.Errorf("InvalidParameterValue", "Value (%s) for parameter device is invalid. %s is not a valid EBS device name.", device, device)
	}
	all := s.attachedTo(i.ID)
	for _, other := range all {
		if other.Device == device { // https://github.com/nanovms/ops/pull/1189
			return wire.Errorf("InvalidParameterValue", "Invalid value '%s' for unixDevice. Attachment point %s is already in use", device, device)
		}
	}
	if nitro(i.Type) && len(all) >= maxAttachments {
		return wire.Errorf("AttachmentLimitExceeded", "Instance '%s' has %d volumes attached, which is the maximum for its type %s", i.ID, len(all), i.Type)
	}
	return nil
}

// attach puts a loop device on the file of a volume. A root volume gets none: nothing reads it.
func (s *Service) attach(v *volume, i *instance, device string) *wire.Error {
	if apiErr := s.attachable(v, i, device); apiErr != nil {
		return apiErr
	}
	root := device == i.Root
	if s.disks.Real() && !root {
		loop, err := disk.Attach(s.disks.Path(v.ID))
		if err != nil {
			return s.internal(err)
		}
		v.loop = loop
		s.Log.Debug().Str("volume", v.ID).Str("device", loop.Path).Msg("volume attached")
	}
	v.Instance, v.Device, v.Root, v.AttachTime, v.DeleteOnTermination = i.ID, device, root, s.Clock.Now(), false
	return nil
}

// detachVolume lets the loop device go. If it is still mounted, the volume is "detaching" until it is not, as on AWS. Force cannot
// take a mounted device away from the kernel of this machine, as it takes one away from an instance.
func (s *Service) detachVolume(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	v, apiErr := s.findVolume(q.Get("VolumeId"))
	if apiErr != nil {
		return nil, apiErr
	}
	c.About(s.arn("volume", v.ID))
	if v.Instance == "" {
		return nil, wire.Errorf("IncorrectState", "Volume '%s' is in the 'available' state.", v.ID)
	}
	c.About(s.arn("instance", v.Instance))
	if id := q.Get("InstanceId"); id != "" && id != v.Instance {
		return nil, wire.Errorf("InvalidAttachment.NotFound", "Volume '%s' is not attached to instance '%s'", v.ID, id)
	}
	if device := q.Get("Device"); device != "" && device != v.Device {
		return nil, wire.Errorf("InvalidAttachment.NotFound", "Volume '%s' is not attached to instance '%s' as device %s", v.ID, v.Instance, device)
	}
	// "To detach the root volume, stop the instance first."
	if i := s.instances[v.Instance]; v.root() && i != nil && i.State != "stopped" {
		return nil, wire.Errorf("OperationNotPermitted", "Unable to detach root volume '%s' from instance '%s'", v.ID, v.Instance)
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	nodes := s.attachmentNodes(v, "detaching")
	s.release(v)
	if !s.settleDetach(v) && q.Flag("Force") {
		return nil, wire.Errorf("UnsupportedOperation", "localstack cannot take %s, the device of the volume %s, away while it is mounted or open here: unmount it, and the volume is detached", v.loop.Path, v.ID)
	}
	return nodes, nil
}

// release lets the loop device of a volume go; settleDetach then sees whether it has gone.
func (s *Service) release(v *volume) {
	v.Detaching = true
	if v.loop == nil {
		return
	}
	if err := v.loop.Release(); err != nil {
		s.Log.Warn().Err(err).Str("volume", v.ID).Msg("volume stays in the state detaching")
	}
}
