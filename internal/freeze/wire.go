package freeze

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Worker and guardian talk over a socketpair of type SOCK_SEQPACKET: it keeps
// the bounds of messages and ends when the last descriptor of a side closes,
// which for a killed process is after its last thread has left the kernel. So
// the end of the stream also proves that no FIFREEZE of the other side is in
// flight any more [V].
//
// Before the freeze they speak JSON (setup, hello), after that fixed frames.

// protocol is raised whenever setup, hello or frame change.
const protocol = 3

// setup is what the worker tells the guardian first.
type setup struct {
	Protocol int
	// Levels has one entry per file system, in the order of the descriptors:
	// level 0 is frozen first and thawed last.
	Levels []int
	// RCU says that descriptor fdRCU is to be used, Lock that fdLock is.
	RCU, Lock bool
	// Dir says that descriptor fdDir is to be used: the record has a name.
	Dir bool
	// Record is where in the record to write.
	Record spots
}

// hello is the guardian's answer.
type hello struct {
	Protocol int
	Build    build
	// Devices are the st_dev of the inherited descriptors.
	Devices []uint64
	// Notes are what did not work and is not fatal, one sentence each.
	Notes []string
	// Fault ends the handshake; "" where there is none.
	Fault string
}

// The guardian's inherited descriptors.
const (
	fdSocket = 3 + iota
	fdRCU
	fdLock
	fdRecord // locked, see record
	fdDir    // the runtime directory
	fdMounts // and onwards, one per file system
)

// kind says what a frame means.
type kind uint8

const (
	// From the worker.
	kindFreeze kind = iota + 1 // at: the deadline
	kindThaw                   // thaw, or say how far it is
	kindPing                   // give a sign of life

	// From the guardian.
	kindRaised   // rcu_expedited is about to be raised; text: what it was
	kindRestored // it was put back; errno where that failed
	kindFrozen   // all are frozen; at: since when; took: since the command
	kindAlive    // the answer to kindThaw and kindPing, and sent at the deadline
	kindOver     // nothing is frozen by us any more: cause, at, and where errno is not 0, index and stage
)

// cause says what ended a freeze.
type cause uint8

const (
	causeNone     cause = iota // nothing had been frozen
	causeCommand               // the worker's command, with all frozen
	causeDeadline              // the deadline
	causeClosed                // the worker's end closed
	causeFailed                // FIFREEZE failed for one
	causeAborted               // the worker's command, before all were frozen
)

// stage says which ioctl an errno belongs to.
type stage uint8

const (
	stageFreeze stage = iota + 1
	stageThaw
	stageRecord // no ioctl: the note that comes before it
)

// frame is one message of fixed size.
type frame struct {
	kind  kind
	cause cause
	stage stage
	size  uint8 // of text
	index int32 // of the file system
	errno unix.Errno
	at    int64 // CLOCK_BOOTTIME, nanoseconds
	took  int64 // nanoseconds
	text  [16]byte
}

// frameSize is the length of a frame on the wire.
const frameSize = 4 + 4 + 4 + 8 + 8 + 16

// send writes a frame without blocking and without allocating on the heap.
func (f *frame) send(sock int) error {
	var b [frameSize]byte
	b[0], b[1], b[2], b[3] = byte(f.kind), byte(f.cause), byte(f.stage), f.size
	binary.LittleEndian.PutUint32(b[4:], uint32(f.index))
	binary.LittleEndian.PutUint32(b[8:], uint32(f.errno))
	binary.LittleEndian.PutUint64(b[12:], uint64(f.at))
	binary.LittleEndian.PutUint64(b[20:], uint64(f.took))
	copy(b[28:], f.text[:])
	return sendPacket(sock, b[:])
}

// receive reads a frame. ok is false at the end of the stream; a packet that
// is no frame is returned with kind 0.
func (f *frame) receive(sock int) (ok bool) {
	var b [frameSize]byte
	n, err := recvPacket(sock, b[:])
	*f = frame{}
	if err != nil || n == 0 {
		return false
	}
	if n != frameSize {
		return true
	}
	f.kind, f.cause, f.stage, f.size = kind(b[0]), cause(b[1]), stage(b[2]), b[3]
	f.index = int32(binary.LittleEndian.Uint32(b[4:]))
	f.errno = unix.Errno(binary.LittleEndian.Uint32(b[8:]))
	f.at = int64(binary.LittleEndian.Uint64(b[12:]))
	f.took = int64(binary.LittleEndian.Uint64(b[20:]))
	copy(f.text[:], b[28:])
	f.size = min(f.size, uint8(len(f.text)))
	return true
}

// sendPacket never waits: the few packets of one run always fit into the
// socket's buffer, so EAGAIN means that the other side has long been deaf.
func sendPacket(sock int, b []byte) error {
	for {
		err := unix.Sendto(sock, b, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, nil)
		if err != unix.EINTR {
			return err
		}
	}
}

// recvPacket waits for a packet. Zero bytes mean that the stream has ended;
// ECONNRESET means that as well, with packets of ours left unread [V].
func recvPacket(sock int, b []byte) (int, error) {
	for {
		n, err := unix.Read(sock, b)
		if err != unix.EINTR {
			return n, err
		}
	}
}

// maxGreeting bounds setup and hello in bytes.
const maxGreeting = 64 << 10

func sendJSON(sock int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("cannot encode a greeting: %w", err)
	}
	if err := sendPacket(sock, b); err != nil {
		return fmt.Errorf("cannot send a greeting: %w", err)
	}
	return nil
}

func receiveJSON(sock int, v any) error {
	b := make([]byte, maxGreeting)
	n, err := recvPacket(sock, b)
	if n == 0 && err == nil || errors.Is(err, unix.ECONNRESET) {
		return errEnded
	}
	if err != nil {
		return fmt.Errorf("cannot receive a greeting: %w", err)
	}
	if err := json.Unmarshal(b[:n], v); err != nil {
		return fmt.Errorf("cannot decode a greeting: %w", err)
	}
	return nil
}
