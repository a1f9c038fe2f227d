package volume

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"

	"stillpoint/internal/snapshot"
)

// onManyDisks are types whose disks the kernel does not name by a device
// number: for them, to be one of the plan's mounts is what counts. Any other
// type without one lies on no disk of this host.
var onManyDisks = map[string]bool{"btrfs": true, "zfs": true, "bcachefs": true}

// Cover says of each file system how it lies to the set: whether all of the
// disks under it are under the plan's mount points, or are volumes of the set
// by what they say of themselves. The mount points are this process's; the file
// systems may be mounted in another namespace, since device numbers are the
// host's.
func (r *Resolver) Cover(_ context.Context, set snapshot.Set, systems []snapshot.FileSystem) ([]snapshot.Coverage, error) {
	if len(systems) == 0 {
		return nil, nil
	}
	ours, err := r.ofSet(set)
	if err != nil {
		return nil, err
	}
	out := make([]snapshot.Coverage, len(systems))
	for i, s := range systems {
		out[i] = r.cover(ours, s)
	}
	return out, nil
}

// owned is what the plan's mounts lead to.
type owned struct {
	frozen, mounted map[string]bool // device numbers
	disks           map[string]bool // names
	byID            map[string]snapshot.Attachment
	attached        []snapshot.Attachment
	set             map[string]bool // volume ids
}

func (r *Resolver) ofSet(set snapshot.Set) (owned, error) {
	o := owned{
		frozen: map[string]bool{}, mounted: map[string]bool{}, disks: map[string]bool{},
		byID: map[string]snapshot.Attachment{}, attached: set.Attached, set: map[string]bool{},
	}
	for _, a := range set.Attached {
		o.byID[a.VolumeID] = a
	}
	for _, v := range set.Volumes {
		o.set[v.ID] = true
	}
	for i, m := range slices.Concat(set.Freeze, set.NoFreeze) {
		path, err := filepath.EvalSymlinks(m)
		if err != nil {
			return o, refuse("mount point %s does not exist: mount it, or correct the plan: %v", m, err)
		}
		info, err := r.mountAt(path)
		if err != nil {
			return o, err
		}
		o.mounted[number(info)] = true
		if i < len(set.Freeze) {
			o.frozen[number(info)] = true
		}
		disks, err := r.disks(m)
		if err != nil {
			return o, err
		}
		for _, d := range disks {
			if !d.anonymous {
				o.disks[d.name] = true
			}
		}
	}
	return o, nil
}

func (r *Resolver) cover(o owned, s snapshot.FileSystem) snapshot.Coverage {
	info := &mountinfo.Info{Major: s.Major, Minor: s.Minor, FSType: s.Type, Source: s.Source, VFSOptions: s.Options}
	c := snapshot.Coverage{Frozen: o.frozen[number(info)]}
	disks, err := r.disksUnder(s.Mountpoint, info)
	if err != nil {
		c.On = fmt.Sprintf("%s of which no disk can be told", s.Source)
		return c
	}
	if slices.ContainsFunc(disks, func(d disk) bool { return d.anonymous }) {
		c.InSet = onManyDisks[s.Type] && o.mounted[number(info)]
		c.On = fmt.Sprintf("%s (%s)", s.Type, s.Source)
		if !onManyDisks[s.Type] {
			c.On += ", which is no volume"
		}
		return c
	}
	c.InSet = len(disks) > 0
	names := make([]string, len(disks))
	for i, d := range disks {
		names[i] = d.name
		mine := o.disks[d.name]
		if a, known, err := match(d, o.byID, o.attached); err == nil && known {
			names[i] += " (" + a.VolumeID + ")"
			mine = mine || o.set[a.VolumeID]
		}
		c.InSet = c.InSet && mine
	}
	c.On = strings.Join(names, ", ")
	if s.Mountpoint != "" {
		c.On += ", mounted on " + s.Mountpoint
	}
	return c
}
