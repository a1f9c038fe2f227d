package freeze

import (
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"unsafe"

	"golang.org/x/sys/unix"
)

// identity says which file system it is, and which superblock of it. A device
// number is used again, and a UUID stays the same when a file system is
// mounted anew; a freeze belongs to the superblock and dies with it.
type identity struct {
	// Device is the number in mountinfo, "major:minor".
	Device string `json:"device"`
	Type   string `json:"type"`
	Source string `json:"source"`
	// UUID is "" where the kernel does not tell it.
	UUID string `json:"uuid"`
	// Sysfs is the directory that the file system keeps in sysfs while its
	// superblock lives, mounted or not; Superblock is the inode number of that.
	// kernfs gives none out twice in a boot (fs/kernfs/dir.c, kernfs_new_node) [S],
	// so the same number is the same superblock, also when it is frozen and not
	// mounted any more, and no directory means that there is none [V].
	// "" and 0 for a type that has no such directory.
	Sysfs      string `json:"sysfs"`
	Superblock uint64 `json:"superblock"`
	// MountID is the mount's id that is not used again (statx, Linux 6.8); 0 where it is not told.
	MountID uint64 `json:"mountId"`
	// Options are those of the security module, which a further mount has to repeat.
	Options string `json:"options"`
}

// identify looks at an open file system. What cannot be found is left empty.
func identify(fd int, p place) identity {
	id := identity{Device: deviceString(p.super), UUID: uuidOf(fd), MountID: mountID(fd)}
	if m := p.mount; m != nil {
		id.Type, id.Source, id.Options = m.FSType, m.Source, securityOptions(m.VFSOptions)
	}
	if path := sysfsOf(id, p.super); path != "" {
		if inode, err := inodeOf(path); err == nil {
			id.Sysfs, id.Superblock = path, inode
		}
	}
	return id
}

// sysfsOf is the directory that belongs to the superblock: by the name of the
// device for most, by UUID for btrfs [V]; "" where there is none.
func sysfsOf(id identity, super uint64) string {
	if id.Type == "btrfs" {
		if id.UUID == "" {
			return ""
		}
		return filepath.Join("/sys/fs/btrfs", id.UUID)
	}
	name, err := os.Readlink(filepath.Join("/sys/dev/block", deviceString(super)))
	if err != nil {
		return ""
	}
	// The ext4 driver serves the older types as well.
	for _, driver := range []string{id.Type, "ext4"} {
		path := filepath.Join("/sys/fs", driver, filepath.Base(name))
		if _, err := os.Lstat(path); err == nil {
			return path
		}
	}
	return ""
}

func inodeOf(path string) (uint64, error) {
	var st unix.Stat_t
	if err := unix.Lstat(path, &st); err != nil {
		return 0, err
	}
	return st.Ino, nil
}

// mountID asks statx for the mount id that is never used again; 0 where the
// kernel is older than 6.8 and does not tell it.
func mountID(fd int) uint64 {
	var st unix.Statx_t
	err := unix.Statx(fd, "", unix.AT_EMPTY_PATH|unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID_UNIQUE, &st)
	if err != nil || st.Mask&unix.STATX_MNT_ID_UNIQUE == 0 {
		return 0
	}
	return st.Mnt_id
}

// uuidSource is an ioctl that tells the UUID of a mounted file system without
// touching its device.
type uuidSource struct {
	request uint
	offset  int
	prepare []byte
}

// The kernel's headers name them; all are of type _IOR.
var uuidSources = []uuidSource{
	{request: 0x80111500, offset: 1},  // FS_IOC_GETFSUUID, struct fsuuid2 of linux/fs.h, Linux 6.9 [V]
	{request: 0x80705864, offset: 64}, // XFS_IOC_FSGEOMETRY_V1, struct xfs_fsop_geom_v1 of xfs_fs.h [V]
	{request: 0x8400941F, offset: 16}, // BTRFS_IOC_FS_INFO, struct btrfs_ioctl_fs_info_args of linux/btrfs.h [S]
	// EXT4_IOC_GETFSUUID, struct fsuuid of linux/ext4.h: length, flags, UUID; Linux 6.0 [V]
	{request: 0x8008662C, offset: 8, prepare: []byte{16, 0, 0, 0}},
}

const uuidLength = 16

// uuidOf returns "" where no ioctl tells it.
func uuidOf(fd int) string {
	for _, s := range uuidSources {
		if uuid := s.ask(fd); uuid != "" {
			return uuid
		}
	}
	return ""
}

func (s uuidSource) ask(fd int) string {
	var b [1024]byte // the largest of the structs, and zeroed
	copy(b[:], s.prepare)
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), uintptr(s.request), uintptr(unsafe.Pointer(&b[0]))); errno != 0 {
		return ""
	}
	uuid := [uuidLength]byte(b[s.offset:])
	if uuid == ([uuidLength]byte{}) {
		return ""
	}
	h := hex.EncodeToString(uuid[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// fate is what became of a superblock that the record names.
type fate int

const (
	fateSame    fate = iota // it is there
	fateGone                // it is not there any more, and with it its freeze
	fateNew                 // another one took its place
	fateUnknown             // it cannot be told
)

// superblock says what became of it by sysfs alone, mounted or not.
func (id identity) superblock() fate {
	if id.Sysfs == "" || id.Superblock == 0 {
		return fateUnknown
	}
	switch inode, err := inodeOf(id.Sysfs); {
	case err == nil && inode == id.Superblock:
		return fateSame
	case err == nil:
		return fateNew
	case !errors.Is(err, fs.ErrNotExist):
		return fateUnknown
	}
	// Unless sysfs itself is not to be seen here.
	if _, err := os.Stat("/sys/fs/" + id.Type); err != nil {
		if _, err := os.Stat("/sys/fs"); err != nil {
			return fateUnknown
		}
		if _, err := os.Stat("/sys/dev/block"); err != nil {
			return fateUnknown
		}
	}
	return fateGone
}
