// Package ec2 is EC2 as far as EBS goes: instances that are records, volumes and snapshots that are files.
package ec2

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"net/http"
	"regexp"
	"slices"
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
	tokens    map[string][]string // what a call with a ClientToken made, so that repeating it makes nothing more
}

// New makes a service without instances. A snapshot is pending for snapshotTime.
func New(h host.Host, disks *disk.Store, snapshotTime time.Duration) *Service {
	return &Service{
		Host: h, snapshotState: newSnapshotState(snapshotTime), disks: disks,
		instances: map[string]*instance{}, volumes: map[string]*volume{}, snapshots: map[string]*snapshot{},
		tokens: map[string][]string{},
	}
}

// operation does one operation. The lock is held.
type operation func(s *Service, q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error)

var operations = map[string]operation{
	"RunInstances":      (*Service).runInstances,
	"DescribeInstances": (*Service).describeInstances,
	"CreateVolume":      (*Service).createVolume,
	"AttachVolume":      (*Service).attachVolume,
	"DetachVolume":      (*Service).detachVolume,
	"DeleteVolume":      (*Service).deleteVolume,
	"DescribeVolumes":   (*Service).describeVolumes,
	"CreateTags":        (*Service).createTags,
	"DeleteTags":        (*Service).deleteTags,
	"DescribeTags":      (*Service).describeTags,
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
			s.settle()
			result, apiErr := call(s, q, c)
			if apiErr != nil {
				return wire.Reply{}, apiErr
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

// remember notes that the call, if it has a ClientToken, made id.
func (s *Service) remember(q wire.Query, id string) {
	if token := q.Get("ClientToken"); token != "" {
		s.tokens[token] = append(s.tokens[token], id)
	}
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

// settle brings the records up to date with the machine: a volume whose device was in use when it was detached is available once
// the device has gone.
func (s *Service) settle() {
	for _, v := range s.volumes {
		if v.Detaching && (v.loop == nil || !v.loop.Attached()) {
			v.Instance, v.Device, v.loop, v.Detaching = "", "", nil, false
		}
	}
}

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

// Close lets all loop devices go.
func (s *Service) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, v := range s.volumes {
		if v.loop != nil {
			errs = append(errs, v.loop.Release())
			v.loop = nil
		}
	}
	return errors.Join(errs...)
}

var idPattern = map[string]*regexp.Regexp{
	"i":    regexp.MustCompile(`^i-([0-9a-f]{8}|[0-9a-f]{17})$`),
	"vol":  regexp.MustCompile(`^vol-([0-9a-f]{8}|[0-9a-f]{17})$`),
	"snap": regexp.MustCompile(`^snap-([0-9a-f]{8}|[0-9a-f]{17})$`),
}

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
	return find(s.instances, id, "i", "instance ID", "InvalidInstanceID.Malformed", "InvalidInstanceID.NotFound")
}

func (s *Service) findVolume(id string) (*volume, *wire.Error) {
	return find(s.volumes, id, "vol", "volume", "InvalidParameterValue", "InvalidVolume.NotFound")
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
