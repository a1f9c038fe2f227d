package main

import (
	"math"
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// survive keeps a closed terminal or log from ending a run half-way. The signals
// are caught and not ignored: what is ignored stays so in every program that
// is started, and a hook whose pipes break without SIGPIPE may run for ever.
func survive() {
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE, syscall.SIGHUP)
}

// keepDescriptors sees to it that the descriptors which this program was started
// with, such as the lock of flock(1), end with it: hooks and their children get
// none of them. Kernels before 5.11 cannot, and there they do.
func keepDescriptors() {
	const first = 3 // after standard error
	_ = unix.CloseRange(first, math.MaxUint32, unix.CLOSE_RANGE_CLOEXEC)
}
