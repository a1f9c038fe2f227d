package disk

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// intentName is the file that names what is being made or deleted. It is a file of its own, and not a part of the state, because it
// is written twice by each call that touches files, once of them just before the clones of a snapshot, and has to cost the same
// however many volumes and snapshots there are.
const intentName = "intent.json"

const (
	suffix = ".img"
	aside  = ".new"
)

// Intend notes that the files of ids are about to be made or deleted, so that whoever finds a half of them after a SIGKILL knows
// whose they were. Create, Clone and Remove do it themselves; call it before clones that shall be made at once, so that none of
// them has to wait for it. It writes nothing for ids that were noted since the last Settled.
func (d *Store) Intend(ids ...string) error {
	if !d.Real() {
		return nil
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	all := slices.Clone(d.intents)
	for _, id := range ids {
		if !slices.Contains(all, id) {
			all = append(all, id)
		}
	}
	if len(all) == len(d.intents) {
		return nil
	}
	text, err := json.Marshal(all)
	if err == nil {
		err = d.Replace(intentName, text)
	}
	if err != nil {
		return fmt.Errorf("cannot note which files are about to be changed: %w", err)
	}
	d.intents = all
	return nil
}

// Settled says that the state on disk now knows all files that were noted. No file may be in the making.
func (d *Store) Settled() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.intents) == 0 {
		return nil
	}
	if err := os.Remove(d.in(intentName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cannot forget which files were about to be changed: %w", err)
	}
	d.intents = nil
	return nil
}

// Intended is what a process that was killed was about to make or delete. The next Settled forgets it.
func (d *Store) Intended() ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	text, err := os.ReadFile(d.in(intentName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	var ids []string
	if err == nil {
		err = json.Unmarshal(text, &ids)
	}
	if err != nil {
		return nil, fmt.Errorf("cannot read which files were about to be changed: %w; if %s is damaged, delete it: files that it named are then left alone", err, d.in(intentName))
	}
	d.intents = ids
	return ids, nil
}

// Files lists the ids of all backing files in the folder.
func (d *Store) Files() ([]string, error) {
	entries, err := os.ReadDir(d.Dir)
	if err != nil {
		return nil, fmt.Errorf("cannot list the files of volumes and snapshots: %w", err)
	}
	var ids []string
	for _, e := range entries {
		if id, ok := strings.CutSuffix(e.Name(), suffix); ok && e.Type().IsRegular() {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// Tidy deletes what Replace has left when it was killed.
func (d *Store) Tidy() error {
	left, err := filepath.Glob(d.in("*.json" + aside))
	if err != nil {
		return err
	}
	for _, path := range left {
		if err := os.Remove(path); err != nil {
			return fmt.Errorf("cannot delete what a killed localstack has left: %w", err)
		}
	}
	return nil
}

// Replace writes a small file of the folder aside and renames it. It does not sync: what it writes outlives the process, however
// that ends, but not a power cut.
func (d *Store) Replace(name string, text []byte) error {
	next := d.in(name + aside)
	if err := os.WriteFile(next, text, 0o600); err != nil {
		return errors.Join(err, ignoreMissing(os.Remove(next)))
	}
	return os.Rename(next, d.in(name))
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (d *Store) in(name string) string { return filepath.Join(d.Dir, name) }
