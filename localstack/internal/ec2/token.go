package ec2

import (
	"crypto/sha256"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"stillpoint/localstack/internal/wire"
)

// tokenTime is how long a token is remembered after what it made has gone. AWS says "at least 24 hours after the termination of the
// instance" (https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/Run_Instance_Idempotency.html); that it is the same for volumes
// is a guess.
const tokenTime = 24 * time.Hour

// token is a ClientToken that a call was made with, and what the call made, so that repeating it makes nothing more. The SDKs send
// one with every RunInstances and CreateVolume.
type token struct {
	Params string // a hash of what was asked
	IDs    []string
	Gone   time.Time // when the last of what it made was deleted; zero: it is there

	// What was deleted, because a repeated call is still answered with it.
	Instances []*instance `json:",omitempty"`
	Volumes   []*volume   `json:",omitempty"`
}

// tokenKey is by action: what AWS does with one token in two actions is not documented. A launch that names its zone has tokens of
// that zone: "zonal idempotency", https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html
func tokenKey(q wire.Query) string {
	return q.Get("Action") + " " + q.Get("Placement.AvailabilityZone") + q.Get("Placement.AvailabilityZoneId") + " " + q.Get("ClientToken")
}

// tokenHash is over all parameters that have to be the same: "one or more of the parameters are different, other than the Region or
// Availability Zone" (the page named above).
func tokenHash(q wire.Query) string {
	var parts []string
	for k, v := range q {
		switch k {
		case "ClientToken", "DryRun", "Action", "Version", "AvailabilityZone", "AvailabilityZoneId", "Placement.AvailabilityZone", "Placement.AvailabilityZoneId":
			continue
		}
		if !strings.HasPrefix(k, "X-Amz-") {
			parts = append(parts, k+"="+strings.Join(v, ","))
		}
	}
	slices.Sort(parts)
	sum := sha256.Sum256([]byte(strings.Join(parts, "\n")))
	return hex.EncodeToString(sum[:16])
}

// repeated finds what an earlier call with the same token made; nil if there was none. asked is how the message names what differs:
// AWS says "Arguments" for RunInstances and "Parameters" for CreateVolume (seen in issues of rust-lang/bors, 830, and of
// kubernetes-sigs/aws-ebs-csi-driver, 1428).
func (s *Service) repeated(q wire.Query, asked string) (*token, *wire.Error) {
	text := q.Get("ClientToken")
	if text == "" {
		return nil, nil
	}
	if len(text) > 64 || strings.ContainsFunc(text, func(r rune) bool { return r > 126 || r < 32 }) {
		return nil, wire.Errorf("InvalidParameterValue", "Invalid value for parameter clientToken: it must have at most 64 ASCII characters")
	}
	t, ok := s.tokens[tokenKey(q)]
	if ok && t.Params != tokenHash(q) {
		return nil, wire.Errorf("IdempotentParameterMismatch", "%s on this idempotent request are inconsistent with %s used in previous request(s).", asked, strings.ToLower(asked))
	}
	return t, nil
}

// remember notes that the call, if it has a token, made ids.
func (s *Service) remember(q wire.Query, ids ...string) {
	if q.Get("ClientToken") != "" {
		s.tokens[tokenKey(q)] = &token{Params: tokenHash(q), IDs: ids}
	}
}

// volumesOf are the volumes that a call with the token made, as they are, or as they were when they were deleted.
func (s *Service) volumesOf(t *token) []*volume {
	out := slices.Clone(t.Volumes)
	for _, id := range t.IDs {
		if v, ok := s.volumes[id]; ok {
			out = append(out, v)
		}
	}
	return out
}

func (s *Service) instancesOf(t *token) []*instance {
	out := slices.Clone(t.Instances)
	for _, id := range t.IDs {
		if i, ok := s.instances[id]; ok {
			out = append(out, i)
		}
	}
	return out
}

// tokenOf finds the token of a call that made id, or nil.
func (s *Service) tokenOf(id string) *token {
	for _, t := range s.tokens {
		if slices.Contains(t.IDs, id) {
			return t
		}
	}
	return nil
}

// forgetVolume takes a volume out of the records.
func (s *Service) forgetVolume(v *volume) {
	delete(s.volumes, v.ID)
	if t := s.tokenOf(v.ID); t != nil {
		t.Volumes, t.Gone = append(t.Volumes, v), s.Clock.Now()
	}
}

func (s *Service) forgetInstance(i *instance) {
	delete(s.instances, i.ID)
	if t := s.tokenOf(i.ID); t != nil {
		t.Instances, t.Gone = append(t.Instances, i), s.Clock.Now()
	}
}

// forgetTokens drops those whose time is over.
func (s *Service) forgetTokens(now time.Time) (changed bool) {
	for key, t := range s.tokens {
		if len(t.Instances)+len(t.Volumes) == len(t.IDs) && now.Sub(t.Gone) > tokenTime {
			delete(s.tokens, key)
			changed = true
		}
	}
	return changed
}
