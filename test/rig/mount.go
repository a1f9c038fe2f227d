package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// unmountPatience is how long Unmount and Store.Close wait for a busy mount.
const unmountPatience = 10 * time.Second

// ioctlThaw is FITHAW of linux/fs.h; x/sys/unix does not define it.
const ioctlThaw = 0xC0045878

// ErrWasFrozen is in the error of Unmount when the file system was still frozen.
// It was thawed and unmounted nevertheless.
var ErrWasFrozen = errors.New("the file system was still frozen")

// Format makes an empty file system of type "xfs" or "ext4" on a block device or
// an image file, over whatever was there.
func Format(ctx context.Context, device, fstype string) error {
	var err error
	switch fstype {
	case "xfs":
		err = runTool(ctx, "mkfs.xfs", "-q", "-f", device)
	case "ext4":
		// Lazy initialisation would go on writing after the mount.
		err = runTool(ctx, "mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", device)
	default:
		err = fmt.Errorf("unknown file system type %q", fstype)
	}
	if err != nil {
		return fmt.Errorf("cannot format %s: %w", device, err)
	}
	return nil
}

// Mount mounts device on dir, which it creates if need be. The options are those
// of mount(8), among them "loop" for an image file. The mount is undone when this
// process dies; otherwise Unmount has to be called.
func Mount(ctx context.Context, device, dir, fstype string, options ...string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("cannot mount %s: %w", device, err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("cannot make the mount point of %s: %w", device, err)
	}
	args := []string{"-t", fstype}
	if len(options) > 0 {
		args = append(args, "-o", strings.Join(options, ","))
	}
	if err := mounts.add(dir); err != nil {
		return err
	}
	if err := runTool(ctx, "mount", append(args, device, dir)...); err != nil {
		err = fmt.Errorf("cannot mount %s on %s: %w", device, dir, err)
		// A mount(8) that was killed may have done its work.
		if isMountPoint(dir) {
			return errors.Join(err, Unmount(dir))
		}
		return errors.Join(err, mounts.remove(dir))
	}
	return nil
}

// Unmount undoes Mount. It retries for up to ten seconds while the mount is busy
// and then names who uses it. A file system that was left frozen is thawed first,
// as its device would stay frozen otherwise, and the error wraps ErrWasFrozen.
func Unmount(dir string) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("cannot unmount: %w", err)
	}
	if !mounts.has(dir) {
		return fmt.Errorf("cannot unmount %s: it was not mounted by this process", dir)
	}
	frozenErr := thaw(dir)
	for deadline := time.Now().Add(unmountPatience); ; time.Sleep(20 * time.Millisecond) {
		err = unix.Unmount(dir, 0)
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			break
		}
	}
	switch {
	case errors.Is(err, unix.EBUSY):
		return errors.Join(frozenErr, fmt.Errorf("cannot unmount %s: %w: used by %s", dir, err, strings.Join(usersOf(dir), ", ")))
	case errors.Is(err, unix.EINVAL):
		err = fmt.Errorf("cannot unmount %s: somebody else unmounted it", dir)
	case err != nil:
		return errors.Join(frozenErr, fmt.Errorf("cannot unmount %s: %w", dir, err))
	}
	return errors.Join(frozenErr, err, mounts.remove(dir))
}

// thaw thaws the file system mounted on dir and returns an error if it was frozen.
func thaw(dir string) error {
	if !isMountPoint(dir) {
		return nil
	}
	fd, err := unix.Open(dir, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("cannot open the mount point %s: %w", dir, err)
	}
	defer unix.Close(fd)
	// EINVAL: not frozen. Other errors: a file system that knows no freezing.
	if unix.IoctlSetInt(fd, ioctlThaw, 0) != nil {
		return nil
	}
	return fmt.Errorf("cannot unmount %s as it should be: %w", dir, ErrWasFrozen)
}

// isMountPoint tells whether something is mounted on exactly dir.
func isMountPoint(dir string) bool {
	table, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return false
	}
	// mountinfo writes these characters of a path in octal (proc(5)).
	escaped := strings.NewReplacer(`\`, `\134`, " ", `\040`, "\t", `\011`).Replace(dir)
	for line := range strings.Lines(string(table)) {
		if fields := strings.Fields(line); len(fields) > 4 && fields[4] == escaped {
			return true
		}
	}
	return false
}

// usersOf names the processes, loop devices and mounts that keep dir busy.
func usersOf(dir string) []string {
	users := loopsUnder(dir)
	processes, _ := filepath.Glob("/proc/[0-9]*")
	for _, process := range processes {
		links, _ := filepath.Glob(process + "/fd/*")
		links = append(links, process+"/cwd", process+"/root", process+"/exe")
		if slices.ContainsFunc(links, func(link string) bool {
			target, err := os.Readlink(link)
			return err == nil && under(dir, target)
		}) {
			name, _ := os.ReadFile(process + "/comm")
			users = append(users, fmt.Sprintf("%s (%s)", strings.TrimSpace(string(name)), filepath.Base(process)))
		}
	}
	if len(users) == 0 {
		return []string{"nobody who could be found"}
	}
	return users
}

// loopsUnder returns the loop devices that stand on files under dir.
func loopsUnder(dir string) []string {
	var loops []string
	backings, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, backing := range backings {
		file, err := os.ReadFile(backing)
		if err == nil && under(dir, strings.TrimSpace(string(file))) {
			loops = append(loops, "/dev/"+filepath.Base(filepath.Dir(filepath.Dir(backing))))
		}
	}
	return loops
}

func under(dir, path string) bool {
	return path == dir || strings.HasPrefix(path, dir+"/")
}
