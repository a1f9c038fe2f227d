package freeze

import (
	"time"

	"golang.org/x/sys/unix"
)

// levelStall bounds how long the thaw of one level waits for the level above
// it. The order is a courtesy (a nested file system thaws faster when what
// carries it already has); an outer one that hangs must not keep an inner one frozen.
const levelStall = 250 * time.Millisecond

type phase int

const (
	phaseArmed     phase = iota // nothing frozen, waiting for the command
	phaseFreezing               // level by level
	phaseFrozen                 // all are
	phaseReleasing              // being thawed, for k.cause
	phaseOver                   // nothing is frozen any more
)

// keeper is the guardian's control loop. It never blocks but in poll, so that
// it answers, and keeps the deadline, while the hands are stuck in the kernel.
type keeper struct {
	sock, timer, bell int
	rcu               expediter
	record            *record
	hands             []*hand

	phase    phase
	closed   bool  // the worker's end of the socket
	deadline int64 // CLOCK_BOOTTIME, nanoseconds
	begun    int64 // when the command to freeze came

	cause cause
	since int64 // when the release began: before the first FITHAW
}

// run returns the exit code when the worker is gone and nothing is owed.
func (k *keeper) run() int {
	fds := []unix.PollFd{{Events: unix.POLLIN}, {Fd: int32(k.timer), Events: unix.POLLIN}, {Fd: int32(k.bell), Events: unix.POLLIN}}
	for {
		fds[0].Fd = int32(k.sock)
		if k.closed {
			fds[0].Fd = -1 // poll skips it
		}
		if _, err := unix.Poll(fds, k.patience()); err != nil && err != unix.EINTR {
			// Nothing sane is left to wait for: let go and end, but do not spin.
			time.Sleep(time.Millisecond)
			k.closed = true
			k.release(causeClosed)
		} else if err == nil {
			k.serve(fds)
		}
		k.advance()
		if k.closed && (k.phase == phaseOver || k.phase == phaseArmed) {
			return 0
		}
	}
}

// patience is the time for poll in ms: forever, but for a thaw that is to go
// on without the level above.
func (k *keeper) patience() int {
	if k.phase != phaseReleasing {
		return -1
	}
	return int(levelStall / time.Millisecond)
}

func (k *keeper) serve(fds []unix.PollFd) {
	if fds[2].Revents != 0 {
		drain(k.bell)
	}
	// The timer first: where command and deadline come together, the deadline counts.
	if fds[1].Revents != 0 {
		drain(k.timer)
		k.expire()
	}
	if fds[0].Revents == 0 || k.closed {
		return
	}
	var f frame
	if !f.receive(k.sock) {
		k.closed = true
		k.release(causeClosed)
		return
	}
	switch f.kind {
	case kindFreeze:
		k.freeze(f.at)
	case kindThaw:
		k.thaw()
	case kindPing:
		k.tell(frame{kind: kindAlive})
	}
}

// freeze arms the deadline before anything else.
func (k *keeper) freeze(deadline int64) {
	if k.phase != phaseArmed {
		return
	}
	k.begun, k.deadline = bootNow(), deadline
	if err := setTimer(k.timer, deadline); err != nil {
		k.phase = phaseOver
		k.tell(frame{kind: kindOver, cause: causeFailed, index: -1, errno: errnoOf(err)})
		return
	}
	if k.begun >= deadline {
		k.phase = phaseOver
		k.tell(frame{kind: kindOver, cause: causeDeadline, at: k.begun})
		return
	}
	k.rcu.raise(func(was []byte) bool {
		f := frame{kind: kindRaised, size: uint8(len(was))}
		copy(f.text[:], was)
		k.tell(f)
		return k.record.setRaised(true) == 0
	})
	k.phase = phaseFreezing
	k.freezeLevel()
}

// freezeLevel freezes the lowest level that is not frozen yet.
func (k *keeper) freezeLevel() {
	lowest := -1
	for _, h := range k.hands {
		if h.now() == stateIdle && (lowest < 0 || h.level < lowest) {
			lowest = h.level
		}
	}
	for _, h := range k.hands {
		if h.now() == stateIdle && h.level == lowest {
			h.order(stateFreezing)
		}
	}
}

// thaw obeys the command and answers it at once, however long the kernel takes.
func (k *keeper) thaw() {
	switch {
	case k.phase == phaseFrozen && bootNow() >= k.deadline:
		k.release(causeDeadline)
	case k.phase == phaseFrozen:
		k.release(causeCommand)
	case k.phase == phaseFreezing:
		k.release(causeAborted)
	case k.phase == phaseArmed:
		k.phase = phaseOver
		k.report()
		return
	}
	if k.phase == phaseOver {
		k.report()
		return
	}
	k.tell(frame{kind: kindAlive})
}

func (k *keeper) expire() {
	k.release(causeDeadline)
	if k.phase == phaseReleasing {
		k.tell(frame{kind: kindAlive}) // or the worker would take us for dead
	}
}

// release begins to thaw. What is still being frozen thaws as soon as the
// kernel has answered.
func (k *keeper) release(c cause) {
	if k.phase != phaseFreezing && k.phase != phaseFrozen {
		return
	}
	k.phase, k.cause, k.since = phaseReleasing, c, bootNow()
	k.thawReady()
	k.restore()
}

// advance draws the conclusions from what the hands have done.
func (k *keeper) advance() {
	if k.phase == phaseFreezing {
		k.advanceFreeze()
	}
	if k.phase == phaseReleasing {
		k.thawReady()
		for _, h := range k.hands {
			if h.now().owed() {
				return
			}
		}
		k.phase = phaseOver
		k.report()
	}
}

func (k *keeper) advanceFreeze() {
	var idle, freezing bool
	for _, h := range k.hands {
		switch h.now() {
		case stateFailed:
			k.release(causeFailed)
			return
		case stateFreezing:
			freezing = true
		case stateIdle:
			idle = true
		}
	}
	switch {
	case freezing:
	case idle:
		k.freezeLevel()
	default:
		now := bootNow()
		k.phase = phaseFrozen
		k.restore()
		k.tell(frame{kind: kindFrozen, at: now, took: now - k.begun})
	}
}

// thawReady orders the thaw of all that are frozen and whose turn has come:
// the highest level first.
func (k *keeper) thawReady() {
	highest := -1
	for _, h := range k.hands {
		if h.now().owed() {
			highest = max(highest, h.level)
		}
	}
	stalled := bootNow()-k.since >= int64(levelStall)
	for _, h := range k.hands {
		if h.now() == stateFrozen && (stalled || h.level == highest) {
			h.order(stateThawing)
		}
	}
}

// restore puts rcu_expedited back and says so.
func (k *keeper) restore() {
	if k.rcu.raised {
		errno := k.rcu.restore()
		if errno == 0 {
			_ = k.record.setRaised(false)
		}
		k.tell(frame{kind: kindRestored, errno: errno})
	}
}

// report says that nothing is frozen any more, and why.
func (k *keeper) report() {
	f := frame{kind: kindOver, cause: k.cause, at: k.since}
	for i, h := range k.hands {
		switch {
		case k.cause == causeFailed && h.noteErrno != 0 && f.stage == 0:
			f.stage, f.index, f.errno = stageRecord, int32(i), h.noteErrno
		case k.cause == causeFailed && h.freezeErrno != 0 && f.stage == 0:
			f.stage, f.index, f.errno = stageFreeze, int32(i), h.freezeErrno
		case k.cause != causeFailed && h.thawErrno != 0 && f.stage == 0:
			f.stage, f.index, f.errno = stageThaw, int32(i), h.thawErrno
		}
	}
	k.tell(f)
}

// tell has nobody to report a failure to: a worker that is gone is noticed by
// the end of the stream.
func (k *keeper) tell(f frame) { _ = f.send(k.sock) }
