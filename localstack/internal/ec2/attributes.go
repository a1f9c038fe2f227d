package ec2

import (
	"slices"
	"strings"

	"stillpoint/localstack/internal/wire"
)

func value(name string, kid wire.Node) wire.Node {
	kid.Name = "value"
	return wire.Tree(name, kid)
}

// describeInstanceAttribute knows the attributes that have to do with volumes, with states and with the type.
func (s *Service) describeInstanceAttribute(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	i, apiErr := s.findInstance(q.Get("InstanceId"))
	if apiErr != nil {
		return nil, apiErr
	}
	c.About(s.arn("instance", i.ID))
	var node wire.Node
	switch name := q.Get("Attribute"); name {
	case "blockDeviceMapping":
		nodes := s.instanceNodes(i)
		node = nodes[slices.IndexFunc(nodes, func(n wire.Node) bool { return n.Name == name })]
	case "disableApiTermination":
		node = value(name, wire.Bool("", i.Locked))
	case "disableApiStop":
		node = value(name, wire.Bool("", i.NoStop))
	case "instanceType":
		node = value(name, wire.El("", i.Type))
	case "rootDeviceName":
		node = value(name, wire.El("", i.Root))
	case "ebsOptimized":
		node = value(name, wire.Bool("", nitro(i.Type)))
	case "":
		return nil, wire.Errorf("MissingParameter", "The request must contain the parameter attribute")
	default:
		return nil, wire.Errorf("UnsupportedOperation", "localstack does not implement the instance attribute %s", name)
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	return []wire.Node{wire.El("instanceId", i.ID), node}, nil
}

// modifyInstanceAttribute changes one attribute, in either of the two ways to say which: Attribute and Value, or a parameter of its
// own. Block device mappings set DeleteOnTermination of volumes that are attached.
func (s *Service) modifyInstanceAttribute(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	i, apiErr := s.findInstance(q.Get("InstanceId"))
	if apiErr != nil {
		return nil, apiErr
	}
	c.About(s.arn("instance", i.ID))
	if apiErr := refuse(q, "InstanceId", "Attribute", "Value", "BlockDeviceMapping", "DisableApiTermination", "DisableApiStop", "InstanceType"); apiErr != nil {
		return nil, apiErr
	}
	want := map[string]string{}
	for parameter, name := range map[string]string{
		"DisableApiTermination.Value": "disableApiTermination", "DisableApiStop.Value": "disableApiStop", "InstanceType.Value": "instanceType",
	} {
		if q.Has(parameter) {
			want[name] = q.Get(parameter)
		}
	}
	if name := q.Get("Attribute"); name != "" && q.Has("Value") {
		want[name] = q.Get("Value")
	}
	mappings, apiErr := s.mapped(q, i)
	if apiErr != nil {
		return nil, apiErr
	}
	if len(want) > 1 || len(want) == 1 && len(mappings) > 0 {
		return nil, wire.Errorf("InvalidParameterCombination", "Fields for multiple attribute types specified")
	}
	do := func() {
		for v, flag := range mappings {
			v.DeleteOnTermination = flag
		}
	}
	for name, text := range want {
		switch name {
		case "disableApiTermination":
			do = func() { i.Locked = strings.EqualFold(text, "true") }
		case "disableApiStop":
			do = func() { i.NoStop = strings.EqualFold(text, "true") }
		case "instanceType":
			if i.State != "stopped" {
				return nil, wire.Errorf("IncorrectInstanceState", "The instance '%s' is not in the 'stopped' state.", i.ID)
			}
			do = func() { i.Type = text }
		default:
			return nil, wire.Errorf("UnsupportedOperation", "localstack does not implement changing the instance attribute %s", name)
		}
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	do()
	return []wire.Node{wire.Bool("return", true)}, nil
}

// mapped reads which of an instance's volumes are to be deleted with it.
func (s *Service) mapped(q wire.Query, i *instance) (map[*volume]bool, *wire.Error) {
	out := map[*volume]bool{}
	for _, m := range q.Under("BlockDeviceMapping") {
		if apiErr := refuse(m, "DeviceName", "Ebs.VolumeId", "Ebs.DeleteOnTermination"); apiErr != nil {
			return nil, apiErr
		}
		all := s.attachedTo(i.ID)
		at := slices.IndexFunc(all, func(v *volume) bool { return v.Device == m.Get("DeviceName") })
		if at < 0 || m.Get("Ebs.VolumeId") != "" && m.Get("Ebs.VolumeId") != all[at].ID {
			return nil, wire.Errorf("InvalidInstanceAttributeValue", "No device is currently mapped at %s", m.Get("DeviceName"))
		}
		// "If no value is specified for DeleteOnTermination, the default is true".
		out[all[at]] = !strings.EqualFold(m.Get("Ebs.DeleteOnTermination"), "false")
	}
	return out, nil
}
