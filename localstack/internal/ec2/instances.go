package ec2

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"stillpoint/localstack/internal/wire"
)

// rootDevice is what an instance's boot volume is attached as, unless its block device mapping names altRoot: which of the two it
// is differs by image, and any image exists here
// (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/device_naming.html, "Reserved for root volume").
const (
	rootDevice = "/dev/xvda"
	altRoot    = "/dev/sda1"
)

// instance is a record: nothing runs. It has a root volume until that is detached.
type instance struct {
	Serial      int
	ID          string
	Reservation string
	Index       int // among those of the same launch
	Image       string
	Type        string
	Zone        string
	Address     string
	Key         string // the name of its key pair
	Token       string // the ClientToken of the launch
	Root        string // the device name of the root volume
	Launched    time.Time
	Tags        []tag

	State   string    // "running" and so on
	Since   time.Time // when it got into that state
	Because string    // of a state that somebody asked for: the reason, as AWS words it
	Locked  bool      // protected against TerminateInstances
	NoStop  bool      // protected against StopInstances
}

// states are the codes of an instance's states, see InstanceState in the API reference.
var states = map[string]int{"pending": 0, "running": 16, "shutting-down": 32, "terminated": 48, "stopping": 64, "stopped": 80}

func stateNode(name, state string) wire.Node {
	return wire.Tree(name, wire.Num("code", states[state]), wire.El("name", state))
}

// dns is the private name of an instance.
func (s *Service) dns(i *instance) string {
	if i.State == "terminated" {
		return ""
	}
	return "ip-" + strings.ReplaceAll(i.Address, ".", "-") + "." + s.Region + ".compute.internal"
}

func (s *Service) instanceKind() kind[instance] {
	volumes := func(of func(*volume) string) func(*instance) []string {
		return func(i *instance) (out []string) {
			for _, v := range s.attachedTo(i.ID) {
				out = append(out, of(v))
			}
			return out
		}
	}
	one := func(of func(*instance) string) func(*instance) []string {
		return func(i *instance) []string { return some(of(i)) }
	}
	return kind[instance]{
		fields: fields[instance]{
			"architecture":         func(*instance) []string { return []string{"x86_64"} },
			"availability-zone":    one(func(i *instance) string { return i.Zone }),
			"availability-zone-id": one(func(i *instance) string { return zoneID(i.Zone) }),
			"block-device-mapping.attach-time": volumes(func(v *volume) string {
				return stamp(v.AttachTime)
			}),
			"block-device-mapping.delete-on-termination": volumes(func(v *volume) string { return strconv.FormatBool(v.DeleteOnTermination) }),
			"block-device-mapping.device-name":           volumes(func(v *volume) string { return v.Device }),
			"block-device-mapping.status":                volumes((*volume).attachment),
			"block-device-mapping.volume-id":             volumes(func(v *volume) string { return v.ID }),
			"client-token":                               one(func(i *instance) string { return i.Token }),
			"hypervisor":                                 func(*instance) []string { return []string{"xen"} },
			"image-id":                                   one(func(i *instance) string { return i.Image }),
			"instance-id":                                one(func(i *instance) string { return i.ID }),
			"instance-state-code":                        one(func(i *instance) string { return strconv.Itoa(states[i.State]) }),
			"instance-state-name":                        one(func(i *instance) string { return i.State }),
			"instance-type":                              one(func(i *instance) string { return i.Type }),
			"key-name":                                   one(func(i *instance) string { return i.Key }),
			"launch-index":                               one(func(i *instance) string { return strconv.Itoa(i.Index) }),
			"launch-time":                                one(func(i *instance) string { return stamp(i.Launched) }),
			"owner-id":                                   func(*instance) []string { return []string{s.Account} },
			"private-dns-name":                           one(s.dns),
			"private-ip-address":                         one(func(i *instance) string { return i.Address }),
			"reservation-id":                             one(func(i *instance) string { return i.Reservation }),
			"root-device-name":                           one(func(i *instance) string { return i.Root }),
			"root-device-type":                           func(*instance) []string { return []string{"ebs"} },
			"tenancy":                                    func(*instance) []string { return []string{"default"} },
			"virtualization-type":                        func(*instance) []string { return []string{"hvm"} },
		},
		Tags:     func(i *instance) []tag { return i.Tags },
		Serial:   func(i *instance) int { return i.Serial },
		minPage:  5,
		idsParam: "instancesSet",
	}
}

// describeInstances groups the instances of one launch, as far as they are on one page.
func (s *Service) describeInstances(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	page, token, apiErr := s.instanceKind().choose(q, s.instancesHere(), q.List("InstanceId"), s.findInstance)
	if apiErr != nil {
		return nil, apiErr
	}
	for _, id := range q.List("InstanceId") {
		c.About(s.arn("instance", id))
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	var launches [][]*instance
	for _, i := range page {
		if n := len(launches); n > 0 && launches[n-1][0].Reservation == i.Reservation {
			launches[n-1] = append(launches[n-1], i)
			continue
		}
		launches = append(launches, []*instance{i})
	}
	set := wire.Node{Name: "reservationSet"}
	for _, launch := range launches {
		set.Kids = append(set.Kids, wire.Node{Name: "item", Kids: s.reservation(launch)})
	}
	out := []wire.Node{set}
	if token != "" {
		out = append(out, wire.El("nextToken", token))
	}
	return out, nil
}

func (s *Service) reservation(launch []*instance) []wire.Node {
	set := wire.Node{Name: "instancesSet"}
	for _, i := range launch {
		set.Kids = append(set.Kids, wire.Node{Name: "item", Kids: s.instanceNodes(i)})
	}
	return []wire.Node{wire.El("reservationId", launch[0].Reservation), wire.El("ownerId", s.Account), {Name: "groupSet"}, set}
}

// instanceNodes shows an instance. "The value xen is used for both Xen and Nitro hypervisors" (Instance in the API reference).
func (s *Service) instanceNodes(i *instance) []wire.Node {
	mappings := wire.Node{Name: "blockDeviceMapping"}
	for _, v := range s.attachedTo(i.ID) {
		mappings.Kids = append(mappings.Kids, wire.Tree("item", wire.El("deviceName", v.Device),
			wire.Tree("ebs", wire.El("volumeId", v.ID), wire.El("status", v.attachment()), wire.Time("attachTime", v.AttachTime),
				wire.Bool("deleteOnTermination", v.DeleteOnTermination))))
	}
	out := []wire.Node{
		wire.El("instanceId", i.ID), wire.El("imageId", i.Image), stateNode("instanceState", i.State),
		wire.El("privateDnsName", s.dns(i)), wire.El("reason", i.Because), wire.Num("amiLaunchIndex", i.Index),
		wire.El("instanceType", i.Type), wire.Time("launchTime", i.Launched),
		wire.Tree("placement", wire.El("availabilityZone", i.Zone), wire.El("availabilityZoneId", zoneID(i.Zone)), wire.El("tenancy", "default")),
		wire.El("architecture", "x86_64"), wire.El("rootDeviceType", "ebs"), wire.El("rootDeviceName", i.Root),
		mappings, wire.El("virtualizationType", "hvm"), wire.El("hypervisor", "xen"), wire.Bool("enaSupport", nitro(i.Type)),
		wire.El("clientToken", i.Token), tagNodes(i.Tags), wire.Bool("ebsOptimized", nitro(i.Type)),
	}
	if i.State != "terminated" {
		out = append(out, wire.El("privateIpAddress", i.Address))
	}
	if i.Key != "" {
		out = append(out, wire.El("keyName", i.Key))
	}
	if i.Because != "" {
		out = append(out, wire.Tree("stateReason", wire.El("code", "Client.UserInitiatedShutdown"),
			wire.El("message", "Client.UserInitiatedShutdown: User initiated shutdown")))
	}
	return out
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

// stamp is a time as filters compare it.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }
