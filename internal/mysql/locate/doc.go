// Package locate asks the kernel of this host which process is at the other end
// of a connection, which files that process has, and which other database
// servers have files here. It speaks no SQL and knows no volumes.
//
// Nothing is taken from a name alone. The process is the one that holds the
// other end of our very connection, by the number of that socket; a path of its
// is resolved in its own root and mount namespace (/proc/PID/root, openat2), and
// leads to the file system that the kernel's mount table gives for it. A handle
// on a process is a descriptor of its directory in /proc: once the process has
// ended it answers nothing more, whoever gets its number.
//
// To look at another user's process takes root, or CAP_SYS_PTRACE with
// CAP_DAC_READ_SEARCH. What cannot be looked at is a *NotShownError.
package locate

import (
	"errors"
	"fmt"
	"io/fs"
)

// NotShownError says that something cannot be shown, which does not mean that
// it is wrong. Why is a clause for a person, with what helps where that is known.
type NotShownError struct {
	Why string
	Err error // the cause; may be nil
}

func (e *NotShownError) Error() string {
	if e.Err == nil {
		return e.Why
	}
	return fmt.Sprintf("%s: %v", e.Why, e.Err)
}

func (e *NotShownError) Unwrap() error { return e.Err }

func notShown(err error, format string, args ...any) error {
	why := fmt.Sprintf(format, args...)
	if errors.Is(err, fs.ErrPermission) {
		why += " (that takes root, or CAP_SYS_PTRACE with CAP_DAC_READ_SEARCH)"
	}
	return &NotShownError{Why: why, Err: err}
}
