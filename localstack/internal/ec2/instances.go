package ec2

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"stillpoint/localstack/internal/wire"
)

// rootDevice is what an instance's boot volume is attached as.
const rootDevice = "/dev/xvda"

// instance is a record: nothing runs. It always has a root volume.
type instance struct {
	Serial   int
	ID       string
	Image    string
	Type     string
	Zone     string
	Address  string
	Launched time.Time
	Tags     []tag
}

var instanceKind = kind[instance]{
	fields: fields[instance]{
		"instance-id":         func(i *instance) []string { return []string{i.ID} },
		"instance-state-name": func(*instance) []string { return []string{"running"} },
		"instance-type":       func(i *instance) []string { return []string{i.Type} },
		"image-id":            func(i *instance) []string { return []string{i.Image} },
		"availability-zone":   func(i *instance) []string { return []string{i.Zone} },
		"private-ip-address":  func(i *instance) []string { return []string{i.Address} },
		"root-device-name":    func(*instance) []string { return []string{rootDevice} },
	},
	Tags:     func(i *instance) []tag { return i.Tags },
	Serial:   func(i *instance) int { return i.Serial },
	minPage:  5,
	idsParam: "instancesSet",
}

// runInstances makes instances that run at once, each with a root volume of 8 GiB unless BlockDeviceMapping says otherwise, and
// with the data volumes that it names. Any image exists.
func (s *Service) runInstances(q wire.Query, _ *wire.Call) ([]wire.Node, *wire.Error) {
	tags, apiErr := specified(q, "instance", "volume")
	if apiErr != nil {
		return nil, apiErr
	}
	low, apiErr := q.Number("MinCount")
	if apiErr != nil {
		return nil, apiErr
	}
	count, apiErr := q.Number("MaxCount")
	if apiErr != nil {
		return nil, apiErr
	}
	if low < 1 || count < low || count > 100 {
		return nil, wire.Errorf("InvalidParameterValue", "MinCount and MaxCount must be from 1 to 100, and MaxCount not below MinCount")
	}
	if q.Get("ImageId") == "" {
		return nil, wire.Errorf("MissingParameter", "The request must contain the parameter ImageId")
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	var made []*instance
	for _, id := range s.tokens[q.Get("ClientToken")] {
		made = append(made, s.instances[id])
	}
	for range count - len(made) {
		i := &instance{
			Serial: s.next(), ID: newID("i"), Image: q.Get("ImageId"), Type: q.Get("InstanceType"),
			Zone: q.Get("Placement.AvailabilityZone"), Launched: s.Clock.Now(), Tags: slices.Clone(tags["instance"]),
		}
		i.Address = fmt.Sprintf("10.0.%d.%d", i.Serial/250%250, i.Serial%250+4)
		if i.Type == "" {
			i.Type = "m5.large"
		}
		if i.Zone == "" {
			i.Zone = s.Region + "a"
		}
		s.instances[i.ID] = i
		if apiErr := s.launchVolumes(q, i, tags["volume"]); apiErr != nil {
			s.discard(i)
			return nil, apiErr
		}
		made = append(made, i)
		s.remember(q, i.ID)
	}
	set := wire.Node{Name: "instancesSet"}
	for _, i := range made {
		set.Kids = append(set.Kids, wire.Node{Name: "item", Kids: s.instanceNodes(i)})
	}
	return []wire.Node{wire.El("reservationId", newID("r")), wire.El("ownerId", s.Account), {Name: "groupSet"}, set}, nil
}

func (s *Service) launchVolumes(q wire.Query, i *instance, tags []tag) *wire.Error {
	mappings := q.Under("BlockDeviceMapping")
	if !slices.ContainsFunc(mappings, func(m wire.Query) bool { return m.Get("DeviceName") == rootDevice }) {
		mappings = append([]wire.Query{{"DeviceName": {rootDevice}, "Ebs.VolumeSize": {"8"}, "Ebs.DeleteOnTermination": {"true"}}}, mappings...)
	}
	for _, m := range mappings {
		v, apiErr := s.newVolume(wire.Query{
			"Size": m["Ebs.VolumeSize"], "SnapshotId": m["Ebs.SnapshotId"], "VolumeType": m["Ebs.VolumeType"],
			"AvailabilityZone": {i.Zone}, "Encrypted": m["Ebs.Encrypted"],
		}, tags)
		if apiErr != nil {
			return apiErr
		}
		v.Launched = i.ID
		if apiErr := s.attach(v, i, m.Get("DeviceName")); apiErr != nil {
			return apiErr
		}
		v.DeleteOnTermination = !strings.EqualFold(m.Get("Ebs.DeleteOnTermination"), "false")
	}
	return nil
}

// discard removes an instance that could not be launched, with its volumes.
func (s *Service) discard(i *instance) {
	delete(s.instances, i.ID)
	for _, v := range s.volumes {
		if v.Launched != i.ID {
			continue
		}
		if v.loop != nil {
			if err := v.loop.Release(); err != nil {
				s.Log.Warn().Err(err).Str("volume", v.ID).Msg("cannot discard a volume")
			}
		}
		if s.disks.Real() {
			if err := s.disks.Remove(v.ID); err != nil {
				s.Log.Warn().Err(err).Str("volume", v.ID).Msg("cannot discard a volume")
			}
		}
		delete(s.volumes, v.ID)
	}
}

func (s *Service) describeInstances(q wire.Query, _ *wire.Call) ([]wire.Node, *wire.Error) {
	page, token, apiErr := instanceKind.choose(q, s.instances, q.List("InstanceId"), s.findInstance)
	if apiErr != nil {
		return nil, apiErr
	}
	return described("reservationSet", page, token, func(i *instance) []wire.Node {
		return []wire.Node{
			wire.El("reservationId", "r-"+strings.TrimPrefix(i.ID, "i-")), wire.El("ownerId", s.Account), {Name: "groupSet"},
			wire.Tree("instancesSet", wire.Node{Name: "item", Kids: s.instanceNodes(i)}),
		}
	}), nil
}

func (s *Service) instanceNodes(i *instance) []wire.Node {
	mappings := wire.Node{Name: "blockDeviceMapping"}
	for _, v := range s.attachedTo(i.ID) {
		mappings.Kids = append(mappings.Kids, wire.Tree("item", wire.El("deviceName", v.Device),
			wire.Tree("ebs", wire.El("volumeId", v.ID), wire.El("status", v.attachment()), wire.Time("attachTime", v.AttachTime),
				wire.Bool("deleteOnTermination", v.DeleteOnTermination))))
	}
	return []wire.Node{
		wire.El("instanceId", i.ID), wire.El("imageId", i.Image), wire.Tree("instanceState", wire.El("code", "16"), wire.El("name", "running")),
		wire.El("privateDnsName", "ip-"+strings.ReplaceAll(i.Address, ".", "-")+"."+s.Region+".compute.internal"),
		wire.El("instanceType", i.Type), wire.Time("launchTime", i.Launched), wire.Tree("placement", wire.El("availabilityZone", i.Zone), wire.El("tenancy", "default")),
		wire.El("privateIpAddress", i.Address), wire.El("architecture", "x86_64"), wire.El("rootDeviceType", "ebs"), wire.El("rootDeviceName", rootDevice),
		mappings, wire.El("virtualizationType", "hvm"), wire.El("hypervisor", "xen"), tagNodes(i.Tags), wire.Bool("ebsOptimized", true),
	}
}

// attachedTo lists the volumes of an instance, the root volume first.
func (s *Service) attachedTo(instanceID string) []*volume {
	var out []*volume
	for _, v := range sorted(s.volumes, func(v *volume) int { return v.Serial }) {
		if v.Instance == instanceID {
			out = append(out, v)
		}
	}
	slices.SortStableFunc(out, func(a, b *volume) int {
		switch {
		case a.root() && !b.root():
			return -1
		case b.root() && !a.root():
			return 1
		}
		return 0
	})
	return out
}
