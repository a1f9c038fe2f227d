package localstack

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// rootDevice is what an instance's boot volume is attached as.
const rootDevice = "/dev/xvda"

// instance is a record: nothing runs. It always has a root volume.
type instance struct {
	serial   int
	id       string
	image    string
	kind     string
	zone     string
	address  string
	launched time.Time
	tags     []tag
}

var instanceKind = kind[instance]{
	fields: fields[instance]{
		"instance-id":         func(i *instance) []string { return []string{i.id} },
		"instance-state-name": func(*instance) []string { return []string{"running"} },
		"instance-type":       func(i *instance) []string { return []string{i.kind} },
		"image-id":            func(i *instance) []string { return []string{i.image} },
		"availability-zone":   func(i *instance) []string { return []string{i.zone} },
		"private-ip-address":  func(i *instance) []string { return []string{i.address} },
		"root-device-name":    func(*instance) []string { return []string{rootDevice} },
	},
	tags:     func(i *instance) []tag { return i.tags },
	serial:   func(i *instance) int { return i.serial },
	minPage:  5,
	idsParam: "instancesSet",
}

// runInstances makes instances that run at once, each with a root volume of 8 GiB unless BlockDeviceMapping says otherwise, and
// with the data volumes that it names. Any image exists.
func (s *ec2Service) runInstances(q query, _ *record) ([]node, *apiError) {
	tags, apiErr := specified(q, "instance", "volume")
	if apiErr != nil {
		return nil, apiErr
	}
	low, apiErr := q.number("MinCount")
	if apiErr != nil {
		return nil, apiErr
	}
	count, apiErr := q.number("MaxCount")
	if apiErr != nil {
		return nil, apiErr
	}
	if low < 1 || count < low || count > 100 {
		return nil, errf("InvalidParameterValue", "MinCount and MaxCount must be from 1 to 100, and MaxCount not below MinCount")
	}
	if q.get("ImageId") == "" {
		return nil, errf("MissingParameter", "The request must contain the parameter ImageId")
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	var made []*instance
	for _, id := range s.tokens[q.get("ClientToken")] {
		made = append(made, s.instances[id])
	}
	for range count - len(made) {
		i := &instance{
			serial: s.next(), id: newID("i"), image: q.get("ImageId"), kind: q.get("InstanceType"),
			zone: q.get("Placement.AvailabilityZone"), launched: time.Now(), tags: slices.Clone(tags["instance"]),
		}
		i.address = fmt.Sprintf("10.0.%d.%d", i.serial/250%250, i.serial%250+4)
		if i.kind == "" {
			i.kind = "m5.large"
		}
		if i.zone == "" {
			i.zone = s.region + "a"
		}
		s.instances[i.id] = i
		if apiErr := s.launchVolumes(q, i, tags["volume"]); apiErr != nil {
			s.discard(i)
			return nil, apiErr
		}
		made = append(made, i)
		s.remember(q, i.id)
	}
	set := node{name: "instancesSet"}
	for _, i := range made {
		set.kids = append(set.kids, node{name: "item", kids: s.instanceNodes(i)})
	}
	return []node{el("reservationId", newID("r")), el("ownerId", s.account), {name: "groupSet"}, set}, nil
}

func (s *ec2Service) launchVolumes(q query, i *instance, tags []tag) *apiError {
	mappings := q.under("BlockDeviceMapping")
	if !slices.ContainsFunc(mappings, func(m query) bool { return m.get("DeviceName") == rootDevice }) {
		mappings = append([]query{{"DeviceName": {rootDevice}, "Ebs.VolumeSize": {"8"}, "Ebs.DeleteOnTermination": {"true"}}}, mappings...)
	}
	for _, m := range mappings {
		v, apiErr := s.newVolume(query{
			"Size": m["Ebs.VolumeSize"], "SnapshotId": m["Ebs.SnapshotId"], "VolumeType": m["Ebs.VolumeType"],
			"AvailabilityZone": {i.zone}, "Encrypted": m["Ebs.Encrypted"],
		}, tags)
		if apiErr != nil {
			return apiErr
		}
		v.launched = i.id
		if apiErr := s.attach(v, i, m.get("DeviceName")); apiErr != nil {
			return apiErr
		}
		v.deleteOnTermination = !strings.EqualFold(m.get("Ebs.DeleteOnTermination"), "false")
	}
	return nil
}

// discard removes an instance that could not be launched, with its volumes.
func (s *ec2Service) discard(i *instance) {
	delete(s.instances, i.id)
	for _, v := range s.volumes {
		if v.launched != i.id {
			continue
		}
		if v.loop != nil {
			if err := v.loop.release(); err != nil {
				s.log.Warn().Err(err).Str("volume", v.id).Msg("cannot discard a volume")
			}
		}
		if s.disks.real() {
			if err := s.disks.remove(v.id); err != nil {
				s.log.Warn().Err(err).Str("volume", v.id).Msg("cannot discard a volume")
			}
		}
		delete(s.volumes, v.id)
	}
}

func (s *ec2Service) describeInstances(q query, _ *record) ([]node, *apiError) {
	page, token, apiErr := instanceKind.choose(q, s.instances, q.list("InstanceId"), s.findInstance)
	if apiErr != nil {
		return nil, apiErr
	}
	return described("reservationSet", page, token, func(i *instance) []node {
		return []node{
			el("reservationId", "r-"+strings.TrimPrefix(i.id, "i-")), el("ownerId", s.account), {name: "groupSet"},
			tree("instancesSet", node{name: "item", kids: s.instanceNodes(i)}),
		}
	}), nil
}

func (s *ec2Service) instanceNodes(i *instance) []node {
	mappings := node{name: "blockDeviceMapping"}
	for _, v := range s.attachedTo(i.id) {
		mappings.kids = append(mappings.kids, tree("item", el("deviceName", v.device),
			tree("ebs", el("volumeId", v.id), el("status", v.attachment()), at("attachTime", v.attachTime),
				yes("deleteOnTermination", v.deleteOnTermination))))
	}
	return []node{
		el("instanceId", i.id), el("imageId", i.image), tree("instanceState", el("code", "16"), el("name", "running")),
		el("privateDnsName", "ip-"+strings.ReplaceAll(i.address, ".", "-")+"."+s.region+".compute.internal"),
		el("instanceType", i.kind), at("launchTime", i.launched), tree("placement", el("availabilityZone", i.zone), el("tenancy", "default")),
		el("privateIpAddress", i.address), el("architecture", "x86_64"), el("rootDeviceType", "ebs"), el("rootDeviceName", rootDevice),
		mappings, el("virtualizationType", "hvm"), el("hypervisor", "xen"), tagNodes(i.tags), yes("ebsOptimized", true),
	}
}

// attachedTo lists the volumes of an instance, the root volume first.
func (s *ec2Service) attachedTo(instanceID string) []*volume {
	var out []*volume
	for _, v := range sorted(s.volumes, func(v *volume) int { return v.serial }) {
		if v.instance == instanceID {
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
