package ec2

import (
	"strconv"
	"strings"

	"stillpoint/localstack/internal/wire"
)

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
