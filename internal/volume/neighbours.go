package volume

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/moby/sys/mountinfo"
)

// Others names the mounted file systems that lie on the same disks as the
// mount points and are none of theirs: another partition, another logical
// volume. A snapshot of the disks holds them too. Further mounts of the same
// file systems (bind mounts) do not count.
func (r *Resolver) Others(_ context.Context, mounts []string) ([]string, error) {
	disks := map[string]string{} // by name, with the mount point that lies on it
	ours := map[string]bool{}    // device numbers
	for _, m := range mounts {
		found, err := r.disks(m)
		if err != nil {
			return nil, err
		}
		for _, d := range found {
			disks[d.name] = m
		}
		path, err := filepath.EvalSymlinks(m)
		if err != nil {
			return nil, refuse("mount point %s does not exist: mount it, or correct the plan: %v", m, err)
		}
		info, err := r.mountAt(path)
		if err != nil {
			return nil, err
		}
		ours[number(info)] = true
	}
	f, err := os.Open(r.mountinfo())
	if err != nil {
		return nil, fmt.Errorf("cannot read the mounts: %w", err)
	}
	defer func() { _ = f.Close() }()
	all, err := mountinfo.GetMountsFromReader(f, func(m *mountinfo.Info) (bool, bool) { return m.Major == 0 || ours[number(m)], false })
	if err != nil {
		return nil, fmt.Errorf("cannot read the mounts: %w", err)
	}
	var others []string
	for _, m := range all {
		found, err := physical(filepath.Join(r.sys(), "dev/block", number(m)), 0)
		if err != nil {
			continue // a device that is gone holds nothing of ours
		}
		for _, d := range found {
			if at, ok := disks[d.name]; ok {
				line := fmt.Sprintf("%s (on %s, as is %s)", m.Mountpoint, d.name, at)
				if !slices.Contains(others, line) {
					others = append(others, line)
				}
			}
		}
	}
	return others, nil
}

func number(m *mountinfo.Info) string { return fmt.Sprintf("%d:%d", m.Major, m.Minor) }

func (r *Resolver) sys() string {
	if r.Sys == "" {
		return "/sys"
	}
	return r.Sys
}

func (r *Resolver) mountinfo() string {
	if r.Mountinfo == "" {
		return "/proc/self/mountinfo"
	}
	return r.Mountinfo
}
