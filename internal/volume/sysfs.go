package volume

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
)

// instanceStore is the model of an NVMe instance store (EC2 user guide, NVMe).
const instanceStore = "Amazon EC2 NVMe Instance Storage"

// disk is one physical disk as the kernel knows it.
type disk struct {
	name   string // "nvme1n1", "xvdf", "loop3"
	serial string // "" where the kernel tells none
	model  string
	// anonymous says that name is what was mounted, and no device of the kernel's.
	anonymous bool
}

func (d disk) why() string {
	if d.serial != "" {
		return fmt.Sprintf("its serial %q is no volume id", d.serial)
	}
	return "it has no serial, and EC2 knows no attachment of that name"
}

// disks returns the physical disks under a mount point: partitions lead to
// their disk, layered devices (LVM, md, dm-crypt) to all of their members, and
// an external log or realtime device counts too.
func (r *Resolver) disks(mount string) ([]disk, error) {
	path, err := filepath.EvalSymlinks(mount)
	if err != nil {
		return nil, refuse("mount point %s does not exist: mount it, or correct the plan: %v", mount, err)
	}
	info, err := r.mountAt(path)
	if err != nil {
		return nil, err
	}
	return r.disksUnder(mount, info)
}

// disksUnder is disks for a line of some mount table.
func (r *Resolver) disksUnder(mount string, info *mountinfo.Info) ([]disk, error) {
	sys := r.sys()
	devices := []string{filepath.Join(sys, "dev/block", number(info))}
	for opt := range strings.SplitSeq(info.VFSOptions, ",") {
		for _, key := range []string{"logdev=", "rtdev="} {
			if dev, ok := strings.CutPrefix(opt, key); ok {
				devices = append(devices, classBlock(sys, dev))
			}
		}
	}
	var all []disk
	for _, d := range devices {
		found, err := physical(d, 0)
		if err != nil {
			if info.Major == 0 { // btrfs and network file systems have no device number of their own
				found = btrfs(sys, info)
			} else {
				return nil, refuse("cannot tell which disk is under %s (%s): %v", mount, info.Source, err)
			}
		}
		for _, f := range found {
			if !slices.Contains(all, f) {
				all = append(all, f)
			}
		}
	}
	return all, nil
}

// btrfs returns the disks of a btrfs, which sysfs lists by file system; for
// any other file system without a device number it returns its bare name.
func btrfs(sys string, info *mountinfo.Info) []disk {
	anonymous := []disk{{name: info.Source, anonymous: true}}
	members, _ := filepath.Glob(filepath.Join(sys, "fs/btrfs/*/devices", filepath.Base(info.Source))) // the pattern is a good one
	if info.FSType != "btrfs" || len(members) != 1 {
		return anonymous
	}
	all, err := filepath.Glob(filepath.Join(filepath.Dir(members[0]), "*"))
	if err != nil {
		return anonymous
	}
	var disks []disk
	for _, m := range all {
		found, err := physical(m, 0)
		if err != nil {
			return anonymous
		}
		disks = append(disks, found...)
	}
	return disks
}

// classBlock is the sysfs entry of a device file. Mount options may name it as
// device-mapper does (/dev/mapper/data-log), which sysfs calls dm-3.
func classBlock(sys, dev string) string {
	name := filepath.Base(dev)
	if target, err := filepath.EvalSymlinks(dev); err == nil {
		name = filepath.Base(target)
	}
	entry := filepath.Join(sys, "class/block", name)
	if _, err := os.Stat(entry); err == nil {
		return entry
	}
	names, _ := filepath.Glob(filepath.Join(sys, "class/block/dm-*/dm/name")) // the pattern is a good one
	for _, n := range names {
		if attribute(filepath.Dir(n), "name") == name {
			return filepath.Dir(filepath.Dir(n))
		}
	}
	return entry
}

// mountAt returns the mount at the path. Of several at one place it is the one
// on top, which carries none of the others.
func (r *Resolver) mountAt(path string) (*mountinfo.Info, error) {
	f, err := os.Open(r.mountinfo())
	if err != nil {
		return nil, fmt.Errorf("cannot read the mounts: %w", err)
	}
	defer func() { _ = f.Close() }()
	all, err := mountinfo.GetMountsFromReader(f, func(m *mountinfo.Info) (bool, bool) { return m.Mountpoint != path, false })
	if err != nil {
		return nil, fmt.Errorf("cannot read the mounts: %w", err)
	}
	if len(all) == 0 {
		return nil, refuse("%s is not a mount point: name the place where the file system is mounted (findmnt -T %s)", path, path)
	}
	for _, m := range slices.Backward(all) {
		if !slices.ContainsFunc(all, func(o *mountinfo.Info) bool { return o.Parent == m.ID && o != m }) {
			return m, nil
		}
	}
	return all[len(all)-1], nil
}

// maxLayers bounds how deep devices may be stacked, against a loop in a broken tree.
const maxLayers = 16

// physical follows one sysfs device down to its disks.
func physical(dev string, depth int) ([]disk, error) {
	if depth > maxLayers {
		return nil, fmt.Errorf("more than %d layers of devices", maxLayers)
	}
	dir, err := filepath.EvalSymlinks(dev)
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, "partition")); err == nil {
		if name := filepath.Base(dir); strings.HasPrefix(name, "xvd") || strings.HasPrefix(name, "sd") {
			// Xen may show a partition without its disk: keep the parent only where it is one.
			if _, err := os.Stat(filepath.Join(filepath.Dir(dir), "queue")); err != nil {
				return []disk{{name: name}}, nil //nolint:nilerr // that there is no parent disk is the answer
			}
		}
		return physical(filepath.Dir(dir), depth+1)
	}
	slaves, err := os.ReadDir(filepath.Join(dir, "slaves"))
	if err == nil && len(slaves) > 0 {
		var all []disk
		for _, s := range slaves {
			found, err := physical(filepath.Join(dir, "slaves", s.Name()), depth+1)
			if err != nil {
				return nil, err
			}
			all = append(all, found...)
		}
		return all, nil
	}
	return []disk{{
		name:   filepath.Base(dir),
		serial: attribute(dir, "device/serial", "serial"),
		model:  attribute(dir, "device/model"),
	}}, nil
}

// attribute reads the first of the named attributes that exists; "" where none does.
func attribute(dir string, names ...string) string {
	for _, n := range names {
		if b, err := os.ReadFile(filepath.Join(dir, n)); err == nil {
			if s := strings.TrimSpace(string(b)); s != "" {
				return s
			}
		}
	}
	return ""
}
