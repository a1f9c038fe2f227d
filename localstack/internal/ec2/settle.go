package ec2

import (
	"time"
)

// settle brings the records up to date with the clock and with the machine, and tells whether it changed any. The lock is held.
func (s *Service) settle() (changed bool) {
	now := s.Clock.Now()
	for _, i := range sorted(s.instances, func(i *instance) int { return i.Serial }) {
		changed = s.settleInstance(i, now) || changed
	}
	for _, v := range sorted(s.volumes, func(v *volume) int { return v.Serial }) {
		changed = s.settleModification(v, now) || changed
		changed = s.settleDetach(v) || changed
	}
	return s.forgetTokens(now) || changed
}

// settleDetach frees a volume whose device was in use when it was detached, once the device has gone.
func (s *Service) settleDetach(v *volume) bool {
	if !v.Detaching || v.loop != nil && v.loop.Attached() {
		return false
	}
	v.Instance, v.Device, v.Root, v.loop, v.Detaching = "", "", false, nil, false
	if v.Doomed {
		if err := s.erase(v); err != nil {
			s.Log.Warn().Err(err).Str("volume", v.ID).Msg("cannot delete the volume of a terminated instance")
		}
	}
	return true
}

// later looks at the records again after d, for what happens by time whether or not anybody calls.
func (s *Service) later(d time.Duration) {
	s.Clock.AfterFunc(d, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.closed || !s.settle() {
			return
		}
		if err := s.save(); err != nil {
			s.Log.Error().Err(err).Msg("what happened by time is not on disk")
		}
	})
}
