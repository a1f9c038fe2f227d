//go:build torture

package main

import (
	"bytes"
	"os"
	"sync"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A build with the tag torture can be told that somebody has set the machine's
// clock: where STILLPOINT_CLOCK names a file, the wall clock of the worker, its
// pipelines and its journal is ahead by the duration in it, such as "-1h0m0s"
// (whole seconds; empty is none). No release has this.
//
// What a time carries of the monotonic clock is left as it is, as it would be
// if CLOCK_REALTIME were set: that clock cannot be had per process.
var clockFile = sync.OnceValue(func() int {
	fd, err := unix.Open(os.Getenv("STILLPOINT_CLOCK"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return fd
})

func clock() func() time.Time {
	fd := clockFile()
	if fd < 0 {
		return nil
	}
	return func() time.Time {
		var b [32]byte
		n, err := unix.Pread(fd, b[:], 0)
		if err != nil {
			return time.Now()
		}
		d, err := time.ParseDuration(string(bytes.TrimSpace(b[:n])))
		if err != nil {
			return time.Now()
		}
		return wallShifted(time.Now(), d)
	}
}

// wallShifted is t as it would be had the wall clock been set forward by d
// before, its monotonic reading untouched. No function of package time can
// do that. In a Time that has a monotonic reading (bit 63 of its first word),
// bits 30 to 62 are the seconds of the wall clock (time.Time, go1.9 to today).
func wallShifted(t time.Time, d time.Duration) time.Time {
	const hasMonotonic = 1 << 63
	wall := (*uint64)(unsafe.Pointer(&t))
	if *wall&hasMonotonic == 0 {
		return t.Add(d)
	}
	*wall += uint64(int64(d/time.Second)) << 30
	return t
}
