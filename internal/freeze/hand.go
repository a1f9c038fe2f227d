package freeze

import (
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// state is how far the guardian is with one file system.
type state int32

const (
	stateIdle     state = iota // not frozen by us
	stateFreezing              // FIFREEZE is in flight
	stateFrozen                // FIFREEZE returned 0
	stateFailed                // FIFREEZE failed: not frozen by us
	stateThawing               // FITHAW is in flight
	stateThawed                // FITHAW returned 0 or EINVAL: not frozen by us any more
)

// owed says that a file system in this state may still be frozen by us.
func (s state) owed() bool { return s == stateFreezing || s == stateFrozen || s == stateThawing }

// thawRetry is the pause between two FITHAW calls that failed with anything but EINVAL.
const thawRetry = 50 * time.Millisecond

// hand freezes and thaws one file system on a thread of its own, since either
// call may block in the kernel for as long as the volume is stalled. One hand
// never has FIFREEZE and FITHAW in flight at once, so that here EINVAL does
// mean "not frozen".
type hand struct {
	fd, level int
	record    *record
	index     int // in the record
	state     atomic.Int32
	orders    chan state // stateFreezing, then stateThawing
	bell      int        // rung after each change

	// Written before the change of state that tells of them.
	noteErrno   unix.Errno // the record could not be written, so FIFREEZE was not called
	freezeErrno unix.Errno
	thawErrno   unix.Errno // EINVAL: someone else had thawed it
}

// newHand starts the thread. It ends with the process.
func newHand(fd, level, bell int, r *record, index int) *hand {
	h := &hand{fd: fd, level: level, bell: bell, record: r, index: index, orders: make(chan state, 2)}
	go h.work()
	return h
}

func (h *hand) work() {
	runtime.LockOSThread()
	_ = exemptThread() // the same failure on the control loop's thread is in the greeting
	for order := range h.orders {
		switch order {
		case stateFreezing:
			h.freeze()
		case stateThawing:
			h.thaw()
		}
		ring(h.bell)
	}
}

// freeze sees to it that there is no freeze of ours, at no time, which the
// record does not name: the mark comes before the call and is corrected after it.
func (h *hand) freeze() {
	if h.noteErrno = h.record.set(h.index, markFreezing); h.noteErrno != 0 {
		h.state.Store(int32(stateFailed))
		return
	}
	h.freezeErrno = freezeFS(h.fd)
	if h.freezeErrno == 0 {
		_ = h.record.set(h.index, markFrozen) // "freezing" would do
		h.state.Store(int32(stateFrozen))
	} else {
		_ = h.record.set(h.index, markFailed)
		h.state.Store(int32(stateFailed))
	}
}

// thaw does not give up: an error but EINVAL leaves the file system frozen.
func (h *hand) thaw() {
	for {
		h.thawErrno = thawFS(h.fd)
		if h.thawErrno == 0 || h.thawErrno == unix.EINVAL {
			_ = h.record.set(h.index, markThawed)
			h.state.Store(int32(stateThawed))
			return
		}
		time.Sleep(thawRetry)
	}
}

// order tells the hand what to do. The control loop alone calls it, and only
// out of idle (freeze) and frozen (thaw), so that it never blocks.
func (h *hand) order(s state) {
	h.state.Store(int32(s))
	h.orders <- s
}

func (h *hand) now() state { return state(h.state.Load()) }
