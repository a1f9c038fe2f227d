package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path/filepath"
	"time"

	"stillpoint/internal/snapshot"
)

// success is the file of one plan.
type success struct {
	Plan string    `json:"plan"`
	At   time.Time `json:"at"`
}

func (j *Journal) planPath(plan string) string { return j.path(plansDir, digest(plan)+suffix) }

// LastSuccess implements worker.Journal.
func (j *Journal) LastSuccess(plan string) (time.Time, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.lastSuccess(plan)
}

func (j *Journal) lastSuccess(plan string) (time.Time, error) {
	var s success
	err := read(j.planPath(plan), &s)
	if errors.Is(err, fs.ErrNotExist) {
		return time.Time{}, nil
	}
	return s.At, err
}

func (j *Journal) succeeded(plan string, at time.Time) error {
	before, err := j.lastSuccess(plan)
	if err != nil && !errors.As(err, new(*CorruptError)) {
		return err
	}
	// A success ahead of the clock was noted while that was wrong: it must not
	// stand for years, and hide from alarms that there are no others.
	if err == nil && !at.After(before) && !before.After(j.options.Now()) {
		return nil
	}
	return j.write(j.planPath(plan), success{Plan: plan, At: at})
}

func (j *Journal) tagPath(snapshotID string) string {
	return j.path(tagsDir, digest(snapshotID)+suffix)
}

// owe adds tags to what is owed. What was owed before to the same snapshot stays.
func (j *Journal) owe(owed []snapshot.PendingTags) error {
	for _, p := range owed {
		var before snapshot.PendingTags
		err := read(j.tagPath(p.SnapshotID), &before)
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.As(err, new(*CorruptError)) {
			return err
		}
		tags := maps.Clone(before.Tags)
		if err != nil || tags == nil {
			tags = map[string]string{}
		}
		maps.Copy(tags, p.Tags)
		if err := j.write(j.tagPath(p.SnapshotID), snapshot.PendingTags{SnapshotID: p.SnapshotID, Tags: tags}); err != nil {
			return err
		}
	}
	return nil
}

// Owed implements worker.Journal.
func (j *Journal) Owed() ([]snapshot.PendingTags, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	names, err := records(filepath.Join(j.dir, tagsDir))
	if err != nil {
		return nil, fmt.Errorf("cannot list the tags that are owed: %w", err)
	}
	var owed []snapshot.PendingTags
	var errs []error
	for _, name := range names {
		var p snapshot.PendingTags
		if err := read(j.path(tagsDir, name), &p); err != nil {
			errs = append(errs, ignoreMissing(err))
			continue
		}
		owed = append(owed, p)
	}
	return owed, errors.Join(errs...)
}

// TagsWritten implements worker.Journal.
func (j *Journal) TagsWritten(snapshotID string) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return remove(j.tagPath(snapshotID))
}
