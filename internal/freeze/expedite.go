package freeze

import (
	"bytes"

	"golang.org/x/sys/unix"
)

// DefaultRCUPath is where the kernel lets root ask for expedited grace periods.
const DefaultRCUPath = "/sys/kernel/rcu_expedited"

// expediter raises rcu_expedited for the moment of a freeze. FIFREEZE waits for
// RCU grace periods: an idle XFS freezes in 30 ms with the value at 0 and in
// 1 ms with it at 1 [V].
//
// The value is the host's, so whoever raises it holds an exclusive flock from
// before it reads what to put back until after it has put it back. flock works
// on the sysfs file itself [V]. The lock belongs to the open file, which worker
// and guardian share: when the guardian dies, it stays held until the worker
// has put the value back.
type expediter struct {
	fd   int // of rcu_expedited; negative: never raise
	lock int // what to flock
	was  [16]byte
	size int
	// raised says that the value is, or is about to be, ours.
	raised bool
}

// raise writes 1, after announce was called with what is to be put back and
// has agreed. It does nothing where someone else holds the lock, since their
// freeze is being expedited and ours with it, or where the value is not 0.
func (e *expediter) raise(announce func(was []byte) bool) {
	if e.fd < 0 || unix.Flock(e.lock, unix.LOCK_EX|unix.LOCK_NB) != nil {
		return
	}
	n, err := unix.Pread(e.fd, e.was[:], 0)
	if err != nil || !bytes.Equal(bytes.TrimSpace(e.was[:max(n, 0)]), []byte("0")) {
		_ = unix.Flock(e.lock, unix.LOCK_UN)
		return
	}
	e.size, e.raised = n, true
	if !announce(e.was[:n]) {
		e.restore()
		return
	}
	if _, err := unix.Pwrite(e.fd, []byte("1\n"), 0); err != nil {
		e.restore()
	}
}

// restore puts back what was there and lets the lock go. The lock is let go of
// only where that worked, so that nobody takes our 1 for the host's own.
func (e *expediter) restore() unix.Errno {
	if !e.raised {
		return 0
	}
	if _, err := unix.Pwrite(e.fd, e.was[:e.size], 0); err != nil {
		return errnoOf(err)
	}
	e.raised = false
	return errnoOf(unix.Flock(e.lock, unix.LOCK_UN))
}
