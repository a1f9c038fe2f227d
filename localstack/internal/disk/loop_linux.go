package disk

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Loop is a loop device on a backing file. It is set up to detach itself at its last close, and held open here: when this
// process ends, however it ends, the kernel takes the device down, as soon as nothing has it mounted.
type Loop struct {
	Path string   // /dev/loop3
	name string   // loop3
	file string   // the backing file
	held *os.File // read-only: some kernels do not mount a device that is open for writing; nil: not held
}

// loopTries is how long attaching keeps trying while other users of loop devices take the free ones, and how long detaching
// waits for passing users of the device, such as udev.
const loopTries = 2 * time.Second

// sectorSize is that of EBS volumes, in bytes. Left to itself, the kernel takes the file system's block size for a file that
// shares blocks with another, and a disk that was formatted in sectors of 512 bytes cannot be mounted on larger ones (XFS says
// "function not implemented").
const sectorSize = 512

// Attach puts a loop device on file, with direct I/O where the kernel can do it in such sectors. It cannot for a file that
// shares blocks with another; then what the device has written may be in the page cache of the file, where clones and copies
// find it too.
func Attach(file string) (*Loop, error) {
	backing, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot attach a loop device: %w", err)
	}
	defer backing.Close()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("cannot attach a loop device to %s: %w", file, err)
	}
	defer control.Close()

	// Between asking for a free device and taking it, somebody else may have taken it.
	for end := time.Now().Add(loopTries); ; time.Sleep(5 * time.Millisecond) {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("cannot find a free loop device for %s: %w", file, err)
		}
		dev, err := configure("loop"+strconv.Itoa(n), file, backing)
		if err == nil {
			return dev, nil
		}
		taken := errors.Is(err, unix.EBUSY) || errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENXIO)
		if !taken || time.Now().After(end) {
			return nil, fmt.Errorf("cannot attach a loop device to %s: %w", file, err)
		}
	}
}

func configure(name, file string, backing *os.File) (*Loop, error) {
	path := "/dev/" + name
	device, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer device.Close()
	for _, flags := range []uint32{unix.LO_FLAGS_AUTOCLEAR | unix.LO_FLAGS_DIRECT_IO, unix.LO_FLAGS_AUTOCLEAR} {
		config := unix.LoopConfig{Fd: uint32(backing.Fd()), Size: sectorSize, Info: unix.LoopInfo64{Flags: flags}} //nolint:gosec // a descriptor fits
		copy(config.Info.File_name[:len(config.Info.File_name)-1], file)
		err = unix.IoctlLoopConfigure(int(device.Fd()), &config)
		if !errors.Is(err, unix.EINVAL) {
			break
		}
	}
	if err != nil {
		return nil, fmt.Errorf("cannot configure %s: %w", path, err)
	}
	held, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot hold %s: %w", path, err) // closing device above detaches it
	}
	return &Loop{Path: path, name: name, file: file, held: held}, nil
}

// Attached tells whether the device still has its backing file, which may be so after Release, as long as it is mounted.
func (l *Loop) Attached() bool {
	text, err := os.ReadFile("/sys/block/" + l.name + "/loop/backing_file")
	return err == nil && strings.TrimSuffix(strings.TrimSpace(string(text)), " (deleted)") == l.file
}

// Release lets the device go. It is an error if somebody else still uses it; the kernel then detaches it when they end.
// Releasing it again only looks whether it has gone.
func (l *Loop) Release() error {
	if l.held != nil {
		if err := l.held.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
			return fmt.Errorf("cannot close %s: %w", l.Path, err)
		}
	}
	for end := time.Now().Add(loopTries); l.Attached(); time.Sleep(2 * time.Millisecond) {
		if l.mounted() || time.Now().After(end) {
			return fmt.Errorf("cannot detach %s yet: it is still in use, and goes when it is unmounted and closed", l.Path)
		}
	}
	return nil
}

// mounted tells whether the device holds a mounted file system of this mount name space.
func (l *Loop) mounted() bool {
	number, err := os.ReadFile("/sys/block/" + l.name + "/dev")
	if err != nil {
		return false
	}
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(mounts)) {
		if f := strings.Fields(line); len(f) > 2 && f[2] == strings.TrimSpace(string(number)) {
			return true
		}
	}
	return false
}

// Writes is how much was ever written to the device, as the kernel counts it when a write is done; busy tells that some are not
// done yet. Equal counts and no busy device before and after something mean that nothing was written meanwhile.
func (l *Loop) Writes() (count string, busy bool, err error) {
	text, err := os.ReadFile("/sys/block/" + l.name + "/stat")
	if err != nil {
		return "", false, fmt.Errorf("cannot see what is written to %s: %w", l.Path, err)
	}
	f := strings.Fields(string(text))
	inflight, err := os.ReadFile("/sys/block/" + l.name + "/inflight")
	if err != nil || len(f) < 11 {
		return "", false, fmt.Errorf("cannot see what is written to %s: %w", l.Path, errors.Join(err, errors.New("no statistics")))
	}
	g := strings.Fields(string(inflight))
	count = f[4] + " " + f[6]
	if len(f) >= 15 { // discards, which change the file too
		count += " " + f[11] + " " + f[13]
	}
	return count, len(g) < 2 || g[1] != "0", nil
}
