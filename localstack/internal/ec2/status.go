package ec2

import (
	"strconv"

	"stillpoint/localstack/internal/wire"
)

// health is the result of the checks of an instance: nothing is ever impaired here, and what does not run is not checked.
func health(i *instance) string {
	switch i.State {
	case "running":
		return "ok"
	case "pending":
		return "initializing"
	}
	return "not-applicable"
}

// describeInstanceStatus tells of running instances, of all only if it is asked to. An id of another one is no error.
func (s *Service) describeInstanceStatus(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	status := func(i *instance) []string { return []string{health(i)} }
	k := kind[instance]{
		fields: fields[instance]{
			"availability-zone":          func(i *instance) []string { return []string{i.Zone} },
			"availability-zone-id":       func(i *instance) []string { return []string{zoneID(i.Zone)} },
			"instance-state-code":        func(i *instance) []string { return []string{strconv.Itoa(states[i.State])} },
			"instance-state-name":        func(i *instance) []string { return []string{i.State} },
			"instance-status.status":     status,
			"system-status.status":       status,
			"attached-ebs-status.status": status,
		},
		Tags: func(*instance) []tag { return nil }, Serial: func(i *instance) int { return i.Serial },
		minPage: 5, idsParam: "instancesSet",
	}
	for _, id := range q.List("InstanceId") {
		c.About(s.arn("instance", id))
	}
	all := map[string]*instance{}
	for id, i := range s.instances {
		if i.State == "running" || q.Flag("IncludeAllInstances") {
			all[id] = i
		}
	}
	page, token, apiErr := k.choose(q, all, q.List("InstanceId"), s.findInstance)
	if apiErr != nil {
		return nil, apiErr
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	return described("instanceStatusSet", page, token, func(i *instance) []wire.Node {
		check := func(name string) wire.Node {
			out := wire.Tree(name, wire.El("status", health(i)))
			if reach := map[string]string{"ok": "passed", "initializing": "initializing"}[health(i)]; reach != "" {
				out.Kids = append(out.Kids, wire.Tree("details", wire.Tree("item", wire.El("name", "reachability"), wire.El("status", reach))))
			}
			return out
		}
		return []wire.Node{
			wire.El("instanceId", i.ID), wire.El("availabilityZone", i.Zone), wire.El("availabilityZoneId", zoneID(i.Zone)),
			stateNode("instanceState", i.State), check("instanceStatus"), check("systemStatus"), check("attachedEbsStatus"),
		}
	}), nil
}

// describeVolumeStatus finds every volume in order.
func (s *Service) describeVolumeStatus(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	k := kind[volume]{
		fields: fields[volume]{
			"availability-zone":            func(v *volume) []string { return []string{v.Zone} },
			"volume-status.status":         func(*volume) []string { return []string{"ok"} },
			"volume-status.details-name":   func(*volume) []string { return []string{"io-enabled"} },
			"volume-status.details-status": func(*volume) []string { return []string{"passed"} },
		},
		Tags: func(*volume) []tag { return nil }, Serial: func(v *volume) int { return v.Serial },
		minPage: 5, idsParam: "VolumeIds",
	}
	page, token, apiErr := k.choose(q, s.volumes, q.List("VolumeId"), s.findVolume)
	if apiErr != nil {
		return nil, apiErr
	}
	for _, id := range q.List("VolumeId") {
		c.About(s.arn("volume", id))
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	return described("volumeStatusSet", page, token, func(v *volume) []wire.Node {
		return []wire.Node{
			wire.El("volumeId", v.ID), wire.El("availabilityZone", v.Zone), wire.El("availabilityZoneId", zoneID(v.Zone)),
			wire.Tree("volumeStatus", wire.El("status", "ok"),
				wire.Tree("details", wire.Tree("item", wire.El("name", "io-enabled"), wire.El("status", "passed")))),
			{Name: "eventsSet"}, {Name: "actionsSet"},
		}
	}), nil
}
