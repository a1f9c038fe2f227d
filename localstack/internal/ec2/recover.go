package ec2

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"stillpoint/localstack/internal/disk"
)

// Open takes the folder, and finds again what a process before this one has left in it: its records, its files, and the devices that
// are still there because they are mounted. Others are attached anew. Without a folder it does nothing.
//
// Files that a killed call has left half made are deleted; those that nobody knows are left alone, with a warning. With keep, Close
// will delete nothing.
func (s *Service) Open(keep bool) (err error) {
	if !s.disks.Real() {
		return nil
	}
	lock, err := s.disks.Lock()
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.letGo(), lock.Unlock())
		}
	}()
	found, err := s.load()
	if err != nil {
		return err
	}
	s.Clock.Move(found.Ahead) // before the lock: what comes due takes it

	s.mu.Lock()
	defer s.mu.Unlock()
	s.lock, s.keep = lock, keep
	s.restore(found)
	if err := s.compare(); err != nil {
		return err
	}
	for _, v := range sorted(s.volumes, func(v *volume) int { return v.Serial }) {
		if err := s.reattach(v); err != nil {
			return fmt.Errorf("cannot find the volume %s again: %w", v.ID, err)
		}
	}
	s.settle()
	s.resume()
	s.found = Found{Instances: len(found.Instances), Volumes: len(found.Volumes), Snapshots: len(found.Snapshots)}
	return s.save()
}

// Found is what a start found in its folder.
type Found struct{ Instances, Volumes, Snapshots int }

// Found tells what Open found.
func (s *Service) Found() Found {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.found
}

// letGo releases the devices of a start that failed. Those that were adopted stay as they were.
func (s *Service) letGo() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, v := range s.volumes {
		if v.loop != nil {
			if err := v.loop.Release(); err != nil {
				s.Log.Debug().Err(err).Str("volume", v.ID).Msg("the device stays")
			}
		}
	}
	return nil
}

// compare holds the records against the files in the folder.
func (s *Service) compare() error {
	if err := s.disks.Tidy(); err != nil {
		return err
	}
	intended, err := s.disks.Intended()
	if err != nil {
		return err
	}
	files, err := s.disks.Files()
	if err != nil {
		return err
	}
	for _, id := range files {
		if s.volumes[id] != nil || s.snapshots[id] != nil {
			continue
		}
		if !slices.Contains(intended, id) {
			s.Log.Warn().Str("file", s.disks.Path(id)).Msg("a file in the folder is of no known volume or snapshot; it is left alone")
			continue
		}
		if err := s.disks.Remove(id); err != nil {
			return err
		}
		s.Log.Info().Str("file", s.disks.Path(id)).Msg("deleted the file of a call that was cut short")
	}
	missing := func(id string) bool {
		if slices.Contains(files, id) {
			return false
		}
		if !slices.Contains(intended, id) {
			s.Log.Warn().Str("file", s.disks.Path(id)).Msg("the file of a volume or snapshot has gone, and with it the volume or snapshot")
		}
		return true
	}
	for id, v := range s.volumes {
		if missing(id) {
			s.forgetVolume(v)
		}
	}
	for id := range s.snapshots {
		if missing(id) {
			delete(s.snapshots, id)
		}
	}
	return nil
}

// reattach finds the device of a volume that was attached, or makes a new one, which may have another number.
func (s *Service) reattach(v *volume) (err error) {
	path := s.disks.Path(v.ID)
	switch {
	case v.Instance == "":
		if l := disk.Find(path); l != nil {
			s.Log.Warn().Str("volume", v.ID).Str("device", l.Path).Msg("a volume that is not attached has a device that localstack does not know of")
		}
		return nil
	case v.root():
		return nil
	case v.Detaching:
		v.loop = disk.Find(path) // not held, so that it goes when it is unmounted
		return nil
	}
	if v.loop, err = disk.Adopt(path); err != nil || v.loop != nil {
		return err
	}
	v.loop, err = disk.Attach(path)
	return err
}

// resume sets the alarms for what was under way by the clock.
func (s *Service) resume() {
	now := s.Clock.Now()
	for _, i := range s.instances {
		switch i.State {
		case "pending":
			s.later(startTime - now.Sub(i.Since))
		case "stopping":
			s.later(stopTime - now.Sub(i.Since))
		case "shutting-down":
			s.later(shutDownTime - now.Sub(i.Since))
		}
	}
	for _, v := range s.volumes {
		if m := v.latest(); m != nil && m.Ended.IsZero() {
			s.later(modifyingTime - now.Sub(m.Started))
			s.later(modifyingTime + optimizingTime - now.Sub(m.Started))
		}
	}
}

// Close lets all loop devices go and, unless Open was told to keep them, deletes the files of volumes and snapshots and the state
// file. What is still mounted stays, with its file and its record, so that the next start finds it; that is an error here. Closing
// again does nothing.
func (s *Service) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.lock == nil {
		s.closed = true
		return nil
	}
	var errs []error
	busy := map[string]bool{} // ids of volumes whose device stays
	for _, v := range sorted(s.volumes, func(v *volume) int { return v.Serial }) {
		if v.loop == nil {
			continue
		}
		if err := v.loop.Release(); err != nil {
			busy[v.ID] = true
			errs = append(errs, fmt.Errorf("the volume %s stays, with its file %s, until localstack has been started on the folder again and ended: %w", v.ID, s.disks.Path(v.ID), err))
		}
	}
	s.settle()
	if !s.keep {
		errs = append(errs, s.deleteAll(busy))
	}
	if err := s.save(); err != nil {
		errs = append(errs, err)
	} else if len(s.volumes)+len(s.snapshots) == 0 && !s.keep {
		if err := os.Remove(s.statePath()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("cannot delete the state file: %w", err))
		}
	}
	s.closed = true
	return errors.Join(append(errs, s.lock.Unlock())...)
}

// deleteAll deletes all volumes but those that stay, all snapshots, and the instances that have no volume left.
func (s *Service) deleteAll(stay map[string]bool) error {
	var ids []string
	for id := range s.volumes {
		if !stay[id] {
			ids = append(ids, id)
		}
	}
	for id := range s.snapshots {
		ids = append(ids, id)
	}
	errs := []error{s.disks.Intend(ids...)}
	for _, id := range ids {
		if err := s.disks.Remove(id); err != nil {
			errs = append(errs, err)
			continue
		}
		delete(s.volumes, id)
		delete(s.snapshots, id)
	}
	clear(s.tokens)
	for id := range s.instances {
		if len(s.attachedTo(id)) == 0 {
			delete(s.instances, id)
		}
	}
	return errors.Join(errs...)
}
