package ec2

import (
	"regexp"
	"strings"

	"stillpoint/localstack/internal/wire"
)

var zonePattern = regexp.MustCompile(`^([a-z]{2}(?:-[a-z]+)+-[0-9])([a-f])$`)

// directions are the parts of a region's name as they are in the ids of its zones: eu-west-1 is euw1.
var directions = strings.NewReplacer("north", "n", "south", "s", "east", "e", "west", "w", "central", "c", "gov", "g", "-", "")

// zoneID is that of a zone: euw1-az1 for eu-west-1a. On AWS the letters mean other zones in other accounts; here a is always az1.
func zoneID(zone string) string {
	m := zonePattern.FindStringSubmatch(zone)
	if m == nil {
		return ""
	}
	return directions.Replace(m[1]) + "-az" + string(m[2][0]-'a'+'1')
}

// zone finds the zone that a call names by name or id. Without either it is the region's first. A zone of the region that the
// client signed for is good too, as clients may sign for any.
func (s *Service) zone(name, id string, c *wire.Call) (string, *wire.Error) {
	if name != "" && id != "" {
		return "", wire.Errorf("InvalidParameterCombination", "The parameters AvailabilityZone and AvailabilityZoneId cannot be used together")
	}
	if name == "" && id == "" {
		return s.Region + "a", nil
	}
	for _, region := range []string{s.Region, c.Region} {
		for letter := 'a'; letter <= 'f'; letter++ {
			if zone := region + string(letter); zone == name || id != "" && zoneID(zone) == id {
				return zone, nil
			}
		}
	}
	return "", wire.Errorf("InvalidZone.NotFound", "The zone '%s' does not exist.", name+id)
}

type zoneRecord struct {
	Serial   int
	Name, ID string
	Region   string
}

func (s *Service) describeAvailabilityZones(q wire.Query, _ *wire.Call) ([]wire.Node, *wire.Error) {
	k := kind[zoneRecord]{
		fields: fields[zoneRecord]{
			"zone-name":     func(z *zoneRecord) []string { return []string{z.Name} },
			"zone-id":       func(z *zoneRecord) []string { return []string{z.ID} },
			"region-name":   func(z *zoneRecord) []string { return []string{z.Region} },
			"group-name":    func(z *zoneRecord) []string { return []string{z.Region} },
			"state":         func(*zoneRecord) []string { return []string{"available"} },
			"zone-type":     func(*zoneRecord) []string { return []string{"availability-zone"} },
			"opt-in-status": func(*zoneRecord) []string { return []string{"opt-in-not-required"} },
		},
		Tags: func(*zoneRecord) []tag { return nil }, Serial: func(z *zoneRecord) int { return z.Serial },
	}
	all := map[string]*zoneRecord{}
	for n, letter := range "abc" {
		name := s.Region + string(letter)
		all[name] = &zoneRecord{Serial: n + 1, Name: name, ID: zoneID(name), Region: s.Region}
	}
	find := func(name string) (*zoneRecord, *wire.Error) {
		for _, z := range all {
			if z.Name == name || z.ID == name {
				return z, nil
			}
		}
		return nil, wire.Errorf("InvalidParameterValue", "Invalid availability zone: [%s]", name)
	}
	page, _, apiErr := k.choose(q, all, append(q.List("ZoneName"), q.List("ZoneId")...), find)
	if apiErr != nil {
		return nil, apiErr
	}
	return described("availabilityZoneInfo", page, "", func(z *zoneRecord) []wire.Node {
		return []wire.Node{
			wire.El("optInStatus", "opt-in-not-required"), {Name: "messageSet"}, wire.El("regionName", z.Region), wire.El("zoneName", z.Name),
			wire.El("zoneId", z.ID), wire.El("groupName", z.Region), wire.El("networkBorderGroup", z.Region),
			wire.El("zoneType", "availability-zone"), wire.El("zoneState", "available"),
		}
	}), nil
}

// describeRegions knows the one that the server is, and the one that the client signed for.
func (s *Service) describeRegions(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	all := map[string]*zoneRecord{}
	for n, name := range []string{s.Region, c.Region} {
		if _, ok := all[name]; !ok && name != "" {
			all[name] = &zoneRecord{Serial: n + 1, Name: name}
		}
	}
	k := kind[zoneRecord]{
		fields: fields[zoneRecord]{
			"region-name":   func(z *zoneRecord) []string { return []string{z.Name} },
			"opt-in-status": func(*zoneRecord) []string { return []string{"opt-in-not-required"} },
		},
		Tags: func(*zoneRecord) []tag { return nil }, Serial: func(z *zoneRecord) int { return z.Serial },
	}
	page, _, apiErr := k.choose(q, all, q.List("RegionName"), func(name string) (*zoneRecord, *wire.Error) {
		if r, ok := all[name]; ok {
			return r, nil
		}
		return nil, wire.Errorf("InvalidParameterValue", "Invalid region names: [%s]", name)
	})
	if apiErr != nil {
		return nil, apiErr
	}
	return described("regionInfo", page, "", func(z *zoneRecord) []wire.Node {
		return []wire.Node{
			wire.El("regionName", z.Name), wire.El("regionEndpoint", strings.TrimPrefix(s.URL, "http://")), wire.El("optInStatus", "opt-in-not-required"),
		}
	}), nil
}
