package freeze

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// order sets the levels and sorts by them. A file system on a loop device whose
// file lies on another one of the set is frozen before that one, since its own
// last writes go through it; and so is one that is mounted below another.
// What is not related shares a level and is frozen in parallel.
func order(mounted *table, targets []*target) error {
	outer := make([]map[int]bool, len(targets)) // by inner
	for i := range targets {
		outer[i] = map[int]bool{}
	}
	relate := func(inner int, p place) {
		for o, t := range targets {
			if o != inner && (t.place.super == p.super || t.place.device == p.device) && !reaches(outer, o, inner) {
				outer[inner][o] = true
			}
		}
	}
	// What carries it first: where both relations contradict each other, it wins.
	for i, t := range targets {
		for _, p := range carriers(mounted, t.place) {
			relate(i, p)
		}
	}
	for i, t := range targets {
		mounted.ancestors(t.place.mount, func(m *mountinfo.Info) {
			super := unix.Mkdev(uint32(m.Major), uint32(m.Minor))
			relate(i, place{mount: m, super: super, device: super})
		})
	}
	// The longest way from an innermost one; there is no cycle, so this ends.
	for changed := true; changed; {
		changed = false
		for inner := range targets {
			for o := range outer[inner] {
				if targets[o].level <= targets[inner].level {
					targets[o].level = targets[inner].level + 1
					changed = true
				}
			}
		}
	}
	slices.SortStableFunc(targets, func(a, b *target) int { return a.level - b.level })
	return nil
}

// reaches says that to is from, or lies outside of it.
func reaches(outer []map[int]bool, from, to int) bool {
	if from == to {
		return true
	}
	for o := range outer[from] {
		if reaches(outer, o, to) {
			return true
		}
	}
	return false
}

// carriers returns the places of all that lies under a file system, however
// deep. What cannot be found out is left out.
func carriers(mounted *table, p place) []place {
	var found []place
	next := carriersOf(mounted, p)
	for len(next) > 0 {
		p, next = next[0], next[1:]
		known := func(q place) bool { return q.super == p.super && q.device == p.device && q.mount == p.mount }
		if !slices.ContainsFunc(found, known) {
			found = append(found, p)
			next = append(next, carriersOf(mounted, p)...)
		}
	}
	return found
}

// carriersOf returns the places of the files directly under a file system:
// those behind its loop devices, through partitions, device mapper and RAID,
// and the upper directory of an overlay.
func carriersOf(mounted *table, p place) []place {
	if p.mount == nil {
		return nil
	}
	var found []place
	add := func(path string) {
		if path == "" {
			return
		}
		if p, err := mounted.locatePath(path); err == nil {
			found = append(found, p)
		}
	}
	if p.mount.FSType == "overlay" {
		add(optionValue(p.mount.VFSOptions, "upperdir"))
		return found
	}
	seen := map[string]bool{}
	for _, device := range devicesOf(p) {
		loopsUnder(filepath.Join("/sys/dev/block", device), seen, func(name, file string) {
			add(file)
			// The path may be one of another time or namespace; the number is not.
			if device, err := loopFileDevice(name); err == nil {
				found = append(found, place{super: device, device: device})
			}
		})
	}
	return found
}

// devicesOf returns the block devices of a file system, as "major:minor".
func devicesOf(p place) []string {
	var devices []string
	add := func(path string) {
		var st unix.Stat_t
		if unix.Stat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFBLK {
			devices = append(devices, deviceString(st.Rdev))
		}
	}
	m := p.mount
	if m.Major != 0 {
		devices = append(devices, deviceString(p.super))
	} else if m.FSType == "btrfs" {
		add(m.Source)
		for _, member := range btrfsMembers(filepath.Base(m.Source)) {
			add("/dev/" + member)
		}
	}
	// An XFS may have its log and its real-time section elsewhere [V].
	for _, option := range []string{"logdev", "rtdev"} {
		if path := optionValue(m.VFSOptions, option); path != "" {
			add(path)
		}
	}
	return devices
}

func deviceString(device uint64) string {
	return strconv.Itoa(int(unix.Major(device))) + ":" + strconv.Itoa(int(unix.Minor(device)))
}

// btrfsMembers returns the kernel names of all devices of the btrfs that name is one of.
func btrfsMembers(name string) []string {
	dirs, _ := filepath.Glob("/sys/fs/btrfs/*/devices")
	for _, dir := range dirs {
		var members []string
		entries, _ := os.ReadDir(dir)
		for _, e := range entries {
			members = append(members, e.Name())
		}
		if slices.Contains(members, name) {
			return members
		}
	}
	return nil
}

// loopsUnder calls visit with the kernel name and the file of each loop device
// at or under a block device of sysfs.
func loopsUnder(dir string, seen map[string]bool, visit func(name, file string)) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil || seen[dir] {
		return
	}
	seen[dir] = true
	if _, err := os.Stat(filepath.Join(dir, "partition")); err == nil {
		loopsUnder(filepath.Dir(dir), seen, visit)
		return
	}
	if file, err := os.ReadFile(filepath.Join(dir, "loop", "backing_file")); err == nil {
		path := strings.TrimSuffix(strings.TrimSuffix(string(file), "\n"), " (deleted)")
		visit(filepath.Base(dir), path)
	}
	slaves, _ := os.ReadDir(filepath.Join(dir, "slaves"))
	for _, s := range slaves {
		loopsUnder(filepath.Join(dir, "slaves", s.Name()), seen, visit)
	}
}

// loopFileDevice asks a loop device for the st_dev of the file behind it.
func loopFileDevice(name string) (uint64, error) {
	fd, err := unix.Open("/dev/"+name, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer func() { _ = unix.Close(fd) }()
	info, err := unix.IoctlLoopGetStatus64(fd)
	if err != nil {
		return 0, err
	}
	if info.Device == 0 {
		return 0, errors.New("the device has no file")
	}
	return info.Device, nil
}
