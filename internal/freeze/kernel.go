package freeze

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// The freeze ioctls, _IOWR('X', 119, int) and _IOWR('X', 120, int) of
// linux/fs.h; x/sys/unix has neither. They take any descriptor but an O_PATH
// one, and need CAP_SYS_ADMIN [V].
const (
	fiFreeze = 0xC0045877
	fiThaw   = 0xC0045878
)

// freezeFS blocks until the file system is frozen; nothing can interrupt it,
// not even SIGKILL [V]. EBUSY means that it is frozen already.
func freezeFS(fd int) unix.Errno { return errnoOf(unix.IoctlSetInt(fd, fiFreeze, 0)) }

// thawFS thaws. EINVAL means that the file system was not frozen, unless a
// FIFREEZE is in flight: then it means nothing, and the file system becomes
// frozen afterwards [V].
func thawFS(fd int) unix.Errno { return errnoOf(unix.IoctlSetInt(fd, fiThaw, 0)) }

// errnoOf returns the errno in err, 0 for nil, and EIO for an error that has none.
func errnoOf(err error) unix.Errno {
	if err == nil {
		return 0
	}
	var errno unix.Errno
	if errors.As(err, &errno) {
		return errno
	}
	return unix.EIO
}

// bootNow returns CLOCK_BOOTTIME in nanoseconds.
//
// The deadline is kept on this clock because it is the same in every process
// of the host and goes on while the host is suspended: a host that wakes past
// the deadline thaws at once. CLOCK_MONOTONIC would hold on for the rest of the
// time, CLOCK_REALTIME jumps. (While a hypervisor has the whole VM paused, no
// clock of the guest may run; nothing inside the guest can do better.)
func bootNow() int64 {
	var ts unix.Timespec
	// It cannot fail for a clock that has existed since Linux 2.6.39.
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts)
	return ts.Nano()
}

// bootTime turns a time into nanoseconds of CLOCK_BOOTTIME.
func bootTime(t time.Time) int64 { return bootNow() + int64(time.Until(t)) }

// wallTime turns nanoseconds of CLOCK_BOOTTIME into a time.
func wallTime(boot int64) time.Time { return time.Now().Add(time.Duration(boot - bootNow())) }

// newTimer returns a timerfd on CLOCK_BOOTTIME that is not set.
func newTimer() (int, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return -1, fmt.Errorf("cannot create a timer: %w", err)
	}
	return fd, nil
}

// setTimer makes the timer fire at a time of CLOCK_BOOTTIME in nanoseconds.
func setTimer(fd int, at int64) error {
	// Zero would disarm it, and a time that has passed fires at once.
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(max(at, 1))}
	return unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME, &spec, nil)
}

// drain empties a timerfd or an eventfd that does not block.
func drain(fd int) {
	var count [8]byte
	_, _ = unix.Read(fd, count[:]) // EAGAIN where there was nothing
}

// ring wakes whoever polls the eventfd.
func ring(fd int) {
	one := [8]byte{1} // a count in host order; any value but 0 will do
	_, _ = unix.Write(fd, one[:])
}
