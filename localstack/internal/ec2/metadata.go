package ec2

import "stillpoint/localstack/internal/imds"

// Running lists the instances that run, as their metadata tells about them, in the order in which they were launched.
func (s *Service) Running() []imds.Instance {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []imds.Instance
	for _, i := range sorted(s.instances, func(i *instance) int { return i.Serial }) {
		if i.State != "running" {
			continue
		}
		m := imds.Instance{
			ID: i.ID, Image: i.Image, Type: i.Type, Zone: i.Zone, ZoneID: zoneID(i.Zone), Address: i.Address, Launched: i.Launched, Tags: map[string]string{},
		}
		for _, t := range i.Tags {
			m.Tags[t.Key] = t.Value
		}
		for _, v := range s.attachedTo(i.ID) {
			m.Devices = append(m.Devices, v.Device)
		}
		out = append(out, m)
	}
	return out
}
