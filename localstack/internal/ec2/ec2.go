// Package ec2 is EC2 as far as EBS goes: instances that are records, volumes and snapshots that are files.
package ec2

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"stillpoint/localstack/internal/disk"
	"stillpoint/localstack/internal/host"
	"stillpoint/localstack/internal/wire"
)

const (
	// Version is that of the API, which clients send.
	Version = "2016-11-15"
	space   = "http://ec2.amazonaws.com/doc/2016-11-15/"
)

// Service is EC2: instances that are records, and volumes and snapshots that are files. One lock covers all of it, so that
// nothing else happens while the volumes of one CreateSnapshots are cloned.
type Service struct {
	host.Host
	snapshotState
	disks *disk.Store

	mu        sync.Mutex
	Serial    int // of the last thing made: the order in which things are listed
	instances map[string]*instance
	volumes   map[string]*volume
	snapshots map[string]*snapshot
	tokens    map[string]*token // by action and ClientToken, see tokenKey

	lock   *disk.Lock // of the folder, from Open to Close
	keep   bool       // Close deletes nothing
	closed bool
	found  Found // by Open
}

// New makes a service without instances. A snapshot is pending for snapshotTime. With a folder it needs Open before its first call.
func New(h host.Host, disks *disk.Store, snapshotTime time.Duration) *Service {
	return &Service{
		Host: h, snapshotState: newSnapshotState(snapshotTime), disks: disks,
		instances: map[string]*instance{}, volumes: map[string]*volume{}, snapshots: map[string]*snapshot{},
		tokens: map[string]*token{},
	}
}

// operation does one operation. The lock is held.
type operation func(s *Service, q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error)

var operations = map[string]operation{
	"RunInstances":              (*Service).runInstances,
	"StartInstances":            (*Service).startInstances,
	"StopInstances":             (*Service).stopInstances,
	"TerminateInstances":        (*Service).terminateInstances,
	"DescribeInstances":         (*Service).describeInstances,
	"DescribeInstanceStatus":    (*Service).describeInstanceStatus,
	"DescribeInstanceAttribute": (*Service).describeInstanceAttribute,
	"ModifyInstanceAttribute":   (*Service).modifyInstanceAttribute,

	"CreateVolume":                 (*Service).createVolume,
	"AttachVolume":                 (*Service).attachVolume,
	"DetachVolume":                 (*Service).detachVolume,
	"ModifyVolume":                 (*Service).modifyVolume,
	"DeleteVolume":                 (*Service).deleteVolume,
	"DescribeVolumes":              (*Service).describeVolumes,
	"DescribeVolumeStatus":         (*Service).describeVolumeStatus,
	"DescribeVolumesModifications": (*Service).describeVolumesModifications,

	"CreateTags":   (*Service).createTags,
	"DeleteTags":   (*Service).deleteTags,
	"DescribeTags": (*Service).describeTags,

	"DescribeAvailabilityZones": (*Service).describeAvailabilityZones,
	"DescribeRegions":           (*Service).describeRegions,
}

// Operation is the call of an action.
func (s *Service) Operation(action string, q wire.Query) wire.Operation {
	return wire.Operation{
		Name: "ec2:" + action, Params: q.Flat(), Fail: Fail,
		Do: func(_ context.Context, c *wire.Call) (wire.Reply, *wire.Error) {
			call, ok := operationOf(action)
			if !ok {
				return wire.Reply{}, wire.Errorf("InvalidAction", "The action %s is not valid for this web service: localstack does not have it", action)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.closed { // the folder is another's now: a call that was still waiting for the lock must not touch it
				return wire.Reply{}, wire.Errorf("Unavailable", "localstack is closing")
			}
			changed := s.settle()
			result, apiErr := call(s, q, c)
			if changed || !strings.HasPrefix(action, "Describe") {
				if err := s.save(); err != nil && apiErr == nil {
					apiErr = s.internal(err)
				}
			}
			if apiErr != nil {
				return wire.Reply{}, apiErr
			}
			if wrong, ok := wrongReplies[c.Wrong]; ok {
				result = wrong(result)
			}
			kids := append([]wire.Node{wire.El("requestId", uuid.NewString())}, result...)
			return wire.XML(http.StatusOK, space, wire.Tree(action+"Response", kids...)), nil
		},
	}
}

// Fail answers errors in EC2's own form.
func Fail(e *wire.Error) wire.Reply {
	return wire.XML(e.HTTPStatus(), "", wire.Tree("Response",
		wire.Tree("Errors", wire.Tree("Error", wire.El("Code", e.Code), wire.El("Message", e.Message))),
		wire.El("RequestID", uuid.NewString())))
}

// dryRun ends a call that is only tried, after all of its checks.
func dryRun(q wire.Query) *wire.Error {
	if q.Flag("DryRun") {
		return wire.Errorf("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
	}
	return nil
}

// internal reports what went wrong on this machine.
func (s *Service) internal(err error) *wire.Error {
	s.Log.Error().Err(err).Msg("cannot do what EC2 would do")
	return wire.Errorf("InternalError", "localstack: %v", err)
}

// newID makes an id as AWS does: 17 hexadecimal digits, the first one 0.
func newID(prefix string) string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return prefix + "-0" + hex.EncodeToString(b[:])
}

func (s *Service) next() int { s.Serial++; return s.Serial }

// Device is the loop device of a volume.
func (s *Service) Device(volumeID string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.volumes[volumeID]
	if !ok || v.loop == nil {
		return "", false
	}
	return v.loop.Path, true
}

// arn names a resource: of the kind "instance", "volume" or "snapshot". Those of snapshots name no account.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonec2.html
func (s *Service) arn(kind, id string) string {
	if kind == "snapshot" {
		return "arn:aws:ec2:" + s.asCaller(s.caller).Region + "::" + kind + "/" + id
	}
	return "arn:aws:ec2:" + s.Region + ":" + s.Account + ":" + kind + "/" + id
}

var idPattern = map[string]*regexp.Regexp{
	"i":    regexp.MustCompile(`^i-([0-9a-f]{8}|[0-9a-f]{17})$`),
	"vol":  regexp.MustCompile(`^vol-([0-9a-f]{8}|[0-9a-f]{17})$`),
	"snap": regexp.MustCompile(`^snap-([0-9a-f]{8}|[0-9a-f]{17})$`),
}

// find looks an id up. The errors are those of AWS for an id that is not one, and for one that nothing has.
func find[T any](all map[string]*T, id, kind, param, malformed, missing string) (*T, *wire.Error) {
	if id == "" {
		return nil, wire.Errorf("MissingParameter", "The request must contain the parameter %s", param)
	}
	if !idPattern[kind].MatchString(id) {
		return nil, wire.Errorf(malformed, "Invalid id: \"%s\"", id)
	}
	if x, ok := all[id]; ok {
		return x, nil
	}
	return nil, wire.Errorf(missing, "The %s '%s' does not exist", param, id)
}

func (s *Service) findInstance(id string) (*instance, *wire.Error) {
	return find(s.instancesHere(), id, "i", "instance ID", "InvalidInstanceID.Malformed", "InvalidInstanceID.NotFound")
}

func (s *Service) findVolume(id string) (*volume, *wire.Error) {
	return find(s.volumesHere(), id, "vol", "volume", "InvalidParameterValue", "InvalidVolume.NotFound")
}

// sorted lists things in the order in which they were made.
func sorted[T any](all map[string]*T, serial func(*T) int) []*T {
	out := make([]*T, 0, len(all))
	for _, x := range all {
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b *T) int { return cmp.Compare(serial(a), serial(b)) })
	return out
}
