package ec2

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"stillpoint/localstack/internal/wire"
)

// runInstances makes instances that run at once, each with a root volume of 8 GiB unless BlockDeviceMapping says otherwise, and
// with the data volumes that it names. Any image and any instance type exists. The answer says "pending", as on AWS.
func (s *Service) runInstances(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	// What nothing here could show is taken and has no effect; all that would make another instance of it is refused.
	if apiErr := refuse(q, "ImageId", "MinCount", "MaxCount", "InstanceType", "BlockDeviceMapping", "TagSpecification", "ClientToken", "KeyName",
		"Placement.AvailabilityZone", "Placement.AvailabilityZoneId", "DisableApiTermination", "DisableApiStop",
		"UserData", "MetadataOptions", "InstanceInitiatedShutdownBehavior", "EbsOptimized", "Monitoring"); apiErr != nil {
		return nil, apiErr
	}
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
	zone, apiErr := s.zone(q.Get("Placement.AvailabilityZone"), q.Get("Placement.AvailabilityZoneId"), c)
	if apiErr != nil {
		return nil, apiErr
	}
	before, apiErr := s.repeated(q, "Arguments")
	if apiErr != nil {
		return nil, apiErr
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	if before != nil {
		return s.reservation(s.instancesOf(before)), nil
	}
	made, apiErr := s.launch(q, count, zone, tags)
	if apiErr != nil {
		return nil, apiErr
	}
	var ids []string
	for _, i := range made {
		ids = append(ids, i.ID)
		c.About(s.arn("instance", i.ID))
		for _, v := range s.attachedTo(i.ID) {
			c.About(s.arn("volume", v.ID))
		}
		i.State = "pending"
	}
	s.remember(q, ids...)
	nodes := s.reservation(made)
	for _, i := range made {
		i.State = "running"
	}
	return nodes, nil
}

// launch makes all instances or none.
func (s *Service) launch(q wire.Query, count int, zone string, tags map[string][]tag) ([]*instance, *wire.Error) {
	reservation := newID("r")
	var made []*instance
	for n := range count {
		i := &instance{
			Serial: s.next(), ID: newID("i"), Reservation: reservation, Index: n, Image: q.Get("ImageId"), Type: q.Get("InstanceType"), Zone: zone,
			Key: q.Get("KeyName"), Token: q.Get("ClientToken"), Root: rootDevice, Launched: s.Clock.Now(), Tags: slices.Clone(tags["instance"]),
			State: "running", Since: s.Clock.Now(), Locked: q.Flag("DisableApiTermination"), NoStop: q.Flag("DisableApiStop"),
		}
		i.Address = fmt.Sprintf("10.0.%d.%d", i.Serial/250%250, i.Serial%250+4)
		if i.Type == "" {
			i.Type = "m5.large"
		}
		if slices.ContainsFunc(q.Under("BlockDeviceMapping"), func(m wire.Query) bool { return m.Get("DeviceName") == altRoot }) {
			i.Root = altRoot
		}
		s.instances[i.ID] = i
		made = append(made, i)
		if apiErr := s.launchVolumes(q, i, tags["volume"]); apiErr != nil {
			for _, i := range made {
				s.discard(i)
			}
			return nil, apiErr
		}
	}
	return made, nil
}

func (s *Service) launchVolumes(q wire.Query, i *instance, tags []tag) *wire.Error {
	mappings := q.Under("BlockDeviceMapping")
	if !slices.ContainsFunc(mappings, func(m wire.Query) bool { return m.Get("DeviceName") == i.Root }) {
		mappings = append([]wire.Query{{"DeviceName": {i.Root}, "Ebs.VolumeSize": {"8"}}}, mappings...)
	}
	for _, m := range mappings {
		if apiErr := refuse(m, "DeviceName", "Ebs.VolumeSize", "Ebs.SnapshotId", "Ebs.VolumeType", "Ebs.Iops", "Ebs.Throughput", "Ebs.Encrypted",
			"Ebs.KmsKeyId", "Ebs.DeleteOnTermination"); apiErr != nil {
			return apiErr
		}
		spec := wire.Query{"AvailabilityZone": {i.Zone}}
		for from, to := range map[string]string{
			"VolumeSize": "Size", "SnapshotId": "SnapshotId", "VolumeType": "VolumeType", "Iops": "Iops", "Throughput": "Throughput",
			"Encrypted": "Encrypted", "KmsKeyId": "KmsKeyId",
		} {
			if have, ok := m["Ebs."+from]; ok {
				spec[to] = have
			}
		}
		device := m.Get("DeviceName")
		if device == i.Root && spec.Get("Size") == "" && spec.Get("SnapshotId") == "" {
			spec["Size"] = []string{"8"} // that of the image
		}
		if kind := spec.Get("VolumeType"); device == i.Root && (kind == "st1" || kind == "sc1") {
			// "st1 and sc1 volumes can't be used as boot volumes" (CreateVolume in the API reference); the code is a guess.
			return wire.Errorf("InvalidParameterValue", "A volume of the type %s cannot be a boot volume", kind)
		}
		v, apiErr := s.newVolume(spec, tags)
		if apiErr != nil {
			return apiErr
		}
		v.Launched = i.ID
		if apiErr := s.attach(v, i, device); apiErr != nil {
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
		if err := s.erase(v); err != nil {
			s.Log.Warn().Err(err).Str("volume", v.ID).Msg("cannot discard a volume")
		}
	}
}

// refuse refuses a call with parameters that are not implemented. Known names are as in the request; those below them are known too.
func refuse(q wire.Query, known ...string) *wire.Error {
	known = append(known, "Action", "Version", "DryRun")
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if strings.HasPrefix(name, "X-Amz-") || q.Get(name) == "" || strings.EqualFold(q.Get(name), "false") {
			continue
		}
		if !slices.ContainsFunc(known, func(k string) bool { return name == k || strings.HasPrefix(name, k+".") }) {
			return wire.Errorf("UnsupportedOperation", "localstack does not implement the parameter %s", name)
		}
	}
	return nil
}
