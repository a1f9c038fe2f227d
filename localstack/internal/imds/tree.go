package imds

import (
	"fmt"
	"hash/fnv"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"stillpoint/localstack/internal/identity"
	"stillpoint/localstack/internal/wire"
)

// get answers a path: a value, or the names under it, those that go on with a slash.
func (s *Service) get(i Instance, settings Settings, path string) (wire.Reply, *wire.Error) {
	leaves := s.leaves(i, settings)
	path = strings.Trim(path, "/")
	if leaf, ok := leaves[path]; ok {
		text, err := leaf()
		if err != nil {
			return wire.Reply{}, problem(http.StatusInternalServerError, "localstack: "+err.Error())
		}
		return plain(text), nil
	}
	names := map[string]bool{}
	for at := range leaves {
		rest, ok := strings.CutPrefix(at, path+"/")
		if path == "" {
			rest, ok = at, true
		}
		if !ok {
			continue
		}
		name, _, deeper := strings.Cut(rest, "/")
		if deeper {
			name += "/"
		}
		names[name] = true
	}
	if len(names) == 0 {
		return wire.Reply{}, problem(http.StatusNotFound, fmt.Sprintf("there is no /latest/%s here", path))
	}
	return plain(strings.Join(slices.Sorted(maps.Keys(names)), "\n")), nil
}

type leaf func() (string, error)

func is(text string) leaf { return func() (string, error) { return text, nil } }

// leaves are the values that there are, by their paths. What an instance has and nobody was found to ask for is not here.
func (s *Service) leaves(i Instance, settings Settings) map[string]leaf {
	name := "ip-" + strings.ReplaceAll(i.Address, ".", "-") + "." + s.Region + ".compute.internal"
	out := map[string]leaf{
		"meta-data/ami-id":                         is(i.Image),
		"meta-data/ami-launch-index":               is("0"),
		"meta-data/hostname":                       is(name),
		"meta-data/instance-action":                is("none"),
		"meta-data/instance-id":                    is(i.ID),
		"meta-data/instance-life-cycle":            is("on-demand"),
		"meta-data/instance-type":                  is(i.Type),
		"meta-data/local-hostname":                 is(name),
		"meta-data/local-ipv4":                     is(i.Address),
		"meta-data/mac":                            is(mac(i.ID)),
		"meta-data/placement/availability-zone":    is(i.Zone),
		"meta-data/placement/availability-zone-id": is(i.ZoneID),
		"meta-data/placement/region":               is(s.Region),
		"meta-data/reservation-id":                 is("r-" + strings.TrimPrefix(i.ID, "i-")),
		"meta-data/services/domain":                is("amazonaws.com"),
		"meta-data/services/partition":             is("aws"),
		"dynamic/instance-identity/document":       func() (string, error) { return s.document(i) },
	}
	for n, device := range i.Devices {
		key := "ebs" + strconv.Itoa(n)
		if n == 0 {
			out["meta-data/block-device-mapping/ami"], key = is(device), "root"
		}
		out["meta-data/block-device-mapping/"+key] = is(device)
	}
	if settings.Tags {
		for key, value := range i.Tags {
			if !strings.ContainsAny(key, "/ ") { // EC2 does not let a key with them be shown
				out["meta-data/tags/instance/"+key] = is(value)
			}
		}
	}
	role := settings.Role
	if role == "" {
		role = defaultRole
	}
	if role != "-" {
		out["meta-data/iam/info"] = func() (string, error) { return s.profile(i, role) }
		out["meta-data/iam/security-credentials/"+role] = func() (string, error) { return s.credentials(i, role) }
	}
	return out
}

// document is the identity document: https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-identity-documents.html
func (s *Service) document(i Instance) (string, error) {
	return text(map[string]any{
		"accountId": s.Account, "architecture": "x86_64", "availabilityZone": i.Zone, "billingProducts": nil,
		"devpayProductCodes": nil, "marketplaceProductCodes": nil, "imageId": i.Image, "instanceId": i.ID, "instanceType": i.Type,
		"kernelId": nil, "pendingTime": stamp(i.Launched), "privateIp": i.Address, "ramdiskId": nil, "region": s.Region,
		"version": "2017-09-30",
	})
}

func (s *Service) profile(i Instance, role string) (string, error) {
	s.mu.Lock()
	key, since := s.key(i, role)
	s.mu.Unlock()
	id, _, _ := strings.Cut(key.UserID, ":")
	return text(map[string]any{
		"Code": "Success", "LastUpdated": stamp(since),
		"InstanceProfileArn": "arn:aws:iam::" + s.Account + ":instance-profile/" + role, "InstanceProfileId": strings.Replace(id, "AROA", "AIPA", 1),
	})
}

func (s *Service) credentials(i Instance, role string) (string, error) {
	s.mu.Lock()
	key, since := s.key(i, role)
	s.mu.Unlock()
	return text(map[string]any{
		"Code": "Success", "LastUpdated": stamp(since), "Type": "AWS-HMAC", "AccessKeyId": key.AccessKeyID,
		"SecretAccessKey": key.SecretAccessKey, "Token": key.SessionToken, "Expiration": stamp(key.Expires),
	})
}

// Credentials are good for six hours, and new ones are there at least five minutes before (the document says the latter; the
// former is what is seen).
const (
	lifetime = 6 * time.Hour
	overlap  = 5 * time.Minute
)

// key returns the credentials of the role on an instance, and since when there are these. The lock is held.
func (s *Service) key(i Instance, role string) (identity.Key, time.Time) {
	at, now := i.ID+" "+role, s.Clock.Now()
	if key, ok := s.issued[at]; ok && key.Expires.Sub(now) > overlap {
		return key, s.renewed[at]
	}
	key := s.keys.Issue(role, i.ID, now.Add(lifetime).Truncate(time.Second))
	s.issued[at], s.renewed[at] = key, now
	return key, now
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

func text(v map[string]any) (string, error) {
	out, err := json.Marshal(v, json.Deterministic(true), jsontext.WithIndent("  "))
	return string(out), err
}

// mac is made of the instance's id.
func mac(id string) string {
	h := fnv.New32a()
	_, _ = h.Write([]byte(id)) // never fails
	n := h.Sum32()
	return fmt.Sprintf("02:00:%02x:%02x:%02x:%02x", byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
}
