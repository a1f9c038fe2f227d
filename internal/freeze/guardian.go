package freeze

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strconv"

	"golang.org/x/sys/unix"
)

// GuardianMain is the guardian's entry point, for the hidden command that
// Config.Args names. It returns the exit code when the worker's end of the
// socket has closed and nothing is frozen any more, and 2 where it was not
// started by a worker. A failure to start is reported to the worker and
// written to standard error, which is a pipe that the worker reads.
func GuardianMain() int {
	// The control loop owns its thread, so that what is set for it stays set.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if kind, err := unix.GetsockoptInt(fdSocket, unix.SOL_SOCKET, unix.SO_TYPE); err != nil || kind != unix.SOCK_SEQPACKET {
		fmt.Fprintln(os.Stderr, "the guardian is started by stillpoint itself, not by hand")
		return 2
	}
	k, err := newKeeper()
	if err != nil {
		_ = sendJSON(fdSocket, hello{Protocol: protocol, Fault: err.Error()})
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	code := k.run()
	// Where the worker is dead, nobody else will. Where it lives, it has let go of all.
	k.record.remove()
	return code
}

// newKeeper prepares this process and greets the worker.
func newKeeper() (*keeper, error) {
	// A file system that is being frozen cannot be stopped at, nor can what a
	// service manager sends to all processes of a unit end a guardian.
	// SIGABRT is what systemd sends to a whole unit whose watchdog has run out.
	signal.Ignore(unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGPIPE, unix.SIGQUIT, unix.SIGABRT,
		unix.SIGUSR1, unix.SIGUSR2, unix.SIGALRM, unix.SIGVTALRM, unix.SIGIO, unix.SIGPWR, unix.SIGSTKFLT,
		unix.SIGXCPU, unix.SIGXFSZ, unix.SIGTSTP, unix.SIGTTIN, unix.SIGTTOU)
	// What there is to collect is not worth a pause; negative turns the
	// collections off that the runtime makes every two minutes, too.
	debug.SetGCPercent(-1)
	if err := os.Chdir("/"); err != nil {
		return nil, fmt.Errorf("cannot change to the root directory: %w", err)
	}
	var s setup
	if err := receiveJSON(fdSocket, &s); err != nil {
		return nil, err
	}
	if s.Protocol != protocol {
		return nil, fmt.Errorf("cannot speak protocol %d: this guardian speaks %d", s.Protocol, protocol)
	}
	own, err := ownBuild()
	if err != nil {
		return nil, err
	}
	h := hello{Protocol: protocol, Build: own, Notes: harden()}
	k := &keeper{sock: fdSocket, rcu: expediter{fd: -1}}
	if s.RCU {
		k.rcu.fd, k.rcu.lock = fdRCU, fdRCU
		if s.Lock {
			k.rcu.lock = fdLock
		}
	}
	k.record = &record{fd: fdRecord, dir: -1, spots: s.Record}
	if s.Dir {
		k.record.dir = fdDir
	}
	if len(s.Record.Marks) != len(s.Levels) {
		return nil, fmt.Errorf("cannot keep a record of %d file systems in %d fields", len(s.Levels), len(s.Record.Marks))
	}
	if k.timer, err = newTimer(); err != nil {
		return nil, err
	}
	if k.bell, err = unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK); err != nil {
		return nil, fmt.Errorf("cannot create an event: %w", err)
	}
	for i, level := range s.Levels {
		var st unix.Stat_t
		if err := unix.Fstat(fdMounts+i, &st); err != nil {
			return nil, fmt.Errorf("cannot look at inherited descriptor %d: %w", fdMounts+i, err)
		}
		h.Devices = append(h.Devices, st.Dev)
		k.hands = append(k.hands, newHand(fdMounts+i, level, k.bell, k.record, i))
	}
	return k, sendJSON(fdSocket, h)
}

// harden makes the guardian hard to kill and independent of the disk. It
// returns what did not work.
func harden() []string {
	var notes []string
	note := func(what string, err error) {
		if err != nil {
			notes = append(notes, fmt.Sprintf("the guardian cannot %s: %v", what, err))
		}
	}
	if underRace {
		note("lock its memory", errors.New("it was built with the race detector"))
	} else {
		// So that no page of ours has to be read from a disk that stands still.
		note("lock its memory", lockMemory())
	}
	// So that it is on time on a host whose CPUs are busy: next to a few busy
	// loops, an ordinary thread was seen to wait for seconds [V].
	note("run ahead of other processes", raisePriority())
	note("tell its name", os.WriteFile("/proc/self/comm", []byte("stillpoint"), 0)) // "exe" so far
	note("protect itself from the OOM killer", os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0))
	note("exempt itself from write-back", exemptThread())
	return notes
}

// lockMemory fills in and locks all there is by now, and of what is still to
// come each page when it is first used: filling whole stacks and arenas in
// advance would cost milliseconds inside the window.
func lockMemory() error {
	if err := unix.Mlockall(unix.MCL_CURRENT); err != nil {
		return err
	}
	return unix.Mlockall(unix.MCL_FUTURE | unix.MCL_ONFAULT)
}

// raisePriority gives every thread the lowest real-time priority, and those
// made later inherit it (sched(7)) [S]. The guardian sleeps nearly always.
func raisePriority() error {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	for _, t := range threads {
		tid, err := strconv.Atoi(t.Name())
		if err != nil {
			return err
		}
		attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_RR, Priority: 1}
		if err := unix.SchedSetAttr(tid, &attr, 0); err != nil && err != unix.ESRCH {
			return err
		}
	}
	return nil
}

// exemptThread sees to it that an allocation by this thread in the kernel does
// not wait for write-back to what we froze (prctl(2), since Linux 5.6; needs
// CAP_SYS_RESOURCE) [S].
func exemptThread() error { return unix.Prctl(unix.PR_SET_IO_FLUSHER, 1, 0, 0, 0) }
