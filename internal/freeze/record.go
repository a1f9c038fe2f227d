package freeze

import (
	"bytes"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// RecordName is the file in the runtime directory that says what is frozen.
const RecordName = "freeze.json"

// mark is what the record says of one file system.
type mark int

const (
	markIntended mark = iota // nothing of ours: never thawed by the record
	markFreezing             // FIFREEZE may be in flight, or may have succeeded
	markFrozen               // FIFREEZE returned 0
	markThawed               // thawed, or found thawed after it had been frozen
	markFailed               // FIFREEZE failed: not frozen by us
	markUnknown              // not to be read
)

// marks are what stands in the file, blanks after the closing quote included,
// so that one can be written over the other in place.
var marks = [...][]byte{[]byte(`"intended"`), []byte(`"freezing"`), []byte(`"frozen"  `), []byte(`"thawed"  `), []byte(`"failed"  `)}

// markWidth is the length of each of the marks.
const markWidth = 10

func (m mark) String() string {
	if m < 0 || int(m) >= len(marks) {
		return "unknown"
	}
	return string(bytes.Trim(marks[m], `" `))
}

// owed says that a file system so marked may be frozen by us.
func (m mark) owed() bool { return m == markFreezing || m == markFrozen }

// bools are true and false, of the same width.
var bools = map[bool][]byte{false: []byte("false"), true: []byte("true ")}

const (
	numberWidth = 20 // the digits of a uint64
	timeLayout  = "2006-01-02T15:04:05.000Z"
)

// spots are the offsets of what is written over in place.
type spots struct {
	Marks                             []int64
	Raised, Owed                      int64
	GuardianPID, GuardianStart        int64
	DeadlineNanoseconds, DeadlineTime int64
}

// record is the file in which worker and guardian keep what they have frozen,
// for whoever comes when both are dead. Both write to it through one inherited
// open file, never syncing (a freeze dies with the kernel, as the page cache
// does) and never making it longer, so that they may inside the window.
//
// The open file bears an exclusive flock from before the record has a name.
// As it belongs to worker and guardian alike, somebody else gets the lock
// exactly when neither has any thread left in the kernel; so then no FIFREEZE
// of theirs is in flight any more, and EINVAL from FITHAW does mean "not
// frozen" [V].
//
// No field that is written over lies across the border of a page: a write
// within one page is not cut short by SIGKILL.
type record struct {
	fd  int
	dir int // of the runtime directory; -1: the record has no name
	spots
}

func (r *record) put(at int64, text []byte) unix.Errno {
	for {
		n, err := unix.Pwrite(r.fd, text, at)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return errnoOf(err)
		case n != len(text):
			return unix.EIO
		default:
			return 0
		}
	}
}

// set marks one file system.
func (r *record) set(index int, m mark) unix.Errno { return r.put(r.Marks[index], marks[m]) }

// mark reads what one file system is marked with.
func (r *record) mark(index int) mark {
	var b [markWidth]byte
	if n, err := unix.Pread(r.fd, b[:], r.Marks[index]); err != nil || n != len(b) {
		return markUnknown
	}
	for m, text := range marks {
		if bytes.Equal(b[:], text) {
			return mark(m)
		}
	}
	return markUnknown
}

// setRaised notes whether rcu_expedited is, or is about to be, raised.
func (r *record) setRaised(on bool) unix.Errno { return r.put(r.Raised, bools[on]) }

// setOwed notes whether post_thaw is owed.
func (r *record) setOwed(on bool) unix.Errno { return r.put(r.Owed, bools[on]) }

// isSet reads a field that is true or false; what cannot be read counts as true.
func (r *record) isSet(at int64) bool {
	var b [5]byte
	n, err := unix.Pread(r.fd, b[:], at)
	return err != nil || n != len(b) || !bytes.Equal(b[:], bools[false])
}

func (r *record) setGuardian(p process) unix.Errno {
	if errno := r.put(r.GuardianStart, number(p.Start)); errno != 0 {
		return errno
	}
	return r.put(r.GuardianPID, number(uint64(p.PID)))
}

// setDeadline notes the deadline, in nanoseconds of CLOCK_BOOTTIME.
func (r *record) setDeadline(boot int64) unix.Errno {
	if errno := r.put(r.DeadlineTime, []byte(wallTime(boot).UTC().Format(timeLayout))); errno != 0 {
		return errno
	}
	return r.put(r.DeadlineNanoseconds, number(uint64(max(boot, 1))))
}

// number pads with blanks, which JSON allows after a number.
func number(n uint64) []byte { return fmt.Appendf(nil, "%-*d", numberWidth, n) }

// over says that nothing in the record is owed any more. No thread of the
// other process may be able to change that when it is called.
func (r *record) over() bool {
	for i := range r.Marks {
		if m := r.mark(i); m.owed() || m == markUnknown {
			return false
		}
	}
	return !r.isSet(r.Raised) && !r.isSet(r.Owed)
}

// remove takes the record's name away where nothing in it is owed, and the
// name is still its own. It resolves no path.
func (r *record) remove() {
	if r.dir < 0 || !r.over() || !r.named() {
		return
	}
	_ = unix.Unlinkat(r.dir, RecordName, 0)
}

// named says that the record's name leads to this file.
func (r *record) named() bool {
	var own, found unix.Stat_t
	return unix.Fstat(r.fd, &own) == nil &&
		unix.Fstatat(r.dir, RecordName, &found, unix.AT_SYMLINK_NOFOLLOW) == nil &&
		own.Dev == found.Dev && own.Ino == found.Ino
}

// lock says whether the lock was free, and takes it.
func (r *record) lock() bool { return unix.Flock(r.fd, unix.LOCK_EX|unix.LOCK_NB) == nil }

func (r *record) close() {
	_ = unix.Close(r.fd)
	if r.dir >= 0 {
		_ = unix.Close(r.dir)
	}
}

// isoNow is the time for the record.
func isoNow() string { return time.Now().UTC().Format(timeLayout) }
