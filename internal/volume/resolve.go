package volume

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"stillpoint/internal/snapshot"
)

// Resolver finds the volumes under mount points.
type Resolver struct {
	// Sys is the root of sysfs; "": /sys.
	Sys string
	// Mountinfo is the file that lists the mounts; "": /proc/self/mountinfo.
	Mountinfo string
}

var _ snapshot.Volumes = (*Resolver)(nil)

// Resolve returns the set, in the order of the mounts and then of the list.
func (r *Resolver) Resolve(_ context.Context, mounts, listed []string, attached []snapshot.Attachment) ([]snapshot.Volume, error) {
	byID := map[string]snapshot.Attachment{}
	for _, a := range attached {
		byID[a.VolumeID] = a
	}
	for _, id := range listed {
		if _, ok := byID[id]; !ok {
			return nil, refuse("volume %s of the plan is not attached to this instance: EC2 knows %s", id, ids(attached))
		}
	}
	var set []snapshot.Volume
	var silent []string    // mounts with a device that says nothing
	var silentDisks []disk // and those devices
	for _, m := range mounts {
		disks, err := r.disks(m)
		if err != nil {
			return nil, err
		}
		for _, d := range disks {
			a, known, err := match(d, byID, attached)
			if err != nil {
				return nil, err
			}
			if !known {
				if len(listed) == 0 {
					return nil, refuse("%s lies on %s, which does not say which EBS volume it is (%s): list the set under volumes", m, d.name, d.why())
				}
				if !slices.Contains(silent, m) {
					silent = append(silent, m)
				}
				if !slices.Contains(silentDisks, d) {
					silentDisks = append(silentDisks, d)
				}
				continue
			}
			if !slices.ContainsFunc(set, func(v snapshot.Volume) bool { return v.ID == a.VolumeID }) {
				set = append(set, snapshot.Volume{ID: a.VolumeID, DeviceName: a.DeviceName, Mount: m})
			}
		}
	}
	return agree(set, silent, silentDisks, listed, byID)
}

// agree holds what was found against what the plan lists.
func agree(found []snapshot.Volume, silent []string, silentDisks []disk, listed []string, byID map[string]snapshot.Attachment) ([]snapshot.Volume, error) {
	if len(listed) == 0 {
		return found, nil
	}
	var more []string
	for _, id := range listed {
		if !slices.ContainsFunc(found, func(v snapshot.Volume) bool { return v.ID == id }) {
			more = append(more, id)
		}
	}
	for _, v := range found {
		if !slices.Contains(listed, v.ID) {
			return nil, refuse("%s lies on %s, which the plan's volumes do not list: add it there, or leave the list out", v.Mount, v.ID)
		}
	}
	switch {
	case len(more) > 0 && len(silent) == 0 && len(found) > 0:
		return nil, refuse("the plan's volumes list %s, and no mount point of the plan lies on it: name its mount point under freeze or no_freeze, or take it off the list", strings.Join(more, ", "))
	case len(more) == 0 && len(silent) > 0:
		return nil, refuse("the plan's volumes leave none for %s: add the volume that it lies on", strings.Join(silent, ", "))
	case len(silent) > 0 && len(more) != len(silentDisks) && !slices.ContainsFunc(silentDisks, func(d disk) bool { return d.anonymous }):
		// Of a volume more nobody would know what lies on it, and whether that is at rest.
		return nil, refuse("%s: devices that do not say which volume they are: %d; volumes on the plan's list that could be them: %d (%s): list just those that the mount points lie on",
			strings.Join(silent, ", "), len(silentDisks), len(more), strings.Join(more, ", "))
	}
	for _, id := range more {
		v := snapshot.Volume{ID: id, DeviceName: byID[id].DeviceName}
		if len(more) == 1 && len(silent) == 1 {
			v.Mount = silent[0]
		}
		found = append(found, v)
	}
	return found, nil
}

// match finds a disk among the attached volumes: an NVMe disk by its serial,
// which is the volume id without its dash, and a Xen one by its name.
func match(d disk, byID map[string]snapshot.Attachment, attached []snapshot.Attachment) (snapshot.Attachment, bool, error) {
	switch {
	case d.model == instanceStore:
		return snapshot.Attachment{}, false, refuse("%s is an instance store, of which EBS makes no snapshots: move the data, or take its mount point out of the plan", d.name)
	case strings.HasPrefix(d.serial, "vol"):
		id := "vol-" + strings.TrimPrefix(strings.TrimPrefix(d.serial, "vol"), "-")
		a, ok := byID[id]
		if !ok {
			return a, false, refuse("device %s says that it is %s, and EC2 does not know that volume on this instance (%s): check instance_id and region", d.name, id, ids(attached))
		}
		return a, true, nil
	}
	suffix, ok := xenSuffix(d.name)
	if !ok || d.anonymous {
		return snapshot.Attachment{}, false, nil
	}
	var hits []snapshot.Attachment
	for _, a := range attached {
		if s, ok := xenSuffix(strings.TrimPrefix(a.DeviceName, "/dev/")); ok && s == suffix {
			hits = append(hits, a)
		}
	}
	if len(hits) == 0 {
		// HVM: the root that EC2 calls /dev/sda1 is the disk xvda, of which xvda1 is a partition.
		for _, a := range attached {
			if s, ok := xenSuffix(strings.TrimPrefix(a.DeviceName, "/dev/")); ok && a.Root && s == suffix+"1" {
				hits = append(hits, a)
			}
		}
	}
	switch len(hits) {
	case 0:
		return snapshot.Attachment{}, false, nil
	case 1:
		return hits[0], true, nil
	default:
		return snapshot.Attachment{}, false, refuse("device %s could be %s or %s: list the set under volumes", d.name, hits[0].VolumeID, hits[1].VolumeID)
	}
}

// xenSuffix is what remains of "xvdf" or "sdf": EC2 and the kernel agree on
// it, not on the prefix (EC2 user guide, device names).
func xenSuffix(name string) (string, bool) {
	for _, p := range []string{"xvd", "sd"} {
		if s, ok := strings.CutPrefix(name, p); ok && s != "" {
			return s, true
		}
	}
	return "", false
}

func ids(attached []snapshot.Attachment) string {
	s := make([]string, len(attached))
	for i, a := range attached {
		s[i] = a.VolumeID + " as " + a.DeviceName
	}
	if len(s) > 6 {
		s = append(s[:6], fmt.Sprintf("and %d more", len(attached)-6))
	}
	return strings.Join(s, ", ")
}

func refuse(format string, args ...any) error {
	return &snapshot.RefusedError{Sentence: fmt.Sprintf(format, args...)}
}
