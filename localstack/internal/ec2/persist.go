package ec2

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"time"
)

const (
	stateName = "state.json"

	// stateVersion is that of the state file. A change that an older localstack would misread needs a new one; members that are
	// merely added do not.
	stateVersion = 1
)

// saved is everything that EC2 keeps in the state file, and shows as its state. What is added to the records (instance, volume,
// snapshot) in exported fields is in it by itself; what is added to Service is to be added here, in record and in restore.
type saved struct {
	Version   int
	Ahead     time.Duration // how far the clock was moved: no record is of the future
	Serial    int
	Instances []*instance
	Volumes   []*volume
	Snapshots []*snapshot
	Tokens    map[string]*token
	Access    map[string]string
	Restores  map[string]*restore
}

func (s *Service) record() saved {
	return saved{
		Version: stateVersion, Ahead: s.Clock.Ahead(), Serial: s.Serial, Tokens: s.tokens, Access: s.Access, Restores: s.Restores,
		Instances: sorted(s.instances, func(i *instance) int { return i.Serial }),
		Volumes:   sorted(s.volumes, func(v *volume) int { return v.Serial }),
		Snapshots: sorted(s.snapshots, func(x *snapshot) int { return x.Serial }),
	}
}

func (s *Service) restore(r saved) {
	s.Serial = r.Serial
	for _, i := range r.Instances {
		s.instances[i.ID] = i
	}
	for _, v := range r.Volumes {
		s.volumes[v.ID] = v
	}
	for _, x := range r.Snapshots {
		s.snapshots[x.ID] = x
	}
	for key, t := range r.Tokens {
		s.tokens[key] = t
	}
	maps.Copy(s.Access, r.Access)
	maps.Copy(s.Restores, r.Restores)
}

// State is all of EC2 as it is in the state file: the server's instances, volumes and snapshots with their tags, and the tokens of
// the calls that made them.
func (s *Service) State() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settle()
	text, err := json.Marshal(s.record())
	var out any
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil { // the records are plain data
		return map[string]string{"error": err.Error()}
	}
	return out
}

// save writes the records, after which no file is in the making. Every call that is no Describe ends with it; who changes a record
// otherwise has to call it. The lock is held.
func (s *Service) save() error {
	if !s.disks.Real() || s.closed {
		return nil
	}
	text, err := json.Marshal(s.record())
	if err == nil {
		err = s.disks.Replace(stateName, text)
	}
	if err != nil {
		return fmt.Errorf("cannot keep what was done in %s, and it is lost if localstack is killed: %w", s.statePath(), err)
	}
	return s.disks.Settled()
}

func (s *Service) statePath() string { return filepath.Join(s.disks.Dir, stateName) }

// load reads the state file; without one there is nothing.
func (s *Service) load() (saved, error) {
	var r saved
	text, err := os.ReadFile(s.statePath())
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err != nil {
		return r, fmt.Errorf("cannot read the state of EC2: %w", err)
	}
	var head struct{ Version int }
	if err := json.Unmarshal(text, &head); err != nil {
		return r, s.damaged(err)
	}
	if head.Version > stateVersion {
		return r, fmt.Errorf("cannot use %s: it is of version %d, written by a newer localstack, and this one knows version %d; use the newer one, or another folder", s.statePath(), head.Version, stateVersion)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, s.damaged(err)
	}
	if err := r.check(); err != nil {
		return r, s.damaged(err)
	}
	return r, nil
}

func (s *Service) damaged(err error) error {
	return fmt.Errorf("cannot use %s: it is damaged: %w; to start without what it knew, move it away: the files of its volumes and snapshots stay where they are", s.statePath(), err)
}

// check finds what would send localstack to files that are not its own, or make it fall over.
func (r saved) check() error {
	if r.Version < 1 {
		return errors.New("it has no version")
	}
	ids := map[string]string{}
	for _, i := range r.Instances {
		if i == nil {
			return errors.New("an instance is null")
		}
		ids[i.ID] = "i"
	}
	for _, v := range r.Volumes {
		if v == nil {
			return errors.New("a volume is null")
		}
		ids[v.ID] = "vol"
	}
	for _, x := range r.Snapshots {
		if x == nil {
			return errors.New("a snapshot is null")
		}
		ids[x.ID] = "snap"
	}
	for id, kind := range ids {
		if !idPattern[kind].MatchString(id) {
			return fmt.Errorf("%q is no id", id)
		}
	}
	for key, t := range r.Tokens {
		if t == nil {
			return fmt.Errorf("the token %q is null", key)
		}
	}
	return nil
}
