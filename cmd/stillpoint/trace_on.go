//go:build torture

package main

import (
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A build with the tag torture tells its parent of every stage, so that a test
// can kill it there. No release has this.
//
// Where STILLPOINT_TRACE is set, descriptor 3 gets a line "begin STAGE" or
// "end STAGE" at each boundary. Where STILLPOINT_TRACE_HOLD is such a line, the
// program waits there until a byte arrives on descriptor 4 (or that closes).
// STILLPOINT_TRACE_HOLD_FILE names a file that holds such a line instead, read
// at each boundary, so that a test can choose anew for each request.
// STILLPOINT_LOOKUP is one delay in place of the minutes of growing ones after
// an ambiguous answer: four look-ups with that delay between them.
const (
	traceFD = 3
	holdFD  = 4
)

// The guardian must not inherit them: the end of the stream says that the worker has ended.
var closeOnExec = sync.OnceFunc(func() {
	unix.CloseOnExec(traceFD)
	unix.CloseOnExec(holdFD)
})

func tracing() (trace func(stage string, ended bool), lookupDelays []time.Duration) {
	if d, err := time.ParseDuration(os.Getenv("STILLPOINT_LOOKUP")); err == nil {
		lookupDelays = []time.Duration{d, d, d}
	}
	if os.Getenv("STILLPOINT_TRACE") == "" {
		return nil, lookupDelays
	}
	closeOnExec()
	hold, file := os.Getenv("STILLPOINT_TRACE_HOLD"), os.Getenv("STILLPOINT_TRACE_HOLD_FILE")
	return func(stage string, ended bool) {
		line := "begin " + stage
		if ended {
			line = "end " + stage
		}
		_, _ = unix.Write(traceFD, []byte(line+"\n"))
		at := hold
		if file != "" {
			b, _ := os.ReadFile(file)
			at = string(b)
		}
		if line == at {
			var b [1]byte
			_, _ = unix.Read(holdFD, b[:])
		}
	}, lookupDelays
}
