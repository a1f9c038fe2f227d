package snapshot

import (
	"context"
	"fmt"
	"strings"
)

// FileSystem is one mounted file system, as the kernel's mount table has it
// (proc(5), mountinfo).
type FileSystem struct {
	// Major and Minor are the superblock's device number; Major is 0 where there
	// is no block device behind it, or more than one (btrfs).
	Major, Minor int
	// Type is "xfs", "ext4", ...; "" where only the number is known.
	Type string
	// Source is what was mounted, and Options the superblock's.
	Source, Options string
	// Mountpoint is where the process sees it that has files on it, which need
	// not be where this one does.
	Mountpoint string
}

// Part is something of a server that a restore needs.
type Part struct {
	// What is the server's variable, such as "innodb_undo_directory", or a few
	// words for what no variable names.
	What string
	// Path is as the server sees it.
	Path string
	FS   FileSystem
}

// Neighbour is a database server on this host beside the one that is locked.
type Neighbour struct {
	Name string
	PID  int
	// Dir is the directory that it works in, a MySQL's data directory; "" where unknown.
	Dir string
	// Server says that it is of MySQL's family, and could be locked.
	Server bool
	// Parts has one file for each file system that it has data on.
	Parts []Part
}

// Location is where the server's files are, as far as this host can show it.
type Location struct {
	// Doubt is why that cannot be shown; "" where Parts is complete and was shown.
	Doubt string
	// Trusted says that the plan takes its word for it (trust_location).
	Trusted bool
	// Process names the server's process; "" where it is not known.
	Process string
	Parts   []Part
	// Neighbours are the other servers.
	Neighbours []Neighbour
	// Warnings are sentences about what a restore needs besides.
	Warnings []string
}

// Set is what a plan's set is made of, to be held against file systems.
type Set struct {
	Freeze, NoFreeze []string
	Volumes          []Volume
	Attached         []Attachment
}

// Coverage is how a file system lies to the set.
type Coverage struct {
	// InSet says that every disk under it is one of the set's volumes.
	InSet bool
	// Frozen says that it is one of the file systems that are frozen.
	Frozen bool
	// On names the disks, or says what is there instead: "nvme1n1", "tmpfs, which is no disk".
	On string
}

// Survey holds where a server's files are against the set that a plan makes.
type Survey struct {
	Volumes Volumes
	Plan    *Plan
	Set     Set
	// Hook says that the plan has a pre_freeze, which may bring other databases to rest.
	Hook bool
}

// Verdict is what a Survey comes to.
type Verdict struct {
	// Refusals are why the set is not to be made, the first one first; nil: nothing speaks against it.
	Refusals []error
	// Warnings are sentences about what a restore needs besides.
	Warnings []string
	// Frozen says that every file system that the server has files on is frozen;
	// false where that was not shown.
	Frozen bool
}

// Judge says what of the server lies outside the set, whether it was shown where
// its files are, and who else has files there. The error says that it could not be found out.
func (s Survey) Judge(ctx context.Context, at Location) (Verdict, error) {
	var v Verdict
	if err := s.parts(ctx, at, &v); err != nil {
		return v, err
	}
	if at.Doubt != "" && !at.Trusted {
		v.refuse("it cannot be shown that the set holds the files of the server that would be locked: %s; or set mysql.trust_location, if you know that it does", at.Doubt)
	}
	if err := s.neighbours(ctx, at, &v); err != nil {
		return v, err
	}
	v.Warnings = append(v.Warnings, at.Warnings...)
	if at.Doubt != "" {
		v.warn("that the set holds the server's files is what the plan says (trust_location), and was not shown: %s", at.Doubt)
	}
	return v, nil
}

func (v *Verdict) refuse(format string, args ...any) {
	v.Refusals = append(v.Refusals, &RefusedError{Sentence: fmt.Sprintf(format, args...)})
}

func (v *Verdict) warn(format string, args ...any) {
	v.Warnings = append(v.Warnings, fmt.Sprintf(format, args...))
}

// locate makes sure that the server which is to be locked is the one whose files
// the set holds, all of them, and that it is the only one.
func (a *attempt) locate(ctx context.Context) error {
	at, err := a.session.Locate(ctx)
	if err != nil {
		return err
	}
	v, err := a.survey().Judge(ctx, at)
	a.partsFrozen = v.Frozen
	switch {
	case len(v.Refusals) > 0:
		return v.Refusals[0]
	case err != nil:
		return err
	}
	for _, w := range v.Warnings {
		a.warn("%s", w)
	}
	if a.trusted = at.Doubt != ""; a.trusted {
		a.result.MySQL.LocationTrusted = true
	}
	return nil
}

func (a *attempt) survey() Survey {
	return Survey{
		Volumes: a.Volumes, Plan: &a.Plan, Hook: a.PreFreeze != nil,
		Set: Set{Freeze: a.Plan.Freeze, NoFreeze: a.Plan.NoFreeze, Volumes: a.volumes, Attached: a.attached},
	}
}

// manyParts is how many of the parts at fault a refusal names.
const manyParts = 4

// parts refuses a server of which something lies outside the set, or
// outside of what is frozen where the plan means to freeze everything.
func (s Survey) parts(ctx context.Context, at Location, v *Verdict) error {
	covers, err := s.cover(ctx, at.Parts)
	if err != nil {
		return err
	}
	var outside, moving []string
	v.Frozen = at.Doubt == "" && len(at.Parts) > 0
	for i, p := range at.Parts {
		v.Frozen = v.Frozen && covers[i].InSet && covers[i].Frozen
		switch where := fmt.Sprintf("%s (%s) is on %s", p.What, p.Path, covers[i].On); {
		case !covers[i].InSet:
			outside = append(outside, where)
		case !covers[i].Frozen && s.Plan.EverythingFrozen():
			moving = append(moving, where)
		}
	}
	if len(outside) > 0 {
		v.refuse("the set does not hold all that the server needs: %s; such a snapshot cannot be restored: name the mount point under freeze or no_freeze, or move what is there", few(outside))
	}
	if len(moving) > 0 {
		v.refuse("the server has files on the set's volumes in a file system that the plan does not name: %s: add its mount point to freeze, or to no_freeze if it may be caught in motion", few(moving))
	}
	return nil
}

// neighbours refuses a second server on the set: its tables would be
// caught in motion. With a server that is only trusted to be there, the first
// one may be it.
func (s Survey) neighbours(ctx context.Context, at Location, v *Verdict) error {
	servers, others, err := s.onSet(ctx, at.Neighbours)
	if err != nil {
		return err
	}
	if known := at.Process != ""; len(servers) > 1 || len(servers) == 1 && known {
		v.refuse("another server has files on the set, and would not be locked: %s; stop it, or move its files to a volume of its own", few(servers))
	}
	if len(others) > 0 && !s.Hook {
		v.warn("the set also holds files of other databases, which nobody brings to rest (a pre_freeze command could): %s", few(others))
	}
	return nil
}

// onSet names those which have files on the set: servers of MySQL's family, and others.
func (s Survey) onSet(ctx context.Context, all []Neighbour) (servers, others []string, err error) {
	for _, n := range all {
		covers, err := s.cover(ctx, n.Parts)
		if err != nil {
			return nil, nil, err
		}
		for i, c := range covers {
			if !c.InSet {
				continue
			}
			name := fmt.Sprintf("%s (process %d, in %s, with %s)", n.Name, n.PID, n.Dir, n.Parts[i].Path)
			if n.Server {
				servers = append(servers, name)
			} else {
				others = append(others, name)
			}
			break
		}
	}
	return servers, others, nil
}

// Unlocked names the servers of MySQL's family which have files on the set of a plan that locks none.
func (s Survey) Unlocked(ctx context.Context, all []Neighbour) ([]string, error) {
	servers, _, err := s.onSet(ctx, all)
	return servers, err
}

// lookForUnlocked warns where the set of a plan that locks no database holds the files
// of one: a plan that has lost its section mysql makes sets all the same. Which
// servers may not be looked at is the doctor's business.
func (a *attempt) lookForUnlocked(ctx context.Context) {
	if a.Servers == nil || a.PreFreeze != nil {
		return
	}
	all, _ := a.Servers()
	switch names, err := a.survey().Unlocked(ctx, all); {
	case err != nil:
		a.warn("the plan has no mysql section, and whether a database has files on the set could not be seen: %v", err)
	case len(names) > 0:
		a.warn("the plan has no mysql section, and a database that was not locked has files on the set: %s; add mysql to the plan, or a pre_freeze that brings it to rest", few(names))
	}
}

func (s Survey) cover(ctx context.Context, parts []Part) ([]Coverage, error) {
	if len(parts) == 0 {
		return nil, nil
	}
	systems := make([]FileSystem, len(parts))
	for i, p := range parts {
		systems[i] = p.FS
	}
	covers, err := s.Volumes.Cover(ctx, s.Set, systems)
	if err == nil && len(covers) != len(systems) {
		err = fmt.Errorf("cannot find the disks of %d file systems: %d answers", len(systems), len(covers))
	}
	return covers, err
}

// few lists the first of many.
func few(list []string) string {
	if n := len(list) - manyParts; n > 0 {
		list = append(list[:manyParts:manyParts], fmt.Sprintf("and %d more", n))
	}
	return strings.Join(list, "; ")
}
