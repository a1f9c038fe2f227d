package freeze

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// place is where a descriptor leads.
type place struct {
	mount *mountinfo.Info
	// super is the device number in mountinfo, the same for every mount of
	// one file system, and so for all that one FIFREEZE stops.
	super uint64
	// device is st_dev. It differs from super within a btrfs, where each
	// subvolume has a number of its own.
	device uint64
}

// table is the mount table of this process.
type table struct{ byID map[int]*mountinfo.Info }

func readTable() (*table, error) {
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		return nil, fmt.Errorf("cannot read the mount table: %w", err)
	}
	t := &table{byID: make(map[int]*mountinfo.Info, len(mounts))}
	for _, m := range mounts {
		t.byID[m.ID] = m
	}
	return t, nil
}

// at returns the mount that a clean path names: of several on top of each
// other the uppermost; nil where there is none.
func (t *table) at(path string) *mountinfo.Info {
	covered := map[int]bool{} // one on top of another has that as its parent
	var here []*mountinfo.Info
	for _, m := range t.byID {
		if m.Mountpoint == path {
			here = append(here, m)
			covered[m.Parent] = m.Parent != m.ID
		}
	}
	for _, m := range here {
		if !covered[m.ID] {
			return m
		}
	}
	return nil
}

// locate finds the place of an open descriptor by the mount id that the kernel
// gives for it (/proc/self/fdinfo, Linux 3.15) [V], so that neither a race with
// umount nor a mount on top can mislead it.
func (t *table) locate(fd int) (place, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return place{}, fmt.Errorf("cannot look at descriptor %d: %w", fd, err)
	}
	info, err := os.ReadFile("/proc/self/fdinfo/" + strconv.Itoa(fd))
	if err != nil {
		return place{}, fmt.Errorf("cannot look at descriptor %d: %w", fd, err)
	}
	for line := range bytes.Lines(info) {
		value, ok := bytes.CutPrefix(line, []byte("mnt_id:"))
		if !ok {
			continue
		}
		id, err := strconv.Atoi(string(bytes.TrimSpace(value)))
		if err != nil {
			return place{}, fmt.Errorf("cannot read the mount of descriptor %d: %w", fd, err)
		}
		m := t.byID[id]
		if m == nil {
			// Not in our namespace, or unmounted lazily.
			return place{super: st.Dev, device: st.Dev}, nil
		}
		return place{mount: m, super: unix.Mkdev(uint32(m.Major), uint32(m.Minor)), device: st.Dev}, nil
	}
	return place{}, fmt.Errorf("cannot find the mount of descriptor %d: the kernel does not tell it", fd)
}

// locatePath finds the place of a path without opening what it names, and of
// its nearest parent where it does not exist.
func (t *table) locatePath(path string) (place, error) {
	for {
		fd, err := unix.Open(path, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err == nil {
			p, err := t.locate(fd)
			_ = unix.Close(fd)
			return p, err
		}
		parent := filepath.Dir(path)
		if !errors.Is(err, unix.ENOENT) || parent == path {
			return place{}, fmt.Errorf("cannot look at %s: %w", path, err)
		}
		path = parent
	}
}

// ancestors calls visit with each mount above m.
func (t *table) ancestors(m *mountinfo.Info, visit func(*mountinfo.Info)) {
	for range len(t.byID) {
		parent := t.byID[m.Parent]
		if parent == nil || parent == m {
			return
		}
		visit(parent)
		m = parent
	}
}

// hasOption looks for an option in a list with commas.
func hasOption(list, name string) bool {
	for option := range strings.SplitSeq(list, ",") {
		if option == name {
			return true
		}
	}
	return false
}

// optionValue returns the value of name=value in a list with commas; "" where there is none.
func optionValue(list, name string) string {
	for option := range strings.SplitSeq(list, ",") {
		if value, ok := strings.CutPrefix(option, name+"="); ok {
			return value
		}
	}
	return ""
}
