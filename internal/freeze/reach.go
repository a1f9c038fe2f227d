package freeze

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// reached is a file system of the record that has been opened again.
type reached struct {
	fd int
	// at is where it is mounted; "" where it is not, and was mounted for this
	// descriptor alone, out of sight: when that closes it is unmounted.
	at string
}

// reach opens the file system of an entry, wherever it is mounted now. Only
// with fateSame is there a descriptor. It never opens what belongs to another
// superblock for long, and never thaws.
func reach(id identity) (reached, fate, error) {
	known := id.superblock()
	if known == fateGone || known == fateNew {
		return reached{fd: -1}, known, nil
	}
	mounted, err := readTable()
	if err != nil {
		return reached{fd: -1}, fateUnknown, err
	}
	other := ""
	for _, m := range mounted.byID {
		if deviceString(unix.Mkdev(uint32(m.Major), uint32(m.Minor))) != id.Device || mounted.at(m.Mountpoint) != m {
			continue
		}
		// A directory or, for a bind mount, a file. Opening neither blocks on a frozen file system [V].
		fd, err := unix.Open(m.Mountpoint, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
		if err != nil {
			continue
		}
		p, err := mounted.locate(fd)
		if err != nil || deviceString(p.super) != id.Device {
			_ = unix.Close(fd)
			continue
		}
		same := known == fateSame || id.MountID != 0 && mountID(fd) == id.MountID
		uuid := uuidOf(fd)
		if same && uuid == id.UUID {
			return reached{fd, m.Mountpoint}, fateSame, nil
		}
		_ = unix.Close(fd)
		if same { // no two signs should contradict each other; where they do, a person decides
			return reached{fd: -1}, fateUnknown, fmt.Errorf("its UUID is %s now, and was %s", uuid, id.UUID)
		}
		other = uuid
	}
	switch {
	case known == fateSame:
		return remount(id)
	case other != "" && id.UUID != "" && other != id.UUID: // a device has one superblock at a time
		return reached{fd: -1}, fateNew, nil
	}
	return reached{fd: -1}, fateUnknown, errors.New("this kernel does not tell whether it was mounted anew since")
}

// remount mounts the device of a superblock that lives on unmounted: umount of
// a frozen file system succeeds, and leaves it frozen with nothing to reach it
// by; mounting its device again leads to the same superblock [V].
func remount(id identity) (reached, fate, error) {
	fd, err := attach(id)
	if err != nil {
		return reached{fd: -1}, fateUnknown, fmt.Errorf("cannot mount it again: %w", err)
	}
	// It may have been let go of in between, so that this is a new one.
	if f := id.superblock(); f != fateSame {
		_ = unix.Close(fd)
		return reached{fd: -1}, f, nil
	}
	if uuid := uuidOf(fd); uuid != id.UUID {
		_ = unix.Close(fd)
		return reached{fd: -1}, fateUnknown, fmt.Errorf("its UUID is %s now, and was %s", uuid, id.UUID)
	}
	return reached{fd: fd}, fateSame, nil
}

// attach mounts without a mount point (fsopen(2), Linux 5.2): nobody sees the
// mount, and it ends with the descriptor, whatever becomes of this process.
func attach(id identity) (int, error) {
	source, err := deviceNode(id)
	if err != nil {
		return -1, err
	}
	ctx, err := unix.Fsopen(id.Type, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("fsopen %s: %w", id.Type, err)
	}
	defer func() { _ = unix.Close(ctx) }()
	if err := unix.FsconfigSetString(ctx, "source", source); err != nil {
		return -1, fmt.Errorf("%s: %w", source, err)
	}
	for _, option := range splitOptions(id.Options) {
		name, value, _ := strings.Cut(option, "=")
		if err := unix.FsconfigSetString(ctx, name, strings.Trim(value, `"`)); err != nil {
			return -1, fmt.Errorf("%s: option %s: %w", source, option, err)
		}
	}
	// Read-write: what is frozen was, and the kernel refuses to mix (EBUSY).
	if err := unix.FsconfigCreate(ctx); err != nil {
		return -1, fmt.Errorf("%s: %w", source, err)
	}
	const attributes = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
	mount, err := unix.Fsmount(ctx, unix.FSMOUNT_CLOEXEC, attributes)
	if err != nil {
		return -1, fmt.Errorf("%s: %w", source, err)
	}
	defer func() { _ = unix.Close(mount) }()
	// The descriptor of the mount is an O_PATH one, which FITHAW does not take.
	fd, err := unix.Openat(mount, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, fmt.Errorf("%s: %w", source, err)
	}
	return fd, nil
}

// deviceNode finds a node of the device, which the source of the record need not be any more.
func deviceNode(id identity) (string, error) {
	numbers := []string{id.Device}
	if id.Type == "btrfs" { // whose number is not a device's
		files, _ := filepath.Glob(filepath.Join(id.Sysfs, "devices", "*", "dev"))
		numbers = nil
		for _, f := range files {
			if b, err := os.ReadFile(f); err == nil {
				numbers = append(numbers, strings.TrimSpace(string(b)))
			}
		}
	}
	candidates := []string{id.Source}
	for _, n := range numbers {
		if link, err := os.Readlink(filepath.Join("/sys/dev/block", n)); err == nil {
			candidates = append(candidates, filepath.Join("/dev", strings.ReplaceAll(filepath.Base(link), "!", "/")))
		}
		candidates = append(candidates, filepath.Join("/dev/block", n))
	}
	for _, path := range candidates {
		var st unix.Stat_t
		if filepath.IsAbs(path) && unix.Stat(path, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFBLK && slices.Contains(numbers, deviceString(st.Rdev)) {
			return path, nil
		}
	}
	return "", fmt.Errorf("there is no node of device %s: make one (mknod /dev/block/%s b MAJOR MINOR)", id.Device, id.Device)
}

// securityOption is one that SELinux shows, and compares when a superblock is mounted again.
var securityOption = regexp.MustCompile(`(?:^|,)((?:fs|def|root)?context=(?:"[^"]*"|[^,]*))`)

// securityOptions picks them out of a list of options.
func securityOptions(options string) string { return strings.Join(splitOptions(options), ",") }

// splitOptions returns them one by one.
func splitOptions(options string) []string {
	var found []string
	for _, m := range securityOption.FindAllStringSubmatch(options, -1) {
		found = append(found, m[1])
	}
	return found
}
