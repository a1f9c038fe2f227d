package localstack

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
	"github.com/rs/zerolog"
)

const (
	ec2Version = "2016-11-15"
	ec2NS      = "http://ec2.amazonaws.com/doc/2016-11-15/"
)

// ec2Service is EC2: instances that are records, and volumes and snapshots that are files. One lock covers all of it, so that
// nothing else happens while the volumes of one CreateSnapshots are cloned.
type ec2Service struct {
	region, account string
	snapshotTime    time.Duration
	disks           *diskStore
	log             zerolog.Logger

	mu        sync.Mutex
	serial    int // of the last thing made: the order in which things are listed
	instances map[string]*instance
	volumes   map[string]*volume
	snapshots map[string]*snapshot
	tokens    map[string][]string // what a call with a ClientToken made, so that repeating it makes nothing more
}

func newEC2(c Config, disks *diskStore, log zerolog.Logger) *ec2Service {
	return &ec2Service{
		region: c.Region, account: c.AccountID, snapshotTime: max(c.SnapshotTime, 0), disks: disks, log: log,
		instances: map[string]*instance{}, volumes: map[string]*volume{}, snapshots: map[string]*snapshot{},
		tokens: map[string][]string{},
	}
}

// ec2Call does one operation. The lock is held.
type ec2Call func(s *ec2Service, q query, rec *record) ([]node, *apiError)

var ec2Calls = map[string]ec2Call{
	"RunInstances":      (*ec2Service).runInstances,
	"DescribeInstances": (*ec2Service).describeInstances,
	"CreateVolume":      (*ec2Service).createVolume,
	"AttachVolume":      (*ec2Service).attachVolume,
	"DetachVolume":      (*ec2Service).detachVolume,
	"DeleteVolume":      (*ec2Service).deleteVolume,
	"DescribeVolumes":   (*ec2Service).describeVolumes,
	"CreateSnapshots":   (*ec2Service).createSnapshots,
	"CreateSnapshot":    (*ec2Service).createSnapshot,
	"DescribeSnapshots": (*ec2Service).describeSnapshots,
	"DeleteSnapshot":    (*ec2Service).deleteSnapshot,
	"CreateTags":        (*ec2Service).createTags,
	"DeleteTags":        (*ec2Service).deleteTags,
	"DescribeTags":      (*ec2Service).describeTags,
}

func (s *ec2Service) operation(action string, q query) operation {
	return operation{
		name: "ec2:" + action, params: q.flat(), fail: failEC2,
		do: func(_ context.Context, rec *record) (reply, *apiError) {
			call, ok := ec2Calls[action]
			if !ok {
				return reply{}, errf("InvalidAction", "The action %s is not valid for this web service: localstack does not have it", action)
			}
			s.mu.Lock()
			defer s.mu.Unlock()
			s.settle()
			result, apiErr := call(s, q, rec)
			if apiErr != nil {
				return reply{}, apiErr
			}
			kids := append([]node{el("requestId", uuid.NewString())}, result...)
			return xmlReply(http.StatusOK, ec2NS, tree(action+"Response", kids...)), nil
		},
	}
}

// failEC2 answers errors in EC2's own form.
func failEC2(e *apiError) reply {
	return xmlReply(e.status(), "", tree("Response",
		tree("Errors", tree("Error", el("Code", e.Code), el("Message", e.Message))),
		el("RequestID", uuid.NewString())))
}

// dryRun ends a call that is only tried, after all of its checks.
func dryRun(q query) *apiError {
	if q.flag("DryRun") {
		return errf("DryRunOperation", "Request would have succeeded, but DryRun flag is set.")
	}
	return nil
}

// remember notes that the call, if it has a ClientToken, made id.
func (s *ec2Service) remember(q query, id string) {
	if token := q.get("ClientToken"); token != "" {
		s.tokens[token] = append(s.tokens[token], id)
	}
}

// internal reports what went wrong on this machine.
func (s *ec2Service) internal(err error) *apiError {
	s.log.Error().Err(err).Msg("cannot do what EC2 would do")
	return errf("InternalError", "localstack: %v", err)
}

// newID makes an id as AWS does: 17 hexadecimal digits, the first one 0.
func newID(prefix string) string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return prefix + "-0" + hex.EncodeToString(b[:])
}

func (s *ec2Service) next() int { s.serial++; return s.serial }

// settle brings the records up to date with the machine: a volume whose device was in use when it was detached is available once
// the device has gone.
func (s *ec2Service) settle() {
	for _, v := range s.volumes {
		if v.detaching && (v.loop == nil || !v.loop.attached()) {
			v.instance, v.device, v.loop, v.detaching = "", "", nil, false
		}
	}
}

// device is the loop device of a volume.
func (s *ec2Service) device(volumeID string) (string, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.volumes[volumeID]
	if !ok || v.loop == nil {
		return "", false
	}
	return v.loop.path, true
}

// close lets all loop devices go.
func (s *ec2Service) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, v := range s.volumes {
		if v.loop != nil {
			errs = append(errs, v.loop.release())
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

func find[T any](all map[string]*T, id, kind, param, malformed, missing string) (*T, *apiError) {
	if id == "" {
		return nil, errf("MissingParameter", "The request must contain the parameter %s", param)
	}
	if !idPattern[kind].MatchString(id) {
		return nil, errf(malformed, "Invalid id: \"%s\"", id)
	}
	if x, ok := all[id]; ok {
		return x, nil
	}
	return nil, errf(missing, "The %s '%s' does not exist", param, id)
}

func (s *ec2Service) findInstance(id string) (*instance, *apiError) {
	return find(s.instances, id, "i", "instance ID", "InvalidInstanceID.Malformed", "InvalidInstanceID.NotFound")
}

func (s *ec2Service) findVolume(id string) (*volume, *apiError) {
	return find(s.volumes, id, "vol", "volume", "InvalidParameterValue", "InvalidVolume.NotFound")
}

func (s *ec2Service) findSnapshot(id string) (*snapshot, *apiError) {
	return find(s.snapshots, id, "snap", "snapshot", "InvalidSnapshotID.Malformed", "InvalidSnapshot.NotFound")
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
