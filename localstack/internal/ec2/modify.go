package ec2

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"stillpoint/localstack/internal/wire"
)

// "You can modify a volume up to four times within a rolling 24-hour period", ModifyVolume in the API reference; before January 2026
// it was once in six hours. https://aws.amazon.com/about-aws/whats-new/2026/01/amazon-ebs-up-to-four-volume-modifications/
const (
	maxModifications   = 4
	modificationPeriod = 24 * time.Hour
)

// How long a volume is "modifying", after which it has its new size, and "optimizing", by the clock. AWS takes "a few seconds" for
// the first and "from a few minutes to a few hours" for the second; one minute is for the laptop's user.
const (
	modifyingTime  = 2 * time.Second
	optimizingTime = time.Minute
)

// modification is a change of a volume that was asked for.
type modification struct {
	State    string // "modifying", "optimizing", "completed" or "failed"
	Message  string // why it failed
	Started  time.Time
	Ended    time.Time
	Old, New shape
}

// shape is what can be changed of a volume.
type shape struct {
	GiB, Iops, Throughput int
	Type                  string
}

func (v *volume) shape() shape { return shape{v.GiB, v.Iops, v.Throughput, v.Type} }

// latest is the last modification, or nil.
func (v *volume) latest() *modification {
	if len(v.Modifications) == 0 {
		return nil
	}
	return &v.Modifications[len(v.Modifications)-1]
}

// modifying is the state of the last modification, empty for none.
func (v *volume) modifying() string {
	if m := v.latest(); m != nil {
		return m.State
	}
	return ""
}

// settleModification puts a volume into the shape that it has by now.
func (s *Service) settleModification(v *volume, now time.Time) (changed bool) {
	m := v.latest()
	if m == nil {
		return false
	}
	if m.State == "modifying" && now.Sub(m.Started) >= modifyingTime {
		changed = true
		m.State = "optimizing"
		if err := s.grow(v, m.New.GiB); err != nil {
			s.Log.Error().Err(err).Str("volume", v.ID).Msg("cannot modify a volume")
			m.State, m.Message, m.Ended = "failed", err.Error(), now
			return true
		}
		v.GiB, v.Iops, v.Throughput, v.Type = m.New.GiB, m.New.Iops, m.New.Throughput, m.New.Type
	}
	if end := m.Started.Add(modifyingTime + optimizingTime); m.State == "optimizing" && !now.Before(end) {
		m.State, m.Ended = "completed", end
		changed = true
	}
	return changed
}

// grow makes the file of a volume as large as it now is, and tells the kernel. What is on the volume does not grow by itself, here
// as little as on AWS.
func (s *Service) grow(v *volume, gib int) error {
	if gib == v.GiB || !s.disks.Real() {
		return nil
	}
	if err := s.disks.Grow(v.ID, int64(gib)<<30); err != nil {
		return err
	}
	if v.loop == nil {
		return nil
	}
	return v.loop.Grow()
}

func (s *Service) modifyVolume(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	v, apiErr := s.findVolume(q.Get("VolumeId"))
	if apiErr != nil {
		return nil, apiErr
	}
	c.About(s.arn("volume", v.ID))
	if apiErr := refuse(q, "VolumeId", "Size", "VolumeType", "Iops", "Throughput"); apiErr != nil {
		return nil, apiErr
	}
	target, apiErr := v.target(q)
	if apiErr != nil {
		return nil, apiErr
	}
	now := s.Clock.Now()
	if state := v.modifying(); state == "modifying" || state == "optimizing" { // https://github.com/sodafoundation/strato/issues/1120
		return nil, wire.Errorf("IncorrectModificationState", "Volume %s cannot be modified in modification state %s", v.ID, strings.ToUpper(state))
	}
	recent := slices.DeleteFunc(slices.Clone(v.Modifications), func(m modification) bool { return now.Sub(m.Started) >= modificationPeriod })
	if len(recent) >= maxModifications {
		// The code is that of the older limit, https://github.com/sodafoundation/strato/issues/1094; the message is a guess at
		// the newer one's, of which it is only known that it says when.
		return nil, wire.Errorf("VolumeModificationRateExceeded", "You've reached the maximum modification rate per volume limit. Volume %s can be modified again after %s.",
			v.ID, stamp(recent[0].Started.Add(modificationPeriod)))
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	v.Modifications = append(recent, modification{State: "modifying", Started: now, Old: v.shape(), New: target.shape()})
	s.later(modifyingTime)
	s.later(modifyingTime + optimizingTime)
	return []wire.Node{wire.Tree("volumeModification", s.modificationNodes(v)...)}, nil
}

// target is the volume as it shall be. What is not given stays, except the rates of a type that is left.
func (v *volume) target(q wire.Query) (*volume, *wire.Error) {
	t := &volume{ID: v.ID, GiB: v.GiB, Type: v.Type}
	if kind := q.Get("VolumeType"); kind != "" {
		t.Type = kind
	}
	r := rates[t.Type]
	if r.maxIops != 0 {
		// "The existing value is retained if you keep the same volume type. If you change the volume type to io1, io2, or gp3,
		// the default is 3,000."
		if t.Iops = v.Iops; t.Type != v.Type {
			t.Iops = 3_000
		}
	}
	if t.Type == "gp3" && v.Type == "gp3" {
		t.Throughput = v.Throughput
	}
	for name, to := range map[string]*int{"Size": &t.GiB, "Iops": &t.Iops, "Throughput": &t.Throughput} {
		if q.Get(name) == "" {
			continue
		}
		n, apiErr := q.Number(name)
		if apiErr != nil {
			return nil, apiErr
		}
		*to = n
	}
	if t.GiB < v.GiB {
		return nil, wire.Errorf("InvalidParameterValue", "New size cannot be smaller than existing size")
	}
	return t, t.checkRates()
}

func (s *Service) modificationNodes(v *volume) []wire.Node {
	m := v.latest()
	progress := int64(0)
	switch m.State {
	case "completed":
		progress = 100
	case "optimizing":
		progress = int64(min(99, 100*(s.Clock.Now().Sub(m.Started)-modifyingTime)/optimizingTime))
	}
	out := []wire.Node{
		wire.El("volumeId", v.ID), wire.El("modificationState", m.State), wire.El("progress", strconv.FormatInt(progress, 10)),
		wire.Time("startTime", m.Started), wire.Bool("targetMultiAttachEnabled", false), wire.Bool("originalMultiAttachEnabled", false),
	}
	for prefix, x := range map[string]shape{"target": m.New, "original": m.Old} {
		out = append(out, wire.Num(prefix+"Size", x.GiB), wire.El(prefix+"VolumeType", x.Type))
		if x.Iops != 0 {
			out = append(out, wire.Num(prefix+"Iops", x.Iops))
		}
		if x.Throughput != 0 {
			out = append(out, wire.Num(prefix+"Throughput", x.Throughput))
		}
	}
	if m.Message != "" {
		out = append(out, wire.El("statusMessage", m.Message))
	}
	if !m.Ended.IsZero() {
		out = append(out, wire.Time("endTime", m.Ended))
	}
	return out
}

var modificationKind = kind[volume]{
	fields: fields[volume]{
		"modification-state":   func(v *volume) []string { return []string{v.latest().State} },
		"original-iops":        func(v *volume) []string { return []string{strconv.Itoa(v.latest().Old.Iops)} },
		"original-size":        func(v *volume) []string { return []string{strconv.Itoa(v.latest().Old.GiB)} },
		"original-volume-type": func(v *volume) []string { return []string{v.latest().Old.Type} },
		"start-time":           func(v *volume) []string { return []string{stamp(v.latest().Started)} },
		"target-iops":          func(v *volume) []string { return []string{strconv.Itoa(v.latest().New.Iops)} },
		"target-size":          func(v *volume) []string { return []string{strconv.Itoa(v.latest().New.GiB)} },
		"target-volume-type":   func(v *volume) []string { return []string{v.latest().New.Type} },
		"volume-id":            func(v *volume) []string { return []string{v.ID} },
	},
	Tags: func(*volume) []tag { return nil }, Serial: func(v *volume) int { return v.Serial },
	minPage: 1, maxPage: 500, idsParam: "VolumeIds",
}

// describeVolumesModifications describes "the most recent volume modification request" of each volume that ever had one.
func (s *Service) describeVolumesModifications(q wire.Query, c *wire.Call) ([]wire.Node, *wire.Error) {
	all := map[string]*volume{}
	for id, v := range s.volumes {
		if v.latest() != nil {
			all[id] = v
		}
	}
	page, token, apiErr := modificationKind.choose(q, all, q.List("VolumeId"), func(id string) (*volume, *wire.Error) {
		v, apiErr := s.findVolume(id)
		if apiErr != nil {
			return nil, apiErr
		}
		c.About(s.arn("volume", id))
		if v.latest() == nil {
			return nil, wire.Errorf("InvalidVolumeModification.NotFound", "Modification for volume '%s' does not exist.", id)
		}
		return v, nil
	})
	if apiErr != nil {
		return nil, apiErr
	}
	if apiErr := dryRun(q); apiErr != nil {
		return nil, apiErr
	}
	return described("volumeModificationSet", page, token, s.modificationNodes), nil
}
