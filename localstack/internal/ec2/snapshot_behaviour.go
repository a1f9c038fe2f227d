package ec2

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"time"

	"github.com/go-json-experiment/json"

	"stillpoint/localstack/internal/wire"
)

// Behaviour is how EC2 behaves with snapshots, and what it limits. The zero value is an EC2 as AWS documents it, whose snapshots
// are completed at once. As JSON its durations are texts such as "1.5s".
type Behaviour struct {
	// SnapshotTime is how long a snapshot or a copy is pending. Zero: no time at all.
	SnapshotTime time.Duration `json:"-"`

	// BytesPerSecond makes a snapshot pending for longer: by the size of its volume, as the API tells it, at this speed. Zero:
	// the size does not matter.
	BytesPerSecond int64 `json:"bytesPerSecond"`

	// FailNext is how many of the snapshots and copies that are made next end in the state "error" instead of "completed". It
	// counts down. One that fails takes all of its CreateSnapshots with it, as AWS documents.
	FailNext int `json:"failNext"`

	// FailMessage is their StateMessage. Empty: none.
	FailMessage string `json:"failMessage"`

	// DescribeLagMin and DescribeLagMax are between which bounds it takes until Describe calls show that a snapshot was made or
	// deleted, or that its tags were changed. It is drawn anew for each snapshot and each change. Both zero: no time at all.
	DescribeLagMin time.Duration `json:"-"`
	DescribeLagMax time.Duration `json:"-"`

	// LagSeed starts the sequence in which the lags are drawn.
	LagSeed uint64 `json:"lagSeed"`

	// VolumeSpacing is how long a volume must be left alone after a snapshot. EC2 asks for 15 s between "concurrent" snapshots
	// and does not say how strict it is. Zero: no time at all.
	VolumeSpacing time.Duration `json:"-"`

	// Limits are the quotas.
	Limits Limits `json:"limits"`

	// Unthrottled turns all token buckets off.
	Unthrottled bool `json:"unthrottled"`

	// Buckets replaces the token buckets of some actions, by name: "CreateSnapshots"; "DescribeSnapshots:unfiltered" for calls
	// without filter, ids and pages; "RunInstances:resources" for what is counted by instance.
	Buckets map[string]Bucket `json:"buckets"`
}

// durations are the fields of a Behaviour that are texts in JSON.
type durations struct {
	Time    string `json:"snapshotTime"`
	LagMin  string `json:"describeLagMin"`
	LagMax  string `json:"describeLagMax"`
	Spacing string `json:"volumeSpacing"`
}

// plainBehaviour is a Behaviour without its methods.
type plainBehaviour Behaviour

type behaviourJSON struct {
	durations
	plainBehaviour
}

// MarshalJSON writes durations as texts.
func (b Behaviour) MarshalJSON() ([]byte, error) {
	return json.Marshal(behaviourJSON{
		durations: durations{
			Time: b.SnapshotTime.String(), LagMin: b.DescribeLagMin.String(), LagMax: b.DescribeLagMax.String(), Spacing: b.VolumeSpacing.String(),
		},
		plainBehaviour: plainBehaviour(b),
	}, json.Deterministic(true))
}

// UnmarshalJSON changes what text names and leaves the rest as it is. A member that it does not know is an error: what is misspelt
// would test nothing.
func (b *Behaviour) UnmarshalJSON(text []byte) error {
	in := behaviourJSON{plainBehaviour: plainBehaviour(*b)}
	in.Buckets = maps.Clone(in.Buckets)
	if err := json.Unmarshal(text, &in, json.RejectUnknownMembers(true)); err != nil {
		return err
	}
	out := Behaviour(in.plainBehaviour)
	for text, d := range map[*string]*time.Duration{
		&in.Time: &out.SnapshotTime, &in.LagMin: &out.DescribeLagMin, &in.LagMax: &out.DescribeLagMax, &in.Spacing: &out.VolumeSpacing,
	} {
		if *text == "" {
			continue
		}
		var err error
		if *d, err = time.ParseDuration(*text); err != nil {
			return err
		}
	}
	*b = out
	return nil
}

// check says what is wrong with b.
func (b Behaviour) check() error {
	var errs []error
	for name, d := range map[string]time.Duration{
		"SnapshotTime": b.SnapshotTime, "DescribeLagMin": b.DescribeLagMin, "DescribeLagMax": b.DescribeLagMax, "VolumeSpacing": b.VolumeSpacing,
	} {
		if d < 0 {
			errs = append(errs, fmt.Errorf("%s is %v; it must not be below zero", name, d))
		}
	}
	if b.DescribeLagMin > b.DescribeLagMax {
		errs = append(errs, fmt.Errorf("DescribeLagMin is %v, above DescribeLagMax, which is %v", b.DescribeLagMin, b.DescribeLagMax))
	}
	if b.BytesPerSecond < 0 || b.FailNext < 0 {
		errs = append(errs, errors.New("BytesPerSecond and FailNext must not be below zero"))
	}
	for name := range b.Buckets {
		if !isBucket(name) {
			errs = append(errs, fmt.Errorf("there is no token bucket %q: it is named after an action that localstack has", name))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("cannot behave like that: %w", err)
	}
	return nil
}

// snapshotState is what a Service holds besides its records. Access and Restores belong to its state; the rest is gone with it.
type snapshotState struct {
	Access   map[string]string   // how public sharing is blocked, by account and region, see key; missing: it is not
	Restores map[string]*restore // fast restores, by snapshot, zone and account, see key

	behaviour Behaviour
	lags      *rand.Rand
	buckets   map[string]*bucket
	ghosts    map[string]*snapshot // deleted, but still shown or in progress
	caller    wire.Caller          // of the operation that is being done
}

func newSnapshotState(snapshotTime time.Duration) snapshotState {
	return snapshotState{
		Access: map[string]string{}, Restores: map[string]*restore{},
		behaviour: Behaviour{SnapshotTime: max(snapshotTime, 0)}, lags: sequence(0), buckets: map[string]*bucket{}, ghosts: map[string]*snapshot{},
	}
}

// Behave replaces the behaviour. It holds for what is done from now on: what is pending stays so for as long as it was to be. The
// token buckets are full again.
func (s *Service) Behave(b Behaviour) error {
	if err := b.check(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b.Buckets = maps.Clone(b.Buckets)
	s.behaviour, s.lags, s.buckets = b, sequence(b.LagSeed), map[string]*bucket{}
	return nil
}

// Unlimit turns all token buckets and all quotas off.
func (s *Service) Unlimit() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.behaviour.Unthrottled, s.behaviour.Limits = true, Limits{-1, -1, -1, -1, -1}
}

// Behaviour is the one that was set, with how many snapshots are still to fail.
func (s *Service) Behaviour() Behaviour {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.behaviour
	b.Buckets = maps.Clone(b.Buckets)
	return b
}
