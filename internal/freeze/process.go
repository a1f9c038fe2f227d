package freeze

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// processOf names a running process.
func processOf(pid int) (process, error) {
	start, err := startTime(pid)
	if err != nil {
		return process{}, fmt.Errorf("cannot tell when process %d started: %w", pid, err)
	}
	return process{PID: pid, Start: start}, nil
}

// startTime is the 22nd field of /proc/PID/stat (proc(5)) [S]. The second is
// the name, in parentheses, and may hold blanks and parentheses itself.
func startTime(pid int) (uint64, error) {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) < 20 {
		return 0, fmt.Errorf("cannot read %q", stat)
	}
	return strconv.ParseUint(string(fields[19]), 10, 64)
}

// handle is a process that cannot turn into another one (pidfd_open(2)).
type handle struct{ fd int }

// open returns a handle on the process; ok is false where it has ended. A
// process whose first thread has ended, and that has another one stuck in the
// kernel, is a zombie in /proc, but has not ended: the descriptor knows [V].
func (p process) open() (h handle, ok bool) {
	if p.PID <= 0 {
		return handle{-1}, false
	}
	fd, err := unix.PidfdOpen(p.PID, 0)
	if err != nil {
		return handle{-1}, false
	}
	h = handle{fd}
	// After the descriptor is open, so that it is this very process.
	if start, err := startTime(p.PID); err != nil || start != p.Start || h.ended(0) {
		h.close()
		return handle{-1}, false
	}
	return h, true
}

func (p process) alive() bool {
	h, ok := p.open()
	if ok {
		h.close()
	}
	return ok
}

// halted says that a signal or a debugger has stopped the process, or that it
// is dying. A thread that is stuck in the kernel shows neither before it comes
// out, so one thread that does is enough.
func (p process) halted() bool {
	return p.anyThread(func(t thread) bool { return strings.Contains("TtZXx", t.state) })
}

// dying says that the process has been killed, and only has to end yet: until
// then it has its descriptors, and its locks.
func (p process) dying() bool {
	const (
		exiting = 0x4    // PF_EXITING of linux/sched.h
		killed  = 1 << 8 // SIGKILL among the pending ones: every thread gets it
	)
	return p.anyThread(func(t thread) bool {
		return strings.Contains("ZXx", t.state) || t.flags&exiting != 0 || t.pending&killed != 0
	})
}

// thread is what /proc/PID/task/TID/stat says of one: the fields 3, 9 and 31 (proc(5)) [S].
type thread struct {
	state          string
	flags, pending uint64
}

func (p process) anyThread(is func(thread) bool) bool {
	paths, _ := filepath.Glob("/proc/" + strconv.Itoa(p.PID) + "/task/*/stat")
	for _, path := range paths {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		f := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:]) // from the third on
		if len(f) < 29 {
			continue
		}
		t := thread{state: string(f[0])}
		t.flags, _ = strconv.ParseUint(string(f[6]), 10, 64)
		t.pending, _ = strconv.ParseUint(string(f[28]), 10, 64)
		if is(t) {
			return true
		}
	}
	return false
}

// ended waits so many milliseconds for the process's last thread to end.
func (h handle) ended(wait int) bool {
	fds := []unix.PollFd{{Fd: int32(h.fd), Events: unix.POLLIN}}
	n, err := unix.Poll(fds, wait)
	return err == nil && n > 0
}

func (h handle) kill() error { return unix.PidfdSendSignal(h.fd, unix.SIGKILL, nil, 0) }

func (h handle) close() { _ = unix.Close(h.fd) }
