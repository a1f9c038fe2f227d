package ec2

import (
	"maps"
	"strconv"

	"stillpoint/localstack/internal/calls"
	"stillpoint/localstack/internal/wire"
)

// What IAM is asked about a call of EC2: its resources and condition keys, by
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html. Of the keys those are here that tell one
// resource or request from another. Actions that are not named here are asked about nothing.

// askFor notes one question. keys are those of the resource and the request; nil: none.
func (s *Service) askFor(c *wire.Call, action, resource string, keys map[string][]string) {
	context := s.Ask(c.Caller, action, resource).Context
	context["ec2:Region"] = []string{s.asCaller(s.caller).Region}
	maps.Copy(context, keys)
	c.Asked(calls.Ask{Action: "ec2:" + action, Resource: resource, Context: context})
}

// askForSnapshots notes what CreateSnapshots (i is the instance) or CreateSnapshot (i is nil) needs: the action on instance, volumes and
// the snapshots to be, which have no ids yet, and for their tags CreateTags.
func (s *Service) askForSnapshots(c *wire.Call, i *instance, volumes []*volume, tags []tag) {
	action := "CreateSnapshot"
	if i != nil {
		action = "CreateSnapshots"
		keys := resourceTags(i.Tags)
		keys["ec2:InstanceID"], keys["ec2:InstanceType"] = []string{i.ID}, []string{i.Type}
		s.askFor(c, action, s.arn("instance", i.ID), keys)
	}
	fresh := s.arn("snapshot", "*")
	for _, v := range volumes {
		keys := resourceTags(v.Tags)
		keys["ec2:VolumeID"], keys["ec2:VolumeType"] = []string{v.ID}, []string{v.Type}
		keys["ec2:Encrypted"] = []string{strconv.FormatBool(v.Encrypted)}
		s.askFor(c, action, s.arn("volume", v.ID), keys)
		keys = requestTags(tags)
		keys["ec2:ParentVolume"] = []string{s.arn("volume", v.ID)}
		s.askFor(c, action, fresh, keys)
	}
	if len(tags) > 0 {
		keys := requestTags(tags)
		keys["ec2:CreateAction"] = []string{action}
		s.askFor(c, "CreateTags", fresh, keys)
	}
}

// askForTags notes what CreateTags on something that exists needs.
func (s *Service) askForTags(c *wire.Call, kind, id string, old, add []tag) {
	keys := resourceTags(old)
	maps.Copy(keys, requestTags(add))
	if x, ok := s.snapshots[id]; ok {
		keys["ec2:Owner"], keys["ec2:ParentVolume"] = []string{x.Account}, []string{s.arn("volume", x.Volume)}
	}
	s.askFor(c, "CreateTags", s.arn(kind, id), keys)
}

func resourceTags(tags []tag) map[string][]string {
	keys := map[string][]string{}
	for _, t := range tags {
		keys["aws:ResourceTag/"+t.Key], keys["ec2:ResourceTag/"+t.Key] = []string{t.Value}, []string{t.Value}
	}
	return keys
}

func requestTags(tags []tag) map[string][]string {
	keys := map[string][]string{}
	for _, t := range tags {
		keys["aws:RequestTag/"+t.Key] = []string{t.Value}
		keys["aws:TagKeys"] = append(keys["aws:TagKeys"], t.Key)
	}
	return keys
}
